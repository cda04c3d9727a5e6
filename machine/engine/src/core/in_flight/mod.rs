//! Messages on their way through slots that are async, or have settings.
//!
//! Such a message is a *flight*: its frame, and how far it has come. A worker takes it from slot to slot until it has
//! to wait: for a future, for a place in a slot, or before a call again. Then the flight is with whatever it waits for,
//! and nobody else touches it; the worker takes another message. What it waits for *lands* it: it goes on with the
//! next worker that looks.
//!
//! A machine has a bounded number of flights at once. `pause` and `stop` hold flights that are ready until `start`;
//! futures are let finish. What ends sooner is in `cancel.rs`.

mod caller;
mod table;

pub(crate) use caller::{Abandoned, CallerWait, Cancelled};
pub(crate) use table::InFlightTable;

use crate::core::backoff;
use crate::core::frame::{Events, Frame, SlotErrorKind};
use crate::core::hook::InSlot;
use crate::core::oid::Oid;
use crate::core::output::Times;
use crate::core::queue::Queue;
use crate::core::semaphore::{Permit, Waiter};
use crate::core::slot_errors::SlotErrors;
use crate::core::slots::{HoldBefore, Slot};
use machine::abi::Outcome;
use machine_protocol::status::Settings;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What comes next for a flight.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The first of the steps from this one on that can be called.
    Find(usize),
    /// The step waits for a place in its slot.
    Enter(usize),
    /// The step is called.
    Call(usize),
    /// The call of the step has ended.
    Ended(usize),
}

/// How a call ended, with the text of an error, and when.
#[derive(Debug)]
struct End {
    outcome: Outcome,
    text: String,
    at: Instant,
}

/// The machine whose workers take messages on that can go on.
pub(crate) trait Workers: fmt::Debug + Sync {
    /// What calls them, and what holds them.
    fn queue(&self) -> &Queue;
    /// The machine's messages in flight.
    fn in_flight(&self) -> &InFlightTable;
    /// Drops a message that was cancelled, and counts it.
    fn cancel(&self, message: Box<InFlightMessage>);
}

