//! Messages that go through the slots on the caller's thread: calls, and steps.

use super::Machine;
use crate::command_error::failed;
use crate::flight::{Arrival, Flight, Home};
use crate::frame::{ErrorKind, Events, Frame};
use crate::hook::InSlot;
use crate::host::interrupted_here;
use crate::oid::{self, Moment, Oid};
use crate::output::{Handover, Times};
use crate::queue::{Mode, STEPS};
use crate::raw::{self, InPlace, Message};
use crate::slots::{From, Plan};
use crate::types;
use crate::visit::{Missing, Visit};
use crate::worker::Caught;
use machine::command::{Failure, Outputs};
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
    pub fn call(&self, make: impl FnOnce(u64, Moment) -> Message) -> Visit {
        // Counted down from the top, so that their oids differ from those of messages.
        let number = u64::from(u32::MAX) - (self.calls.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff);
        self.visit(make(number, oid::coarse_now()))
    }

    pub fn visit(&self, message: Message) -> Visit {
        let _in_slot = InSlot::enter();
        let oid = message.oid();
        Self::through(loaded(self.plan(), message), oid)
    }

    /// Takes a message that is loaded through the slots, on the caller's thread.
    pub fn through(mut frame: Frame, oid: Oid) -> Visit {
        if frame.plan().flies {
            return Self::fly(frame, oid);
        }
        let mut caught = Caught::default();
        frame.run::<true>(&mut caught);
        Visit::new(oid, frame, caught)
    }

    /// Takes a message through slots in which it may have to wait, on the caller's thread.
    fn fly(frame: Frame, oid: Oid) -> Visit {
        let (plan, input) = (frame.plan().clone(), frame.input);
        // An interruption ends the flight, wherever it is, and what it carries.
        let message = frame.json(From::Input);
        let arrival = Arc::new(Arrival::default());
        let mut flight = Box::new(Flight::new(frame, oid, Home::Caller(arrival.clone())));
        loop {
            if let Some(through) = flight.go() {
                let Flight { frame, caught, .. } = *through;
                return Visit::new(oid, frame, caught);
            }
            let Some(landed) = arrival.wait(interrupted_here) else {
                let mut caught = Caught::default();
                let slots = (0..plan.slots.len()).filter(|slot| plan.function(*slot).is_some());
                slots.for_each(|slot| caught.error(slot, ErrorKind::Error, "interrupted".to_owned()));
                let frame = match message {
                    Some(Ok(json)) => {
                        let put = Moment { seconds: oid.seconds, nanos: 0 };
                        loaded(plan, raw::json_message(u64::from(oid.counter), put, json))
                    }
                    _ => Frame::new(plan, input),
                };
                let mut visit = Visit::new(oid, frame, caught);
                visit.interrupted = true;
                return visit;
            };
            flight = landed;
        }
    }

    /// One `step`, or what is like it, at a time.
    ///
    /// # Errors
    /// If one is running.
    pub fn one_step(&self) -> Result<MutexGuard<'_, ()>, Failure> {
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
                Err(failed("step_running", message))
            }
        }
    }

    /// Takes the first message that waits through the slots, on the caller's thread.
    pub fn step(&self) -> Result<Outputs, Failure> {
        let _one = self.one_step()?;
        let index = STEPS;
        let Some(progress) = self.queue.progress_of(index) else {
            return Err(failed("no_place", "the machine keeps no tally for steps"));
        };
        let mut control = self.queue.control();
        if control.mode == Mode::Running {
            return Err(failed("running", format!("{} is running: pause it first", self.config.name)));
        }
        let Some(message) = self.queue.take_first(&mut control) else {
            let name = &self.config.name;
            let message = match self.queue.size() {
                0 => format!("no message waits in {name}"),
                many => format!("{many} wait in {name}, behind a message that is in a slot: step when that has ended"),
            };
            return Err(failed("queue_empty", message));
        };
        drop(control);
        let done = progress.done.load(Ordering::Relaxed);
        // Messages that were in hand have ended here without having begun here.
        progress.begun.store(progress.begun.load(Ordering::Relaxed) + 1, Ordering::Release);
        let number = message.number;
        let times = Times { put: message.put, begun_ms: oid::coarse_millis(), is_timed: true };
        let mut visit = self.visit(message);
        let plan = visit.frame.plan().clone();
        plan.adopt(index, done);
        self.record(index, &visit.frame, visit.oid, &visit.caught);
        let outputs = visit.outputs();
        let _in_slot = InSlot::enter();
        let missing = Missing::of(&visit.frame, &visit.caught);
        Handover::default().hand_over(self, &plan, &mut visit.frame, (visit.oid, number), &missing, Some(times));
        progress.finish();
        progress.note_last(visit.oid, oid::coarse_millis());
        Ok(outputs)
    }
}
