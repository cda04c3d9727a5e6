//! Appending to a log.

use crate::acks::{self, Acknowledged, Acks, Checkpoint};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Salt;
use crate::header::{Content, HEADER, Header};
use crate::reader::Reader;
use crate::record::{Entry, MAX_RECORD, Record};
use crate::recovery::{self, LEFT_OUT, Readable, Recovery, segment_name};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lengths after which a segment is closed, in bytes: of the first one that is made, the second, and so on; the last
/// holds for all later ones. A machine that uses little takes little.
const LENGTHS: [u64; 4] = [1 << 20, 4 << 20, 16 << 20, 64 << 20];

/// How a log is opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Closes segments after so many bytes instead of the usual lengths.
    pub segment_length: Option<u64>,
}

/// A log that was opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Takes records.
    pub log: Log,
    /// Takes what is finished.
    pub acks: Acks,
    /// What was found.
    pub recovery: Recovery,
}

/// An append-only, checksummed, segmented file of records.
///
/// Two promises, each with its own call: what [`flush`](Self::flush) returned for is *written*, and survives the end of the
/// process; what [`sync`](Self::sync) returned for is *synced*, and survives a power cut.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    options: Options,
    machine: [u8; 16],
    /// Closed segments by their first number: the number after their last record, and their length in bytes.
    closed: BTreeMap<u64, (u64, u64)>,
    current: Option<Current>,
    /// Frames that are not written yet.
    buffer: Vec<u8>,
    /// The number that the next record gets.
    next: u64,
    /// All below are written.
    written: u64,
    /// All below are synced.
    synced: u64,
    /// The number after the last record before `next`, while it was not given: those in between were left out.
    end: u64,
    /// Closed since the last sync began.
    unsynced: Vec<Arc<dyn DiskFile>>,
    /// Whether files were made or removed since the last sync of the directory began.
    is_directory_changed: bool,
    segments_made: usize,
    is_poisoned: bool,
}

#[derive(Debug)]
struct Current {
    file: Arc<dyn DiskFile>,
    salt: Salt,
    first: u64,
    /// What is written of it, in bytes.
    length: u64,
}

/// A sync that has begun; see [`Log::begin_sync`].
#[derive(Debug)]
pub struct Sync {
    files: Vec<Arc<dyn DiskFile>>,
    directory: Option<Arc<dyn Disk>>,
    up_to: u64,
}

impl Sync {
    /// Returns once what was written before the sync began survives a power cut.
    ///
    /// # Errors
    /// If it may not. Hand the error to [`Log::end_sync`].
    pub fn run(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        self.directory.as_ref().map_or(Ok(()), |disk| disk.sync())
    }
}

