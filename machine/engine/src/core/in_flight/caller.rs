//! A thread that takes a message through the slots itself, for a call or a step, and waits for it where it has to.
//!
//! Such a message is in the table of its machine's flights (`InFlightTable::callers`), as those of the workers are: a timeout
//! that is set later reaches it, and it is cancelled when the machine is stopped and cleared, when the slot that it
//! waits for is changed, or when the caller is gone.

use super::InFlightMessage;
use machine::abi::CANCELLED;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting call checks whether it is cancelled by its own thread.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Where a thread waits for its flight.
#[derive(Debug, Default)]
pub(crate) struct CallerWait {
    state: Mutex<Expected>,
    changed: Condvar,
    /// The number of its message, if that is one of the queue's: a step.
    message: Option<u64>,
}

/// Why a call or a step ends before its message is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The user has interrupted the cell.
    Interrupted,
    /// The client that asked for it is gone.
    HungUp,
    /// The machine was stopped and cleared.
    Cleared,
    /// The slot that it waited for was changed.
    Changed(usize),
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::HungUp => f.write_str("cancelled: the client that asked for it has disconnected"),
            Self::Cleared => f.write_str("cancelled: the machine was stopped and cleared"),
            Self::Changed(slot) => write!(f, "cancelled: f{slot} was changed while it ran"),
        }
    }
}

/// The end of a wait without the flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abandoned {
    pub why: Cancelled,
    /// Its message was counted as given up by the thread that cancelled it.
    pub is_counted: bool,
}

#[derive(Debug, Default)]
struct Expected {
    flight: Option<Box<InFlightMessage>>,
    /// The thread waits, and its flight is elsewhere.
    is_away: bool,
    /// The call of an async function that it waits for.
    running: Option<Call>,
    cancelled: Option<Cancelled>,
    /// Nobody waits any more; the message was counted.
    is_counted: bool,
    is_abandoned: bool,
}

/// A call of an async function that runs.
#[derive(Debug)]
struct Call {
    slot: usize,
    /// The version of the plan that its function is of.
    version: u64,
    limit: Arc<AtomicU64>,
    /// Reports to its library that the limit has changed.
    look: extern "C" fn(),
}

impl Call {
    fn end(self) {
        self.limit.store(CANCELLED, Ordering::Relaxed);
        (self.look)();
    }
}

impl CallerWait {
    /// For a message of the queue with this number, or for one that is not counted.
    pub fn new(message: Option<u64>) -> Self {
        Self { message, ..Self::default() }
    }

    /// The number of its message, if the machine counts it.
    pub fn message(&self) -> Option<u64> {
        self.message
    }

    /// No user code runs under this lock.
    fn state(&self) -> MutexGuard<'_, Expected> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight's call of an async function begins. Its timeout is read under the lock, so that each change of it finds
    /// the call, or was before it.
    pub(super) fn begin(&self, flight: &InFlightMessage, step: usize, look: extern "C" fn()) {
        let (slot, version, limit) = (flight.frame.slot(step), flight.frame.plan().version, flight.limit.clone());
        let mut state = self.state();
        limit.store(flight.timeout(step), Ordering::Relaxed);
        state.running = Some(Call { slot, version, limit, look });
    }

    /// Its call, if it is of this slot, may take so long from its beginning. Returns what its library is to be called
    /// with.
    pub(super) fn set_timeout(&self, slot: usize, nanos: u64) -> Option<extern "C" fn()> {
        let state = self.state();
        let running = state.running.as_ref().filter(|running| running.slot == slot)?;
        running.limit.store(nanos, Ordering::Relaxed);
        Some(running.look)
    }

    /// Whether it waits for a call of the function that this slot had before a version of the plan.
    pub(super) fn is_in(&self, slot: usize, version: u64) -> bool {
        self.state().running.as_ref().is_some_and(|running| running.slot == slot && running.version < version)
    }

    pub(super) fn put(&self, flight: Box<InFlightMessage>) {
        let mut state = self.state();
        state.running = None;
        if state.is_abandoned {
            drop(state);
            flight.discard();
            return;
        }
        state.flight = Some(flight);
        self.changed.notify_one();
    }

    /// Ends the wait. Returns whether the message was counted here: with `counts`, if its thread waits; otherwise it is
    /// cancelled where it waits next, and a slot that is not async goes on to the end of its call.
    pub fn cancel(&self, why: Cancelled, counts: bool) -> bool {
        let mut state = self.state();
        if state.cancelled.is_some() {
            return false;
        }
        state.cancelled = Some(why);
        if !state.is_away {
            return false;
        }
        state.is_counted = counts && self.message.is_some();
        let is_counted = state.is_counted;
        let left = abandon(&mut state);
        drop(state);
        self.changed.notify_one();
        discard(left);
        is_counted
    }

    /// Waits for the flight, unless it is cancelled, also by `cancelled` on this thread: then its call is ended, and what
    /// is left of it is dropped unseen.
    pub fn wait(&self, cancelled: impl Fn() -> Option<Cancelled>) -> Result<Box<InFlightMessage>, Abandoned> {
        let mut state = self.state();
        state.is_away = true;
        loop {
            state.cancelled = state.cancelled.or_else(&cancelled);
            if let Some(why) = state.cancelled {
                let left = abandon(&mut state);
                let is_counted = state.is_counted;
                drop(state);
                discard(left);
                return Err(Abandoned { why, is_counted });
            }
            if let Some(flight) = state.flight.take() {
                state.is_away = false;
                return Ok(flight);
            }
            state = self.changed.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Nobody waits any more.
fn abandon(state: &mut Expected) -> (Option<Call>, Option<Box<InFlightMessage>>) {
    state.is_abandoned = true;
    (state.running.take(), state.flight.take())
}

/// Without the lock: destructors are code of the user's.
fn discard((running, flight): (Option<Call>, Option<Box<InFlightMessage>>)) {
    if let Some(running) = running {
        running.end();
    }
    if let Some(flight) = flight {
        flight.discard();
    }
}
