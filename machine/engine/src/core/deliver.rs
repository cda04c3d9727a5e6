//! How a message ends. All that come to their end do so here, whichever way they went.

use crate::core::dead_letters::DeadLetterEntry;
use crate::core::failed::{of_frame, of_unwritten};
use crate::core::frame::{Frame, SlotErrorKind};
use crate::core::machine::Machine;
use crate::core::oid::{self, Oid};
use crate::core::output::{Finished, Rendering, Times, dispatch};
use crate::core::queue::WorkerStats;
use crate::core::slot_errors::{MissingOutput, SlotErrors};
use crate::core::slots::{Plan, Tally};
use std::sync::atomic::{AtomicU64, Ordering};

/// The way that a message went through its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight, with a worker, who notes the last one of each claim.
    Straight,
    /// With a worker, through slots in which it may have waited.
    InFlight,
    /// On the caller's thread.
    Asked,
}

/// A message that is through its slots.
#[derive(Debug)]
pub(crate) struct Completed<'m> {
    pub oid: Oid,
    /// How many messages the queue had accepted before it.
    pub number: u64,
    /// The plan of its frame.
    pub plan: &'m Plan,
    pub frame: &'m mut Frame,
    /// What its slots failed on, skipped or tried again; without them, each gave an output.
    pub errors: Option<&'m SlotErrors>,
    /// It is retained if its times are given.
    pub times: Option<Times>,
    pub way: Way,
}

/// Brings messages to their end, one at a time, and counts them as one worker's, or as steps.
#[derive(Debug)]
pub(crate) struct Delivery {
    machine: &'static Machine,
    /// The place in all tallies.
    index: usize,
    pub progress: &'static WorkerStats,
    rendering: Rendering,
}

fn add(count: &AtomicU64, more: u64) {
    // Only one thread writes it. Release: a thread that sees the message done sees this.
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Release);
}

impl Delivery {
    pub fn new(machine: &'static Machine, index: usize, progress: &'static WorkerStats) -> Self {
        Self { machine, index, progress, rendering: Rendering::default() }
    }

    /// Counts and keeps its errors, retains it, hands it to its sinks, now or when its turn comes, and counts it as
    /// processed. Its frame is empty then. Returns its size if it was retained.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "of a message without errors and sinks nothing is left of this but a count"
    )]
    pub fn deliver(&mut self, message: Completed<'_>) -> usize {
        let Completed { oid, number, plan, frame, errors, times, way } = message;
        if let Some(errors) = errors
            && (!errors.is_empty() || frame.has_none())
        {
            self.record(plan, frame, oid, errors);
        }
        let bytes = if times.is_some() || plan.hands_over {
            self.dispatch(plan, frame, (oid, number), errors, times)
        } else {
            0
        };
        frame.clear();
        if way == Way::InFlight {
            self.count_flight(plan);
        }
        self.progress.finish();
        if way != Way::Straight {
            self.progress.note_last(oid, oid::coarse_millis());
        }
        bytes
    }

    /// Retains a message, and hands it to the sinks of its plan.
    #[inline(never)]
    fn dispatch(
        &mut self,
        plan: &Plan,
        frame: &mut Frame,
        (oid, number): (Oid, u64),
        errors: Option<&SlotErrors>,
        times: Option<Times>,
    ) -> usize {
        let missing = errors.map_or_else(Vec::new, |errors| MissingOutput::of(frame, errors));
        let mut finished = Finished::new(oid, frame, &missing, &mut self.rendering);
        if plan.unwritten != 0 {
            finished.json();
        }
        let bytes = times.map_or(0, |times| self.machine.recorder().keep(&mut finished, plan, times));
        let unwritten = match self.machine.sequence() {
            None => {
                dispatch(&plan.sinks, &mut finished);
                unwritten(&mut finished, plan)
            }
            Some(sequence) => {
                // Written before the lock: several workers write at the same time.
                finished.write_for(&plan.sinks);
                let unwritten = unwritten(&mut finished, plan);
                let machine = self.machine;
                let is_wanted = || machine.queue().wants_workers() || machine.in_flight().is_waiting();
                sequence.finish(&plan.sinks, finished, number, is_wanted);
                unwritten
            }
        };
        if !unwritten.is_empty() {
            self.record_unwritten(plan, unwritten, errors.is_some_and(|errors| !errors.errors.is_empty()));
        }
        bytes
    }

    /// Counts what a message's slots failed on, skipped or gave nothing for, and keeps the errors.
    fn record(&self, plan: &Plan, frame: &Frame, oid: Oid, errors: &SlotErrors) {
        let tally = |slot: usize| self.tally(plan, slot);
        let retried = errors.retried.iter().filter_map(|(slot, times)| Some((tally(*slot)?, *times)));
        retried.for_each(|(tally, times)| add(&tally.retried, times));
        frame.slots_without_output().filter_map(tally).for_each(|tally| add(&tally.none, 1));
        errors.skipped.iter().filter_map(|slot| tally(*slot)).for_each(|tally| add(&tally.skipped, 1));
        if errors.errors.is_empty() {
            return;
        }
        self.keep(plan, of_frame(frame, oid, errors, 0), true);
        let unwritten = errors.errors.iter().filter(|(_, kind, _)| *kind == SlotErrorKind::Serialize);
        self.machine.watch_outputs(unwritten.fold(0, |bits, (slot, _, _)| bits | 1 << slot));
    }

    /// Counts and keeps what was found out when a message was handed out: slots whose outputs cannot be written are slots
    /// that failed. `has_errors` says whether the message is counted as errored already.
    #[cold]
    fn record_unwritten(&self, plan: &Plan, new: Vec<DeadLetterEntry>, has_errors: bool) {
        let slots = new.iter().fold(0, |bits, letter| bits | 1 << letter.slot);
        self.keep(plan, new, !has_errors);
        self.machine.watch_outputs(slots);
    }

    /// Counts slots that failed, and the message as errored, and keeps the errors.
    fn keep(&self, plan: &Plan, new: Vec<DeadLetterEntry>, is_first: bool) {
        if is_first {
            add(&self.progress.errored, 1);
        }
        new.iter().filter_map(|letter| self.tally(plan, letter.slot)).for_each(|tally| add(&tally.errored, 1));
        let mut letters = self.machine.letters();
        for letter in new {
            letters.add(letter);
        }
    }

    fn tally<'p>(&self, plan: &'p Plan, slot: usize) -> Option<&'p Tally> {
        plan.function(slot)?.tallies.get(self.index)
    }

    /// Counts a message for the slots that it went through, and for the worker.
    fn count_flight(&self, plan: &Plan) {
        let tallies = (0..plan.slots.len()).filter_map(|slot| self.tally(plan, slot));
        tallies.for_each(|tally| add(&tally.flown, 1));
        add(&self.progress.flown, 1);
    }
}

/// Retains a message that has come to its end before, when a slot failed on it, and hands it to the sinks of its plan.
pub(crate) fn deliver_late(machine: &Machine, plan: &Plan, frame: &mut Frame, oid: Oid, times: Times) {
    let mut rendering = Rendering::default();
    let mut finished = Finished::new(oid, frame, &[], &mut rendering);
    machine.recorder().keep(&mut finished, plan, times);
    dispatch(&plan.sinks, &mut finished);
}

/// Dead letters of the slots whose outputs could not be written, if that has been tried; once.
#[inline]
fn unwritten(message: &mut Finished<'_>, plan: &Plan) -> Vec<DeadLetterEntry> {
    let oid = message.oid;
    message.take_unwritten().map_or_else(Vec::new, |rendering| of_unwritten(rendering, plan, oid))
}
