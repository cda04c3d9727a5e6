//! What leaves a machine: finished messages, handed to its sinks.
//!
//! The sinks are part of the plan, so a message sees one set of them, and a machine without any pays nothing. A
//! worker hands over each message after its slots and before it counts as processed: a caller that has waited for a machine
//! to drain finds all outputs handed over. A sink that does its own work (files, sockets) does it on a thread of
//! its own, behind a bounded buffer; what it cannot take is counted, or the worker waits, as chosen.

mod cell_outputs;
mod closed_sinks;
mod finished;
pub(crate) mod json;
mod order;
mod retention;
mod sequence;

pub(crate) use cell_outputs::Held;
pub(crate) use closed_sinks::ClosedSinks;
pub(crate) use finished::Finished;
pub(crate) use retention::{Entry, LAST, Recorder, Times, Tokens};
pub(crate) use sequence::Sequence;

pub(crate) use json::Rendering;
use machine_protocol::Error;
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkStatus;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a sink needs of the next message. The order is the order in which sinks are asked: those that only look come
/// before those that take values away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SinkDemand {
    /// Nothing now.
    Nothing,
    /// Its JSON.
    Json,
    /// Its values.
    Values,
}

/// Where finished messages go. Called by all workers of a machine, or by one at a time if outputs are ordered.
pub(crate) trait Sink: Debug + Send + Sync {
    /// What it needs of the next message.
    fn wants(&self) -> SinkDemand;
    /// Whether it will read the JSON of this message, if it is not yet written; values go to the last sink alone.
    fn reads_json(&self, _message: &mut Finished<'_>, _is_last: bool) -> bool {
        self.wants() == SinkDemand::Json
    }
    /// Whether it takes values away, if it is the last one: then others come before it.
    fn takes_values(&self) -> bool {
        self.wants() == SinkDemand::Values
    }
    /// Takes a message. Waits only if it was told to lose none, and not after `close`.
    fn accept(&self, message: &mut Finished<'_>);
    /// What it has done.
    fn status(&self) -> SinkStatus;
    /// Changes how it works.
    ///
    /// # Errors
    /// If the description is of another kind of sink, or cannot be carried out.
    fn configure(&self, config: &SinkConfig) -> Result<(), Error>;
    /// Hands on what it has buffered; returns when that is done, or at the deadline.
    fn flush(&self, deadline: Instant);
    /// It is taken off the machine: nobody waits in `accept` any more, and what is buffered is handed on.
    fn close(&self);
    /// Whether messages go to the machine of this number, straight or by way of others.
    fn reaches(&self, _machine: u32) -> bool {
        false
    }
    /// Takes it off when the machine is told to clear its outputs. A cell's own iterator goes on until it is dropped.
    fn is_cleared(&self) -> bool {
        true
    }
    /// Whether a cell takes from it, one output after the other: it is asked after the others of its kind.
    fn comes_last(&self) -> bool {
        false
    }
}

/// A sink on a machine, with the number that its handle knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub id: u64,
    pub sink: Arc<dyn Sink>,
    /// Messages for it that wait for their turn in the order of outputs.
    pub held: Arc<AtomicU64>,
}

/// The sinks of a plan. Those that take values away come last.
pub(crate) type Sinks = Arc<[Attached]>;

/// The number of the next sink.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Hands a message to each sink in turn.
pub(crate) fn dispatch(sinks: &[Attached], finished: &mut Finished<'_>) {
    for (at, attached) in sinks.iter().enumerate() {
        finished.is_last = at + 1 == sinks.len();
        attached.sink.accept(finished);
    }
}
