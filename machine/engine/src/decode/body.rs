//! The body of an HTTP request, cut into messages.

use super::lines::{Lines, MARK};
use super::{check, describe, one_line};
use serde::de::IgnoredAny;

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBody {
    /// The line, from 1 on.
    pub line: u64,
    /// What is wrong there.
    pub why: String,
    /// The bytes of the line.
    pub bytes: Vec<u8>,
}

/// The names that JSON Lines goes by: there is no registered one.
const LINES: [&str; 10] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-lines",
    "application/x-json-stream",
    "text/x-ndjson",
    "text/jsonl",
];

/// Whether a content type says that each line is a value.
#[must_use]
pub fn is_lines(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    LINES.iter().any(|lines| kind.eq_ignore_ascii_case(lines))
}

/// The messages in a body, each with its line: JSON Lines if the content type says so, else one JSON value.
///
/// # Errors
/// The first thing that is not JSON.
pub fn messages(content_type: &str, body: &[u8]) -> Result<Vec<(u64, String)>, BadBody> {
    if is_lines(content_type) { each_line(body) } else { one(body).map(|text| vec![(1, text)]) }
}

fn each_line(body: &[u8]) -> Result<Vec<(u64, String)>, BadBody> {
    let mut lines = Lines::new(usize::MAX);
    lines.push(body);
    let mut messages = Vec::new();
    loop {
        let (line, last) = match lines.next() {
            Some(line) => (line, false),
            None => match lines.finish() {
                Some(line) => (line, true),
                None => return Ok(messages),
            },
        };
        match line.json() {
            None => {}
            Some(Ok(text)) => messages.push((line.number, text.to_owned())),
            Some(Err(why)) => return Err(BadBody { line: line.number, why, bytes: line.bytes.to_vec() }),
        }
        if last {
            return Ok(messages);
        }
    }
}

fn one(body: &[u8]) -> Result<String, BadBody> {
    let body = body.strip_prefix(MARK).unwrap_or(body);
    // Numbered as everywhere: from 1 on.
    let line_of = |at: usize| memchr::memchr_iter(b'\n', body.get(..at).unwrap_or_default()).count() as u64 + 1;
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        BadBody { line: line_of(at), why: format!("not UTF-8, byte {}", at + 1), bytes: body.to_vec() }
    })?;
    if check(text).is_ok() {
        return Ok(one_line(text).into_owned());
    }
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else { return Ok(text.to_owned()) };
    let line = u64::try_from(error.line()).unwrap_or(u64::MAX).max(1);
    let mut why = format!("not JSON: {}", describe(&error, true));
    if why.contains("trailing characters") {
        why.push_str("; for several lines send Content-Type: application/x-ndjson");
    }
    Err(BadBody { line, why, bytes: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::{is_lines, messages};

    #[test]
    fn one_value_or_one_a_line() {
        let pretty = b"{\n  \"a\": 1\r\n}\n";
        assert_eq!(messages("application/json", pretty), Ok(vec![(1, "{   \"a\": 1  } ".to_owned())]));
        let lines = b"1\n\n[2]\r\n{\"three\":3}";
        let all = messages("application/x-ndjson; charset=utf-8", lines);
        assert_eq!(all, Ok(vec![(1, "1".into()), (3, "[2]".into()), (4, "{\"three\":3}".into())]));
        assert_eq!(messages("application/x-ndjson", b""), Ok(vec![]));
        assert!(is_lines("Application/NDJSON") && is_lines("application/jsonlines; charset=utf-8"));
        assert!(!is_lines("application/json") && !is_lines(""));
        let marked = b"\xef\xbb\xbf{\"a\":1}";
        assert_eq!(messages("application/json", marked), Ok(vec![(1, "{\"a\":1}".to_owned())]));
        assert_eq!(messages("application/jsonlines", marked), Ok(vec![(1, "{\"a\":1}".to_owned())]));
    }

    #[test]
    fn names_the_first_bad_line() {
        let bad = messages("application/x-ndjson", b"1\n\n{]\n2").unwrap_err();
        assert_eq!(
            (bad.line, bad.why.as_str(), &bad.bytes[..]),
            (3, "not JSON: key must be a string, column 2", &b"{]"[..])
        );
        let bad = messages("", b"{\n\"a\": x\n}").unwrap_err();
        assert_eq!((bad.line, bad.why.as_str()), (2, "not JSON: expected value, line 2 column 6"));
        for several in [&b"1\n2\n"[..], b"1 2", b"{\"a\":1}{\"a\":2}"] {
            let why = messages("application/json", several).unwrap_err().why;
            assert!(why.ends_with("; for several lines send Content-Type: application/x-ndjson"), "{why}");
        }
        let bad = messages("", b"1\n\xff").unwrap_err();
        assert_eq!((bad.line, bad.why.as_str()), (2, "not UTF-8, byte 3"));
        assert_eq!(messages("", b"").unwrap_err().line, 1);
    }
}
