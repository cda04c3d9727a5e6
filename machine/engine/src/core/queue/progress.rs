//! How far the workers have come.

use super::super::oid::Oid;
use super::super::sync::{AtomicBool, AtomicU64, Ordering, light_fence};
use super::Queue;

/// Whose counts `step` adds to; workers have the numbers after it.
pub(crate) const STEPS: usize = 0;

/// Counts of one worker. Only that worker writes; anyone reads.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct WorkerStats {
    /// Messages that it has begun.
    pub begun: AtomicU64,
    /// Messages that it has finished.
    pub done: AtomicU64,
    /// Of these, the ones that were flights.
    pub flown: AtomicU64,
    /// Of these, the ones with at least one error.
    pub errored: AtomicU64,
    /// The last one of the last claim: seconds in the upper half, counter in the lower.
    pub last_oid: AtomicU64,
    /// When it finished its last claim, milliseconds since 1970.
    pub last_millis: AtomicU64,
    /// It waits for room for what it has made.
    pub waits: AtomicBool,
    /// Begun less done while it has no message in its slots: what it has begun may fly, be in hand, or have been ended by
    /// another worker. Wraps.
    apart: AtomicU64,
    /// What it will have begun at the end of its claim, if that was of several messages.
    pub(super) claimed: AtomicU64,
    /// What is left of its claim was discarded, and counted.
    pub(super) cleared: AtomicBool,
}

impl WorkerStats {
    /// The last message of a claim, and when that ended.
    pub fn note_last(&self, oid: Oid, millis: u64) {
        // Relaxed: read for display alone.
        self.last_oid.store((u64::from(oid.seconds) << 32) | u64::from(oid.counter), Ordering::Relaxed);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Messages done that were no flights.
    pub fn straight(&self) -> u64 {
        let done = self.done.load(Ordering::Acquire);
        done.saturating_sub(self.flown.load(Ordering::Acquire))
    }

    /// A message is through.
    #[inline]
    pub fn finish(&self) {
        // Release: a thread that sees this message done sees its errors counted.
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Release);
        // Pairs with the heavy fence in `Queue::inside`: no look whether the queue is held comes before this.
        light_fence();
    }

    /// The worker has claimed several messages.
    #[inline]
    pub fn claim(&self, messages: u64) {
        // Relaxed: nobody asks before the worker has begun the first of them.
        self.claimed.store(self.begun.load(Ordering::Relaxed) + messages, Ordering::Relaxed);
    }

    /// The worker has a message in its slots, which it may have begun before.
    pub fn enter(&self) {
        self.apart.store(self.ahead().wrapping_sub(1), Ordering::Release);
    }

    /// The worker has no message in its slots any more, whatever became of the one that it had.
    pub fn leave(&self) {
        self.apart.store(self.ahead(), Ordering::Release);
        // As in `finish`.
        light_fence();
    }

    /// Whether the worker has a message in its slots.
    pub fn is_inside(&self) -> bool {
        let apart = self.apart.load(Ordering::Acquire);
        self.ahead().wrapping_sub(apart).cast_signed() > 0
    }

    /// Begun less done. Wraps.
    fn ahead(&self) -> u64 {
        // What is done was begun: read in this order, nobody seems to be ahead of what it began.
        let done = self.done.load(Ordering::Acquire);
        self.begun.load(Ordering::Acquire).wrapping_sub(done)
    }
}

impl Queue {
    /// The counts of `step`, and of all workers that there have ever been.
    pub fn progress(&self) -> &[WorkerStats] {
        // Acquire: pairs with the Release in `hire`.
        self.all_progress.get(..self.used.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// The counts of one worker.
    pub fn progress_of(&self, index: usize) -> Option<&WorkerStats> {
        self.all_progress.get(index)
    }

    /// Messages begun, by all workers.
    pub fn begun(&self) -> u64 {
        // Acquire: pairs with the Release of the worker.
        self.progress().iter().map(|worker| worker.begun.load(Ordering::Acquire)).sum()
    }

    /// Messages done, by all workers.
    pub fn done(&self) -> u64 {
        // Acquire: pairs with the Release in `finish`.
        self.progress().iter().map(|worker| worker.done.load(Ordering::Acquire)).sum()
    }
}
