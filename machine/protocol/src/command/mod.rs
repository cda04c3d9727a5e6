//! What can be asked of a machine: one set of commands for cells, magics, the command line and other clients.

mod config;
mod reply;
mod retry;

pub use crate::policy::Policy;
pub use config::{Config, SinkConfig, WhenFull};
pub use reply::{Outputs, Reply, SlotOutput, Undrained};

use crate::filter::Filter;
use crate::retained::{DeadLetterQuery, RetainedQuery};
use crate::source::{Description, Pacing};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The name of the machine that every session has from the start.
pub const DEFAULT_MACHINE: &str = "main";

/// Which machine is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// The handle's number, as cells send it.
    Id(u32),
    /// The name, as people write it.
    Name(String),
}

impl Default for Target {
    fn default() -> Self {
        Self::Name(DEFAULT_MACHINE.to_owned())
    }
}

/// A command to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// The state of one machine.
    Status {
        /// The machine.
        machine: Target,
    },
    /// The state of all machines.
    Machines,
    /// The directory that relative paths in cells begin from.
    Directory,
    /// Makes a machine, running.
    New(Config),
    /// Takes messages from the queue, and items from the source.
    Start {
        /// The machine.
        machine: Target,
    },
    /// Like `Start`, and the source runs although no slot has a function and nothing takes the outputs; then and later.
    StartEmpty {
        /// The machine.
        machine: Target,
    },
    /// Holds between two messages; `start` goes on. Returns once no message is in flight, or after a
    /// quarter of a second: a slow slot finishes its message.
    Pause {
        /// The machine.
        machine: Target,
    },
    /// Ends the workers; the queue is kept. Returns once no message is in flight, or after a quarter of a
    /// second: a slow slot finishes its message.
    Stop {
        /// The machine.
        machine: Target,
    },
    /// Waits until queue and flight are empty, a source that has an end has come to it, and outputs in order have gone to
    /// their sinks, also to one that is full. Answered by `Done`, or by `Undrained`.
    Drain {
        /// The machine.
        machine: Target,
        /// How long to wait at most; without it, as long as it takes.
        timeout: Option<Duration>,
    },
    /// Changes how many threads take messages through the slots, at once. Returns once there are so many, or after
    /// a quarter of a second.
    Workers {
        /// The machine.
        machine: Target,
        /// How many, 1 to 256.
        workers: usize,
    },
    /// Changes what becomes of a message for which there is no room.
    Policy {
        /// The machine.
        machine: Target,
        /// What.
        policy: Policy,
    },
    /// Takes one message from the queue through the slots. Refused (`step_running`) while another step runs, the message
    /// in hand is tried again or given up, or what waits is looked at.
    Step {
        /// The machine.
        machine: Target,
    },
    /// Discards what waits in the queue, also what a worker has claimed behind a slow message: then it may take up to a
    /// quarter of a second. Answered by `Count`.
    ClearQueue {
        /// The machine.
        machine: Target,
    },
    /// Puts a message.
    Put {
        /// The machine.
        machine: Target,
        /// The message, JSON text.
        json: String,
    },
    /// Takes one value through the slots, here and now; it is not counted.
    Call {
        /// The machine.
        machine: Target,
        /// The value, JSON text.
        json: String,
    },
    /// Empties a slot.
    ClearSlot {
        /// The machine.
        machine: Target,
        /// The slot's number.
        slot: u32,
    },
    /// Sets a source that is built in, in the place of one that has ended.
    SetSource {
        /// The machine.
        machine: Target,
        /// The source.
        source: Description,
        /// How fast it gives its items.
        #[serde(default)]
        pacing: Pacing,
    },
    /// Changes how functions are run in a slot.
    Set {
        /// The machine.
        machine: Target,
        /// The slot's number.
        slot: u32,
        /// What.
        setting: Setting,
    },
    /// Takes the source away. Waits until one that is built in has ended, for at most one second.
    ClearSource {
        /// The machine.
        machine: Target,
    },
    /// Sends finished messages somewhere.
    AddSink {
        /// The machine.
        machine: Target,
        /// Where to.
        sink: SinkConfig,
    },
    /// Changes how finished messages are sent.
    ConfigureSink {
        /// The machine.
        machine: Target,
        /// Which of its outputs.
        id: u64,
        /// Of the same kind; what tells the place counts for nothing.
        sink: SinkConfig,
    },
    /// What a place of finished messages has done, also one of the last that were taken off.
    Sink {
        /// The machine.
        machine: Target,
        /// Which of its outputs.
        id: u64,
    },
    /// Sends finished messages to this place no longer, or to none.
    RemoveSinks {
        /// The machine.
        machine: Target,
        /// Which of its outputs; without it, all but the iterators of cells.
        id: Option<u64>,
    },
    /// The last outputs, newest first.
    LastOutputs {
        /// The machine.
        machine: Target,
    },
    /// Whether the machine pauses at the first error, with the message in hand.
    Debug {
        /// The machine.
        machine: Target,
        /// Whether it does from now on.
        on: bool,
    },
    /// What the slots have made of the message in hand.
    HeldMessage {
        /// The machine.
        machine: Target,
    },
    /// Takes the message in hand through the slots as they are now. Refused as `Step` is.
    Retry {
        /// The machine.
        machine: Target,
    },
    /// Makes the message in hand a dead letter. Refused as `Step` is.
    GiveUp {
        /// The machine.
        machine: Target,
    },
    /// The dead letters that fulfil a query, newest first, as many as fit in an answer:
    /// `Errors::all` asks until it has all.
    FindErrors {
        /// The machine.
        machine: Target,
        /// Which.
        query: DeadLetterQuery,
    },
    /// Takes dead letters through the slots as they are now, for at most a quarter of a second.
    RetryErrors {
        /// The machine.
        machine: Target,
        /// Which.
        query: DeadLetterQuery,
        /// Where to go on: 0, then [`Retried::next`](crate::retained::Retried::next).
        from: u64,
    },
    /// The last messages that went through.
    Kept {
        /// The machine.
        machine: Target,
        /// Which.
        query: RetainedQuery,
    },
    /// Keeps more or less of what goes through from here on; without `keep`, only reports what is kept.
    Keep {
        /// The machine.
        machine: Target,
        /// How much.
        keep: Option<crate::retention::Keep>,
    },
    /// What waits in the queue, JSON texts, oldest first. A machine that runs is held for that moment. Refused as `Step`
    /// is.
    Peek {
        /// The machine.
        machine: Target,
        /// How many at most.
        limit: usize,
    },
    /// Where a message has been.
    Explain {
        /// The machine.
        machine: Target,
        /// Its oid.
        oid: String,
    },
    /// Holds the machine before a slot, with the message in hand; `Continue` goes on.
    Break {
        /// The machine.
        machine: Target,
        /// The slot's number; without it, never any more.
        slot: Option<u32>,
        /// Which messages: a condition on what the slots before it gave; empty for each.
        filter: Filter,
    },
    /// Takes the message that is held before a slot on from there, and starts the machine.
    Continue {
        /// The machine.
        machine: Target,
    },
    /// What a machine has done over time.
    History {
        /// The machine.
        machine: Target,
        /// Only what ended later than this, milliseconds since 1970.
        #[serde(default)]
        since_ms: u64,
    },
    /// From the kernel, before a cell runs: what the session defines now.
    Enter(Cell),
    /// From the kernel: whether the running cell should stop.
    Interrupt {
        /// True to ask, false to take it back.
        on: bool,
    },
}

/// One of a slot's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Setting {
    /// How long a call may take; zero for as long as it likes.
    Timeout(Duration),
    /// Calls again after one that failed.
    Retry {
        /// How often.
        times: u32,
        /// How long to wait before the first; twice as long before each following one.
        backoff: Duration,
    },
    /// How many messages may be in the slot at once; 0 for as many as like.
    Concurrency(usize),
}

/// The cell that is about to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Its execution count.
    pub number: u32,
    /// Its source, as the user wrote it.
    pub source: String,
    /// The user's own items, by name, each with a hash of its definition and of all definitions that it uses.
    pub definitions: std::collections::BTreeMap<String, u64>,
    /// A hash of all definitions and dependencies: for a type that `definitions` does not know.
    pub everything: u64,
}

/// Where the code of a slot comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLocation {
    /// The closure as the user wrote it; empty if unknown.
    pub code: String,
    /// The execution count of the cell; 0 outside of a notebook.
    pub cell: u32,
    /// The file and line of the assignment, in a program.
    pub place: String,
}
