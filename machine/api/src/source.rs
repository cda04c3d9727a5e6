//! Sources: what a machine takes its messages from, by itself, on a separate thread.
//!
//! [`Machine::source`](crate::Machine::source) takes any iterator, a function that makes one, and what is built in
//! here: the lines of a file ([`lines`], [`json_lines`]), standard input ([`stdin`]), a clock ([`interval`]), a
//! `ZeroMQ` publisher ([`zmq_sub`]), an HTTP endpoint ([`http`]) and a WebSocket ([`websocket`]).
//!
//! ```no_run
//! use machine::prelude::*;
//! # machine_engine::init();
//! MACHINE.source(1..=1_000)?; // any iterator
//! MACHINE.drain(); // it has an end
//! MACHINE.source(|| 1..=1_000)?; // a function: called again by each `start` after a `stop`
//! MACHINE.clear_source();
//! MACHINE.source(source::json_lines("tweets.jsonl").follow())?; // built in
//! MACHINE.clear_source();
//! MACHINE.source(source::json_lines("tweets.jsonl").rate(100.0))?; // at most 100 a second
//! MACHINE.clear_source();
//! MACHINE.source(source::json_lines("tweets.jsonl").replay("created_at", 60.0))?; // a minute in a second
//! # Ok::<(), machine::Error>(())
//! ```
//!
//! A machine has one source at a time: one that has ended makes way for the next, one that runs has to be cleared.
//! A source waits while the queue is full and while the machine does not run, so nothing is dropped; an endpoint
//! refuses instead. Messages of what is built in are JSON: the first slot takes them as its own type, `&Tweet`,
//! `&Value`, for lines of text `&str`. What is not JSON is an error of the source: it is counted, kept as a dead
//! letter of slot `source`, and the source goes on.

use crate::abi::SourceDesc;
use crate::shim::{self, raw};
use machine_protocol::command::{Command, Target};
use machine_protocol::encode;
pub use machine_protocol::source::*;
use serde::Serialize;

/// A source, its types erased.
#[derive(Debug)]
pub struct Source {
    what: What,
    pacing: Pacing,
}

#[derive(Debug)]
enum What {
    Iterator(SourceDesc),
    BuiltIn(Description),
}

impl Source {
    /// Makes it the source of a machine; the answer is a reply.
    pub(crate) fn set(self, machine: u32) -> Vec<u8> {
        match self.what {
            What::Iterator(desc) => {
                let pacing = self.pacing.to_json();
                raw::source(machine, desc, &pacing)
            }
            What::BuiltIn(source) => {
                let command = Command::SetSource { machine: Target::Id(machine), source, pacing: self.pacing };
                raw::command(&encode(&command))
            }
        }
    }
}

/// What can be a machine's source: any iterator, a function that makes one, and what is built in.
///
/// `Marker` is inferred; it keeps the implementations apart.
#[diagnostic::on_unimplemented(
    message = "a machine cannot take its messages from `{Self}`",
    label = "not a source",
    note = "a source is an iterator, a function without arguments that makes one, or one of `machine::source`",
    note = "it must be `Send + 'static`, and its items `Serialize + Send + 'static`"
)]
pub trait IntoSource<Marker>: Sized {
    /// Erases the types.
    fn into_source(self) -> Source;
}

/// Marks an iterator.
#[derive(Debug)]
pub struct ByIterator;
/// Marks a function that makes an iterator.
#[derive(Debug)]
pub struct ByFunction;
/// Marks what is built in.
#[derive(Debug)]
pub struct BuiltIn;
/// Marks a source with a pace.
#[derive(Debug)]
pub struct ByPace<Marker>(std::marker::PhantomData<Marker>);

impl<I> IntoSource<ByIterator> for I
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    fn into_source(self) -> Source {
        Source { what: What::Iterator(shim::source(self.into_iter())), pacing: Pacing::default() }
    }
}

impl<F, I> IntoSource<(ByFunction, I)> for F
where
    F: FnMut() -> I + Send + 'static,
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Serialize + Send + 'static,
{
    fn into_source(mut self) -> Source {
        let desc = shim::source_again(move || self().into_iter());
        Source { what: What::Iterator(desc), pacing: Pacing::default() }
    }
}

impl IntoSource<BuiltIn> for Description {
    fn into_source(self) -> Source {
        Source { what: What::BuiltIn(self), pacing: Pacing::default() }
    }
}

macro_rules! built_in {
    ($($name:ident),*) => { $(
        impl IntoSource<BuiltIn> for $name {
            fn into_source(self) -> Source {
                Description::$name(self).into_source()
            }
        }
    )* };
}
built_in!(Lines, Stdin, Interval, ZmqSub, Http, WebSocket);

/// A source with a pace.
#[derive(Debug)]
#[must_use = "it does nothing until it is a machine's source"]
pub struct Paced<S> {
    source: S,
    pacing: Pacing,
}

impl<S> Paced<S> {
    /// How the times of a [`replay`](Pace::replay) are written, in strftime's letters: `"%d/%m/%Y %H:%M:%S"`, UTC unless
    /// the format has a zone.
    pub fn format(mut self, format: &str) -> Self {
        if let Some(replay) = &mut self.pacing.replay {
            replay.format = Some(format.to_owned());
        }
        self
    }
}

impl<M, S: IntoSource<M>> IntoSource<ByPace<M>> for Paced<S> {
    fn into_source(self) -> Source {
        let mut source = self.source.into_source();
        source.pacing.rate = self.pacing.rate.or(source.pacing.rate);
        source.pacing.replay = self.pacing.replay.or(source.pacing.replay);
        source
    }
}

/// Gives a source a pace. What belongs to the source itself ([`Lines::follow`]) is said before.
pub trait Pace<Marker>: IntoSource<Marker> {
    /// At most so many items a second, evenly; more than 0, or it is no source. An endpoint answers 429 to what comes
    /// faster.
    fn rate(self, per_second: f64) -> Paced<Self> {
        Paced { source: self, pacing: Pacing { rate: Some(per_second), replay: None } }
    }

    /// As fast as the items came into being, `speed` times: each waits until as much time has gone by since the
    /// first as their times are apart, divided by `speed`. 0 and infinity are as fast as possible.
    ///
    /// `field` says where an item has its time: `created_at`, or `user.created_at` for one further inside. The time
    /// is RFC 3339 or another ISO 8601 time, RFC 2822, an HTTP or SQL date, Twitter's `Wed Oct 10 20:19:24 +0000 2018`
    /// (UTC where no zone is written), or a number, also as text, since 1970: seconds up to 10¹¹, milliseconds up to
    /// 10¹⁴, microseconds up to 10¹⁷, nanoseconds beyond. [`format`](Paced::format) reads any other.
    ///
    /// An item without a time is given immediately and the status counts it. Once more than ten items and one in ten
    /// have none, each further one is also an error of the source.
    fn replay(self, field: &str, speed: f64) -> Paced<Self> {
        let speed = if speed.is_infinite() { 0.0 } else { speed };
        Paced {
            source: self,
            pacing: Pacing { rate: None, replay: Some(Replay { field: field.to_owned(), speed, format: None }) },
        }
    }
}

impl<M, S: IntoSource<M>> Pace<M> for S {}
