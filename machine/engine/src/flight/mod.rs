//! Messages on their way through slots that are async, or have settings.
//!
//! Such a message is a *flight*: its frame, and how far it has come. A worker takes it from slot to slot until it has
//! to wait: for a future, for a place in a slot, or before a call again. Then the flight is with whoever it waits for,
//! and nobody else touches it; the worker takes another message. What it waits for *lands* it: it goes on with the
//! next worker that looks.
//!
//! A machine has a bounded number of flights at once. `pause` and `stop` hold flights that have landed until `start`;
//! futures are let finish. What was told to end sooner is in `given_up.rs`.

use crate::backoff;
use crate::frame::{ErrorKind, Events, Frame};
use crate::gate::Permit;
use crate::hook::InSlot;
use crate::machine::Machine;
use crate::oid::Oid;
use crate::output::Times;
use crate::slots::Slot;
use crate::worker::Caught;
use machine::abi::{GIVEN_UP, Outcome};
use machine::status::Settings;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a waiting call sleeps before it looks whether it shall give up.
const LOOK_UP: Duration = Duration::from_millis(50);

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

/// Who takes a flight on when it lands.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// The workers of a machine.
    Machine(&'static Machine),
    /// A thread that waits for it.
    Caller(Arc<Arrival>),
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub frame: Frame,
    pub oid: Oid,
    /// How many messages the queue had accepted before it.
    pub number: u64,
    pub times: Times,
    pub caught: Caught,
    pub permit: Option<Permit>,
    /// How long its call may take, nanoseconds, or `GIVEN_UP`.
    limit: Arc<AtomicU64>,
    home: Home,
    stage: Stage,
    /// Calls of this step that have failed.
    failures: u32,
    began: Instant,
    end: Option<End>,
}

impl Flight {
    /// A flight that has not begun; its frame is loaded.
    pub fn new(frame: Frame, oid: Oid, home: Home) -> Self {
        Self {
            frame,
            oid,
            number: 0,
            times: Times::default(),
            caught: Caught::default(),
            permit: None,
            limit: Arc::default(),
            home,
            stage: Stage::Find(0),
            failures: 0,
            began: Instant::now(),
            end: None,
        }
    }

    /// Begins anew, with the message that its frame now holds.
    pub fn reset(&mut self, oid: Oid, number: u64, times: Times) {
        self.oid = oid;
        self.number = number;
        self.times = times;
        self.caught.clear();
        self.stage = Stage::Find(0);
    }

