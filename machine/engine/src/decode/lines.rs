//! Bytes in pieces of any size, cut into lines.

use super::check;

/// How much of a line that is too long is kept.
const HEAD: usize = 2_000;
/// How much of it is given: the same, whatever pieces it came in.
const SHOWN: usize = HEAD - MARK.len() - 1;
/// The mark that some programs begin a text with.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts bytes into lines, whatever pieces they come in. Memory is bounded by the longest line.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no line feed.
    looked: usize,
    /// Lines given so far.
    number: u64,
    most: usize,
    /// Bytes of a line that is too long; the buffer then holds its head.
    dropped: Option<usize>,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1 on.
    pub number: u64,
    /// Its text without the end (`\n`, `\r\n`), or why it has none.
    pub text: Result<&'a str, Fault>,
    /// Its bytes, without the end; the first ones if it is too long.
    pub bytes: &'a [u8],
}

/// Why a line is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is no UTF-8 from this column on, counted in bytes from 1.
    NotUtf8 {
        /// The column.
        column: usize,
    },
    /// It is too long.
    TooLong {
        /// How long it is, bytes.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotUtf8 { column } => write!(f, "not UTF-8, column {column}"),
            Self::TooLong { bytes, most } => write!(f, "{bytes} bytes long: it may be {most} (max_bytes)"),
        }
    }
}

impl Line<'_> {
    /// The line as JSON; `None` if it is blank.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn json(&self) -> Option<Result<&str, String>> {
        match &self.text {
            Ok(text) if text.trim_ascii().is_empty() => None,
            Ok(text) => Some(check(text).map(|()| *text).map_err(|why| format!("not JSON: {why}"))),
            Err(fault) => Some(Err(fault.to_string())),
        }
    }
}

impl Lines {
    /// Lines of at most `most` bytes each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, looked: 0, number: 0, most, dropped: None }
    }

    /// Adds bytes. Take all lines out before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.looked -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line.
    #[expect(clippy::should_implement_trait, reason = "it lends the line, which an `Iterator` cannot")]
    pub fn next(&mut self) -> Option<Line<'_>> {
        let found = self.buffer.get(self.looked..).and_then(|rest| memchr::memchr(b'\n', rest));
        let Some(found) = found else {
            self.shrink();
            return None;
        };
        let end = self.looked + found;
        Some(self.line(end, end + 1))
    }

    /// The last line, if it has no end. After it only [`restart`](Self::restart) makes sense.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        let end = self.buffer.len();
        (self.start < end || self.dropped.is_some()).then(|| self.line(end, end))
    }

    /// Goes on with what has not been given yet, as line 1 of lines of at most `most` bytes each.
    pub fn resume(&mut self, most: usize) {
        self.most = most;
        self.number = 0;
    }

    /// Begins a new text, with line 1.
    pub fn restart(&mut self) {
        *self = Self::new(self.most);
    }

    fn line(&mut self, end: usize, next: usize) -> Line<'_> {
        self.number += 1;
        let begin = std::mem::replace(&mut self.start, next);
        self.looked = next;
        let whole = self.buffer.get(begin..end).unwrap_or_default();
        let dropped = self.dropped.take();
        let bytes = if next > end { whole.strip_suffix(b"\r").unwrap_or(whole) } else { whole };
        let bytes = if self.number == 1 { bytes.strip_prefix(MARK).unwrap_or(bytes) } else { bytes };
        if dropped.is_some() || bytes.len() > self.most {
            let length = whole.len() + dropped.unwrap_or(0);
            let text = Err(Fault::TooLong { bytes: length, most: self.most });
            return Line { number: self.number, text, bytes: bytes.get(..SHOWN).unwrap_or(bytes) };
        }
        let text = std::str::from_utf8(bytes).map_err(|error| Fault::NotUtf8 { column: error.valid_up_to() + 1 });
        Line { number: self.number, text, bytes }
    }

    /// Of a line that is too long already keeps the head alone.
    fn shrink(&mut self) {
        let length = self.buffer.len() - self.start;
        if length > self.most.max(HEAD).saturating_add(MARK.len() + 1) || (self.dropped.is_some() && length > HEAD) {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.truncate(HEAD);
            *self.dropped.get_or_insert(0) += length - self.buffer.len();
        }
        self.looked = self.buffer.len();
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Lines};
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]], most: usize) -> Vec<(u64, Result<String, Fault>, Vec<u8>)> {
        let mut lines = Lines::new(most);
        let mut all = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next() {
                all.push((line.number, line.text.map(str::to_owned), line.bytes.to_vec()));
            }
        }
        if let Some(line) = lines.finish() {
            all.push((line.number, line.text.map(str::to_owned), line.bytes.to_vec()));
        }
        all
    }

    fn texts(bytes: &[u8]) -> Vec<Result<String, Fault>> {
        cut(&[bytes], 10).into_iter().map(|(_, text, _)| text).collect()
    }

    #[test]
    fn ends_of_lines_marks_and_faults() {
        assert_eq!(texts(b""), []);
        assert_eq!(texts(b"\n"), [Ok(String::new())]);
        assert_eq!(texts(b"a\r\nb\n\nc"), ["a", "b", "", "c"].map(|s| Ok(s.to_owned())));
        assert_eq!(texts(b"\xef\xbb\xbfa\n"), [Ok("a".to_owned())]);
        assert_eq!(texts(b"ab\xff\nc"), [Err(Fault::NotUtf8 { column: 3 }), Ok("c".to_owned())]);
        assert_eq!(texts(b"0123456789\r\n"), [Ok("0123456789".to_owned())]);
        assert_eq!(texts(b"0123456789a\n"), [Err(Fault::TooLong { bytes: 11, most: 10 })]);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let mut lines = Lines::new(1_000);
        for _ in 0..1_000 {
            lines.push(&[b'x'; 10_000]);
            assert_eq!(lines.next(), None);
            assert!(lines.buffer.capacity() < 50_000);
        }
        lines.push(b"\n1\n");
        assert_eq!(lines.next().map(|l| l.text), Some(Err(Fault::TooLong { bytes: 10_000_000, most: 1_000 })));
        assert_eq!(lines.next().map(|l| (l.number, l.text)), Some((2, Ok("1"))));
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..30),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\xef\xbb\xbf".to_vec()),
            (0_usize..5_000).prop_map(|n| vec![b'x'; n]),
        ]
    }

    proptest! {
        /// What is given does not depend on the pieces that the bytes came in.
        #[test]
        fn pieces_do_not_matter(
            pieces in proptest::collection::vec(piece(), 0..20),
            most in prop_oneof![0_usize..40, 1_900_usize..2_100, Just(4_000)],
            size in 1_usize..300,
        ) {
            let whole = pieces.concat();
            let several: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let even: Vec<&[u8]> = whole.chunks(size).collect();
            prop_assert_eq!(cut(&several, most), cut(&[&whole], most));
            prop_assert_eq!(cut(&even, most), cut(&[&whole], most));
        }
    }
}
