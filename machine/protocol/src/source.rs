//! Descriptions of the built-in sources, and how fast a source gives its items.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The longest line, body or message that is accepted by default: 16 MiB.
pub const MAX_BYTES: usize = 16 << 20;

/// A source that is built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Description {
    /// Lines of a file.
    Lines(Lines),
    /// Standard input.
    Stdin(Stdin),
    /// A clock.
    Interval(Interval),
    /// A `ZeroMQ` publisher.
    ZmqSub(ZmqSub),
    /// An HTTP endpoint.
    Http(Http),
    /// A WebSocket.
    WebSocket(WebSocket),
}

/// How fast a source gives its items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pacing {
    /// At most this many a second.
    #[serde(default, with = "crate::number::optional")]
    pub rate: Option<f64>,
    /// By the times in the items.
    pub replay: Option<Replay>,
}

/// How items are given by the times in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Where an item has its time: `created_at`, `user.created_at`.
    pub field: String,
    /// How many times as fast as it was; 0 is as fast as possible.
    #[serde(with = "crate::number")]
    pub speed: f64,
    /// How the times are written, in strftime's letters; without it, any known way.
    #[serde(default)]
    pub format: Option<String>,
}

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct Lines {
    /// The file.
    pub path: PathBuf,
    /// Whether each line is JSON, or a text.
    pub json: bool,
    /// Whether what is appended later is read too.
    pub follow: bool,
    /// Whether what is there already is left out.
    pub from_end: bool,
    /// The longest line, bytes.
    pub max_bytes: usize,
}

impl Lines {
    /// Goes on with what is appended later, as `tail -F` does: it waits for a file that is not there yet, starts
    /// again with a file that was truncated, and goes over to the new one when the file is replaced (the old one is
    /// read to its end first). A line that has no end yet is waited for.
    ///
    /// A file that is truncated and has reached or passed its old length when the source looks again is read on from
    /// the old place: what comes before it is left out, and nothing tells. It looks every 50 ms or sooner, but not
    /// while lines that it has read wait: for a machine that is paused or stopped, for room in the queue.
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Leaves out what is in the file already, and the rest of a line that it ends within. Lines count from there on.
    pub fn from_end(mut self) -> Self {
        self.from_end = true;
        self
    }

    /// The longest line, bytes (default: [`MAX_BYTES`]). A longer one is an error of the source.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// Standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct Stdin {
    /// Whether each line is JSON, or a text.
    pub json: bool,
    /// The longest line, bytes.
    pub max_bytes: usize,
}

impl Stdin {
    /// Each line is JSON. Blank lines are left out.
    pub fn json(mut self) -> Self {
        self.json = true;
        self
    }

    /// The longest line, bytes (default: [`MAX_BYTES`]). A longer one is an error of the source.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// A clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct Interval {
    /// The time from one tick to the next.
    pub period: Duration,
}

/// What a clock gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// How many periods since the source was set. A gap tells how many ticks fell out while the machine was paused
    /// or the queue full.
    pub tick: u64,
    /// When, UTC, RFC 3339, in milliseconds.
    pub time: String,
}

/// A `ZeroMQ` publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct ZmqSub {
    /// Where it publishes: `tcp://127.0.0.1:5555`, `ipc:///run/user/1000/machine/main.pub`.
    pub endpoint: String,
    /// How the first frame of a message begins; empty: all messages.
    pub topic: String,
    /// Whether the last frame is text, not JSON.
    pub text: bool,
    /// Of another machine's outputs, only this slot's.
    pub slot: Option<usize>,
    /// The longest message, bytes: its last frame.
    pub max_bytes: usize,
}

