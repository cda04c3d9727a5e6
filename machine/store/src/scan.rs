//! Reading frames of a file one after the other, over damaged bytes.

use crate::disk::DiskFile;
use crate::frame::{self, ALIGNMENT, Salt};
use crate::header::HEADER;
use crate::record::{Record, SMALLEST};
use std::io;
use std::sync::Arc;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Bytes in which no record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they begin, in bytes from the file's beginning.
    pub from: u64,
    /// Where they end.
    pub to: u64,
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// A record: its number, and where it ends. [`Scan::record`] has the rest.
    Record(u64, u64),
    /// Bytes without one, with a record behind them.
    Gap(Gap),
    /// Nothing valid follows; so many bytes do.
    End(u64),
}

/// Reads the records of a segment.
///
/// Where a record is damaged the next one is looked for at each multiple of 8 bytes. It must have a number above the last
/// one's, and not further above than records could have been in between.
#[derive(Debug)]
pub struct Scan {
    window: Window,
    salt: Salt,
    /// The smallest number that the next record can have.
    next: u64,
    /// The size of the record that was found last; it ends where the next one begins.
    size: usize,
}

impl Scan {
    /// From the first record, which has the number `next` or a later one, to `end`, in bytes from the file's beginning.
    pub fn new(file: Arc<dyn DiskFile>, salt: Salt, next: u64, end: u64) -> Self {
        let start = HEADER as u64;
        Self { window: Window { file, bytes: Vec::new(), start, at: 0, end: end.max(start) }, salt, next, size: 0 }
    }

    /// Reads up to a later end from now on: more was written.
    pub const fn extend(&mut self, end: u64) {
        self.window.end = end;
    }

    /// The record that [`next`](Self::next) found last; `None` if it found none.
    pub fn record(&self) -> Option<Record<'_>> {
        let start = self.window.at.checked_sub(self.size)?;
        Record::of_frame(self.window.bytes.get(start..self.window.at)?)
    }

    /// The next record, or the bytes without one up to it, or the end; the end again and again, unless more was written.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next(&mut self) -> io::Result<Scanned> {
        self.size = 0;
        let from = self.window.place();
        loop {
            match self.size_here(from)? {
                Some((_, seq)) if self.window.place() > from => {
                    self.next = seq;
                    return Ok(Scanned::Gap(Gap { from, to: self.window.place() }));
                }
                Some((size, seq)) => {
                    self.window.at += size;
                    (self.next, self.size) = (seq + 1, size);
                    return Ok(Scanned::Record(seq, self.window.place()));
                }
                None => {
                    if self.window.fill(ALIGNMENT + 1)? <= ALIGNMENT {
                        self.window.go_to(from);
                        return Ok(Scanned::End(self.window.end - from));
                    }
                    self.window.at += ALIGNMENT;
                }
            }
        }
    }

    /// The size and the number of the record here, if there is one that can follow.
    fn size_here(&mut self, from: u64) -> io::Result<Option<(usize, u64)>> {
        if self.window.fill(SMALLEST)? < SMALLEST {
            return Ok(None);
        }
        // No more records than fit into the bytes that were left out.
        let most = self.next.saturating_add((self.window.place() - from) / SMALLEST as u64).min(u64::MAX - 1);
        let seq = Record::peek_seq(self.window.rest()).filter(|seq| (self.next..=most).contains(seq));
        let (Some(seq), Some(size)) = (seq, frame::length(self.window.rest())) else { return Ok(None) };
        if self.window.fill(size)? < size {
            return Ok(None);
        }
        Ok(Record::decode(self.salt, self.window.rest()).is_ok().then_some((size, seq)))
    }
}

/// The part of a file that is in memory.
#[derive(Debug)]
struct Window {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    /// Where `bytes` begin in the file.
    start: u64,
    /// Where to go on, in `bytes`.
    at: usize,
    /// What is behind is not read.
    end: u64,
}

impl Window {
    const fn place(&self) -> u64 {
        self.start + self.at as u64
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn go_to(&mut self, place: u64) {
        self.bytes.clear();
        (self.start, self.at) = (place, 0);
    }

    /// Has so many bytes in memory, if there are; gives back how many there are.
    fn fill(&mut self, needed: usize) -> io::Result<usize> {
        if self.rest().len() >= needed {
            return Ok(self.rest().len());
        }
        self.start += self.at as u64;
        self.bytes.drain(..self.at);
        self.at = 0;
        let have = self.bytes.len();
        // A damaged length must not ask for memory that the file has no bytes for.
        let left = self.end.saturating_sub(self.start);
        let wanted = needed.max(CHUNK).min(usize::try_from(left).unwrap_or(usize::MAX)).max(have);
        self.bytes.resize(wanted, 0);
        let read = self.file.read_at(self.bytes.get_mut(have..).unwrap_or_default(), self.start + have as u64)?;
        self.bytes.truncate(have + read);
        Ok(self.bytes.len())
    }
}
