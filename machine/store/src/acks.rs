//! `acked.log`: which records are finished, how often one was tried, how far the log is synced, and checkpoints.
//!
//! The frames of a file with a header; the first byte of a body says what it is, seven zeros follow, integers are
//! little-endian:
//!
//! | first byte | |
//! |---|---|
//! | 1 | finished: pairs of sequence numbers, from and to (exclusive) |
//! | 2 | attempts: pairs of a sequence number and a count |
//! | 3 | a checkpoint: JSON |
//! | 4 | synced: all records below this sequence number survive a power cut |
//!
//! What it says stays true, so a damaged frame is left out: then something is done again.

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::frame::{self, ALIGNMENT, Fields, Salt};
use crate::header::{Content, HEADER, Header, Unreadable};
use rangemap::RangeSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The file.
pub const NAME: &str = "acked.log";
/// It is written anew under this name.
pub const NEW: &str = "acked.new";
/// The length above which it is written anew, in bytes.
const LONG: u64 = 1 << 20;

const FINISHED: u8 = 1;
const ATTEMPTS: u8 = 2;
const CHECKPOINT: u8 = 3;
const SYNCED: u8 = 4;

/// What a machine was like at a moment; the newest two are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The next sequence number.
    pub next_seq: u64,
    /// Whether the log was closed then: it has all that was ever appended.
    pub is_closed: bool,
    /// What the machine keeps of itself: counters, positions of sources, slots.
    #[serde(default)]
    pub machine: serde_json::Value,
}

/// What `acked.log` says.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Acknowledged {
    /// The numbers with which nothing is left to do: their records are finished, or were reported as lost by an earlier
    /// recovery, or the numbers were left out.
    pub done: RangeSet<u64>,
    /// How often a record was in a slot when its process ended.
    pub attempts: BTreeMap<u64, u32>,
    /// All records below this number survive a power cut.
    pub synced: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    pub(crate) previous: Option<Checkpoint>,
    /// Frames that were damaged, each left out.
    pub damaged: u64,
}

/// `acked.log`, open for writing.
#[derive(Debug)]
pub struct Acks {
    disk: Arc<dyn Disk>,
    header: Header,
    file: Arc<dyn DiskFile>,
    length: u64,
    known: Acknowledged,
    /// Something known is not in the file, so it must be written anew.
    is_behind: bool,
    is_poisoned: bool,
}

impl Acknowledged {
    /// Reads the file; `None` if there is none, or its header is damaged.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Option<(Header, Self)>> {
        let reading = |error| Error::io(format_args!("read {NAME}"), error);
        let file = match disk.open(NAME) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(reading)?,
        };
        let mut bytes = vec![0; usize::try_from(file.length().map_err(reading)?).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, 0).map_err(reading)?;
        bytes.truncate(read);
        match Header::decode(&bytes) {
            Ok(header) if header.content == Content::Acknowledgements => {
                let mut known = Self::default();
                known.take(header.salt, bytes.get(HEADER..).unwrap_or_default());
                Ok(Some((header, known)))
            }
            Err(Unreadable::Newer(version)) => Err(crate::newer(NAME, version)),
            _ => Ok(None),
        }
    }

    fn take(&mut self, salt: Salt, mut bytes: &[u8]) {
        let mut was_damaged = false;
        while !bytes.is_empty() {
            let size = match frame::decode(salt, bytes) {
                Ok((body, size)) => {
                    // A torn end is not damage; something behind it is.
                    self.damaged += u64::from(was_damaged);
                    was_damaged = self.take_body(body).is_none();
                    size
                }
                Err(_) => {
                    was_damaged = true;
                    ALIGNMENT
                }
            };
            bytes = bytes.get(size..).unwrap_or_default();
        }
    }

    fn take_body(&mut self, body: &[u8]) -> Option<()> {
        let mut fields = Fields(body);
        let [kind, ..] = fields.take::<8>()?;
        match kind {
            FINISHED => {
                while let Some(from) = fields.u64() {
                    let to = fields.u64()?;
                    if from < to {
                        self.done.insert(from..to);
                    }
                }
            }
            ATTEMPTS => {
                while let Some(seq) = fields.u64() {
                    let count = fields.u64()?;
                    self.attempts.insert(seq, u32::try_from(count).unwrap_or(u32::MAX));
                }
            }
            CHECKPOINT => {
                let checkpoint = serde_json::from_slice(fields.0).ok()?;
                self.previous = self.checkpoint.replace(checkpoint);
            }
            SYNCED => self.synced = self.synced.max(fields.u64()?),
            _ => return None,
        }
        Some(())
    }

    /// All of it, as frames.
    fn frames(&self, salt: Salt) -> Vec<u8> {
        let mut out = Vec::new();
        for checkpoint in [&self.previous, &self.checkpoint].into_iter().flatten() {
            checkpoint_frame(salt, &mut out, checkpoint);
        }
        if !self.done.is_empty() {
            pairs_frame(salt, &mut out, FINISHED, self.done.iter().map(|range| [range.start, range.end]));
        }
        if !self.attempts.is_empty() {
            let pairs = self.attempts.iter().map(|(&seq, &count)| [seq, u64::from(count)]);
            pairs_frame(salt, &mut out, ATTEMPTS, pairs);
        }
        pairs_frame(salt, &mut out, SYNCED, [[self.synced]].into_iter());
        out
    }
}

