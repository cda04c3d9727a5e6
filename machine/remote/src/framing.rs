//! Frames on a stream: a little-endian `u32` length and that many bytes of JSON.

use machine_protocol::command::Reply;
use machine_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The longest frame, bytes.
pub const MAX_FRAME: usize = 64 << 20;

/// Writes one frame.
///
/// # Errors
/// If the stream fails, or the message is longer than [`MAX_FRAME`] ([`io::ErrorKind::FileTooLarge`]): then nothing is
/// written.
pub fn write_frame(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    let prefix = prefix.ok_or_else(|| {
        io::Error::new(io::ErrorKind::FileTooLarge, format!("a frame of {length} bytes is longer than {MAX_FRAME}"))
    })?;
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
    read_frame_at_most(from, MAX_FRAME)
}

/// As [`read_frame`], with frames of `limit` bytes at most.
///
/// # Errors
/// As [`read_frame`].
pub fn read_frame_at_most<T: for<'a> Deserialize<'a>>(from: &mut impl Read, limit: usize) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    if let Err(error) = from.read_exact(&mut head) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let length = u32::from_le_bytes(head);
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(io::Error::other(format!("a frame of {length} bytes is longer than {limit}")));
    }
    // Memory is taken as the bytes come: who announces many and sends none costs nothing.
    let mut bytes = Vec::new();
    let read = from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if read as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// What is answered in place of an answer that does not fit in a frame.
pub fn too_long() -> Reply {
    let message = format!("the answer is longer than {} MiB: ask for less", MAX_FRAME >> 20);
    Reply::Failed(Error::new(ErrorKind::TooLong, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_length_and_json() -> io::Result<()> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &[1, 22])?;
        assert_eq!(bytes, b"\x06\0\0\0[1,22]");
        assert_eq!(read_frame::<Vec<u8>>(&mut bytes.as_slice())?, Some(vec![1, 22]));
        assert_eq!(read_frame::<Vec<u8>>(&mut [].as_slice())?, None);
        Ok(())
    }

    #[test]
    fn a_bad_length_or_a_cut_is_an_error_not_a_hang() {
        assert!(read_frame::<Vec<u8>>(&mut [255; 8].as_slice()).is_err());
        assert!(read_frame::<Vec<u8>>(&mut [9, 0, 0, 0, b'['].as_slice()).is_err());
        assert!(read_frame_at_most::<Vec<u8>>(&mut b"\x02\0\0\0[]".as_slice(), 1).is_err());
    }
}
