//! The control socket between the kernel and the runtime process.
//!
//! The kernel listens, each runtime process connects when it starts, so the kernel sees a death at once, as the end
//! of the stream. A frame is a little-endian `u32` length and that many bytes of JSON. Frames arrive in the order in
//! which things happened in the runtime.

pub mod client;
pub mod server;

use machine::command::{Command, Reply};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The path of the socket, in the environment of the runtime process.
pub const SOCKET_VARIABLE: &str = "MACHINE_CONTROL";

/// The longest frame, bytes.
pub const MAX_FRAME: usize = 64 << 20;

/// From the kernel to the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// Carry out a command.
    Command {
        /// Comes back with the reply.
        id: u64,
        /// What to do.
        command: Command,
    },
    /// The cell is over: answer once all its output is on the way.
    Ping {
        /// Comes back with the answer.
        id: u64,
        /// Always true.
        ping: bool,
    },
}

/// From the runtime to the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// The answer to a command.
    Reply {
        /// The command's.
        id: u64,
        /// What came of it.
        reply: Reply,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        id: u64,
        /// Always true.
        pong: bool,
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

/// Writes one frame.
///
/// # Errors
/// If the stream fails, or the message is longer than [`MAX_FRAME`].
pub fn write_frame(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let prefix =
        prefix.ok_or_else(|| io::Error::other(format!("a frame of {length} bytes is longer than {MAX_FRAME}")))?;
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = prefix.to_le_bytes();
    }
    to.write_all(&bytes)
}

/// Reads one frame; `None` at the end of the stream.
///
/// # Errors
/// If the stream fails or ends inside of a frame, or the frame is too long or is not what is expected.
pub fn read_frame<T: for<'a> Deserialize<'a>>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    if let Err(error) = from.read_exact(&mut head) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let length = u32::from_le_bytes(head);
    let length = usize::try_from(length).ok().filter(|&length| length <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::other(format!("a frame is longer than {MAX_FRAME} bytes")))?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_length_and_json() -> io::Result<()> {
        let mut bytes = Vec::new();
        let message = Message::Pong { id: 7, pong: true };
        write_frame(&mut bytes, &message)?;
        assert_eq!(bytes, b"\x14\0\0\0{\"id\":7,\"pong\":true}");
        assert_eq!(read_frame::<Message>(&mut bytes.as_slice())?, Some(message));
        assert_eq!(read_frame::<Message>(&mut [].as_slice())?, None);
        Ok(())
    }

    #[test]
    fn every_message_survives() -> io::Result<()> {
        let event = Event::Stream { stream: Printed::Stderr, text: "é\n".into() };
        for message in [
            Message::Event(event),
            Message::Event(Event::Entered),
            Message::Reply { id: 1, reply: Reply::Done },
            Message::Reply { id: 2, reply: Reply::Count(3) },
        ] {
            let mut bytes = Vec::new();
            write_frame(&mut bytes, &message)?;
            assert_eq!(read_frame(&mut bytes.as_slice())?, Some(message));
        }
        Ok(())
    }

    #[test]
    fn a_bad_length_or_a_cut_is_an_error_not_a_hang() {
        assert!(read_frame::<Message>(&mut [255; 8].as_slice()).is_err());
        assert!(read_frame::<Message>(&mut [9, 0, 0, 0, b'{'].as_slice()).is_err());
    }
}
