//! The state of a machine, as everyone sees it: cells, magics, programs.

use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whether a machine takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It takes messages.
    Running,
    /// It holds between two messages.
    Paused,
    /// It has no workers; the queue is kept.
    Stopped,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What a source is doing. In the last two states nothing of it runs any more, so another may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceState {
    /// There is no source.
    #[default]
    None,
    /// It gives items.
    Running,
    /// It waits: for a file that is not there, or for a slot.
    Waiting,
    /// It connects to its server.
    Connecting,
    /// It has come to its end.
    Exhausted,
    /// It has failed.
    Failed,
}

impl SourceState {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Exhausted => "exhausted",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for SourceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What kind of place finished messages go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinkKind {
    /// An iterator of a cell or program.
    #[default]
    Outputs,
    /// A closure.
    OnOutput,
    /// Another machine.
    To,
    /// JSON lines of a file.
    JsonLines,
    /// Lines of a writer.
    Lines,
    /// Lines of standard output.
    Stdout,
    /// Subscribers of a `ZeroMQ` publisher.
    Publish,
}

impl SinkKind {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outputs => "outputs",
            Self::OnOutput => "on_output",
            Self::To => "to",
            Self::JsonLines => "json_lines",
            Self::Lines => "lines",
            Self::Stdout => "stdout",
            Self::Publish => "publish",
        }
    }
}

impl std::fmt::Display for SinkKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a slot failed on a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SlotErrorKind {
    /// It returned an `Err`.
    #[default]
    Error,
    /// It panicked.
    Panic,
    /// It was given what its argument type cannot hold.
    Type,
    /// It took longer than its timeout.
    Timeout,
    /// Its output does not serialise.
    Serialize,
    /// No slot failed: a source gave what is no message, or failed itself.
    Source,
}

impl SlotErrorKind {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Type => "type",
            Self::Timeout => "timeout",
            Self::Serialize => "serialize",
            Self::Source => "source",
        }
    }
}

impl std::fmt::Display for SlotErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A machine at one moment. `accepted = processed + queue_size + in_flight + discarded` in every one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The machine's name.
    pub machine: String,
    /// Whether it takes messages.
    pub running: bool,
    /// The same, in more words.
    pub state: State,
    /// The last message that went through: 24 hex digits. Empty before the first.
    pub last_oid: String,
    /// When that was, UTC, RFC 3339. Empty before the first.
    pub last_processed_time: String,
    /// Messages that went through all slots, with or without errors.
    pub processed: u64,
    /// Of these, the ones with at least one error.
    pub errored: u64,
    /// Messages that wait.
    pub queue_size: u64,
    /// How many can wait.
    pub queue_capacity: u64,
    /// Messages that were put and not refused.
    pub accepted: u64,
    /// Messages that were refused because the queue was full; the sender has them.
    pub refused: u64,
    /// Messages that were taken out of the queue unprocessed, for whatever reason.
    pub discarded: u64,
    /// What became of messages for which there was no room, and why others were discarded.
    pub drops: Drops,
    /// What becomes of a message for which there is no room.
    pub policy: Policy,
    /// Messages in the slots right now.
    pub in_flight: u64,
    /// Messages processed a second, over the last seconds.
    pub rate: f64,
    /// Worker threads.
    pub workers: u64,
    /// What the workers did over the last seconds; `None` if nobody has looked yet.
    #[serde(default)]
    pub load: Option<Load>,
    /// Calls that wait for room in the queue right now.
    #[serde(default)]
    pub waiting_puts: u64,
    /// What the source is doing.
    pub source: SourceStatus,
    /// Whether the source waits because no slot has a function and nothing takes the outputs: see
    /// `Machine::start_empty`.
    #[serde(default)]
    pub waiting_for_slot: bool,
    /// One entry a slot.
    pub slots: Vec<SlotStatus>,
    /// Where finished messages go.
    #[serde(default)]
    pub outputs: Vec<SinkStatus>,
    /// With ordered outputs: messages that came before their turn and had to wait for it.
    #[serde(default)]
    pub reordered: u64,
    /// Of these, the ones that wait for it now.
    #[serde(default)]
    pub out_of_order: u64,
    /// In debug mode: the oid of the message that the machine has stopped at, and its errors. Empty if there is none.
    #[serde(default)]
    pub in_hand: String,
    /// The newest errors, newest first, at most ten.
    pub errors: Vec<ErrorLine>,
    /// Dead letters that are kept, and those that fell out because there were too many.
    pub dead_letters: u64,
    /// Dead letters that fell out because there were too many.
    pub dead_letters_dropped: u64,
    /// Messages of dead letters that were taken through the slots again; not in `processed`.
    #[serde(default)]
    pub retried: u64,
    /// Of these, the ones that passed: their letters are gone.
    #[serde(default)]
    pub retried_passed: u64,
}

