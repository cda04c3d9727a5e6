//! Debug mode: the machine pauses at the first error, with the message in hand.
//!
//! The message is neither recorded as errored nor finished: it counts as in flight, and can be looked at with all
//! that the slots have made of it. Then it is taken through the slots again, as they are by then, or given up, which
//! is what would have happened to it otherwise. Its end is counted where steps are counted: only sums are shown.

use crate::command_error::failed;
use crate::frame::Frame;
use crate::hook::InSlot;
use crate::machine::Machine;
use crate::oid::{self, Oid};
use crate::output::Handover;
use crate::queue::{Mode, STEPS};
use crate::visit::{Missing, Visit};
use crate::worker::Caught;
use machine::command::{Failure, Outputs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A message that a slot failed on.
#[derive(Debug)]
struct InHand {
    visit: Visit,
    number: u64,
}

/// Whether a machine stops at errors, and where it has stopped.
#[derive(Debug, Default)]
pub(crate) struct Debug {
    on: AtomicBool,
    in_hand: Mutex<Option<InHand>>,
}

impl Debug {
    fn lock(&self) -> MutexGuard<'_, Option<InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// Turns debug mode on or off. A message that is in hand stays there.
    pub fn set_debug(&self, on: bool) {
        self.debug.on.store(on, Ordering::Relaxed);
    }

    /// Whether a message with errors is to be kept.
    pub fn stops_at(&self, caught: &Caught) -> bool {
        // Relaxed: a message sooner or later makes no difference.
        self.debug.on.load(Ordering::Relaxed) && !caught.errors.is_empty()
    }

    /// Keeps a message in hand and pauses the machine, without waiting; gives it back if one is kept already.
    pub fn keep_in_hand(&self, frame: Frame, (oid, number): (Oid, u64), caught: Caught) -> Option<(Frame, Caught)> {
        let mut in_hand = self.debug.lock();
        if in_hand.is_some() {
            return Some((frame, caught));
        }
        *in_hand = Some(InHand { visit: Visit::new(oid, frame, caught), number });
        drop(in_hand);
        let mut control = self.queue.control();
        if control.mode == Mode::Running {
            self.queue.set_mode(&mut control, Mode::Paused);
        }
        drop(control);
        self.queue.wake_all();
        None
    }

    /// What the slots have made of the message in hand.
    ///
    /// # Errors
    /// If there is none.
    pub fn in_hand(&self) -> Result<Outputs, Failure> {
        self.debug.lock().as_ref().map(|held| held.visit.outputs()).ok_or_else(|| self.nothing_in_hand())
    }

    /// The message in hand in short, for the status: its oid and its errors. Empty if there is none.
    pub fn in_hand_line(&self) -> String {
        let in_hand = self.debug.lock();
        let Some(InHand { visit, .. }) = &*in_hand else { return String::new() };
        let errors = Missing::of(&visit.frame, &visit.caught);
        let told: Vec<String> = errors.iter().filter(|missing| missing.code.is_some()).map(Missing::told).collect();
        format!("{}: {}", visit.oid, told.join("; "))
    }

    /// Takes the message in hand through the slots as they are now. If one fails on it, it stays in hand.
    ///
    /// # Errors
    /// If there is none.
    pub fn retry(&self) -> Result<Outputs, Failure> {
        let _in_slot = InSlot::enter();
        let _one = self.one_step();
        let Some(InHand { mut visit, number }) = self.debug.lock().take() else { return Err(self.nothing_in_hand()) };
        let mut frame = Frame::new(self.plan(), visit.frame.input);
        visit.frame.move_input(&mut frame);
        let again = Self::through(frame, visit.oid);
        drop(visit);
        let outputs = again.outputs();
        if self.stops_at(&again.caught) {
            *self.debug.lock() = Some(InHand { visit: again, number });
        } else {
            self.settle(again, number);
        }
        Ok(outputs)
    }

    /// Gives up the message in hand: it is recorded as errored, and its outputs leave the machine. Returns whether
    /// there was one.
    pub fn give_up_in_hand(&self) -> bool {
        let _in_slot = InSlot::enter();
        let _one = self.one_step();
        let Some(InHand { visit, number }) = self.debug.lock().take() else { return false };
        self.settle(visit, number);
        true
    }

    /// A message that was kept is through. Its end counts among the steps.
    fn settle(&self, mut visit: Visit, number: u64) {
        let Some(progress) = self.queue.progress_of(STEPS) else { return };
        let plan = visit.frame.plan().clone();
        plan.adopt(STEPS, progress.done.load(Ordering::Relaxed));
        self.record(STEPS, &visit.frame, visit.oid, &visit.caught);
        let mut handover = Handover::default();
        handover.hand_over(self, &plan, &mut visit.frame, (visit.oid, number), &visit.caught, true);
        progress.finish();
        progress.note_last(visit.oid, oid::coarse_millis());
    }

    fn nothing_in_hand(&self) -> Failure {
        let name = &self.config.name;
        failed("nothing_in_hand", format!("{name} has no message in hand: debug(true) keeps the next that fails"))
    }
}
