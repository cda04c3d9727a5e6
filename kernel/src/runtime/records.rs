//! What was printed and not yet handed on, in the order in which it was printed.

use crate::control::Printed;
use std::io::IoSlice;

/// How many bytes there is room for.
const BYTES: usize = 1 << 20;
/// How many records there is room for.
const RECORDS: usize = 1 << 14;

/// Who printed something, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The stream.
    pub stream: Printed,
    /// Whether it was a cell's own code, and not a slot, a thread that the cell has started, or another process.
    pub cell: bool,
    /// What distinguishes the thread from the others; 0 where it is not known.
    pub thread: usize,
}

/// A bounded list of records. Adding one allocates nothing, so that any thread may do it at any time.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    heads: Vec<(Source, usize)>,
}

impl Records {
    /// An empty list with all its room.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(BYTES), heads: Vec::with_capacity(RECORDS) }
    }

    /// Adds what one call has printed. Returns whether there was room; else nothing was added.
    pub fn push(&mut self, source: Source, parts: &[IoSlice<'_>]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > BYTES - self.bytes.len() {
            return false;
        }
        if let Some((_, total)) = self.heads.last_mut().filter(|(last, _)| *last == source) {
            *total += length;
        } else if self.heads.len() == RECORDS {
            return false;
        } else {
            self.heads.push((source, length));
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        true
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Takes all records out, in order.
    pub fn drain(&mut self, mut give: impl FnMut(Source, &[u8])) {
        let mut rest = self.bytes.as_slice();
        for (source, length) in self.heads.drain(..) {
            let (bytes, after) = rest.split_at(length.min(rest.len()));
            give(source, bytes);
            rest = after;
        }
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(stream: Printed, thread: usize) -> Source {
        Source { stream, cell: false, thread }
    }

    #[test]
    fn records_keep_their_order_and_those_of_one_source_are_joined() {
        let mut records = Records::new();
        let (out, err) = (source(Printed::Stdout, 1), source(Printed::Stderr, 1));
        for (source, text) in [(out, "a"), (out, "b"), (err, "c"), (out, "d")] {
            assert!(records.push(source, &[IoSlice::new(text.as_bytes()), IoSlice::new(b"\n")]));
        }
        let mut all = Vec::new();
        records.drain(|source, bytes| all.push((source.stream, String::from_utf8_lossy(bytes).into_owned())));
        let expected = [(Printed::Stdout, "a\nb\n"), (Printed::Stderr, "c\n"), (Printed::Stdout, "d\n")];
        assert_eq!(all, expected.map(|(stream, text)| (stream, text.to_owned())));
        assert!(records.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_left_out_as_a_whole() {
        let mut records = Records::new();
        let big = vec![b'x'; BYTES];
        assert!(records.push(source(Printed::Stdout, 1), &[IoSlice::new(b"ab")]));
        assert!(!records.push(source(Printed::Stdout, 1), &[IoSlice::new(b"c"), IoSlice::new(&big)]));
        for thread in 2..=RECORDS {
            assert!(records.push(source(Printed::Stdout, thread), &[IoSlice::new(b"x")]));
        }
        assert!(!records.push(source(Printed::Stderr, 1), &[IoSlice::new(b"y")]));
        let mut total = 0;
        records.drain(|_, bytes| total += bytes.len());
        assert_eq!(total, 2 + RECORDS - 1);
        assert!(records.push(source(Printed::Stdout, 1), &[IoSlice::new(&big)]), "there is room again");
    }
}
