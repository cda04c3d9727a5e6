//! A thread that waits for its flight.

use super::Flight;
use machine::abi::GIVEN_UP;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a waiting call sleeps before it looks whether it shall give up.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Where a thread waits for its flight.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    state: Mutex<Expected>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Expected {
    flight: Option<Box<Flight>>,
    /// The call of an async function that it waits for.
    running: Option<Call>,
    /// Nobody waits any more.
    given_up: bool,
}

/// A call of an async function that runs.
#[derive(Debug)]
struct Call {
    limit: Arc<AtomicU64>,
    /// Tells its library that the limit has changed.
    look: extern "C" fn(),
}

impl Arrival {
    /// The flight's call of an async function begins.
    pub(super) fn begin(&self, limit: Arc<AtomicU64>, look: extern "C" fn()) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).running = Some(Call { limit, look });
    }

    pub(super) fn put(&self, flight: Box<Flight>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = None;
        if state.given_up {
            drop(state);
            flight.bury();
            return;
        }
        state.flight = Some(flight);
        self.changed.notify_one();
    }

    /// Waits for the flight; `None` if `give_up` says so first: then its call is told to end, and it ends unseen.
    pub fn wait(&self, give_up: impl Fn() -> bool) -> Option<Box<Flight>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(flight) = state.flight.take() {
                return Some(flight);
            }
            if give_up() {
                state.given_up = true;
                let running = state.running.take();
                drop(state);
                if let Some(Call { limit, look }) = running {
                    limit.store(GIVEN_UP, Ordering::Relaxed);
                    look();
                }
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
