//! The frames of a `ZeroMQ` message.

use super::{check, one_line, quote};
use serde_json::value::RawValue;

/// What is read from the frames of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The last frame, JSON.
    Json,
    /// The last frame, text.
    Text,
    /// Of another machine's outputs what this slot gave.
    Slot(usize),
}

/// The JSON text of the message in these frames.
///
/// # Errors
/// Why it is none, in one line.
pub fn message<'f>(frames: impl IntoIterator<Item = &'f [u8]>, read: Read) -> Result<String, String> {
    let Some(last) = frames.into_iter().last() else { return Err("a message without frames".to_owned()) };
    let text = std::str::from_utf8(last).map_err(|error| format!("not UTF-8, byte {}", error.valid_up_to() + 1))?;
    match read {
        Read::Text => Ok(quote(text)),
        Read::Json => {
            check(text).map_err(|why| format!("not JSON: {why}"))?;
            Ok(one_line(text).into_owned())
        }
        Read::Slot(slot) => output(text, slot),
    }
}

/// What a slot gave, of a machine's outputs `[in, f0, …]`.
fn output(text: &str, slot: usize) -> Result<String, String> {
    let outputs: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("not a machine's outputs: {}", super::describe(&error, false)))?;
    let Some(output) = outputs.get(slot.saturating_add(1)) else {
        return Err(format!("no f{slot}: there are {} outputs", outputs.len().saturating_sub(1)));
    };
    let output = output.get();
    if output.starts_with("{\"_exception\"") {
        return Err(format!("f{slot} failed: {output}"));
    }
    Ok(one_line(output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Read, message};

    #[test]
    fn the_last_frame_counts() {
        let frames: [&[u8]; 2] = [b"69200000aaaaaaaa00000001", b"[1,2,{\"_exception\":{}}]"];
        assert_eq!(message(frames, Read::Json), Ok("[1,2,{\"_exception\":{}}]".to_owned()));
        assert_eq!(message(frames, Read::Slot(0)), Ok("2".to_owned()));
        assert_eq!(message(frames, Read::Slot(1)), Err("f1 failed: {\"_exception\":{}}".to_owned()));
        assert_eq!(message(frames, Read::Slot(2)), Err("no f2: there are 2 outputs".to_owned()));
        assert_eq!(message([&b"say \"hi\""[..]], Read::Text), Ok("\"say \\\"hi\\\"\"".to_owned()));
        assert_eq!(message([&b"{"[..]], Read::Json).unwrap_err(), "not JSON: EOF while parsing an object, column 1");
        assert_eq!(message([&b"\xff"[..]], Read::Text), Err("not UTF-8, byte 1".to_owned()));
        assert!(message([], Read::Json).is_err());
    }
}
