//! How what comes from outside becomes messages: pure functions from bytes to texts, for sources and for clients that
//! tries them with any bytes.

pub mod body;
pub mod frames;
pub mod lines;
pub mod time;
pub mod unpack;

use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Whether a text is one JSON value.
///
/// # Errors
/// What is wrong and where, in one line: `expected value, column 5`.
pub fn check(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| describe(&error, false))
}

/// What is wrong and where; the line too if the text has several.
fn describe(error: &serde_json::Error, with_line: bool) -> String {
    let text = told(&error.to_string());
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    if with_line {
        format!("{what}, line {} column {}", error.line(), error.column())
    } else {
        format!("{what}, column {}", error.column())
    }
}

/// What a parser says, in words that tell what to do. A number such as `1e999` is JSON, and goes through slots that do
/// not look at it; who does gets this.
#[must_use]
pub fn told(error: &str) -> String {
    error.replacen("number out of range", "a number is out of range (the largest is about 1.8e308)", 1)
}

/// A JSON text in one line, as a message is wherever it is written: a line feed in JSON is white space.
#[must_use]
pub fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

/// A text as it is shown beside an error: JSON text, and not long.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 1_000;
    let mut text = String::from_utf8_lossy(bytes.get(..SHOWN).unwrap_or(bytes)).into_owned();
    if bytes.len() > SHOWN {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    quote(&text)
}

/// A text as JSON.
#[must_use]
pub fn quote(text: &str) -> String {
    // A string always serialises.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{check, excerpt};

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(check(r#"{"a":1}"#), Ok(()));
        assert_eq!(check(r#"{"a":}"#), Err("expected value, column 6".to_owned()));
        assert_eq!(check(""), Err("EOF while parsing a value, column 0".to_owned()));
        assert_eq!(check("1 2"), Err("trailing characters, column 3".to_owned()));
        // JSON itself has no largest number.
        assert_eq!(check("[1e999]"), Ok(()));
    }

    #[test]
    fn an_excerpt_is_json_and_short() {
        assert_eq!(excerpt(b"a\"b\xff"), "\"a\\\"b\u{fffd}\"");
        let long = excerpt(&vec![b'x'; 5_000_000]);
        assert!(long.len() < 1_100 && long.ends_with("… (5000000 bytes)\""), "{long}");
    }
}
