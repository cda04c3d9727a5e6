//! What a machine keeps of the messages that went through it, and how to ask for it.

use crate::filter::Filter;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which of the kept messages are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetainedQuery {
    /// Only what this slot gave, and only messages for which it gave something; without it, all of each message.
    pub slot: Option<u32>,
    /// A condition: `polarity < -0.5 and in.lang = 'en'`; empty for none.
    pub filter: Filter,
    /// One of so many of those that fulfil it; 0 and 1 for each.
    pub every: u64,
    /// Only those from this one on, in the order of their keeping; see [`Kept::next`].
    pub since: u64,
    /// Only those before this one, in the order of their keeping; see [`Kept::older`].
    pub before: Option<u64>,
    /// How many at most, the newest; 0 for all.
    pub limit: usize,
}

/// Messages that went through a machine: `processed = in the ring + evicted + not_kept`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Messages that went through.
    pub processed: u64,
    /// Of these, the ones that were kept once and fell out because there were too many.
    pub evicted: u64,
    /// Of these, the ones that were never kept because the machine was too fast.
    pub not_kept: u64,
    /// Those that fulfil the condition of the query, before `every` and `limit`.
    pub matching: u64,
    /// What to ask for to get those that come after.
    pub next: u64,
    /// What to ask for to get older ones that fulfil the query and had no room in this answer.
    #[serde(default)]
    pub older: Option<u64>,
    /// How many values the condition looked at that no type has, and took as U+FFFD (a lone surrogate) or as null (a
    /// number beyond the largest `f64`).
    #[serde(default)]
    pub unread: u64,
    /// Newest last.
    pub messages: Vec<RetainedMessage>,
}

/// One message that went through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
// There are many: what is empty is left out.
#[serde(default)]
pub struct RetainedMessage {
    /// The message's oid.
    pub oid: String,
    /// When it was put, milliseconds since 1970, to some milliseconds.
    pub put_ms: u64,
    /// How long it waited before a worker began it, milliseconds, to some milliseconds.
    pub waited_ms: u64,
    /// The message, JSON text; empty if only one slot was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// What each slot gave, JSON text, as it is published; of one slot if only that was asked for.
    pub outputs: Vec<String>,
    /// Slots that gave nothing, one bit each, the lowest for `f0`.
    pub missing: u64,
    /// The revision of each slot; empty if only one slot was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<u64>,
    /// How long each slot took, nanoseconds; empty if only one slot was asked for, or if it was not measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nanos: Vec<u64>,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageState {
    /// It has gone through the slots.
    #[default]
    #[serde(rename = "went through")]
    WentThrough,
    /// It waits in the queue.
    Waits,
    /// The machine has stopped at it.
    #[serde(rename = "in hand")]
    InHand,
    /// A slot failed on it.
    #[serde(rename = "dead letter")]
    DeadLetter,
}

impl MessageState {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WentThrough => "went through",
            Self::Waits => "waits",
            Self::InHand => "in hand",
            Self::DeadLetter => "dead letter",
        }
    }
}

impl std::fmt::Display for MessageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a message was made into, and by which code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The message's oid.
    pub oid: String,
    /// Where it is.
    pub state: MessageState,
    /// When it was put, UTC, RFC 3339.
    pub put: String,
    /// How long it waited before a worker began it, milliseconds, to some milliseconds; unknown of old dead letters.
    pub waited_ms: Option<u64>,
    /// The message, JSON text.
    pub input: String,
    /// One entry a slot.
    pub slots: Vec<ExplainedSlot>,
}

/// What one slot made of one message, and the code that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedSlot {
    /// `f0`, `f1`, …
    pub slot: String,
    /// The revision that saw the message; 0 for a slot that was never assigned.
    pub revision: u64,
    /// The code of that revision; empty for an empty slot, and for one that is too old to be known.
    pub code: String,
    /// The execution count of the cell that it came from; 0 if none.
    pub cell: u32,
    /// The output, JSON text, unless it is missing.
    pub output: Option<String>,
    /// Why it is missing.
    pub error: Option<String>,
    /// How long it took, nanoseconds; 0 if that was not measured.
    pub nanos: u64,
    /// Whether the slot has other code by now.
    pub is_changed: bool,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterQuery {
    /// Only those of this slot; [`SOURCE`](Self::SOURCE) for those of the source.
    pub slot: Option<u32>,
    /// Only this message's.
    pub oid: Option<String>,
    /// Only those that failed in this time, up to now.
    pub since: Option<Duration>,
    /// A condition: `error like '%utf%'`; empty for none.
    pub filter: Filter,
    /// How many at most, the newest; 0 for all.
    pub limit: usize,
    /// Only those that are older than what an answer had: its `next`. Not looked at by a retry.
    pub before: Option<u64>,
}

/// What became of dead letters that were taken through the slots again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// Messages that were taken through.
    pub tried: u64,
    /// Of these, the ones that no slot failed on: their letters are gone.
    pub passed: u64,
    /// Dead letters that fulfil the query and were not yet tried.
    pub left: u64,
    /// Where to go on.
    pub next: u64,
}

impl DeadLetterQuery {
    /// In [`slot`](Self::slot): what a source gave that is no message, and why a source failed.
    pub const SOURCE: u32 = u32::MAX;
}
