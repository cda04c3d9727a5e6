//! What the thread of the session is asked for.

use super::super::{Cell, Completions};
use crate::output::{Display, Executed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// A request to the thread.
pub enum Job {
    /// Run a cell.
    Execute {
        /// The cell.
        cell: Cell,
        /// Where its end is told.
        reply: Sender<Executed>,
    },
    /// Propose what could stand at a byte offset.
    Complete {
        /// The text.
        code: String,
        /// The place.
        offset: usize,
        /// Where the proposals go.
        reply: Answer<Completions>,
    },
    /// Tell about the thing at a byte offset.
    Inspect {
        /// The text.
        code: String,
        /// The place.
        offset: usize,
        /// Where it is told.
        reply: Answer<Option<Display>>,
    },
    /// A runtime process has died.
    RuntimeLost {
        /// Its number.
        pid: u32,
    },
    /// End.
    Shutdown {
        /// Told when it is done.
        done: Sender<()>,
    },
}

/// Where an answer goes that nobody waits for after a while.
pub struct Answer<T> {
    pub(super) to: Sender<T>,
    until: Instant,
}

impl<T> Answer<T> {
    /// An answer that is worth nothing after `patience`.
    pub fn new(patience: Duration) -> (Self, Receiver<T>) {
        let (to, from) = mpsc::channel();
        (Self { to, until: Instant::now() + patience }, from)
    }

    pub(super) fn is_wanted(&self) -> bool {
        Instant::now() < self.until
    }
}