impl ZmqSub {
    /// Takes only messages whose first frame begins so. Under `f1.` a machine publishes what its f1 gave; what f1 failed on
    /// is an error of the source.
    pub fn topic(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    /// Takes the last frame as text, not as JSON.
    pub fn text(mut self) -> Self {
        self.text = true;
        self
    }

    /// Of another machine's outputs takes what this slot gave, instead of all outputs in one array. A message that
    /// the slot failed on is an error of the source.
    pub fn slot(mut self, slot: usize) -> Self {
        self.slot = Some(slot);
        self
    }

    /// The longest message (its last frame), bytes (default: [`MAX_BYTES`], 1 GiB at most). A longer one is
    /// an error of the source.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct Http {
    /// Where it listens: `127.0.0.1:8080`, or a port alone, which is one of this computer only.
    pub address: String,
    /// The largest body, bytes.
    pub max_bytes: usize,
}

impl Http {
    /// The largest body, bytes (default: [`MAX_BYTES`], 1 GiB at most). A larger one is answered with 413.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// A WebSocket, as its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a description does nothing until it is a machine's source"]
pub struct WebSocket {
    /// The server: `ws://127.0.0.1:9000/feed`.
    pub url: String,
    /// Texts that are sent after each connect.
    pub greetings: Vec<String>,
    /// How many times it tries to connect, without a message in between, before the source fails; 0: for ever.
    pub attempts: u32,
    /// The largest message, bytes.
    pub max_bytes: usize,
}

impl WebSocket {
    /// Sends a text after each connect: many servers wait for a subscription.
    pub fn send(mut self, text: &str) -> Self {
        self.greetings.push(text.to_owned());
        self
    }

    /// Gives up after so many attempts to connect without a message in between; 0 (the default): never.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The largest message, bytes (default: [`MAX_BYTES`], 1 GiB at most). After a larger one it connects
    /// anew.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// The lines of a file, each a message of text. Ends with the file, unless it is [followed](Lines::follow).
pub fn lines(path: impl Into<PathBuf>) -> Lines {
    Lines { path: path.into(), json: false, follow: false, from_end: false, max_bytes: MAX_BYTES }
}

/// The lines of a file, each a message of JSON. Blank lines are left out.
///
/// Ends with the file, unless it is [followed](Lines::follow).
pub fn json_lines(path: impl Into<PathBuf>) -> Lines {
    Lines { json: true, ..lines(path) }
}

/// The lines of standard input, each a message of text. A program's: a notebook has none.
pub fn stdin() -> Stdin {
    Stdin { json: false, max_bytes: MAX_BYTES }
}

/// A [`Tick`] at once and after each period. Ticks that nobody can take are left out, not made up for.
pub fn interval(period: Duration) -> Interval {
    Interval { period }
}

/// What a `ZeroMQ` PUB socket sends: the last frame of each message, as JSON. Of another machine that is the array of
/// its outputs, `[in, f0, …]`.
///
/// It connects again by itself. While the machine takes nothing, messages wait with the publisher, up to its
/// high-water mark; what it then drops nobody here can count, and one that sends heartbeats ends a connection that is
/// not read for longer than it waits for an answer. A publisher whose host vanishes without closing the connection is
/// not noticed: the source stays `running`, and nothing comes.
pub fn zmq_sub(endpoint: &str) -> ZmqSub {
    ZmqSub { endpoint: endpoint.to_owned(), topic: String::new(), text: false, slot: None, max_bytes: MAX_BYTES }
}

/// An endpoint that takes `POST`s: one JSON value, or JSON Lines (`Content-Type: application/x-ndjson`).
///
/// The address is `host:port`, or a port alone, then of this computer only; port 0 is any free one, and the status
/// tells which. Answers are JSON: 202 if all was put; 429 if there was no room, with how much was `accepted` and
/// what to send again, also if the machine is to drop the newest ([`Policy::DropNewest`](crate::command::Policy)): its
/// sender gets an answer; 400 with the `line` of what is not JSON, and then nothing of the request is put; 413 if the
/// body is too large; 503 if the source was cleared meanwhile, or if 64 clients are connected already, to be sent again
/// after a second. A connection is for many requests, for a minute or so; while all 64 are taken, for one. While the machine is paused or stopped messages are
/// taken until the queue is full. Web pages of other servers are refused (403).
pub fn http(address: impl ToString) -> Http {
    Http { address: address.to_string(), max_bytes: MAX_BYTES }
}

/// What a WebSocket server sends, each message JSON. Connects again after longer and longer pauses, up to 30 s.
///
/// `ws://` only: encrypted ones need a proxy on this computer.
pub fn websocket(url: &str) -> WebSocket {
    WebSocket { url: url.to_owned(), greetings: Vec::new(), attempts: 0, max_bytes: MAX_BYTES }
}
