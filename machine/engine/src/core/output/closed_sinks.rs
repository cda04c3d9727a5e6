//! Sinks that were taken off a machine: their handles can still ask what became of the last messages.

use super::Attached;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are remembered; the oldest is forgotten first.
const MOST: usize = 64;

/// The last sinks that were taken off. What they still hand on is counted in them as before.
#[derive(Debug, Default)]
pub(crate) struct ClosedSinks(Mutex<VecDeque<Attached>>);

impl ClosedSinks {
    /// No user code runs under this lock.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Attached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a sink.
    pub fn add(&self, sink: Attached) {
        let mut all = self.lock();
        let oldest = if all.len() == MOST { all.pop_front() } else { None };
        all.push_back(sink);
        drop(all);
        drop(oldest);
    }

    /// All that are remembered, the oldest first.
    pub fn all(&self) -> Vec<Attached> {
        self.lock().iter().cloned().collect()
    }

    /// The sink of this number.
    pub fn find(&self, id: u64) -> Option<Attached> {
        self.lock().iter().find(|sink| sink.id == id).cloned()
    }
}
