//! Messages that go through the slots on the caller's thread: calls, and steps.

use super::Machine;
use crate::core::command_error::failed;
use crate::core::deliver::{Completed, Delivery, Way};
use crate::core::execution::Execution;
use crate::core::frame::{Events, Frame, SlotErrorKind};
use crate::core::hook::InSlot;
use crate::core::in_flight::{Abandoned, CallerWait, Cancelled, Home, InFlightMessage};
use crate::core::interrupt::cancelled_here;
use crate::core::oid::{self, Moment, Oid};
use crate::core::output::Times;
use crate::core::queue::{Mode, STEPS};
use crate::core::raw::{self, InPlace, Message};
use crate::core::slot_errors::SlotErrors;
use crate::core::slots::{From, Plan};
use crate::core::{backoff, types};
use machine_protocol::command::Outputs;
use machine_protocol::{Error, ErrorKind};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, TryLockError};

/// A frame with a message.
fn loaded(plan: Arc<Plan>, message: Message) -> Frame {
    let mut frame = Frame::new(plan, types::info(message.desc()));
    frame.load(InPlace::new(&ManuallyDrop::new(message)));
    frame
}

impl Machine {
    /// Takes a message through the slots on the caller's thread, and keeps what each made of it.
    pub fn call(&self, make: impl FnOnce(u64, Moment) -> Message) -> Execution {
        // Counted down from the top, so that their oids differ from those of messages.
        let number = u64::from(u32::MAX) - (self.calls.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff);
        self.visit(make(number, oid::coarse_now()))
    }

    pub fn visit(&self, message: Message) -> Execution {
        let _in_slot = InSlot::enter();
        let oid = message.oid(self.number.get());
        self.through(loaded(self.plan(), message), oid, None)
    }

    /// Takes a message that is loaded through the slots, on the caller's thread; of one that is counted by the queue the
    /// number.
    pub fn through(&self, mut frame: Frame, oid: Oid, counted: Option<u64>) -> Execution {
        if frame.plan().has_async_slots {
            return self.fly(frame, oid, SlotErrors::default(), None, counted);
        }
        let mut caught = SlotErrors::default();
        frame.run::<true>(&mut caught);
        Execution::new(oid, frame, caught)
    }

    /// Takes a message through slots in which it may have to wait, on the caller's thread: from a step on, if it was held
    /// before that.
    pub fn fly(
        &self,
        frame: Frame,
        oid: Oid,
        caught: SlotErrors,
        step: Option<usize>,
        counted: Option<u64>,
    ) -> Execution {
        let (plan, input) = (frame.plan().clone(), frame.input);
        // What ends before it is through is lost, wherever it is, and what it carries.
        let message = frame.json(From::Input);
        let caller = self.flights.enter(counted);
        let mut flight = Box::new(InFlightMessage::new(frame, oid, Home::Caller(caller.arrival.clone())));
        flight.begin_at(step.unwrap_or_default(), caught);
        loop {
            if let Some(through) = flight.go() {
                let InFlightMessage { frame, caught, .. } = *through;
                return Execution::new(oid, frame, caught);
            }
            let abandoned = match caller.arrival.wait(cancelled_here) {
                Ok(ready) => {
                    flight = ready;
                    continue;
                }
                Err(abandoned) => abandoned,
            };
            Self::take_out(&plan, &caller.arrival);
            let mut caught = SlotErrors::default();
            let slots = (0..plan.slots.len()).filter(|slot| plan.function(*slot).is_some());
            slots.for_each(|slot| caught.error(slot, SlotErrorKind::Error, abandoned.why.to_string()));
            let frame = match message {
                Some(Ok(json)) => {
                    let put = Moment { seconds: oid.seconds, nanos: 0 };
                    loaded(plan, raw::json_message(u64::from(oid.counter), put, json))
                }
                _ => Frame::new(plan, input),
            };
            let mut visit = Execution::new(oid, frame, caught);
            visit.abandoned = Some(abandoned);
            return visit;
        }
    }