impl Log {
    /// Opens the log of a directory, or begins one in it. What a crash left is put in order: a torn end is cut, damaged bytes
    /// are kept in files `*.bad`, and numbers that may have been in use are left out.
    ///
    /// # Errors
    /// If the directory cannot be read and written, has another log's files in it, or those of a newer version.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Opened> {
        let (recovery, files) = recovery::inspect(&*disk)?;
        let machine = recovery.machine.unwrap_or_else(|| uuid::Uuid::new_v4().into_bytes());
        let closed = tidy(&*disk, &recovery, &files)?;
        // What is waiting is as safe from now on as if it had just been synced.
        let syncing = |error| Error::io("sync what was found in the log", error);
        for (first, (end, _)) in &closed {
            if *end > recovery.acknowledged.synced {
                files.get(first).map_or(Ok(()), |readable| readable.file.sync()).map_err(syncing)?;
            }
        }
        disk.sync().map_err(syncing)?;
        let acks = Acks::create(Arc::clone(&disk), header(Content::Acknowledgements, machine, 0, 0), known(&recovery))?;
        let (next, end) = (recovery.next, recovery.end);
        let log = Self {
            disk,
            options,
            machine,
            closed,
            current: None,
            buffer: Vec::new(),
            next,
            written: next,
            synced: next,
            end,
            unsynced: Vec::new(),
            is_directory_changed: false,
            segments_made: 0,
            is_poisoned: false,
        };
        Ok(Opened { log, acks, recovery })
    }

    /// The machine's UUID.
    pub const fn machine(&self) -> [u8; 16] {
        self.machine
    }

    /// The number that the next record gets.
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// All records below this number are written: they survive the end of the process.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// All records below this number are synced: they survive a power cut.
    pub const fn synced(&self) -> u64 {
        self.synced
    }

    /// The length of all segments in bytes.
    pub fn bytes(&self) -> u64 {
        let closed: u64 = self.closed.values().map(|(_, bytes)| bytes).sum();
        closed + self.current.as_ref().map_or(0, |current| current.length)
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.closed.len() + usize::from(self.current.is_some())
    }

    /// Takes a record and gives it a number. It is in memory until [`flush`](Self::flush) returns.
    ///
    /// # Errors
    /// If the record is too large, or a new segment is needed and cannot be made. Then nothing was taken.
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<u64> {
        self.usable()?;
        let (length, size) = (entry.length(), entry.size() as u64);
        if length > MAX_RECORD {
            let text = format!("the record has {length} bytes, and a log takes {MAX_RECORD}: split the message");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        // What one flush writes lies in one segment, so that it is taken back as a whole.
        if self.buffer.is_empty() {
            if self.next - self.synced >= LEFT_OUT - 1 {
                self.sync()?;
            }
            self.make_room(size)?;
        }
        let Some(current) = &self.current else { return Err(Error::poisoned()) };
        let seq = self.next;
        Record { seq, entry: *entry }.encode(current.salt, &mut self.buffer);
        self.next += 1;
        Ok(seq)
    }

    /// Bytes that were appended and not flushed. Flush before it gets large: all of it is written at once.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Writes what was appended: all of it, or, after an error, nothing.
    ///
    /// # Errors
    /// If it cannot be written, for example for want of room. The numbers since [`written`](Self::written) are taken back.
    pub fn flush(&mut self) -> Result<()> {
        self.usable()?;
        let Some(current) = self.current.as_mut().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        let wrote = current.file.write_at(&self.buffer, current.length);
        let count = self.buffer.len() as u64;
        self.buffer.clear();
        match wrote {
            Ok(()) => {
                current.length += count;
                (self.written, self.end) = (self.next, self.next);
                Ok(())
            }
            Err(error) => {
                self.next = self.written;
                // A part may have been written: it must not be found by a recovery, since its numbers are given again.
                self.is_poisoned = current.file.truncate(current.length).is_err();
                Err(Error::io("write to the log", error))
            }
        }
    }

    /// Flushes, and returns once all of it survives a power cut.
    ///
    /// # Errors
    /// If it may not: this log then takes nothing any more, since the system forgets what it could not write.
    pub fn sync(&mut self) -> Result<u64> {
        self.flush()?;
        let sync = self.begin_sync()?;
        let result = sync.run();
        self.end_sync(sync, result)
    }

    /// Begins to sync what is written. [`Sync::run`] takes the time, and the log can be written meanwhile.
    ///
    /// # Errors
    /// If an earlier sync failed.
    pub fn begin_sync(&mut self) -> Result<Sync> {
        self.usable()?;
        let mut files = std::mem::take(&mut self.unsynced);
        files.extend(self.current.iter().map(|current| Arc::clone(&current.file)));
        let directory = std::mem::take(&mut self.is_directory_changed).then(|| Arc::clone(&self.disk));
        Ok(Sync { files, directory, up_to: self.written })
    }

    /// Takes note of how a sync ended; gives back the number below which all is synced.
    ///
    /// # Errors
    /// If it failed, or an earlier one did.
    pub fn end_sync(&mut self, sync: Sync, result: io::Result<()>) -> Result<u64> {
        if let Err(error) = result {
            self.is_poisoned = true;
            let text = "sync the log: what was written since the last sync may be lost, so it takes nothing any more; \
                        check the disk, then open the log again";
            return Err(Error::io(text, error));
        }
        self.usable()?;
        self.synced = self.synced.max(sync.up_to);
        Ok(self.synced)
    }

    /// Closes the current segment: the next record begins a new one.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn rotate(&mut self) -> Result<()> {
        self.flush()?;
        // An empty one goes on: the next one would have its name.
        if let Some(current) = self.current.take_if(|current| current.length > HEADER as u64) {
            self.closed.insert(current.first, (self.written, current.length));
            self.unsynced.push(current.file);
        }
        Ok(())
    }

    /// Deletes the closed segments in which no record is waiting, wherever they are; gives back how many.
    ///
    /// # Errors
    /// If one cannot be deleted. The next call tries again.
    pub fn delete_finished(&mut self, acknowledged: &Acknowledged) -> Result<usize> {
        let is_finished = |first: u64, end: u64| acknowledged.done.gaps(&(first..end)).next().is_none();
        let finished: Vec<u64> = self
            .closed
            .iter()
            .filter(|(first, (end, _))| is_finished(**first, *end))
            .map(|(first, _)| *first)
            .collect();
        for &first in &finished {
            let name = segment_name(first);
            match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(format_args!("delete {name}"), error));
                }
                _ => {}
            }
            self.closed.remove(&first);
            self.is_directory_changed = true;
        }
        Ok(finished.len())
    }

    /// Syncs everything and notes that nothing is missing, so that the next opening leaves out no numbers.
    ///
    /// # Errors
    /// If it cannot be synced.
    pub fn close(mut self, acks: &mut Acks, machine: serde_json::Value) -> Result<()> {
        let synced = self.sync()?;
        acks.note_synced(synced)?;
        acks.checkpoint(Checkpoint { next_seq: self.next, is_closed: true, machine })?;
        acks.sync()
    }

    /// Reads the written records from a number on.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn reader(&self, from: u64) -> Result<Reader> {
        Reader::new(Arc::clone(&self.disk), from)
    }

    /// Sees to it that there is a segment in which a record of so many bytes has a place.
    fn make_room(&mut self, size: u64) -> Result<()> {
        let usual = LENGTHS.get(self.segments_made.saturating_sub(1)).or(LENGTHS.last()).copied().unwrap_or(u64::MAX);
        let longest = self.options.segment_length.unwrap_or(usual);
        if let Some(current) = &self.current {
            if current.length == HEADER as u64 || current.length + size <= longest {
                return Ok(());
            }
            self.rotate()?;
        }
        let name = segment_name(self.next);
        let header = header(Content::Records, self.machine, self.next, self.end);
        let make = || {
            // One that could not be begun before.
            match self.disk.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(&name)?;
            match file.write_at(&header.encode(), 0) {
                Ok(()) => Ok(file),
                Err(error) => {
                    let _ = self.disk.remove(&name);
                    Err(error)
                }
            }
        };
        let file = make().map_err(|error| Error::io(format_args!("begin the segment {name}"), error))?;
        self.current = Some(Current { file, salt: header.salt, first: self.next, length: HEADER as u64 });
        self.is_directory_changed = true;
        self.segments_made += 1;
        Ok(())
    }

    fn usable(&self) -> Result<()> {
        if self.is_poisoned { Err(Error::poisoned()) } else { Ok(()) }
    }
}

