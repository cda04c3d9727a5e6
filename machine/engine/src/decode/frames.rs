//! The frames of a `ZeroMQ` message.

use super::{check, one_line, quote};
use serde_json::value::RawValue;

/// How a machine begins what stands in place of a missing output.
pub const EXCEPTION: &str = "{\"_exception\":";

/// How many digits an oid has.
const OID: usize = 24;

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
    let mut frames = frames.into_iter();
    let Some(topic) = frames.next() else { return Err("a message without frames".to_owned()) };
    let last = frames.last().unwrap_or(topic);
    let text = std::str::from_utf8(last).map_err(|error| format!("not UTF-8, byte {}", error.valid_up_to() + 1))?;
    match read {
        Read::Text => Ok(quote(text)),
        Read::Json => {
            check(text).map_err(|why| format!("not JSON: {why}"))?;
            match slot_of(topic) {
                Some(slot) => given(text, slot),
                None => Ok(one_line(text).into_owned()),
            }
        }
        Read::Slot(slot) => output(text, slot),
    }
}

/// The slot whose outputs a machine publishes under a topic: 1 of `f1.<oid>`.
fn slot_of(topic: &[u8]) -> Option<usize> {
    let (slot, oid) = std::str::from_utf8(topic).ok()?.strip_prefix('f')?.split_once('.')?;
    if oid.len() == OID { slot.parse().ok() } else { None }
}

/// What a slot gave, unless it failed.
fn given(output: &str, slot: usize) -> Result<String, String> {
    if output.starts_with(EXCEPTION) {
        return Err(format!("f{slot} failed: {output}"));
    }
    Ok(one_line(output).into_owned())
}

/// What a slot gave, of a machine's outputs `[in, f0, …]`.
fn output(text: &str, slot: usize) -> Result<String, String> {
    let outputs: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("not a machine's outputs: {}", super::describe(&error, false)))?;
    let Some(output) = outputs.get(slot.saturating_add(1)) else {
        return Err(format!("no f{slot}: there are {} outputs", outputs.len().saturating_sub(1)));
    };
    given(output.get(), slot)
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

    #[test]
    fn what_a_slot_has_failed_on_is_no_message_under_its_topic() {
        let read = |topic: &str, text: &str| message([topic.as_bytes(), text.as_bytes()], Read::Json);
        let (topic, failed) = ("f12.69200000aaaaaaaa00000001", "{\"_exception\":{}}");
        assert_eq!(read(topic, "{\"a\":1}"), Ok("{\"a\":1}".to_owned()));
        assert_eq!(read(topic, failed), Err("f12 failed: {\"_exception\":{}}".to_owned()));
        // Of others it is a message like any other.
        for other in ["f.69200000aaaaaaaa00000001", "f1.x", "f1", "69200000aaaaaaaa00000001", ""] {
            assert_eq!(read(other, failed), Ok(failed.to_owned()), "{other}");
        }
        assert_eq!(message([failed.as_bytes()], Read::Json), Ok(failed.to_owned()));
    }
}
