//! Whether the calling thread is one that a machine itself needs: to wait there until the machine has nothing to do
//! would never end.

use crate::core::backpressure;
use crate::core::queue::{Queue, WorkerStats};
use crate::core::slots::Plan;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The number of the machine that this thread's source feeds.
    static FEEDS: Cell<Option<u32>> = const { Cell::new(None) };
    /// The futures of a library's async slots run on this thread.
    static RUNS_FUTURES: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread is the source of a machine from now on.
pub(crate) fn set_source_of(machine: u32) {
    FEEDS.with(|feeds| feeds.set(Some(machine)));
}

/// The calling thread runs the futures of async slots from now on.
pub(crate) fn set_runs_futures() {
    RUNS_FUTURES.with(|runs| runs.set(true));
}

/// Why the calling thread cannot wait until the machine has nothing to do; `None` if it can.
pub(crate) fn waits_for_itself(machine: u32, queue: &Queue, plan: &Plan) -> Option<&'static str> {
    let of_machine = |worker: &WorkerStats| queue.progress().iter().any(|progress| ptr::eq(progress, worker));
    if backpressure::worker().is_some_and(of_machine) {
        return Some("it is called in a slot of that machine, whose message would wait for itself");
    }
    if FEEDS.try_with(Cell::get).ok().flatten() == Some(machine) {
        return Some("it is called in the source of that machine, which would wait for its own end");
    }
    let has_async = plan.slots.iter().any(|slot| slot.function.as_ref().is_some_and(|function| function.is_async()));
    let runs_futures = RUNS_FUTURES.try_with(Cell::get).unwrap_or(false);
    (runs_futures && has_async).then_some("it is called in an async slot, whose thread the machine's futures need")
}
