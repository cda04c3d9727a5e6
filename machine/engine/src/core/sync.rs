//! What the ring and the queue are built of. The crate of models has a module of this name with what loom and shuttle
//! give instead.

pub(crate) use super::asymmetric::{heavy_fence, light_fence, register as register_fences};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Whether memory of zeroes is an empty cell.
pub(crate) const ZEROES_ARE_EMPTY: bool = true;

/// How often a producer looks again at a cell that is not free.
pub(crate) const SPIN_LIMIT: u32 = 40;

/// How long a call that waits for all workers sleeps before it looks again.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// How often a thread looks before it goes to sleep, some 20 µs in all: waking it costs more.
pub(crate) const LOOKS: u32 = 20;
/// Turns of waiting before each look, about a microsecond: looking takes the cache line away from the thread that
/// writes it, so a thread that looked all the time would slow down the one that it waits for.
pub(crate) const TURNS: u32 = 24;

/// Looks after which a thread that is waited for may have the processor between two of them.
pub(crate) const ALONE: u32 = 4;

/// A turn of waiting.
#[inline]
pub(crate) fn spin() {
    std::hint::spin_loop();
}

/// Lets another thread have the processor.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// `std::cell::UnsafeCell` with accesses that a checker can follow.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// An access that reads.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// An access that writes.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
