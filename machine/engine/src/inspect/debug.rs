//! Debug mode: the machine pauses at the first error, with the message in hand.
//!
//! The message is neither recorded as errored nor finished: it counts as in flight, and can be looked at with all
//! that the slots have made of it. Then it is taken through the slots again, as they are by then, or given up, which
//! is what would have happened to it otherwise: on the thread that asks, whose end of it is counted where steps are
//! counted, or, when the machine is started, by a worker, as a flight that lands.
//!
//! A machine does not run with a message in hand: it is paused, or started, with the lock of that place.

use crate::core::command_error::failed;
use crate::core::execution::Execution;
use crate::core::frame::Frame;
use crate::core::hook::InSlot;
use crate::core::in_flight::InFlightMessage;
use crate::core::machine::Machine;
use crate::core::oid::Oid;
use crate::core::output::Times;
use crate::core::queue::{Mode, STEPS};
use crate::core::slot_errors::{MissingOutput, SlotErrors};
use machine_protocol::command::Outputs;
use machine_protocol::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A message that a slot failed on.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    visit: Execution,
    number: u64,
    times: Times,
    /// The step that it is held before; without it, it is through.
    before: Option<usize>,
    /// What the slots have made of it, and that in short.
    outputs: Outputs,
    line: String,
}

/// Whether a machine stops at errors, and where it has stopped.
#[derive(Debug, Default)]
pub(crate) struct Debug {
    on: AtomicBool,
    in_hand: Mutex<Option<HeldMessage>>,
}

impl Debug {
    /// No user code runs under this lock. The lock of the flights and `Queue::control` may be locked with it, not the
    /// other way round.
    pub fn lock(&self) -> MutexGuard<'_, Option<HeldMessage>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
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
            slot.error = (!slot.args.is_empty()).then(|| format!("not yet: held before {place}"));
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

impl HeldMessage {
    /// It goes on with the next worker that looks.
    pub fn resume(self, machine: &'static Machine) {
        InFlightMessage::resume(machine, self.visit, self.number, self.times, self.before);
    }
}

impl Machine {
    /// Turns debug mode on or off. A message that is in hand stays there.
    pub fn set_debug(&self, on: bool) {
        self.debug.on.store(on, Ordering::Relaxed);
    }

    /// Whether a message with errors is to be kept.
    pub fn stops_at(&self, caught: &SlotErrors) -> bool {
        // Relaxed: a message sooner or later makes no difference.
        self.debug.on.load(Ordering::Relaxed) && !caught.errors.is_empty()
    }

    /// Keeps a message in hand and pauses the machine, without waiting; gives it back if one is kept already.
    pub fn hold(&self, visit: Execution, number: u64, times: Times, before: Option<usize>) -> Option<Execution> {
        if self.debug.lock().is_some() {
            return Some(visit);
        }
        // Before the lock: how values are written is user code.
        let (outputs, line) = (outputs(&visit, before), line(&visit, before));
        let mut in_hand = self.debug.lock();
        if in_hand.is_some() {
            return Some(visit);
        }
        *in_hand = Some(HeldMessage { visit, number, times, before, outputs, line });
        let mut control = self.queue.control();
        if control.mode == Mode::Running {
            self.queue.set_mode(&mut control, Mode::Paused);
        }
        drop(control);
        drop(in_hand);
        self.queue.wake_all();
        None
    }

    /// What the slots have made of the message in hand.
    ///
    /// # Errors
    /// If there is none.
    pub fn in_hand(&self) -> Result<Outputs, Error> {
        let outputs = self.debug.lock().as_ref().map(|held| held.outputs.clone());
        outputs.ok_or_else(|| self.nothing_in_hand())
    }

    /// The message in hand in short, for the status: its oid and its errors. Empty if there is none.
    pub fn in_hand_line(&self) -> String {
        self.debug.lock().as_ref().map(|held| held.line.clone()).unwrap_or_default()
    }

    /// Takes the message in hand through the slots as they are now. If one fails on it, it stays in hand.
    ///
    /// # Errors
    /// If there is none, or a step or something like it is running.
    pub fn retry(&'static self) -> Result<Outputs, Error> {
        // Looked for first: without one, that is what is to be told.
        if self.debug.lock().is_none() {
            return Err(self.nothing_in_hand());
        }
        let _in_slot = InSlot::enter();
        let _one = self.one_step()?;
        let Some(HeldMessage { mut visit, number, times, .. }) = self.debug.lock().take() else {
            return Err(self.nothing_in_hand());
        };
        let mut frame = Frame::new(self.plan(), visit.frame.input);
        visit.frame.move_input(&mut frame);
        let again = self.through(frame, visit.oid, None);
        drop(visit);
        let outputs = again.outputs();
        // The next one that failed may have come into its place.
        let over = if self.stops_at(&again.caught) { self.hold(again, number, times, None) } else { Some(again) };
        if let Some(over) = over {
            self.settle(over, number, times);
        }
        Ok(outputs)
    }

    /// Gives up the message in hand: it is recorded as errored, and its outputs leave the machine. One that is held
    /// before a slot goes on from there. Returns whether there was one.
    ///
    /// # Errors
    /// If there is one, and a step or something like it is running.
    pub fn give_up_in_hand(&'static self) -> Result<bool, Error> {
        // As in `retry`.
        if self.debug.lock().is_none() {
            return Ok(false);
        }
        let _in_slot = InSlot::enter();
        let _one = self.one_step()?;
        let Some(HeldMessage { mut visit, number, times, before, .. }) = self.debug.lock().take() else {
            return Ok(false);
        };
        if let Some(step) = before {
            if visit.frame.plan().has_async_slots {
                let oid = visit.oid;
                let (frame, caught) = visit.into_parts();
                visit = self.fly(frame, oid, caught, Some(step), None);
            } else {
                visit.frame.advance(step, None, &mut visit.caught);
            }
        }
        self.settle(visit, number, times);
        Ok(true)
    }

    /// A message that was kept is through. Its end counts among the steps.
    fn settle(&'static self, visit: Execution, number: u64, times: Times) {
        let Some(progress) = self.queue.progress_of(STEPS) else { return };
        let plan = visit.frame.plan().clone();
        plan.adopt(STEPS, progress.done.load(Ordering::Relaxed));
        self.complete(visit, &plan, number, times);
    }

    /// The oid of the message in hand.
    pub fn oid_in_hand(&self) -> Option<Oid> {
        self.debug.lock().as_ref().map(|held| held.visit.oid)
    }

    /// Whether the message in hand is held before a slot.
    pub fn is_held_before(&self) -> bool {
        self.debug.lock().as_ref().is_some_and(|held| held.before.is_some())
    }

    fn nothing_in_hand(&self) -> Error {
        let name = &self.config.name;
        failed(
            ErrorKind::NothingInHand,
            format!("{name} has no message in hand: debug(true) keeps the next that fails"),
        )
    }
}
