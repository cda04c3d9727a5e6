//! A worker and the flights of its machine.

use crate::core::deliver::{Completed, Way};
use crate::core::execution::Execution;
use crate::core::frame::Frame;
use crate::core::in_flight::{Home, InFlightMessage};
use crate::core::output::{Sequence, Times};
use crate::core::queue::{CLAIM, Claim, Span};
use crate::core::worker::{SLOW, Worker};
use crate::core::{oid, types};
use std::time::{Duration, Instant};

/// How long a worker that may take no message sleeps before it looks again: who takes from the outputs that wait for
/// their turn does not tell it.
const LOOK_UP: Duration = Duration::from_millis(10);

/// What a worker keeps for flights.
#[derive(Debug, Default)]
pub(crate) struct Flying {
    /// Messages in flight that have ended, of the worker's plan, to be used again.
    #[expect(clippy::vec_box, reason = "a flight goes around in its box")]
    spare: Vec<Box<InFlightMessage>>,
}

impl Flying {
    /// Nothing of the worker's plan is kept.
    pub fn clear(&mut self) {
        self.spare.clear();
    }
}

impl Worker {
    /// How many messages to claim; waits for a landing if there is no place for another flight. `None` if something
    /// else is to be done first.
    pub fn most_to_claim(&self, stale: impl Fn() -> bool) -> Option<usize> {
        let flights = self.machine.in_flight();
        if !self.plan.has_async_slots {
            return Some(self.most);
        }
        let queue = self.machine.queue();
        // Messages that were given back are older: they may be what the others wait for.
        let is_ahead = || self.machine.sequence().is_some_and(Sequence::is_full) && !queue.wants_workers();
        if flights.room() == 0 {
            queue.wait_landing(Duration::MAX, || flights.is_waiting() || flights.room() > 0 || stale());
        } else if is_ahead() {
            queue.wait_landing(LOOK_UP, || flights.is_waiting() || !is_ahead() || stale());
        }
        let room = flights.room();
        (room > 0 && !is_ahead()).then_some(self.most.min(room))
    }

    /// Begins what was claimed, as far as there are places and the plan is the same, and gives back the rest.
    pub fn take_off_all(&mut self, mut claim: Claim<'_>) {
        let machine = self.machine;
        let mut has_place = false;
        while claim.len() > 0 {
            has_place = has_place || machine.in_flight().take_place();
            if self.look_for_changes() || !has_place || machine.queue().is_paused() {
                self.give_back(claim);
                break;
            }
            let Some(frame) = claim.next_in_place(|message| self.load(message)) else { break };
            has_place = false;
            self.spawn(frame);
            // Where outputs go in order, one that lands may have to wait for a message that this worker has yet to begin.
            if machine.in_flight().is_waiting() && (machine.sequence().is_none() || claim.len() == 0) {
                self.poll_ready();
            }
        }
        if has_place {
            machine.in_flight().leave(machine);
        }
    }

    /// The message in a frame becomes a flight; its place is taken.
    fn spawn(&mut self, at: usize) {
        let (machine, oid) = (self.machine, self.oid());
        let Some(loaded) = self.frames.get_mut(at) else { return machine.in_flight().leave(machine) };
        let desc = loaded.input.desc;
        let spare = &mut self.flying.spare;
        let at = spare.iter().rposition(|flight| std::ptr::eq(flight.frame.input.desc, desc));
        let mut flight = at.map(|at| spare.swap_remove(at)).unwrap_or_else(|| {
            let frame = Frame::new(self.plan.clone(), types::info(desc));
            Box::new(InFlightMessage::new(frame, oid, Home::Machine(machine)))
        });
        std::mem::swap(&mut flight.frame, loaded);
        let times = Times { put: self.put, begun_ms: oid::coarse_millis(), is_timed: true };
        flight.reset(oid, self.number, times);
        self.go(flight);
    }

    /// Takes on flights that are ready, until there are none.
    #[cold]
    pub fn poll_ready(&mut self) {
        let machine = self.machine;
        // Where outputs go in order, one may have to wait for another that this worker would have in hand.
        let most = if machine.sequence().is_some() { 1 } else { self.most };
        while !machine.queue().is_paused() {
            let mut ready = machine.in_flight().take(most, machine.queue().workers());
            if ready.is_empty() {
                return;
            }
            while let Some(flight) = ready.pop_front() {
                self.go(flight);
                if machine.queue().is_paused() {
                    machine.in_flight().put_back(machine, ready);
                    return;
                }
            }
        }
    }

    fn go(&mut self, flight: Box<InFlightMessage>) {
        let before = Instant::now();
        self.delivery.progress.enter();
        let mut next = Some(flight);
        while let Some(flight) = next.and_then(InFlightMessage::go) {
            next = match flight.held_before() {
                Some(step) => self.hold(flight, step),
                None => {
                    self.finish_call(flight);
                    None
                }
            };
        }
        self.delivery.progress.leave();
        self.most = if before.elapsed() > SLOW { 1 } else { CLAIM };
    }

    /// A breakpoint holds a flight before a step: it stays in hand, unless another one does; then it comes back, to go on.
    fn hold(&mut self, flight: Box<InFlightMessage>, step: usize) -> Option<Box<InFlightMessage>> {
        let machine = self.machine;
        let InFlightMessage { frame, caught, oid, number, times, .. } = *flight;
        let Some(back) =
            machine.held().hold(machine.queue(), Execution::new(oid, frame, caught), number, times, Some(step))
        else {
            machine.in_flight().leave(machine);
            return None;
        };
        let (frame, caught) = back.into_parts();
        let mut flight = Box::new(InFlightMessage::new(frame, oid, Home::Machine(machine)));
        flight.reset(oid, number, times);
        flight.begin_at(step, caught);
        flight.pass();
        Some(flight)
    }

    /// A flight is through all slots.
    fn finish_call(&mut self, mut flight: Box<InFlightMessage>) {
        let machine = self.machine;
        if !flight.was_in_hand && machine.held().stops_at(&flight.caught) {
            let InFlightMessage { frame, caught, oid, number, times, .. } = *flight;
            let Some(back) =
                machine.held().hold(machine.queue(), Execution::new(oid, frame, caught), number, times, None)
            else {
                return machine.in_flight().leave(machine);
            };
            let (frame, caught) = back.into_parts();
            flight = Box::new(InFlightMessage::new(frame, oid, Home::Machine(machine)));
            flight.reset(oid, number, times);
            flight.caught = caught;
        }
        let plan = flight.frame.plan().clone();
        let times = self.sample(flight.number, flight.times);
        self.deliver(Completed {
            oid: flight.oid,
            number: flight.number,
            plan: &plan,
            frame: &mut flight.frame,
            errors: Some(&flight.caught),
            times,
            way: Way::InFlight,
        });
        if flight.frame.plan().version == self.plan.version
            && self.flying.spare.len() <= machine.in_flight().most() / machine.queue().workers()
        {
            self.flying.spare.push(flight);
        } else {
            drop(flight);
        }
        machine.in_flight().leave(machine);
    }
}
