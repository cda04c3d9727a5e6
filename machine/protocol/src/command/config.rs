//! How machines and their outputs are described.

use super::Target;
use crate::policy::Policy;
use serde::{Deserialize, Serialize};

/// A new machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its name; unique.
    pub name: String,
    /// How many slots it has, 1 to 60.
    pub slots: usize,
    /// How many messages wait at most.
    pub queue: usize,
    /// How many threads take messages through the slots.
    pub workers: usize,
    /// What becomes of a message for which there is no room.
    #[serde(default)]
    pub policy: Policy,
    /// How many messages may be in async slots, or in slots with settings, at once.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    /// Whether outputs leave in the order in which the messages arrived, also with several workers.
    #[serde(default)]
    pub ordered: bool,
}

/// Messages in flight by default.
const fn in_flight() -> usize {
    1024
}

impl Config {
    /// The defaults of a machine: 8 slots, a queue of 1,024 messages, one worker, 1,024 messages
    /// in flight.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            slots: 8,
            queue: 1024,
            workers: 1,
            policy: Policy::Reject,
            in_flight: in_flight(),
            ordered: false,
        }
    }
}

/// Where finished messages go, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinkConfig {
    /// The output of a slot becomes a message of another machine.
    To {
        /// The other machine.
        machine: Target,
        /// The slot.
        slot: usize,
        /// What happens while the other machine's queue is full.
        when_full: WhenFull,
    },
    /// A file with one line of JSON a message.
    JsonLines {
        /// The file; it is appended to.
        path: String,
        /// The file is put aside before it becomes larger than so many bytes; 0: never.
        rotate: u64,
        /// How many files that were put aside are kept.
        keep: u32,
    },
    /// The closure of `on_output`.
    OnOutput {
        /// The machine waits while 16,384 outputs wait for the closure, instead of dropping what comes beyond them.
        no_loss: bool,
    },
    /// A ZeroMQ PUB socket.
    Publish {
        /// `ipc://…` or `tcp://…`; empty for one in a private directory, under the machine's name.
        endpoint: String,
        /// The machine waits for its slowest subscriber, instead of losing what that one does not take.
        no_loss: bool,
        /// How many messages wait for a subscriber at most.
        high_water_mark: u64,
    },
}

/// What happens to an output that does not fit where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The worker waits for room.
    #[default]
    Wait,
    /// It is lost, and counted.
    Lose,
}
