//! What is found in a log when it is opened.

use crate::acks::{self, Acknowledged};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, ErrorKind, Result};
use crate::header::{Content, HEADER, Header, Unreadable};
use crate::scan::{Gap, Scan, Scanned};
use rangemap::RangeSet;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The first sequence number of a log.
pub const FIRST: u64 = 1;

/// How many numbers are left out after a log that was not closed. A power cut may have taken records whose numbers
/// are known elsewhere, and no number may be given twice; a log syncs itself before it has so many that are not synced.
pub const LEFT_OUT: u64 = 1 << 24;

/// The file of the segment that begins with this number.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first number of the segment in this file, if it is one.
pub fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// A segment, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The first sequence number that a record in it may have.
    pub first: u64,
    /// The number after its last record; `first` if it has none.
    pub end: u64,
    /// How many records are in it.
    pub records: u64,
    /// How many of them are not finished.
    pub waiting: u64,
    /// Its length in bytes, without a torn end.
    pub bytes: u64,
    /// Bytes that are no record, with records behind them.
    pub gaps: Vec<Gap>,
    /// Bytes behind the last record.
    pub torn: u64,
}

/// What was found in a log.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Recovery {
    /// The machine's UUID; of an empty directory none yet.
    pub machine: Option<[u8; 16]>,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    /// How many records can be read.
    pub records: u64,
    /// How many of them are not finished: they are processed again.
    pub waiting: u64,
    /// The numbers of records that are damaged although they were synced: what they said is lost.
    pub corrupt: RangeSet<u64>,
    /// The numbers of records that a crash took before they were synced.
    pub unsynced_lost: RangeSet<u64>,
    /// Files whose header cannot be read.
    pub unreadable: Vec<String>,
    /// What is finished, and the checkpoints.
    pub acknowledged: Acknowledged,
    /// Whether the log was closed: it has all that was ever appended.
    pub was_closed: bool,
    /// The number after the last record.
    pub end: u64,
    /// The number that the next record gets.
    pub next: u64,
}

/// A segment that can be read, beside what recovery says of it.
#[derive(Debug)]
pub struct Readable {
    pub header: Header,
    pub file: Arc<dyn DiskFile>,
}

/// Reads all of a log and checks every checksum. Changes nothing.
pub fn inspect(disk: &dyn Disk) -> Result<(Recovery, BTreeMap<u64, Readable>)> {
    let names = disk.list().map_err(|error| Error::io("list the directory of the log", error))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    let mut found = Recovery { end: FIRST, ..Recovery::default() };
    let mut files = BTreeMap::new();
    if let Some((header, acknowledged)) = Acknowledged::read(disk)? {
        found.machine = Some(header.machine);
        found.acknowledged = acknowledged;
    } else if names.iter().any(|name| name == acks::NAME) {
        found.unreadable.push(acks::NAME.to_owned());
    }
    let mut missing = Vec::new();
    for first in firsts {
        let name = segment_name(first);
        let Some(readable) = read_header(disk, &name)? else {
            found.unreadable.push(name);
            continue;
        };
        let header = readable.header;
        let is_ours = header.first == first && header.content == Content::Records;
        if !is_ours || found.machine.is_some_and(|machine| machine != header.machine) {
            return Err(Error::new(
                ErrorKind::Directory,
                format!("{name} is of another log: it was copied or renamed; move it out of the directory"),
            ));
        }
        found.machine = Some(header.machine);
        if header.follows > found.end {
            missing.push(found.end..header.follows);
        }
        let scanned = scan(&readable, &found.acknowledged.done, &mut missing);
        let scanned = scanned.map_err(|error| Error::io(format_args!("read {name}"), error))?;
        found.records += scanned.records;
        found.waiting += scanned.waiting;
        found.end = scanned.end.max(found.end);
        found.segments.push(scanned);
        files.insert(first, readable);
    }
    found.sort_out(missing);
    Ok((found, files))
}

impl Recovery {
    /// Says of the missing numbers what became of their records, and which number comes next.
    fn sort_out(&mut self, missing: Vec<Range<u64>>) {
        let known = &mut self.acknowledged;
        // Numbers above all records: a checkpoint knows of records that are not here.
        let promised = known.checkpoint.as_ref().map_or(FIRST, |it| it.next_seq).max(known.synced);
        let missing = missing.into_iter().chain((promised > self.end).then_some(self.end..promised));
        for range in missing {
            let gaps: Vec<_> = known.done.gaps(&range).collect();
            for gap in gaps {
                let split = known.synced.clamp(gap.start, gap.end);
                if gap.start < split {
                    self.corrupt.insert(gap.start..split);
                }
                if split < gap.end {
                    self.unsynced_lost.insert(split..gap.end);
                }
            }
        }
        let begun = self
            .unreadable
            .iter()
            .filter_map(|name| segment_first(name))
            .chain(self.segments.iter().map(|it| it.first));
        let seen = begun.chain([self.end, promised]).max().unwrap_or(FIRST);
        let seen = known.done.iter().next_back().map_or(seen, |range| range.end.max(seen));
        let is_new = self.machine.is_none() && self.unreadable.is_empty();
        self.was_closed = is_new || known.checkpoint.as_ref().is_some_and(|it| it.is_closed && it.next_seq == seen);
        self.next = if self.was_closed { seen } else { seen + LEFT_OUT };
    }
}

fn read_header(disk: &dyn Disk, name: &str) -> Result<Option<Readable>> {
    let read = || {
        let file = disk.open(name)?;
        let mut bytes = [0; HEADER];
        let read = file.read_at(&mut bytes, 0)?;
        io::Result::Ok((file, bytes, read))
    };
    let (file, bytes, read) = read().map_err(|error| Error::io(format_args!("read {name}"), error))?;
    match Header::decode(bytes.get(..read).unwrap_or_default()) {
        Ok(header) => Ok(Some(Readable { header, file })),
        Err(Unreadable::Newer(version)) => Err(crate::newer(name, version)),
        Err(Unreadable::Damaged) => Ok(None),
    }
}

fn scan(readable: &Readable, done: &RangeSet<u64>, missing: &mut Vec<Range<u64>>) -> io::Result<Segment> {
    let Readable { header, file } = readable;
    let first = header.first;
    let mut segment =
        Segment { first, end: first, records: 0, waiting: 0, bytes: HEADER as u64, gaps: Vec::new(), torn: 0 };
    let mut scan = Scan::new(Arc::clone(file), header.salt, first, file.length()?);
    loop {
        match scan.next()? {
            Scanned::Record(seq, to) => {
                if seq > segment.end {
                    missing.push(segment.end..seq);
                }
                segment.end = seq + 1;
                segment.records += 1;
                segment.waiting += u64::from(!done.contains(&seq));
                segment.bytes = to;
            }
            Scanned::Gap(gap) => segment.gaps.push(gap),
            Scanned::End(torn) => {
                segment.torn = torn;
                return Ok(segment);
            }
        }
    }
}
