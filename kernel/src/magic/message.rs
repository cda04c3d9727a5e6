//! The JSON of `%put` and `%call`: where it ends, and what is wrong with it.

use super::magic_error::{MagicError, quote};
use machine_engine::decode::told;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadJson {
    /// Bytes before the place.
    offset: usize,
    /// One line.
    message: String,
}

impl BadJson {
    /// As a usage error; the message `text` stands at byte `start` of the line.
    pub fn at(self, start: usize, text: &str) -> MagicError {
        let place = start + self.offset;
        let width = text.get(self.offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let column = text.get(..self.offset).map_or(1, |before| before.chars().count() + 1);
        MagicError::usage(
            format!("invalid JSON at line 1, column {column}: {}{}", self.message, hint(text)),
            Some(place..place + width),
        )
    }
}

/// The length in bytes of the JSON value that `text` begins with.
///
/// # Errors
/// If it doesn't begin with one.
pub fn length(text: &str) -> Result<usize, BadJson> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(values.byte_offset()),
        Some(Err(error)) => Err(BadJson { offset: offset(text, &error), message: without_place(&error) }),
        None => Err(BadJson { offset: 0, message: "there is no value".to_owned() }),
    }
}

/// Something that is no option follows the value.
pub fn trailing(text: &str, length: usize) -> BadJson {
    let rest = text.get(length..).unwrap_or_default();
    let offset = length + rest.len() - rest.trim_start().len();
    BadJson { offset, message: format!("the value is over, but {} follows", quote(rest.trim())) }
}

/// `serde_json` counts lines and columns from 1, columns in bytes; 0 is before the first.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let place = if error.is_eof() { text.len() } else { error.column().saturating_sub(1) };
    text.floor_char_boundary(place)
}

fn without_place(error: &serde_json::Error) -> String {
    let text = told(&error.to_string());
    text.split_once(" at line").map_or(text.as_str(), |(message, _)| message).to_owned()
}

/// What a user who writes this probably wants.
fn hint(text: &str) -> &'static str {
    match text.chars().next() {
        Some('\'') => "; text stands in double quotes: \"…\"",
        Some(c) if c.is_alphabetic() && !["true", "false", "null"].iter().any(|word| text.starts_with(word)) => {
            "; text stands in double quotes: \"…\""
        }
        Some('.') => "; a number begins with a digit: 0.5",
        _ => "",
    }
}
