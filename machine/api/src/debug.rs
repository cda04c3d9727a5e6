//! Debug mode: a machine that stops at the first error.

use crate::handle::{Machine, ask, failure};
use machine_protocol::Error;
use machine_protocol::command::{Command, Outputs, Reply};

impl Machine {
    /// In debug mode the machine pauses at the first error, with the message in hand: it can be looked at
    /// ([`in_hand`](Self::in_hand)), taken through corrected slots ([`retry`](Self::retry)), or given up
    /// ([`give_up`](Self::give_up); [`start`](Self::start) does that too, and goes on).
    pub fn debug(&self, on: bool) -> &Self {
        self.tell(&Command::Debug { machine: self.target(), on })
    }

    /// The message that the machine stopped at: its input, what the slots have made of it, and the error.
    pub fn in_hand(&self) -> Option<Outputs> {
        outputs_of(&Command::HeldMessage { machine: self.target() }).ok()
    }

    /// Takes the message in hand through the slots as they are now. The machine stays paused. If a slot fails on it
    /// again, and debug mode is on, it stays in hand.
    ///
    /// # Errors
    /// If no message is in hand, or a step of the machine is running.
    pub fn retry(&self) -> Result<Outputs, Error> {
        outputs_of(&Command::Retry { machine: self.target() })
    }

    /// Gives up the message in hand: it becomes a dead letter. Returns whether there was one; while a step of the
    /// machine is running, it stays.
    pub fn give_up(&self) -> bool {
        matches!(ask(&Command::GiveUp { machine: self.target() }), Reply::Count(1))
    }
}

fn outputs_of(command: &Command) -> Result<Outputs, Error> {
    match ask(command) {
        Reply::Outputs(outputs) => Ok(outputs),
        other => Err(failure(other)),
    }
}