    /// Goes on as far as it can without waiting. Comes back if it is through; otherwise it lands later.
    pub fn go(mut self: Box<Self>) -> Option<Box<Self>> {
        loop {
            match self.stage {
                Stage::Find(step) => match self.frame.prepare(step, &mut self.caught) {
                    Some(step) => self.stage = Stage::Enter(step),
                    None => return Some(self),
                },
                Stage::Enter(step) => {
                    self.stage = Stage::Call(step);
                    if let Some(gate) = self.slot(step).and_then(|slot| slot.gate.clone()) {
                        self = gate.enter(self)?;
                    }
                }
                Stage::Call(step) => {
                    self.stage = Stage::Ended(step);
                    self.began = Instant::now();
                    // Relaxed: a call that begins while the timeout is changed has one or the other.
                    self.limit.store(self.timeout(step), Ordering::Relaxed);
                    if let Some(look) = self.look(step) {
                        if let Home::Machine(machine) = self.home {
                            self = machine.flights.begin(machine, self, step, look)?;
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
                            self.land();
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

    /// Whether it is of a machine's workers.
    pub fn is_of(&self, machine: &Machine) -> bool {
        matches!(self.home, Home::Machine(home) if std::ptr::eq(home, machine))
    }

    /// Drops it, with what its last call gave.
    pub fn bury(mut self: Box<Self>) {
        // The values' destructors are user code.
        let _in_slot = InSlot::enter();
        if let (Stage::Ended(step), Some(End { outcome: Outcome::Done, .. })) = (self.stage, &self.end) {
            self.frame.arrived(step);
        }
        drop(self);
    }

    fn is_held(&self) -> bool {
        matches!(self.home, Home::Machine(machine) if machine.queue.held())
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
            Outcome::TimedOut => (ErrorKind::Timeout, format!("timed out after {timeout:?}")),
            _ if late => {
                self.frame.discard(step);
                (ErrorKind::Timeout, format!("timed out after {timeout:?}: it returned after {took:.1?}"))
            }
            Outcome::Done => {
                self.frame.arrived(step);
                return None;
            }
            Outcome::Panicked => (ErrorKind::Panic, end.text),
            Outcome::Failed => (ErrorKind::Error, end.text),
        };
        self.failures += 1;
        if self.failures <= settings.retries {
            self.caught.retried.push(slot);
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
            Home::Machine(machine) => machine.flights.complete(machine, self),
            Home::Caller(_) => self.land(),
        }
    }

    /// What it waited for is there: whoever it belongs to takes it on.
    pub fn land(self: Box<Self>) {
        match self.home.clone() {
            Home::Machine(machine) => machine.flights.land(machine, self),
            Home::Caller(arrival) => arrival.put(self),
        }
    }
}

/// A call of an async function that runs.
#[derive(Debug)]
struct Running {
    slot: usize,
    limit: Arc<AtomicU64>,
    /// Tells its library that the limit has changed.
    look: extern "C" fn(),
    permit: Option<Permit>,
}

/// Flights that are with no worker and wait for nothing of the engine's.
#[derive(Debug, Default)]
struct Air {
    landed: VecDeque<Box<Flight>>,
    /// Those that are with a library, by the number of their message.
    running: HashMap<u64, Running>,
    /// Messages with smaller numbers are given up, wherever they land.
    given_up: u64,
}

/// The flights of one machine.
#[derive(Debug)]
pub(crate) struct Flights {
    most: usize,
    /// Flights that there are, and places that workers have taken for the next ones.
    taken: AtomicUsize,
    air: Mutex<Air>,
    /// How many have landed.
    waiting: AtomicUsize,
}

impl Flights {
    /// At most so many flights at once.
    pub fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0), air: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// No user code runs under this lock.
    fn air(&self) -> MutexGuard<'_, Air> {
        self.air.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight's call of an async function begins; `None` if the flight is given up.
    fn begin(
        &self,
        machine: &'static Machine,
        mut flight: Box<Flight>,
        step: usize,
        look: extern "C" fn(),
    ) -> Option<Box<Flight>> {
        let mut air = self.air();
        if flight.number < air.given_up {
            drop(air);
            machine.give_up(flight);
            return None;
        }
        // Under the lock, so that each change of the timeout finds the call, or was before it.
        flight.limit.store(flight.timeout(step), Ordering::Relaxed);
        let (slot, limit, permit) = (flight.frame.slot(step), flight.limit.clone(), flight.permit.take());
        air.running.insert(flight.number, Running { slot, limit, look, permit });
        Some(flight)
    }

    /// The flight's call has ended; nobody may be waiting for it any more.
    fn complete(&self, machine: &'static Machine, mut flight: Box<Flight>) {
        let mut air = self.air();
        let Some(running) = air.running.remove(&flight.number) else {
            drop(air);
            // It was counted when it was given up.
            flight.bury();
            return;
        };
        flight.permit = running.permit;
        air.landed.push_back(flight);
        drop(air);
        self.call(machine);
    }

    /// The flight can go on.
    fn land(&self, machine: &'static Machine, flight: Box<Flight>) {
        let mut air = self.air();
        if flight.number < air.given_up {
            drop(air);
            machine.give_up(flight);
            return;
        }
        air.landed.push_back(flight);
        drop(air);
        self.call(machine);
    }

    /// Calls a worker for one flight that has landed.
    fn call(&self, machine: &Machine) {
        // SeqCst: pairs with the look at it before a worker sleeps.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        machine.queue.call_worker();
    }

    /// Gives up all messages with a number below `number` that have landed or are with a library, and those that land
    /// later. Returns the flights that have landed, and of the others, whose calls are told to end, the numbers and the
    /// right to be in their slot.
    #[expect(clippy::type_complexity, reason = "two lists, taken apart at once")]
    pub fn give_up(&self, number: u64) -> (VecDeque<Box<Flight>>, Vec<(u64, Option<Permit>)>) {
        let mut air = self.air();
        air.given_up = air.given_up.max(number);
        let (gone, landed): (VecDeque<_>, _) = air.landed.drain(..).partition(|flight| flight.number < number);
        air.landed = landed;
        self.waiting.fetch_sub(gone.len(), Ordering::SeqCst);
        let running: Vec<(u64, Running)> = air.running.extract_if(|&running, _| running < number).collect();
        drop(air);
        for (_, running) in &running {
            running.limit.store(GIVEN_UP, Ordering::Relaxed);
        }
        look(running.iter().map(|(_, running)| running.look).collect());
        (gone, running.into_iter().map(|(number, running)| (number, running.permit)).collect())
    }

    /// Calls of a slot's functions that run may take so long from their beginning, nanoseconds.
    pub fn set_timeout(&self, slot: usize, nanos: u64) {
        let air = self.air();
        let of_slot: Vec<_> = air.running.values().filter(|running| running.slot == slot).collect();
        for running in &of_slot {
            running.limit.store(nanos, Ordering::Relaxed);
        }
        let libraries = of_slot.iter().map(|running| running.look).collect();
        drop(air);
        look(libraries);
    }

    /// How many more there can be.
    pub fn room(&self) -> usize {
        // SeqCst: looked at before a worker sleeps; pairs with the one in `leave`.
        self.most.saturating_sub(self.taken.load(Ordering::SeqCst))
    }

    /// How many there can be at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Takes a place for a flight, if there is one.
    pub fn take_place(&self) -> bool {
        let taken = |taken| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::Relaxed, taken).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self, machine: &Machine) {
        // Only whoever makes room where there was none has anyone to wake.
        if self.taken.fetch_sub(1, Ordering::SeqCst) >= self.most {
            machine.queue.call_worker();
        }
    }

    /// Whether a flight has landed.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Up to `most` flights that have landed, but no more than one worker's share among `workers`.
    pub fn take(&self, most: usize, workers: usize) -> VecDeque<Box<Flight>> {
        let landed = &mut self.air().landed;
        let count = landed.len().div_ceil(workers.max(1)).min(most);
        self.waiting.fetch_sub(count, Ordering::SeqCst);
        if count == landed.len() {
            return std::mem::take(landed);
        }
        landed.drain(..count).collect()
    }

    /// Flights that a worker took and cannot take on, in order.
    pub fn put_back(&self, machine: &Machine, flights: VecDeque<Box<Flight>>) {
        let mut gone = Vec::new();
        {
            let mut air = self.air();
            for flight in flights.into_iter().rev() {
                if flight.number < air.given_up {
                    gone.push(flight);
                } else {
                    self.waiting.fetch_add(1, Ordering::SeqCst);
                    air.landed.push_front(flight);
                }
            }
        }
        for flight in gone {
            machine.give_up(flight);
        }
        // This worker may be one too many, and the others asleep.
        machine.queue.call_worker();
    }
}

/// Tells libraries that limits of their flights have changed, each once.
fn look(mut libraries: Vec<extern "C" fn()>) {
    libraries.sort_unstable_by_key(|look| *look as usize);
    libraries.dedup_by_key(|look| *look as usize);
    for look in libraries {
        look();
    }
}

/// Where a thread waits for its flight.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    state: Mutex<Expected>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Expected {
    flight: Option<Box<Flight>>,
    /// Nobody waits any more.
    given_up: bool,
}

impl Arrival {
    fn put(&self, flight: Box<Flight>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.given_up {
            drop(state);
            flight.bury();
            return;
        }
        state.flight = Some(flight);
        self.changed.notify_one();
    }

    /// Waits for the flight; `None` if `give_up` says so first.
    pub fn wait(&self, give_up: impl Fn() -> bool) -> Option<Box<Flight>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(flight) = state.flight.take() {
                return Some(flight);
            }
            if give_up() {
                state.given_up = true;
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
