//! A message that is taken from step to step, because it may have to wait between two of them.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::step::Step;
use super::{Events, Frame, SlotErrorKind};
use crate::core::hook;
use crate::core::in_flight::InFlightMessage;
use crate::core::raw::drop_value;
use crate::core::slots::HoldBefore;
use machine::abi::{self, ByteWriter, Outcome};
use std::sync::atomic::AtomicU64;
use std::time::Instant;

impl Frame {
    /// Whether this message, which has come to its slot, is held there.
    pub fn is_held_by(&self, hold: &dyn HoldBefore) -> bool {
        hold.holds(&self.plan, &|from| self.json(from))
    }

    /// The step of the first function in a slot, or in one after it; one past the last if there is none.
    pub fn step_of(&self, slot: usize) -> usize {
        self.steps.iter().position(|step| step.slot >= slot).unwrap_or(self.steps.len())
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The first step from `step` on, and before `end`, whose slot can be called, with its arguments made; all before it
    /// are skipped or have failed for want of them.
    pub fn prepare(&mut self, step: usize, end: usize, events: &mut impl Events) -> Option<usize> {
        if step == 0 {
            self.begin_message();
        }
        let steps = self.steps.get(step..end)?;
        let ready = |step: &Step| {
            self.present & step.needs == step.needs || self.preparation.run(step, self.present, self.nones, events)
        };
        steps.iter().position(ready).map(|found| step + found)
    }

    /// The slot of a step.
    pub fn slot(&self, step: usize) -> usize {
        self.steps.get(step).map_or(0, |step| step.slot)
    }

    /// The slot of a step; `None` after the last one.
    pub fn slot_of(&self, step: usize) -> Option<usize> {
        self.steps.get(step).map(|step| step.slot)
    }

    /// Whether a step's slot holds an async function.
    pub fn is_async(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|step| step.begin.is_some())
    }

    /// Calls the slot of one step, which `prepare` has given; returns how it ended, and the text of an error.
    pub fn call(&mut self, step: usize) -> (Outcome, String) {
        let Some(step) = self.steps.get(step) else { return (Outcome::Failed, String::new()) };
        let mut text = Vec::new();
        // SAFETY: as in `run`: `prepare` has seen to the arguments, and `out` is empty.
        let outcome = unsafe { (step.call)(step.state, step.args, step.out, &mut ByteWriter::new(&mut text)) };
        match outcome {
            Outcome::Done => {
                self.present |= step.bit;
                (outcome, String::new())
            }
            Outcome::Nothing => (outcome, String::new()),
            Outcome::Panicked => (outcome, hook::take_panic()),
            Outcome::Failed | Outcome::TimedOut => (outcome, String::from_utf8_lossy(&text).into_owned()),
        }
    }

    /// Calls the slots from step `from` on that come before `slot`, or all, and measures each. Returns the step that is
    /// next. Not for a plan with async slots.
    pub fn advance(&mut self, from: usize, slot: Option<usize>, events: &mut impl Events) -> usize {
        let end = slot.map_or(self.steps.len(), |slot| self.step_of(slot));
        let mut step = from;
        while let Some(ready) = self.prepare(step, end, events) {
            let before = Instant::now();
            let (outcome, text) = self.call(ready);
            let slot = self.slot(ready);
            self.note(slot, before.elapsed());
            match outcome {
                Outcome::Done => {}
                Outcome::Nothing => self.arrived_empty(ready),
                Outcome::Panicked => events.error(slot, SlotErrorKind::Panic, text),
                Outcome::Failed | Outcome::TimedOut => events.error(slot, SlotErrorKind::Error, text),
            }
            step = ready + 1;
        }
        end
    }

    /// Begins the call of the async function of one step, which `prepare` has given; `limit` is the flight's own. The
    /// flight comes back through `Host::complete`, on any thread, perhaps before this returns.
    pub fn begin(flight: Box<InFlightMessage>, step: usize) {
        let Some(step) = flight.frame.steps.get(step) else { return };
        let (begin, state, args, out) = (step.begin, step.state, step.args, step.out);
        let Some(begin) = begin else { return };
        let limit: *const AtomicU64 = flight.limit();
        let ticket = Box::into_raw(flight).cast();
        // SAFETY: `prepare` has seen to the arguments, and `out` is empty. Frame, arguments and closure (by the plan)
        // are the flight's, which nobody touches until `complete` takes it back from the ticket; so is its share in the
        // limit, which lives on the heap.
        unsafe { begin(state, args, out, abi::AsyncCall { ticket, limit }) };
    }

    /// The output of a step has been written.
    pub fn arrived(&mut self, step: usize) {
        self.present |= self.steps.get(step).map_or(0, |step| step.bit);
    }

    /// A step has given `None`.
    pub fn arrived_empty(&mut self, step: usize) {
        self.nones |= self.steps.get(step).map_or(0, |step| step.bit);
    }

    /// Drops the output of a step.
    pub fn discard(&mut self, step: usize) {
        let Some(step) = self.steps.get(step).filter(|step| self.present & step.bit != 0) else { return };
        self.present &= !step.bit;
        if let Some(place) = self.outputs.get(step.slot).copied().flatten() {
            // SAFETY: the value was live, and its bit is cleared.
            unsafe { drop_value(place.info.desc, place.at) };
        }
    }
}
