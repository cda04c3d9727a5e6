//! The flights of a machine: how many there are, which are ready, and which calls of async functions run.

use super::{CallerWait, Cancelled, InFlightMessage, Workers};
use crate::core::semaphore::Permit;
use machine::abi::CANCELLED;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A call of an async function that runs.
#[derive(Debug)]
struct Running {
    slot: usize,
    limit: Arc<AtomicU64>,
    /// Tells its library that the limit has changed.
    look: extern "C" fn(),
    permit: Option<Permit>,
}

/// Messages in flight that are with no worker and wait for nothing of the engine's.
#[derive(Debug, Default)]
struct InFlight {
    ready: VecDeque<Box<InFlightMessage>>,
    /// Those that are with a library, by the number of their message.
    running: HashMap<u64, Running>,
    /// Messages with smaller numbers are given up, wherever they become ready.
    cancelled_below: u64,
    /// Those that a thread outside of the workers takes through, for a call or a step.
    callers: Vec<Arc<CallerWait>>,
}

/// A thread that takes a message through, in the table of flights as long as this lives.
#[derive(Debug)]
pub(crate) struct Caller<'f> {
    flights: &'f InFlightTable,
    pub arrival: Arc<CallerWait>,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.flights.air().callers.retain(|arrival| !Arc::ptr_eq(arrival, &self.arrival));
    }
}

/// The flights of one machine.
#[derive(Debug)]
pub(crate) struct InFlightTable {
    most: usize,
    /// Messages in flight that there are, and places that workers have taken for the next ones.
    taken: AtomicUsize,
    air: Mutex<InFlight>,
    /// How many are ready.
    waiting: AtomicUsize,
}