    /// Drops a flight that nobody expects any more, if it waits for a place in a slot or for its next attempt.
    fn take_out(plan: &Plan, arrival: &Arc<CallerWait>) {
        let of_this = |flight: &InFlightMessage| flight.is_expected_at(arrival);
        let gates = plan.slots.iter().filter_map(|slot| slot.gate.as_ref());
        let mut gone: Vec<Box<InFlightMessage>> = gates.flat_map(|gate| gate.take_out(of_this)).collect();
        gone.extend(backoff::take_out(of_this));
        gone.into_iter().for_each(InFlightMessage::discard);
    }

    /// One `step`, or what is like it, at a time.
    ///
    /// # Errors
    /// If one is running.
    pub fn one_step(&self) -> Result<MutexGuard<'_, ()>, Error> {
        // Not waited for: a slot that steps would wait for itself. What a panic leaves behind is in order.
        match self.stepping.try_lock() {
            Ok(one) => Ok(one),
            Err(TryLockError::Poisoned(one)) => Ok(one.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let name = &self.config.name;
                let message = format!(
                    "a step of {name} is running, or its message in hand is tried or given up, or what waits is looked at: \
                     ask again when that has ended"
                );
                Err(failed(ErrorKind::StepRunning, message))
            }
        }
    }

    /// Takes the first message that waits through the slots, on the caller's thread.
    pub fn step(&'static self) -> Result<Outputs, Error> {
        let _one = self.one_step()?;
        let index = STEPS;
        let Some(progress) = self.queue.progress_of(index) else {
            return Err(failed(ErrorKind::NoPlace, "the machine keeps no tally for steps"));
        };
        let mut control = self.queue.control();
        if control.mode == Mode::Running {
            return Err(failed(ErrorKind::Running, format!("{} is running: pause it first", self.config.name)));
        }
        let Some(message) = self.queue.take_first(&mut control) else {
            let name = &self.config.name;
            let message = match self.queue.size() {
                0 => format!("no message waits in {name}"),
                many => format!("{many} wait in {name}, behind a message that is in a slot: step when that has ended"),
            };
            return Err(failed(ErrorKind::QueueEmpty, message));
        };
        drop(control);
        let done = progress.done.load(Ordering::Relaxed);
        // Messages that were in hand have ended here without having begun here.
        progress.begun.store(progress.begun.load(Ordering::Relaxed) + 1, Ordering::Release);
        let number = message.number;
        let times = Times { put: message.put, begun_ms: oid::coarse_millis(), is_timed: true };
        let _in_slot = InSlot::enter();
        let oid = message.oid(self.number.get());
        // As a flight of the workers', it has a place until it is through or given up.
        self.flights.take_any_place();
        let visit = self.through(loaded(self.plan(), message), oid, Some(number));
        if let Some(Abandoned { why: why @ Cancelled::Cleared, is_counted }) = visit.abandoned {
            if !is_counted {
                self.count_cancelled(&[number]);
            }
            return Err(failed(ErrorKind::Cancelled, format!("the step of {} was {why}", self.config.name)));
        }
        self.flights.leave(self);
        let plan = visit.frame.plan().clone();
        plan.adopt(index, done);
        let outputs = visit.outputs();
        self.complete(visit, &plan, number, times);
        Ok(outputs)
    }

    /// A message that was taken through the slots on this thread comes to its end: it counts among the steps.
    pub fn complete(&'static self, mut visit: Execution, plan: &Plan, number: u64, times: Times) {
        let Some(progress) = self.queue.progress_of(STEPS) else { return };
        Delivery::new(self, STEPS, progress).deliver(Completed {
            oid: visit.oid,
            number,
            plan,
            frame: &mut visit.frame,
            errors: Some(&visit.caught),
            times: Some(times),
            way: Way::Asked,
        });
    }
}
