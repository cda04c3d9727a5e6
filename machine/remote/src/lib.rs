//! The machines of a process, commanded from other processes of the same user: framing, client, discovery.
//!
//! Every process with an engine listens on a Unix socket that only its user can reach ([`place`]), unless
//! `MACHINE_REMOTE=off` is in its environment. A client that connects first reads who listens ([`Hello`]), then sends
//! commands ([`Request`]) and reads their answers ([`Answer`]), one after the other, all of them [frames](write_frame).
//! [`processes`] and [`attach`] are that client.
//!
//! Rooms, lowest first: `framing`, `timed`, `peer`, `place`, `client`, `web_page`.

mod client;
mod framing;
mod peer;
pub mod place;
mod timed;
pub mod web_page;

pub use client::{Machines, Process, attach, processes};
pub use framing::{MAX_FRAME, read_frame, read_frame_at_most, too_long, write_frame};
pub use peer::check as check_peer;
pub use place::{DIRECTORY_VARIABLE, control};
pub use timed::Timed;

use machine_protocol::command::{Command, Reply};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Removes the sockets of this process, those of publishers too: it is about to end. Processes that end otherwise leave
/// theirs to the next one, which sweeps.
pub fn close() {
    place::remove_all();
}

/// Removes the sockets of processes that are gone. Waits for that at most for a time: a process that hangs blocks a client that
/// connects to it.
pub fn sweep(limit: Duration) {
    place::sweep_within(limit);
}

/// The version of what is said on the socket.
pub const PROTOCOL: u32 = 1;

/// Who listens: the first frame of every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The process.
    pub pid: u32,
    /// What runs in it, for people: a notebook, a pipeline's file, a program.
    pub title: String,
    /// Its working directory.
    pub directory: String,
}

/// A command with a number of the sender's choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back with the answer.
    pub id: u64,
    /// What to do.
    pub command: Command,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub id: u64,
    /// The reply.
    pub reply: Reply,
}