/// Who takes a flight on when it lands.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// The workers of a machine.
    Machine(&'static dyn Workers),
    /// A thread that waits for it.
    Caller(Arc<CallerWait>),
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct InFlightMessage {
    pub frame: Frame,
    pub oid: Oid,
    /// How many messages the queue had accepted before it.
    pub number: u64,
    pub times: Times,
    pub caught: SlotErrors,
    pub permit: Option<Permit>,
    /// How long its call may take, nanoseconds, or `CANCELLED`.
    limit: Arc<AtomicU64>,
    home: Home,
    stage: Stage,
    /// Calls of this step that have failed.
    failures: u32,
    began: Instant,
    end: Option<End>,
    /// It was in hand, and goes its way whatever slots have failed on it.
    pub was_in_hand: bool,
    /// It has come to the breakpoint of its plan, and goes on.
    has_passed: bool,
    /// The breakpoint holds it before this step.
    held_before: Option<usize>,
}

impl InFlightMessage {
    /// A flight that has not begun; its frame is loaded.
    pub fn new(frame: Frame, oid: Oid, home: Home) -> Self {
        Self {
            frame,
            oid,
            number: 0,
            times: Times::default(),
            caught: SlotErrors::default(),
            permit: None,
            limit: Arc::default(),
            home,
            stage: Stage::Find(0),
            failures: 0,
            began: Instant::now(),
            end: None,
            was_in_hand: false,
            has_passed: false,
            held_before: None,
        }
    }

    /// Makes a message ready that was in hand, with what was caught: it goes on from a step, or leaves. It finds a place
    /// whether or not there is one.
    pub fn resume(
        machine: &'static dyn Workers,
        (frame, caught): (Frame, SlotErrors),
        (oid, number, times): (Oid, u64, Times),
        step: Option<usize>,
    ) {
        let mut flight = Box::new(Self::new(frame, oid, Home::Machine(machine)));
        flight.reset(oid, number, times);
        flight.stage = Stage::Find(step.unwrap_or(usize::MAX));
        (flight.caught, flight.was_in_hand) = (caught, true);
        machine.in_flight().take_any_place();
        flight.make_ready();
    }

    /// Begins at a step, with the errors of those before it.
    pub fn begin_at(&mut self, step: usize, caught: SlotErrors) {
        (self.stage, self.caught) = (Stage::Find(step), caught);
    }

    /// Begins anew, with the message that its frame now holds.
    pub fn reset(&mut self, oid: Oid, number: u64, times: Times) {
        self.oid = oid;
        self.number = number;
        self.times = times;
        self.caught.clear();
        self.stage = Stage::Find(0);
        self.was_in_hand = false;
        self.has_passed = false;
        self.held_before = None;
    }

    /// It goes on from a breakpoint that holds another message.
    pub fn pass(&mut self) {
        self.has_passed = true;
    }

    /// The step before which a breakpoint holds it.
    pub fn held_before(&self) -> Option<usize> {
        self.held_before
    }

    /// The breakpoint that it has yet to come to.
    fn hold_before(&self) -> Option<Arc<dyn HoldBefore>> {
        let is_of_workers = matches!(self.home, Home::Machine(_));
        let hold = self.frame.plan().hold_before.as_ref();
        hold.filter(|_| is_of_workers && !self.was_in_hand && !self.has_passed).cloned()
    }

    /// Goes on as far as it can without waiting. Comes back if it is through, or held before a step; otherwise it lands
    /// later.
    pub fn go(mut self: Box<Self>) -> Option<Box<Self>> {
        loop {
            match self.stage {
                Stage::Find(step) => {
                    let hold = self.hold_before();
                    let steps = self.frame.steps();
                    let end = hold.as_ref().map_or(steps, |hold| self.frame.step_of(hold.slot()));
                    match (self.frame.prepare(step, end, &mut self.caught), hold) {
                        (Some(step), _) => self.stage = Stage::Enter(step),
                        (None, None) => return Some(self),
                        (None, Some(hold)) => {
                            self.has_passed = true;
                            self.stage = Stage::Find(end);
                            if self.frame.is_held_by(&*hold) {
                                self.held_before = Some(end);
                                return Some(self);
                            }
                        }
                    }
                }
                Stage::Enter(step) => {
                    self.stage = Stage::Call(step);
                    if let Some(gate) = self.slot(step).and_then(|slot| slot.gate.clone()) {
                        let (flight, permit) = gate.enter(self)?;
                        self = flight;
                        self.permit = Some(permit);
                    }
                }
                Stage::Call(step) => {
                    self.stage = Stage::Ended(step);
                    self.began = Instant::now();
                    // Relaxed: a call that begins while the timeout is changed has one or the other.
                    self.limit.store(self.timeout(step), Ordering::Relaxed);
                    if let Some(look) = self.look(step) {
                        match &self.home {
                            &Home::Machine(machine) => self = machine.in_flight().begin(machine, self, step, look)?,
                            Home::Caller(arrival) => arrival.begin(&self, step, look),
                        }
                        Frame::begin(self, step);
                        return None;
                    }
                    let (outcome, text) = self.frame.call(step);
                    self.end = Some(End { outcome, text, at: Instant::now() });
                }
                Stage::Ended(step) => {
                    self.permit = None;
                    if let Some(wait) = self.ended(step) {
                        self.stage = Stage::Enter(step);
                        if !wait.is_zero() {
                            backoff::land_after(wait, self);
                            return None;
                        }
                        if self.is_held() {
                            self.make_ready();
                            return None;
                        }
                    } else {
                        self.failures = 0;
                        self.stage = Stage::Find(step + 1);
                    }
                }
            }
        }
    }

    fn slot(&self, step: usize) -> Option<&Slot> {
        self.frame.plan().slots.get(self.frame.slot(step))
    }

    fn settings(&self, step: usize) -> Settings {
        self.slot(step).map(|slot| slot.settings).unwrap_or_default()
    }

    /// How long a call of a step may take from now on, nanoseconds.
    fn timeout(&self, step: usize) -> u64 {
        self.slot(step).map_or(0, |slot| slot.timeout.load(Ordering::Relaxed))
    }

    /// For a step with an async function: tells its library of changed limits.
    fn look(&self, step: usize) -> Option<extern "C" fn()> {
        self.slot(step)?.function.as_ref()?.look()
    }

    /// How long its call may take: 0 for as long as it likes.
    pub fn limit(&self) -> &AtomicU64 {
        &self.limit
    }

    /// Whether it is to be given up where those below a number are. What was in hand then was not in flight.
    fn is_below(&self, number: u64) -> bool {
        self.number < number && !self.was_in_hand
    }

    /// Whether it is of a machine's workers.
    pub fn is_of(&self, machine: &dyn Workers) -> bool {
        matches!(self.home, Home::Machine(home) if std::ptr::addr_eq(home, machine))
    }

    /// Whether a thread waits for it here.
    pub fn is_expected_at(&self, arrival: &Arc<CallerWait>) -> bool {
        matches!(&self.home, Home::Caller(home) if Arc::ptr_eq(home, arrival))
    }

    /// Drops it, with what its last call gave.
    pub fn discard(mut self: Box<Self>) {
        // The values' destructors are user code.
        let _in_slot = InSlot::enter();
        if let (Stage::Ended(step), Some(End { outcome: Outcome::Done, .. })) = (self.stage, &self.end) {
            self.frame.arrived(step);
        }
        drop(self);
    }

    fn is_held(&self) -> bool {
        matches!(self.home, Home::Machine(machine) if machine.queue().is_paused())
    }

    /// Sees how a call ended. Returns how long to wait if it is to be called again.
    fn ended(&mut self, step: usize) -> Option<Duration> {
        let end = self.end.take()?;
        let (slot, settings) = (self.frame.slot(step), self.settings(step));
        let took = end.at.saturating_duration_since(self.began);
        self.frame.note(slot, took);
        let timeout = Duration::from_nanos(self.limit.load(Ordering::Relaxed));
        let late = !self.frame.is_async(step) && !timeout.is_zero() && took > timeout;
        let (kind, mut text) = match end.outcome {
            Outcome::TimedOut => (SlotErrorKind::Timeout, format!("timed out after {timeout:?}")),
            _ if late => {
                self.frame.discard(step);
                (SlotErrorKind::Timeout, format!("timed out after {timeout:?}: it returned after {took:.1?}"))
            }
            Outcome::Done => {
                self.frame.arrived(step);
                return None;
            }
            Outcome::Nothing => {
                self.frame.arrived_empty(step);
                return None;
            }
            Outcome::Panicked => (SlotErrorKind::Panic, end.text),
            Outcome::Failed => (SlotErrorKind::Error, end.text),
        };
        let retries = self.failures;
        self.failures = retries.saturating_add(1);
        if retries < settings.retries {
            self.caught.retry(slot);
            return Some(backoff::wait_before(self.failures, Duration::from_nanos(settings.backoff_ns)));
        }
        if settings.retries > 0 {
            text.push_str(&format!(" (after {} attempts)", self.failures));
        }
        self.caught.error(slot, kind, text);
        None
    }

    /// The call of the step that it waits for has ended.
    pub fn complete(mut self: Box<Self>, outcome: Outcome, text: String) {
        self.end = Some(End { outcome, text, at: Instant::now() });
        match self.home {
            Home::Machine(machine) => machine.in_flight().complete(machine, self),
            Home::Caller(_) => self.make_ready(),
        }
    }

    /// What it waited for is there: whatever it belongs to takes it on.
    pub fn make_ready(self: Box<Self>) {
        match self.home.clone() {
            Home::Machine(machine) => machine.in_flight().make_ready(machine, self),
            Home::Caller(arrival) => arrival.put(self),
        }
    }
}

impl Waiter for InFlightMessage {
    fn admit(mut self: Box<Self>, permit: Permit) {
        self.permit = Some(permit);
        self.make_ready();
    }
}
