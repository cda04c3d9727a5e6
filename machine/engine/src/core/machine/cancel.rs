//! What is given up in flight: a machine that stands still and is cleared does not wait for messages any more whose
//! futures may never end. Calls and steps are cancelled with them.
//!
//! Each message is counted by the thread that takes it out of the place where it waits, so none is counted twice: the way into
//! a slot, the wait before a call again, those that are ready, and the calls that run. A call that runs is told to
//! end, and is none of the machine's business from then on: when its library has dropped the future and says so, what
//! is left of the message is dropped. Messages that are between two such places are given up where they come to next.
//! One that a worker has in a slot that is not async is not given up there: nobody can end such a call.

use super::Machine;
use crate::core::backoff;
use crate::core::in_flight::{InFlightMessage, InFlightTable, Workers};
use crate::core::queue::Queue;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long `clear` waits for a step that it has cancelled, and how often it looks.
const STEP_TIMEOUT: Duration = Duration::from_millis(250);
const STEP_POLL_INTERVAL: Duration = Duration::from_micros(100);

impl Machine {
    /// Gives up the flights of all messages with a number below `number`; returns how many were given up here.
    pub fn cancel_in_flight(&self, number: u64) -> u64 {
        let cancelled = self.flights.cancel_callers();
        self.count_cancelled(&cancelled);
        // First, so that what lands from here on is given up there.
        let (ready, running) = self.flights.cancel(number);
        let mut gone: Vec<Box<InFlightMessage>> = ready.into();
        let plan = self.plan();
        for gate in plan.slots.iter().filter_map(|slot| slot.gate.as_ref()) {
            gone.extend(gate.take_out(|flight: &InFlightMessage| flight.is_of(self) && flight.number < number));
        }
        gone.extend(backoff::take_out(|flight| flight.is_of(self) && flight.number < number));
        let numbers: Vec<u64> =
            gone.iter().map(|flight| flight.number).chain(running.iter().map(|(number, _)| *number)).collect();
        gone.into_iter().for_each(InFlightMessage::discard);
        self.count_cancelled(&numbers);
        // Last: it lets in others, and those that are to be given up are out.
        drop(running);
        if !cancelled.is_empty() {
            self.wait_for_step();
        }
        (numbers.len() + cancelled.len()) as u64
    }

    /// Waits until the step that was cancelled has returned: the caller of `clear` may step again.
    fn wait_for_step(&self) {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while self.one_step().is_err() && Instant::now() < deadline {
            std::thread::sleep(STEP_POLL_INTERVAL);
        }
    }

    /// Messages that were in flight are not any more, and will not be processed.
    pub fn count_cancelled(&self, numbers: &[u64]) {
        // Release: pairs with the Acquire in `status`: a thread that sees it has seen the messages begun.
        self.queue.given_up.fetch_add(numbers.len() as u64, Ordering::Release);
        self.withdraw(numbers.iter().copied());
        for _ in numbers {
            self.flights.leave(self);
        }
        // `drain` may wait for nothing else.
        self.queue.wake_all();
    }
}

impl Workers for Machine {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn in_flight(&self) -> &InFlightTable {
        &self.flights
    }

    fn cancel(&self, message: Box<InFlightMessage>) {
        let number = message.number;
        message.discard();
        self.count_cancelled(&[number]);
    }
}