fn header(content: Content, machine: [u8; 16], first: u64, follows: u64) -> Header {
    let [salt @ .., _, _, _, _, _, _, _, _] = uuid::Uuid::new_v4().into_bytes();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let created_ms = u64::try_from(created.as_millis()).unwrap_or(u64::MAX);
    Header { content, machine, salt: Salt(salt), first, follows, created_ms }
}

/// What is known of the records from now on: lost ones are accounted for.
fn known(recovery: &Recovery) -> Acknowledged {
    let mut known = recovery.acknowledged.clone();
    for lost in recovery.corrupt.iter().chain(recovery.unsynced_lost.iter()) {
        known.done.insert(lost.clone());
    }
    if recovery.end < recovery.next {
        known.done.insert(recovery.end..recovery.next);
    }
    known.synced = recovery.next;
    let next_seq = recovery.next;
    let machine = known.checkpoint.take().unwrap_or_default().machine;
    known.checkpoint = Some(Checkpoint { next_seq, is_closed: false, machine });
    known
}

/// Puts the files in order; gives back the segments that have records.
fn tidy(disk: &dyn Disk, recovery: &Recovery, files: &BTreeMap<u64, Readable>) -> Result<BTreeMap<u64, (u64, u64)>> {
    for name in &recovery.unreadable {
        let is_begun = disk.open(name).and_then(|file| file.length()).is_ok_and(|length| length <= HEADER as u64);
        let tidied = if is_begun { disk.remove(name) } else { disk.rename(name, &format!("{name}.bad")) };
        tidied.map_err(|error| Error::io(format_args!("move {name} out of the way"), error))?;
    }
    let mut closed = BTreeMap::new();
    for segment in &recovery.segments {
        let Some(Readable { file, .. }) = files.get(&segment.first) else { continue };
        let name = segment_name(segment.first);
        let write = || {
            for gap in &segment.gaps {
                keep(disk, &name, &**file, gap.from, gap.to)?;
            }
            let length = segment.bytes + segment.torn;
            if segment.torn > 0 && recovery.corrupt.overlaps(&(segment.end..u64::MAX)) {
                keep(disk, &name, &**file, segment.bytes, length)?;
            }
            if segment.records == 0 {
                return disk.remove(&name);
            }
            if segment.torn > 0 { file.truncate(segment.bytes) } else { Ok(()) }
        };
        write().map_err(|error| Error::io(format_args!("put {name} in order"), error))?;
        if segment.records > 0 {
            closed.insert(segment.first, (segment.end, segment.bytes));
        }
    }
    Ok(closed)
}

/// Copies damaged bytes into a file beside the segment, once.
fn keep(disk: &dyn Disk, name: &str, file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    let read = file.read_at(&mut bytes, from)?;
    bytes.truncate(read);
    match disk.create(&format!("{name}.{from}.bad")) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(kept) => kept.write_at(&bytes, 0),
    }
}

const _: () = assert!(acks::NAME.len() < 20, "no segment has the name");