fn pairs_frame<const N: usize>(salt: Salt, out: &mut Vec<u8>, kind: u8, pairs: impl Iterator<Item = [u64; N]>) {
    frame::encode(salt, out, |out| {
        out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
        for number in pairs.flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
    });
}

fn checkpoint_frame(salt: Salt, out: &mut Vec<u8>, checkpoint: &Checkpoint) {
    frame::encode(salt, out, |out| {
        out.extend_from_slice(&[CHECKPOINT, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&serde_json::to_vec(checkpoint).unwrap_or_default());
    });
}

impl Acks {
    /// Writes the file anew with what is known, and goes on in it.
    pub(crate) fn create(disk: Arc<dyn Disk>, header: Header, known: Acknowledged) -> Result<Self> {
        let (file, length) = write_anew(&*disk, &header, &known)?;
        Ok(Self { disk, header, file, length, known, is_behind: false, is_poisoned: false })
    }

    /// What it says.
    pub const fn known(&self) -> &Acknowledged {
        &self.known
    }

    /// Notes that records are finished: written when this returns, synced by [`sync`](Self::sync).
    ///
    /// # Errors
    /// If it cannot be written. The records count as finished all the same; the next call of any kind writes the file anew.
    pub fn finish(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        for range in ranges.iter().filter(|range| range.start < range.end) {
            self.known.done.insert(range.clone());
            self.known.attempts.retain(|seq, _| !range.contains(seq));
        }
        let mut out = Vec::new();
        pairs_frame(self.header.salt, &mut out, FINISHED, ranges.iter().map(|range| [range.start, range.end]));
        self.append(&out)
    }

    /// Notes how often records were in a slot when their process ended.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn note_attempts(&mut self, attempts: &[(u64, u32)]) -> Result<()> {
        self.known.attempts.extend(attempts.iter().copied());
        let mut out = Vec::new();
        let pairs = attempts.iter().map(|&(seq, count)| [seq, u64::from(count)]);
        pairs_frame(self.header.salt, &mut out, ATTEMPTS, pairs);
        self.append(&out)
    }

    /// Notes that all records below a number survive a power cut.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn note_synced(&mut self, seq: u64) -> Result<()> {
        self.known.synced = self.known.synced.max(seq);
        let mut out = Vec::new();
        pairs_frame(self.header.salt, &mut out, SYNCED, [[seq]].into_iter());
        self.append(&out)
    }

    /// Notes what the machine is like.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let mut out = Vec::new();
        checkpoint_frame(self.header.salt, &mut out, &checkpoint);
        self.known.previous = self.known.checkpoint.replace(checkpoint);
        self.append(&out)
    }

    fn append(&mut self, frames: &[u8]) -> Result<()> {
        self.usable()?;
        if self.is_behind {
            return self.write_anew();
        }
        match self.file.write_at(frames, self.length) {
            Ok(()) => {
                self.length += frames.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.is_behind = true;
                Err(Error::io(format_args!("write {NAME}"), error))
            }
        }
    }

    fn write_anew(&mut self) -> Result<()> {
        (self.file, self.length) = write_anew(&*self.disk, &self.header, &self.known)?;
        self.is_behind = false;
        Ok(())
    }

    /// Returns once all that was noted survives a power cut.
    ///
    /// # Errors
    /// If it may not: then nothing is taken any more.
    pub fn sync(&mut self) -> Result<()> {
        self.usable()?;
        if self.is_behind || self.length > LONG {
            return self.write_anew();
        }
        self.file.sync().map_err(|error| {
            self.is_poisoned = true;
            Error::io(format_args!("sync {NAME}: what it says may be lost, so it takes nothing any more"), error)
        })
    }

    fn usable(&self) -> Result<()> {
        if self.is_poisoned { Err(Error::poisoned()) } else { Ok(()) }
    }
}

/// A new file, under the usual name once it is whole and synced.
fn write_anew(disk: &dyn Disk, header: &Header, known: &Acknowledged) -> Result<(Arc<dyn DiskFile>, u64)> {
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&known.frames(header.salt));
    let write = || {
        match disk.remove(NEW) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(NEW)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        disk.rename(NEW, NAME)?;
        disk.sync()?;
        Ok(file)
    };
    let file = write().map_err(|error| Error::io(format_args!("write {NAME}"), error))?;
    Ok((file, bytes.len() as u64))
}
