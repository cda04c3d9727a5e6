//! What can be asked of a machine: one set of commands for cells, magics, the command line and whoever else asks.

use crate::history::History;
use crate::kept::{Explained, Kept, KeptQuery, LetterQuery, Retried};
use crate::source::{Description, Pacing};
use crate::status::{DeadLetter, LastOutput, SinkStatus, Status};
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
    /// Makes a machine, running.
    New(Config),
    /// Takes messages from the queue, and items from the source.
    Start {
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
    /// Waits until queue and flight are empty.
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
    /// Takes one message from the queue through the slots.
    Step {
        /// The machine.
        machine: Target,
    },
    /// Discards what waits in the queue.
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
    /// Sets a source that is built in.
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
    InHand {
        /// The machine.
        machine: Target,
    },
    /// Takes the message in hand through the slots as they are now.
    Retry {
        /// The machine.
        machine: Target,
    },
    /// Makes the message in hand a dead letter.
    GiveUp {
        /// The machine.
        machine: Target,
    },
    /// The dead letters, newest first.
    Errors {
        /// The machine.
        machine: Target,
        /// Only those of this slot.
        slot: Option<u32>,
        /// How many at most.
        limit: usize,
    },
    /// The dead letters that fulfil a query, newest first.
    FindErrors {
        /// The machine.
        machine: Target,
        /// Which.
        query: LetterQuery,
    },
    /// Takes dead letters through the slots as they are now, for at most a quarter of a second.
    RetryErrors {
        /// The machine.
        machine: Target,
        /// Which.
        query: LetterQuery,
        /// Where to go on: 0, then [`Retried::next`].
        from: u64,
    },
    /// The last messages that went through.
    Kept {
        /// The machine.
        machine: Target,
        /// Which.
        query: KeptQuery,
    },
    /// What waits in the queue, JSON texts, oldest first. A machine that runs is held for that moment.
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
        filter: String,
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
    /// From the kernel: whether the running cell shall stop.
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

/// Messages in flight unless told otherwise.
const fn in_flight() -> usize {
    1024
}

/// What becomes of a message that is put in a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Policy {
    /// It is given back to whoever put it, and counted as refused.
    #[default]
    Reject = 0,
    /// Whoever puts it waits until there is room.
    Block,
    /// The message that has waited longest is dropped for it, and counted.
    DropOldest,
    /// It is dropped, and counted.
    DropNewest,
}

impl Config {
    /// What a machine has unless it is told otherwise: 8 slots, a queue of 1,024 messages, one worker, 1,024 messages
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
pub struct Origin {
    /// The closure as the user wrote it; empty if unknown.
    pub code: String,
    /// The execution count of the cell; 0 outside of a notebook.
    pub cell: u32,
    /// The file and line of the assignment, in a program.
    pub place: String,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// It was done.
    Done,
    /// It was done, and there is something that the user should know.
    Warned(String),
    /// The state of a machine.
    Status(Box<Status>),
    /// The state of all machines, in the order of their making.
    Machines(Vec<Status>),
    /// A new machine's number.
    Made(u32),
    /// How many messages a command concerned: discarded by `ClearQueue`, left by `Drain` when its time was up.
    Count(u64),
    /// The oid of a message that was put.
    Oid(String),
    /// What each slot made of a message.
    Outputs(Outputs),
    /// One of a machine's outputs.
    Sink(Box<SinkStatus>),
    /// The last outputs, newest first.
    LastOutputs(Vec<LastOutput>),
    /// Dead letters, newest first.
    Errors(Vec<DeadLetter>),
    /// Dead letters that fulfil a query, newest first.
    FoundErrors {
        /// As many as were asked for and fit in an answer.
        letters: Vec<DeadLetter>,
        /// How many there are.
        matching: u64,
    },
    /// What became of dead letters.
    Retried(Retried),
    /// Messages that went through.
    Kept(Box<Kept>),
    /// Messages that wait: how many in all, and the first of them as oid and JSON text.
    Waiting(u64, Vec<(String, String)>),
    /// Where a message has been.
    Explained(Box<Explained>),
    /// What a machine has done over time.
    History(History),
    /// It could not be done.
    Failed(Failure),
}

/// What each slot made of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The message's oid.
    pub oid: String,
    /// The input, JSON text.
    pub input: String,
    /// One entry a slot.
    pub slots: Vec<SlotOutput>,
}

/// What one slot made of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotOutput {
    /// The slot's number.
    pub slot: usize,
    /// Its arguments as JSON text, nearest output first.
    pub args: Vec<String>,
    /// The output as JSON text, unless it is missing.
    pub output: Option<String>,
    /// Why it is missing: the slot's own error, or `skipped: needs f2`.
    pub error: Option<String>,
    /// How long the slot took.
    pub nanos: u64,
    /// The revision of the slot; 0 for an empty slot.
    pub revision: u64,
}

/// Why a command was not carried out. `Display` and `Debug` are one line that says what to do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure, for programs: `no_such_slot`, `type_mismatch`, …
    pub code: String,
    /// For people: the thing, what was given, what was expected.
    pub message: String,
}

impl Failure {
    /// A failure with its code and its text.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
