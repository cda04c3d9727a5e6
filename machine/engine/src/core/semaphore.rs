//! How many messages may be in a slot at once.
//!
//! Belongs to the slot, not to its function: it stays when that changes. Messages that find it full wait in order,
//! and no worker waits with them.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A message that may have to wait for its place in a slot.
pub(crate) trait Waiter: Any + Debug + Send {
    /// It has waited, and has its place: it goes on.
    fn admit(self: Box<Self>, permit: Permit);
}

#[derive(Debug)]
struct SemaphoreState {
    limit: usize,
    inside: usize,
    waiting: VecDeque<Box<dyn Waiter>>,
    /// Somebody is letting flights in, and looks again before it ends.
    lets_in: bool,
}

/// The way into a slot.
#[derive(Debug)]
pub(crate) struct Semaphore(Mutex<SemaphoreState>);

impl Default for Semaphore {
    /// A gate that lets in as many as like.
    fn default() -> Self {
        Self(Mutex::new(SemaphoreState { limit: usize::MAX, inside: 0, waiting: VecDeque::new(), lets_in: false }))
    }
}

impl Semaphore {
    /// No user code runs under this lock.
    fn state(&self) -> MutexGuard<'_, SemaphoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how many may be inside, 0 for as many as like. Those that are inside stay. `limit` is asked with the lock:
    /// of two changes at a time the later one is the last here, too.
    pub fn set_limit(self: &Arc<Self>, limit: impl FnOnce() -> u64) {
        let mut state = self.state();
        let limit = limit();
        state.limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        drop(state);
        self.release();
    }

    /// Lets a message in, or keeps it until there is a place; then it is admitted.
    pub fn enter<W: Waiter>(self: &Arc<Self>, waiter: Box<W>) -> Option<(Box<W>, Permit)> {
        let mut state = self.state();
        if state.inside >= state.limit || !state.waiting.is_empty() {
            state.waiting.push_back(waiter);
            return None;
        }
        state.inside += 1;
        Some((waiter, Permit(self.clone())))
    }

    /// Takes out those that wait and of which `goes` is true.
    pub fn take_out<W: Waiter>(&self, goes: impl Fn(&W) -> bool) -> Vec<Box<W>> {
        let goes = |waiter: &dyn Any| waiter.downcast_ref().is_some_and(&goes);
        let mut state = self.state();
        let (gone, waiting): (VecDeque<_>, VecDeque<_>) = state.waiting.drain(..).partition(|waiter| goes(&**waiter));
        state.waiting = waiting;
        drop(state);
        gone.into_iter().filter_map(|waiter| (waiter as Box<dyn Any>).downcast().ok()).collect()
    }

    /// One that lands may be given up, and its permit with it: then there is room for the next one, which is let in here
    /// and not below there, however many there are.
    fn release(self: &Arc<Self>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.lets_in, true) {
            return;
        }
        loop {
            let next = if state.inside < state.limit { state.waiting.pop_front() } else { None };
            let Some(waiter) = next else {
                state.lets_in = false;
                return;
            };
            state.inside += 1;
            drop(state);
            waiter.admit(Permit(self.clone()));
            state = self.state();
        }
    }
}

/// The right to be inside; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.release();
    }
}
