//! Reading a log from a number on.

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::header::{Content, HEADER, Header, Unreadable};
use crate::record::Record;
use crate::recovery::{segment_first, segment_name};
use crate::scan::{Scan, Scanned};
use std::collections::VecDeque;
use std::sync::Arc;

/// Reads the records of a log in the order of their numbers, those of which every byte is as it was written.
///
/// It sees the segments that were there when it was made. At the end of the last one it looks whether more was written
/// each time it is asked.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    from: u64,
    segments: VecDeque<u64>,
    scan: Option<Open>,
    skipped: u64,
}

#[derive(Debug)]
struct Open {
    scan: Scan,
    file: Arc<dyn crate::disk::DiskFile>,
}

impl Reader {
    /// From the first record with this number or a later one.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn new(disk: Arc<dyn Disk>, from: u64) -> Result<Self> {
        let names = disk.list().map_err(|error| Error::io("list the directory of the log", error))?;
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
        segments.sort_unstable();
        // The last one that begins at `from` or before may have it.
        let before = segments.partition_point(|first| *first <= from).saturating_sub(1);
        Ok(Self { disk, from, segments: segments.split_off(before).into(), scan: None, skipped: 0 })
    }

    /// Bytes so far that are no record, with records behind them.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub fn read(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            if self.scan.is_none() {
                let Some(first) = self.segments.front() else { return Ok(None) };
                self.scan = open(&*self.disk, *first)?;
                if self.scan.is_none() {
                    self.segments.pop_front();
                    continue;
                }
            }
            if !self.advance()? {
                if self.segments.len() <= 1 {
                    return Ok(None);
                }
                self.segments.pop_front();
                self.scan = None;
                continue;
            }
            return Ok(self.scan.as_ref().and_then(|open| open.scan.record()));
        }
    }

    /// Goes on to the next record that is asked for; whether there is one in this segment.
    fn advance(&mut self) -> Result<bool> {
        let Some(Open { scan, file }) = &mut self.scan else { return Ok(false) };
        let reading = |error| Error::io("read a segment of the log", error);
        let mut is_extended = false;
        loop {
            match scan.next().map_err(reading)? {
                Scanned::Record(seq, _) if seq >= self.from => return Ok(true),
                Scanned::Record(..) => {}
                Scanned::Gap(gap) => self.skipped += gap.to - gap.from,
                Scanned::End(_) if is_extended => return Ok(false),
                Scanned::End(_) => {
                    scan.extend(file.length().map_err(reading)?);
                    is_extended = true;
                }
            }
        }
    }
}

/// `None` if it was deleted meanwhile, or its header cannot be read.
fn open(disk: &dyn Disk, first: u64) -> Result<Option<Open>> {
    let name = segment_name(first);
    let reading = |error| Error::io(format_args!("read {name}"), error);
    let file = match disk.open(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(reading)?,
    };
    let mut bytes = [0; HEADER];
    let read = file.read_at(&mut bytes, 0).map_err(reading)?;
    match Header::decode(bytes.get(..read).unwrap_or_default()) {
        Ok(header) if header.content == Content::Records => {
            let end = file.length().map_err(reading)?;
            Ok(Some(Open { scan: Scan::new(Arc::clone(&file), header.salt, first, end), file }))
        }
        Err(Unreadable::Newer(version)) => Err(crate::newer(&name, version)),
        _ => Ok(None),
    }
}