impl InFlightTable {
    /// At most so many flights at once.
    pub fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0), air: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// No user code runs under this lock.
    fn air(&self) -> MutexGuard<'_, InFlight> {
        self.air.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight's call of an async function begins; `None` if the flight is given up.
    pub(super) fn begin(
        &self,
        machine: &'static dyn Workers,
        mut flight: Box<InFlightMessage>,
        step: usize,
        look: extern "C" fn(),
    ) -> Option<Box<InFlightMessage>> {
        let mut air = self.air();
        if flight.number < air.cancelled_below {
            drop(air);
            machine.cancel(flight);
            return None;
        }
        // Under the lock, so that each change of the timeout finds the call, or was before it.
        flight.limit.store(flight.timeout(step), Ordering::Relaxed);
        let (slot, limit, permit) = (flight.frame.slot(step), flight.limit.clone(), flight.permit.take());
        air.running.insert(flight.number, Running { slot, limit, look, permit });
        Some(flight)
    }

    /// The flight's call has ended; nobody may be waiting for it any more.
    pub(super) fn complete(&self, machine: &'static dyn Workers, mut flight: Box<InFlightMessage>) {
        let mut air = self.air();
        let Some(running) = air.running.remove(&flight.number) else {
            drop(air);
            // It was counted when it was given up.
            flight.discard();
            return;
        };
        flight.permit = running.permit;
        air.ready.push_back(flight);
        drop(air);
        self.call(machine);
    }

    /// The flight can go on.
    pub(super) fn make_ready(&self, machine: &'static dyn Workers, flight: Box<InFlightMessage>) {
        let mut air = self.air();
        if flight.is_below(air.cancelled_below) {
            drop(air);
            machine.cancel(flight);
            return;
        }
        air.ready.push_back(flight);
        drop(air);
        self.call(machine);
    }

    /// Calls a worker for one flight that is ready.
    fn call(&self, machine: &dyn Workers) {
        // SeqCst: pairs with the look at it before a worker sleeps.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        machine.queue().call_worker();
    }

    /// Gives up all messages with a number below `number` that are ready or are with a library, and those that become ready
    /// later. Returns the flights that are ready, and of the others, whose calls are told to end, the numbers and the
    /// right to be in their slot.
    #[expect(clippy::type_complexity, reason = "two lists, taken apart at once")]
    pub fn cancel(&self, number: u64) -> (VecDeque<Box<InFlightMessage>>, Vec<(u64, Option<Permit>)>) {
        let mut air = self.air();
        air.cancelled_below = air.cancelled_below.max(number);
        let (gone, ready): (VecDeque<_>, _) = air.ready.drain(..).partition(|flight| flight.number < number);
        air.ready = ready;
        self.waiting.fetch_sub(gone.len(), Ordering::SeqCst);
        let running: Vec<(u64, Running)> = air.running.extract_if(|&running, _| running < number).collect();
        drop(air);
        for (_, running) in &running {
            running.limit.store(CANCELLED, Ordering::Relaxed);
        }
        look(running.iter().map(|(_, running)| running.look).collect());
        (gone, running.into_iter().map(|(number, running)| (number, running.permit)).collect())
    }

    /// A thread outside of the workers takes a message through: one with this number of the queue's, or one that is not
    /// counted.
    pub fn enter(&self, message: Option<u64>) -> Caller<'_> {
        let arrival = Arc::new(CallerWait::new(message));
        self.air().callers.push(arrival.clone());
        Caller { flights: self, arrival }
    }

    fn callers(&self) -> Vec<Arc<CallerWait>> {
        self.air().callers.clone()
    }

    /// Cancels what threads outside of the workers take through. Returns the numbers of the messages that are to be
    /// counted as given up.
    pub fn cancel_callers(&self) -> Vec<u64> {
        let mut callers = self.callers();
        callers.retain(|arrival| arrival.cancel(Cancelled::Cleared, true));
        callers.iter().filter_map(|arrival| arrival.message()).collect()
    }

    /// Cancels what threads outside of the workers wait for in a slot whose function is another one from this version of
    /// the plan on.
    pub fn cancel_callers_in(&self, slot: usize, version: u64) {
        for arrival in self.callers().iter().filter(|arrival| arrival.is_in(slot, version)) {
            arrival.cancel(Cancelled::Changed(slot), false);
        }
    }

    /// Calls of a slot's functions that run may take so long from their beginning, nanoseconds.
    pub fn set_timeout(&self, slot: usize, timeout: &AtomicU64) {
        let air = self.air();
        // Read with the lock: of two changes at a time the later one is the last here, too.
        let nanos = timeout.load(Ordering::Relaxed);
        let of_slot: Vec<_> = air.running.values().filter(|running| running.slot == slot).collect();
        for running in &of_slot {
            running.limit.store(nanos, Ordering::Relaxed);
        }
        let callers = air.callers.iter().filter_map(|arrival| arrival.set_timeout(slot, nanos));
        let libraries = of_slot.iter().map(|running| running.look).chain(callers).collect();
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

    /// Takes a place for a flight that there has to be.
    pub fn take_any_place(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives a place back.
    pub fn leave(&self, machine: &dyn Workers) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        // Each one that waits for a place, also if the first of them has yet to take the one before.
        machine.queue().call_grounded();
    }

    /// Whether a flight is ready.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Up to `most` flights that are ready, but no more than one worker's share among `workers`.
    pub fn take(&self, most: usize, workers: usize) -> VecDeque<Box<InFlightMessage>> {
        let ready = &mut self.air().ready;
        let count = ready.len().div_ceil(workers.max(1)).min(most);
        self.waiting.fetch_sub(count, Ordering::SeqCst);
        if count == ready.len() {
            return std::mem::take(ready);
        }
        ready.drain(..count).collect()
    }

    /// Messages in flight that a worker took and cannot take on, in order.
    pub fn put_back(&self, machine: &dyn Workers, flights: VecDeque<Box<InFlightMessage>>) {
        let mut gone = Vec::new();
        {
            let mut air = self.air();
            for flight in flights.into_iter().rev() {
                if flight.is_below(air.cancelled_below) {
                    gone.push(flight);
                } else {
                    self.waiting.fetch_add(1, Ordering::SeqCst);
                    air.ready.push_front(flight);
                }
            }
        }
        for flight in gone {
            machine.cancel(flight);
        }
        // This worker may be one too many, and the others asleep.
        machine.queue().call_worker();
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
