//! The message that a machine holds: one that a slot failed on, in debug mode, or one at a breakpoint.
//!
//! It is neither recorded as errored nor finished: it counts as in flight, and can be looked at with all that the slots
//! have made of it. A machine does not run with a message in hand: it is paused, or started, with the lock of that place.

use crate::core::execution::Execution;
use crate::core::in_flight::{InFlightMessage, Workers};
use crate::core::oid::Oid;
use crate::core::output::Times;
use crate::core::queue::{Mode, Queue};
use crate::core::slot_errors::{MissingOutput, SlotErrors};
use machine_protocol::command::Outputs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A message that a slot failed on.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    pub visit: Execution,
    pub number: u64,
    pub times: Times,
    /// The step that it is held before; without it, it is through.
    pub before: Option<usize>,
    /// What the slots have made of it, and that in short.
    pub outputs: Outputs,
    pub line: String,
}

impl HeldMessage {
    /// It goes on with the next worker that looks.
    pub fn resume(self, machine: &'static dyn Workers) {
        let oid = self.visit.oid;
        InFlightMessage::resume(machine, self.visit.into_parts(), (oid, self.number, self.times), self.before);
    }
}

/// Whether a machine stops at errors, and the message with which it has stopped.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    at_errors: AtomicBool,
    message: Mutex<Option<HeldMessage>>,
}

impl Hold {
    /// No user code runs under this lock. The lock of the flights and `Queue::control` may be locked with it, not the
    /// other way round.
    pub fn lock(&self) -> MutexGuard<'_, Option<HeldMessage>> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a message that a slot fails on is held. One that is in hand stays there.
    pub fn set_at_errors(&self, on: bool) {
        self.at_errors.store(on, Ordering::Relaxed);
    }

    /// Whether a message with errors is to be held.
    pub fn stops_at(&self, caught: &SlotErrors) -> bool {
        // Relaxed: a message sooner or later makes no difference.
        self.at_errors.load(Ordering::Relaxed) && !caught.errors.is_empty()
    }

    /// Keeps a message in hand and pauses the machine, without waiting; gives it back if one is kept already.
    pub fn hold(
        &self,
        queue: &Queue,
        visit: Execution,
        number: u64,
        times: Times,
        before: Option<usize>,
    ) -> Option<Execution> {
        if self.lock().is_some() {
            return Some(visit);
        }
        // Before the lock: how values are written is user code.
        let (outputs, line) = (outputs(&visit, before), line(&visit, before));
        let mut in_hand = self.lock();
        if in_hand.is_some() {
            return Some(visit);
        }
        *in_hand = Some(HeldMessage { visit, number, times, before, outputs, line });
        let mut control = queue.control();
        if control.mode == Mode::Running {
            queue.set_mode(&mut control, Mode::Paused);
        }
        drop(control);
        drop(in_hand);
        queue.wake_all();
        None
    }

    /// What the slots have made of the message in hand.
    pub fn outputs(&self) -> Option<Outputs> {
        self.lock().as_ref().map(|held| held.outputs.clone())
    }

    /// The message in hand in short, for the status: its oid and its errors. Empty if there is none.
    pub fn line(&self) -> String {
        self.lock().as_ref().map(|held| held.line.clone()).unwrap_or_default()
    }

    /// The oid of the message in hand.
    pub fn oid(&self) -> Option<Oid> {
        self.lock().as_ref().map(|held| held.visit.oid)
    }

    /// Whether the message in hand is held before a slot.
    pub fn is_before_slot(&self) -> bool {
        self.lock().as_ref().is_some_and(|held| held.before.is_some())
    }
}

/// The slot of a step: `f3`.
fn held_before(visit: &Execution, step: usize) -> String {
    match visit.frame.slot_of(step) {
        Some(slot) => format!("f{slot}"),
        None => "it leaves".to_owned(),
    }
}

/// What the slots have made of a message so far.
fn outputs(visit: &Execution, before: Option<usize>) -> Outputs {
    let mut outputs = visit.outputs();
    if let Some(step) = before {
        let first = visit.frame.slot_of(step).unwrap_or(outputs.slots.len());
        let place = held_before(visit, step);
        for slot in outputs.slots.iter_mut().filter(|slot| slot.slot >= first) {
            slot.output = None;
            slot.nanos = 0;
            slot.error = (!slot.args.is_empty()).then(|| format!("not run yet (stopped before {place})"));
        }
    }
    outputs
}

/// A message in short: its oid and its errors.
fn line(visit: &Execution, before: Option<usize>) -> String {
    if let Some(step) = before {
        return format!("{}: held before {}", visit.oid, held_before(visit, step));
    }
    let errors = MissingOutput::of(&visit.frame, &visit.caught);
    let told: Vec<String> =
        errors.iter().filter(|missing| missing.code.is_some()).map(MissingOutput::describe).collect();
    format!("{}: {}", visit.oid, told.join("; "))
}
