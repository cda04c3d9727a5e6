//! A machine, described before it is made.

use super::{Machine, ask, failure};
use machine_protocol::Error;
use machine_protocol::command::{Command, Config, Policy, Reply};

/// A new machine, described step by step.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `start`"]
pub struct Builder {
    pub(super) config: Config,
}

impl Builder {
    /// How many slots, 1 to [`MAX_SLOTS`](super::MAX_SLOTS) (default: 8).
    pub fn slots(mut self, slots: usize) -> Self {
        self.config.slots = slots;
        self
    }

    /// How many messages wait at most (default: 1,024).
    pub fn queue(mut self, messages: usize) -> Self {
        self.config.queue = messages;
        self
    }

    /// How many threads take messages through the slots (default: 1).
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// What becomes of a message for which there is no room (default: [`Policy::Reject`]).
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// How many messages may be in async slots, or in slots with a timeout, retries or a concurrency, at once
    /// (default: 1,024).
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.config.in_flight = messages;
        self
    }

    /// Whether outputs leave the machine in the order in which the messages arrived, also with several workers;
    /// otherwise they leave as they are completed.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.config.ordered = ordered;
        self
    }

    /// Makes the machine and starts it. The same description again gives the same machine.
    ///
    /// # Errors
    /// If there is another machine of this name, or a number is out of range.
    pub fn start(self) -> Result<Machine, Error> {
        match ask(&Command::New(self.config)) {
            Reply::Made(id) => Ok(Machine::with_id(id)),
            other => Err(failure(other)),
        }
    }
}
