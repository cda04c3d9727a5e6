//! Threads that end, and calls that return.

use crate::condition::poll;
use crate::{DEADLINE, JOIN_DEADLINE, scaled};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle, ScopedJoinHandle};

/// Calls something that may hang, on a separate thread, and returns what it returned.
///
/// # Panics
/// As the call does, and if it has not returned within [`DEADLINE`].
#[track_caller]
pub fn within<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(catch_unwind(AssertUnwindSafe(call))));
    match receiver.recv_timeout(scaled(DEADLINE)) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => panic!("{what} did not return within {DEADLINE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} ended its thread"),
    }
}

#[track_caller]
fn ends(is_finished: impl Fn() -> bool) {
    if let Some(waited) = poll(scaled(JOIN_DEADLINE), is_finished) {
        panic!("waited {waited:.1?} for a thread to end");
    }
}

/// A thread that is joined with a deadline.
pub trait Joined<T> {
    /// What the thread returned.
    ///
    /// # Panics
    /// As the thread did, and if it has not ended within [`JOIN_DEADLINE`].
    fn joined(self) -> T;
}

impl<T> Joined<T> for JoinHandle<T> {
    #[track_caller]
    fn joined(self) -> T {
        ends(|| self.is_finished());
        self.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The scope of a thread that never ends waits for it: the [watchdog](crate::watchdog()) ends such a test after the
/// message of this one.
impl<T> Joined<T> for ScopedJoinHandle<'_, T> {
    #[track_caller]
    fn joined(self) -> T {
        ends(|| self.is_finished());
        self.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
