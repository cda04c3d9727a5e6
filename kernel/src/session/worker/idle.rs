//! What is done while nobody wants anything, so that the first cells need not wait for it.

use super::{PRELUDE, Worker};
use machine_protocol::command::Command;
use std::time::{Duration, Instant};

/// What compiles like a cell that assigns a slot, and does nothing.
const LIKE_AN_ASSIGNMENT: &str = "if std::hint::black_box(false) { \
    ::machine::cell::assign(&MACHINE[0], |x: f64| x * x, \"\", 0, 0); }";

/// What has been done while nobody wanted anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    Fresh,
    /// A cell has been compiled.
    Compiled,
    /// The analyser reads the standard library, in a process beside.
    Awake,
}

impl Idle {
    /// How long nobody must want anything before more is done.
    pub(super) fn patience(self) -> Option<Duration> {
        match self {
            Self::Fresh => Some(Duration::from_millis(100)),
            Self::Compiled => Some(Duration::from_millis(1500)),
            Self::Awake => None,
        }
    }
}

impl Worker {
    /// Does what the first cells would have to wait for, a piece at a time.
    pub(super) fn use_idleness(&mut self) {
        let start = Instant::now();
        match self.idle {
            Idle::Fresh => {
                self.idle = Idle::Compiled;
                if self.prelude {
                    return;
                }
                // Makes the runtime process look for the cell's end in what it prints.
                let _ = self.client.command_now(Command::Enter(machine_protocol::command::Cell::default()));
                if let Some(context) = &mut self.context {
                    self.prelude = context.execute(&format!("{PRELUDE}{LIKE_AN_ASSIGNMENT}")).is_ok();
                    self.client.ping();
                }
                tracing::debug!(took = ?start.elapsed(), "compiler warm");
            }
            Idle::Compiled => {
                self.idle = Idle::Awake;
                self.analyser.wake();
            }
            Idle::Awake => {}
        }
    }
}
