//! Whether the calling thread holds the locks that recording its output needs.
//!
//! A signal's handler that prints on such a thread would wait for itself: its output goes through a pipe.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a thread has printed this long ago is over: what it did since then may have printed elsewhere. Starting a process
/// and waiting for its end takes longer.
const PAUSE: Duration = Duration::from_micros(100);

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    /// When it printed last.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// While it lives, the calling thread is recording.
#[derive(Debug)]
pub struct Recording(());

impl Recording {
    /// Begins, unless this thread is recording already.
    pub fn begin() -> Option<Self> {
        // A thread that is ending may have nothing left to remember it in.
        RECORDING.try_with(|recording| !recording.replace(true)).unwrap_or(false).then_some(Self(()))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = RECORDING.try_with(|recording| recording.set(false));
    }
}

/// What distinguishes the calling thread from all others that are alive.
pub fn thread() -> usize {
    RECORDING.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0)
}

/// Whether the calling thread has not printed for some time. It prints now.
pub fn after_a_pause() -> bool {
    let now = Instant::now();
    let last = LAST.try_with(|last| last.replace(Some(now))).ok().flatten();
    last.is_none_or(|last| now.saturating_duration_since(last) > PAUSE)
}
