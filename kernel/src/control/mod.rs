//! The control socket between the kernel and the runtime process.
//!
//! The kernel listens, each runtime process connects when it starts, so the kernel sees a death at once, as the end
//! of the stream. Frames and commands are those of [`remote`]; frames arrive in the order in which things happened in
//! the runtime.

pub mod client;
pub mod server;

use machine_remote as remote;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The path of the socket, in the environment of the runtime process.
pub const SOCKET_VARIABLE: &str = "MACHINE_CONTROL";

/// From the kernel to the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Carry out a command.
    Command(remote::Request),
    /// A cell is next, in a session with these variables.
    Variables {
        /// Their names.
        names: BTreeSet<String>,
    },
    /// Abandon the thread that runs a cell.
    Abandon {
        /// Comes back with the answer.
        id: u64,
    },
    /// The variables of the session are lost: evcxr is to forget them with the next code that it wants to run.
    Forget {
        /// Their names.
        names: Vec<String>,
    },
    /// The cell is over: answer once all its output is on the way.
    Ping {
        /// Comes back with the answer.
        id: u64,
    },
}

/// From the runtime to the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// What it is stands first, so that a long answer is read in one pass.
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to a command.
    Reply(remote::Answer),
    /// The answer to a ping.
    Pong {
        /// The ping's.
        id: u64,
    },
    /// The answer to `Abandon`.
    Abandoned {
        /// The request's.
        id: u64,
        /// What the thread was doing; nothing if no cell was running.
        doing: Option<String>,
    },
    /// Something happened.
    Event(Event),
}

/// Which stream of the runtime process something was printed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Printed {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happens in the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A new runtime process is there.
    Hello {
        /// Its process number.
        pid: u32,
    },
    /// Text was printed.
    Stream {
        /// Where to.
        stream: Printed,
        /// A piece of it, not necessarily whole lines.
        text: String,
    },
    /// A cell clears its output.
    Clear,
    /// A cell shows something.
    Show {
        /// Its MIME type.
        mime: String,
        /// The content; binary forms are in base64.
        content: String,
    },
    /// The cell's own code starts to run.
    Entered,
    /// The cell's own code has come to its end.
    Left,
    /// What is shown next is the value of the cell's final expression.
    Last,
    /// The cell fails.
    Fail {
        /// The name of the error.
        ename: String,
        /// Its text.
        evalue: String,
        /// The 1-based line in the cell; 0 if unknown.
        line: u32,
    },
    /// The cell's thread panicked.
    Panic {
        /// The panic's message.
        message: String,
        /// The file as the compiler names it.
        file: String,
        /// The 1-based line in it.
        line: u32,
        /// The 1-based column.
        column: u32,
    },
    /// A warning.
    Notice {
        /// One line.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine_protocol::command::Reply;
    use remote::{Answer, read_frame, write_frame};
    use std::io;

    #[test]
    fn a_frame_is_a_length_and_json() -> io::Result<()> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &Message::Pong { id: 7 })?;
        write_frame(&mut bytes, &Message::Reply(Answer { id: 8, reply: Reply::Done }))?;
        assert_eq!(
            bytes,
            b"\x11\0\0\0{\"pong\":{\"id\":7}}+\0\0\0{\"reply\":{\"id\":8,\"reply\":{\"reply\":\"done\"}}}"
        );
        Ok(())
    }

    #[test]
    fn every_message_survives() -> io::Result<()> {
        let event = Event::Stream { stream: Printed::Stderr, text: "é\n".into() };
        for message in [
            Message::Event(event),
            Message::Event(Event::Entered),
            Message::Abandoned { id: 3, doing: Some("waits in accept".into()) },
            Message::Abandoned { id: 4, doing: None },
            Message::Reply(Answer { id: 1, reply: Reply::Done }),
            Message::Reply(Answer { id: 2, reply: Reply::Count(3) }),
        ] {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, &message)?;
            assert_eq!(read_frame(&mut bytes.as_slice())?, Some(message));
        }
        Ok(())
    }
}