/// What workers do, as shares of their time that are 1 together. Looked at from time to time, so an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// They had a message in hand, and worked on it.
    pub busy: f64,
    /// They had none, or the machine did not run.
    pub idle: f64,
    /// They had one, and waited for room: for an output that is full, or in another machine's queue.
    pub blocked: f64,
}

impl Load {
    /// From sums of what was seen in so many looks; `None` if there were none.
    #[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
    pub fn of(busy: f64, blocked: f64, looks: u64) -> Option<Self> {
        let share = |sum: f64| (sum / looks as f64).clamp(0.0, 1.0);
        let (busy, blocked) = (share(busy), share(blocked));
        (looks > 0).then(|| Self { busy, idle: (1.0 - busy - blocked).max(0.0), blocked })
    }
}

/// Messages that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// Taken out of the queue by `clear`; in `discarded`.
    pub cleared: u64,
    /// Taken out of the full queue for newer ones ([`Policy::DropOldest`]); in `discarded`.
    pub oldest: u64,
    /// Never accepted, because the queue was full ([`Policy::DropNewest`]); not in `accepted`.
    pub newest: u64,
    /// Given up in flight by `clear` while the machine was stopped; in `discarded`.
    #[serde(default)]
    pub in_flight: u64,
}

/// One place where finished messages go. `sent + waiting + lost` is what was meant for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its number, which its handle knows.
    pub id: u64,
    /// What kind of place it is.
    pub kind: SinkKind,
    /// The endpoint, the file, or the slot and the other machine; empty for a cell's own.
    pub endpoint: String,
    /// Messages handed on: taken by the cell, accepted by the other machine, written to the file or to subscribers
    /// (once for each).
    pub sent: u64,
    /// Messages that wait in between.
    pub waiting: u64,
    /// Of these, the ones that wait for their turn, where outputs are in order: they have not reached it yet.
    #[serde(default)]
    pub held: u64,
    /// Messages that were dropped because what takes them was too slow or failed.
    pub lost: u64,
    /// How many are subscribed.
    pub subscribers: u64,
    /// What went wrong last; empty if nothing did.
    pub error: String,
}

/// One of the last messages that went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutput {
    /// The message's oid.
    pub oid: String,
    /// The message, JSON text.
    pub input: String,
    /// What each slot gave, JSON text, as it is published: an empty slot what the one before it gave, and in place
    /// of a missing output its `_exception`.
    pub outputs: Vec<String>,
}

/// What a source is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceStatus {
    /// What it is doing.
    pub state: SourceState,
    /// What it is: `JSON lines of tweets.jsonl, followed`.
    pub description: String,
    /// Items that it has put.
    pub taken: u64,
    /// What it gave that is no message: lines that are not JSON, and the like.
    pub errors: u64,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// What else there is to know: why the last connection ended. Empty if there is nothing.
    pub note: String,
    /// Where it listens or what it is connected to; empty for other sources.
    pub address: String,
    /// How many times a connection was lost and made again.
    pub reconnects: u64,
    /// Items that this and earlier sources of the machine had given when they were cleared, and that had no place.
    pub dropped: u64,
}

/// The end of the first bucket of [`SlotStatus::durations`], nanoseconds.
pub const SHORTEST_NS: u64 = 128;

