//! What comes back of a command.

use crate::history::History;
use crate::retained::{Explained, Kept, Retried};
use crate::status::{DeadLetter, LastOutput, SinkStatus, Status};
use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

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
    /// The process's working directory.
    Directory(String),
    /// A new machine's number.
    Made(u32),
    /// How many messages a command concerned: discarded by `ClearQueue`.
    Count(u64),
    /// What `Drain` has left: its time was up, or the machine does not run.
    Undrained(Undrained),
    /// The oid of a message that was put.
    Oid(String),
    /// What each slot made of a message.
    Outputs(Outputs),
    /// One of a machine's outputs.
    Sink(Box<SinkStatus>),
    /// The last outputs, newest first.
    LastOutputs(Vec<LastOutput>),
    /// Dead letters that fulfil a query, newest first.
    FoundErrors {
        /// As many as were asked for and fit in an answer.
        letters: Vec<DeadLetter>,
        /// How many there are.
        matching: u64,
        /// How many were passed over because one alone would fit in no answer. Of those between the first and the
        /// last one in the reply, and of all older ones if there is no `next`.
        #[serde(default)]
        too_long: u64,
        /// What to ask for to get the older ones: [`DeadLetterQuery::before`](crate::retained::DeadLetterQuery::before). Nothing
        /// if there are no more.
        #[serde(default)]
        next: Option<u64>,
    },
    /// What became of dead letters.
    Retried(Retried),
    /// Messages that went through.
    Kept(Box<Kept>),
    /// What a machine keeps.
    Keeping(crate::retention::Kept),
    /// Messages that wait: how many in all, and the first of them as oid and JSON text.
    Waiting(u64, Vec<(String, String)>),
    /// Where a message has been.
    Explained(Box<Explained>),
    /// What a machine has done over time.
    History(History),
    /// It could not be done.
    Failed(Error),
}

impl Reply {
    /// The failure that this reply is; any other reply is one too, of a caller that expected something else.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(failure) => failure,
            other => Error::new(ErrorKind::BadReply, format!("the engine answers {other:?}")),
        }
    }

    /// The reply, unless it is a failure.
    ///
    /// # Errors
    /// The failure.
    pub fn checked(self) -> Result<Self, Error> {
        match self {
            failed @ Self::Failed(_) => Err(failed.into_error()),
            other => Ok(other),
        }
    }
}

/// What a machine has still to do after a `drain` that did not come to its end. At least one of them is something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undrained {
    /// Messages that wait or are in the slots.
    pub messages: u64,
    /// Whether its source has not come to its end, so more may come.
    pub source_runs: bool,
    /// Outputs in order that have yet to go to a sink, which may be full. Told once no message is left.
    #[serde(default)]
    pub outputs: u64,
}

impl std::error::Error for Undrained {}

impl std::fmt::Display for Undrained {
    /// `3 messages are left, and the source has not ended`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.messages, self.outputs) {
            (0, 0) => {}
            (0, 1) => f.write_str("1 output has yet to leave")?,
            (0, several) => write!(f, "{several} outputs have yet to leave")?,
            (1, _) => f.write_str("1 message is left")?,
            (several, _) => write!(f, "{several} messages are left")?,
        }
        f.write_str(match (self.messages + self.outputs, self.source_runs) {
            (_, false) => "",
            (0, true) => "the source has not ended",
            (_, true) => ", and the source has not ended",
        })
    }
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
