//! Ctrl-C, for commands that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has pressed Ctrl-C. The second one ends the process.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Notes Ctrl-C from now on, instead of ending.
    pub fn listen() -> Self {
        let flag = Self::default();
        // Without it, Ctrl-C ends the process as ever.
        let _ = signal_hook::flag::register_conditional_default(signal_hook::consts::SIGINT, Arc::clone(&flag.0))
            .and_then(|_| signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&flag.0)));
        flag
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        // Relaxed: the flag carries nothing but itself.
        self.0.load(Ordering::Relaxed)
    }
}
