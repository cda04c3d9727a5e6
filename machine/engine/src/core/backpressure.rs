//! Workers that wait for room: for a sink that is full, or in another machine's queue.
//!
//! Such a worker has a message in hand and does not work on it. It says so where it begins to wait, which is never on
//! the way of a message that finds room; the clock's thread looks at it from time to time.

use crate::core::queue::WorkerStats;
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

thread_local! {
    /// The counts of the worker that this thread is.
    static WORKER: Cell<Option<&'static WorkerStats>> = const { Cell::new(None) };
}

/// Says that the calling thread is a worker from now on.
pub(crate) fn register(progress: &'static WorkerStats) {
    WORKER.with(|worker| worker.set(Some(progress)));
}

/// The counts of the worker that the calling thread is.
pub(crate) fn worker() -> Option<&'static WorkerStats> {
    WORKER.try_with(Cell::get).ok().flatten()
}

/// The calling thread waits for room as long as this lives. Means nothing on a thread that is no worker.
#[derive(Debug)]
pub(crate) struct BackpressureGuard(Option<&'static WorkerStats>);

impl BackpressureGuard {
    pub fn begin() -> Self {
        // One that waits already goes on to say so when the inner one ends.
        let worker = worker().filter(|worker| !worker.waits.load(Relaxed));
        if let Some(worker) = worker {
            // Relaxed: it carries nothing but itself.
            worker.waits.store(true, Relaxed);
        }
        Self(worker)
    }
}

impl Drop for BackpressureGuard {
    fn drop(&mut self) {
        if let Some(worker) = self.0 {
            worker.waits.store(false, Relaxed);
        }
    }
}
