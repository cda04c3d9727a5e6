//! The outputs as a cell takes them: a bounded queue, what did not fit in it counted.

use super::{Finished, Held, Sink, Want};
use crate::command_error::failed;
use machine::command::{Failure, SinkConfig};
use machine::status::SinkStatus;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a waiting cell sleeps before it looks whether it shall give up.
const LOOK_UP: Duration = Duration::from_millis(50);

/// What a cell finds when it asks for the next output.
#[derive(Debug)]
pub(crate) enum Next {
    /// An output.
    Output(Box<Held>),
    /// None came in the time that was given.
    TimedOut,
    /// None will come: the machine is stopped, and all outputs were taken.
    Ended,
    /// The user interrupted the cell.
    Interrupted,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Box<Held>>,
    /// A cell waits.
    waits: bool,
    error: String,
}

/// Finished messages that wait for a cell.
#[derive(Debug)]
pub(crate) struct Tap {
    /// `outputs` or `on_output`.
    kind: &'static str,
    state: Mutex<State>,
    arrived: Condvar,
    most: usize,
    taken: AtomicU64,
    lost: AtomicU64,
    is_closed: AtomicBool,
}

impl Tap {
    /// At most `most` outputs wait.
    pub fn new(kind: &'static str, most: usize) -> Self {
        Self {
            kind,
            state: Mutex::default(),
            arrived: Condvar::new(),
            most: most.max(1),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next output. `ended` says whether none can come any more, `give_up` whether the cell shall stop.
    pub fn next(&self, timeout: Option<Duration>, ended: impl Fn() -> bool, give_up: impl Fn() -> bool) -> Next {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            // Asked before the queue: what ends the machine comes after the last output.
            let ended = self.is_closed.load(Ordering::Acquire) || (self.is_of_cell() && ended());
            if let Some(held) = state.queue.pop_front() {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return Next::Output(held);
            }
            if ended {
                return Next::Ended;
            }
            if give_up() {
                return Next::Interrupted;
            }
            let left = deadline.map_or(LOOK_UP, |at| at.saturating_duration_since(Instant::now()).min(LOOK_UP));
            if left.is_zero() {
                return Next::TimedOut;
            }
            state.waits = true;
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waits = false;
        }
    }

    /// How many outputs did not fit.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Nobody takes outputs any more; why, if that is an error. What waits is dropped.
    pub fn end(&self, why: &str) {
        self.is_closed.store(true, Ordering::Release);
        let mut state = self.lock();
        why.clone_into(&mut state.error);
        let left = std::mem::take(&mut state.queue);
        drop(state);
        self.lost.fetch_add(left.len() as u64, Ordering::Relaxed);
    }

    /// A cell takes the outputs itself. A thread goes on after the machine was stopped: it may be started again.
    fn is_of_cell(&self) -> bool {
        self.kind == "outputs"
    }
}

impl Sink for Tap {
    fn wants(&self) -> Want {
        Want::Values
    }

    fn accept(&self, message: &mut Finished<'_>) {
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        // Two workers may both find the last place free: the bound is exceeded by less than the number of workers.
        if self.lock().queue.len() >= self.most {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let held = Box::new(message.hold());
        let mut state = self.lock();
        state.queue.push_back(held);
        if state.waits {
            self.arrived.notify_one();
        }
    }

    fn status(&self) -> SinkStatus {
        let state = self.lock();
        SinkStatus {
            kind: self.kind.to_owned(),
            sent: self.taken.load(Ordering::Relaxed),
            waiting: state.queue.len() as u64,
            lost: self.lost(),
            error: state.error.clone(),
            ..SinkStatus::default()
        }
    }

    fn configure(&self, _config: &SinkConfig) -> Result<(), Failure> {
        Err(failed("wrong_sink", "outputs that a cell takes have no settings: drop them and take them anew"))
    }

    fn flush(&self, _deadline: Instant) {}

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        drop(self.lock());
        self.arrived.notify_all();
    }

    fn is_cleared(&self) -> bool {
        !self.is_of_cell()
    }

    fn as_tap(&self) -> Option<&Tap> {
        Some(self)
    }
}