/// One slot at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotStatus {
    /// `f0`, `f1`, …
    pub slot: String,
    /// Grows with each assignment and clearing; 0 if the slot was never assigned.
    pub revision: u64,
    /// The closure as the user wrote it; empty for an empty slot.
    pub code: String,
    /// The execution count of the cell that assigned it; 0 if none did.
    pub cell: u32,
    /// The types of the arguments, nearest output first.
    pub takes: Vec<String>,
    /// The type of the output; empty for an empty slot.
    pub gives: String,
    /// Messages that this slot's function returned for, since its assignment.
    pub ok: u64,
    /// Messages that it failed on, since its assignment.
    pub errored: u64,
    /// Messages that it could not run on, since its assignment.
    pub skipped: u64,
    /// Messages for which it returned `None`, since its assignment.
    #[serde(default)]
    pub none: u64,
    /// Half of the timed calls were faster, nanoseconds; 0 if none was timed.
    pub p50_ns: u64,
    /// 99 % of the timed calls were faster, nanoseconds.
    pub p99_ns: u64,
    /// The slowest timed call, nanoseconds.
    pub max_ns: u64,
    /// How many timed calls took how long: the first number counts those shorter than 128 ns, each one after it those
    /// that took up to twice as long as the ones before. Zeros at the end are left out.
    #[serde(default)]
    pub durations: Vec<u64>,
    /// How long all timed calls took together, nanoseconds.
    #[serde(default)]
    pub timed_ns: u64,
    /// What does not fit: `f3 takes &Tweet, but f2 gives f64`. Empty if all does.
    pub mismatch: String,
    /// Whether the function is async.
    pub is_async: bool,
    /// How functions are run in this slot.
    pub settings: Settings,
    /// Calls again after one that failed, since the function's assignment.
    pub retried: u64,
}

/// How functions are run in a slot. It stays when the function changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How long a call may take, nanoseconds; 0 for as long as it likes.
    pub timeout_ns: u64,
    /// How often a slot is called again after a call that failed.
    pub retries: u32,
    /// How long to wait before the first call again, nanoseconds; twice as long before each following one.
    pub backoff_ns: u64,
    /// How many messages may be in the slot at once; 0 for as many as like.
    pub concurrency: u64,
}

impl std::fmt::Display for Settings {
    /// `timeout 2s, 3 retries from 100ms, concurrency 8`; nothing if nothing is set.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.timeout_ns > 0 {
            parts.push(format!("timeout {:?}", Duration::from_nanos(self.timeout_ns)));
        }
        if self.retries > 0 {
            parts.push(format!("{} retries from {:?}", self.retries, Duration::from_nanos(self.backoff_ns)));
        }
        if self.concurrency > 0 {
            parts.push(format!("concurrency {}", self.concurrency));
        }
        f.write_str(&parts.join(", "))
    }
}

/// One error, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorLine {
    /// `f0`, `f1`, …
    pub slot: String,
    /// The message.
    pub oid: String,
    /// What went wrong.
    pub err: String,
    /// When the message was accepted, from its oid, UTC, RFC 3339.
    pub errtime: String,
    /// The revision of the slot.
    pub revision: u64,
}

/// A message that a slot failed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The message; empty for an error of the source.
    pub oid: String,
    /// When the message was accepted, from its oid, UTC, RFC 3339.
    pub time: String,
    /// `f0`, `f1`, …, or `source`.
    pub slot: String,
    /// The revision of the slot that failed.
    pub revision: u64,
    /// What went wrong.
    pub error: String,
    /// How the slot failed.
    pub kind: SlotErrorKind,
    /// The message itself, JSON text.
    pub input: String,
    /// What the slots had given for it, a JSON object: `{"f0":1.5}`.
    #[serde(default)]
    pub outputs: String,
    /// When it failed, UTC, RFC 3339, in milliseconds.
    #[serde(default)]
    pub failed: String,
    /// How many times it was taken through the slots again, in vain.
    #[serde(default)]
    pub retries: u32,
}
