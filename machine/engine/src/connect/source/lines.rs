//! The lines of a file, once or as it grows.

use crate::core::command_error::failed;
use crate::core::source::SourceDriver;
use crate::core::source::context::{SourceContext, Stop};
use crate::decode;
use crate::decode::unpack::{self, Unpacker};
use machine_protocol::source::Lines;
use machine_protocol::status::SourceState;
use machine_protocol::{Error, ErrorKind};
use std::fs::{self, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// How much is read at once.
const PIECE: usize = 128 << 10;
/// How soon a followed file is looked at again: at first, and at last when nothing comes.
const SOON: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct File {
    description: Lines,
    /// `None` while a followed file is not there.
    open: Option<Opened>,
    lines: decode::lines::Lines,
    /// What came out of a packed file last.
    unpacked: Vec<u8>,
}

#[derive(Debug)]
struct Opened {
    file: fs::File,
    position: u64,
    /// It was opened within a line: the rest of that one is left out.
    within: bool,
    unpacker: Unpacker,
    /// Device and number: what the file is, whatever its name is now.
    identity: (u64, u64),
}

/// What has become of a followed file that has been read to its end.
enum Change {
    Nothing,
    Truncated,
    Replaced(Opened),
}

pub(crate) fn describe(lines: &Lines) -> String {
    let what = if lines.json { "JSON lines" } else { "lines" };
    let followed = if lines.follow { ", followed" } else { "" };
    let end = if lines.from_end { " from its end on" } else { "" };
    format!("{what} of {}{end}{followed}", lines.path.display())
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn open(description: &Lines) -> io::Result<Opened> {
    // Looked at before it is opened: to open a pipe may take for ever.
    if !fs::metadata(&description.path)?.is_file() {
        let message = "is no regular file: take an iterator over its lines, or standard input (source::stdin)";
        return Err(io::Error::other(message));
    }
    let file = fs::File::open(&description.path)?;
    let identity = identity(&file.metadata()?);
    Ok(Opened { file, position: 0, within: false, unpacker: Unpacker::default(), identity })
}

impl Opened {
    /// Leaves out what is there, and the line that it may end within.
    fn skip_to_end(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        Read::by_ref(&mut self.file).take(8).read_to_end(&mut head)?;
        if unpack::is_packed(&head) {
            let message = "is packed or UTF-16: it can be read from its beginning alone, not from its end on";
            return Err(io::Error::other(message));
        }
        self.position = self.file.seek(SeekFrom::End(0))?;
        if self.position > 0 {
            self.unpacker = Unpacker::plain();
            let mut last = [0];
            self.file.seek(SeekFrom::Start(self.position - 1))?;
            self.file.read_exact(&mut last)?;
            self.within = last != *b"\n";
        }
        Ok(())
    }

    /// What was read, without the rest of the line that the file was opened within.
    fn without_rest<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        if !self.within {
            return piece;
        }
        let Some(end) = memchr::memchr(b'\n', piece) else { return &[] };
        self.within = false;
        piece.get(end + 1..).unwrap_or_default()
    }
}

impl File {
    /// # Errors
    /// If the file cannot be opened; a followed one need not be there yet.
    pub fn open(description: Lines) -> Result<Self, Error> {
        let path = description.path.display();
        let no_file = |error: io::Error| failed(ErrorKind::NoFile, format!("{path}: {error}"));
        let open = match open(&description) {
            Ok(mut opened) => {
                if description.from_end {
                    opened.skip_to_end().map_err(no_file)?;
                }
                Some(opened)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && description.follow => None,
            Err(error) => return Err(no_file(error)),
        };
        let lines = decode::lines::Lines::new(description.max_bytes);
        Ok(Self { description, open, lines, unpacked: Vec::new() })
    }

    fn failed(&self, error: &io::Error) -> Stop {
        Stop::Failed(format!("{}: {error}", self.description.path.display()))
    }

    /// Reads a piece and puts its lines; returns whether there was one.
    fn read(&mut self, piece: &mut [u8], intake: &mut SourceContext<'_>) -> Result<bool, Stop> {
        let Some(opened) = &mut self.open else { return Ok(false) };
        let read = match opened.file.read(piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(self.failed(&error)),
        };
        opened.position += read as u64;
        let new = opened.without_rest(piece.get(..read).unwrap_or_default());
        if opened.unpacker.is_plain() {
            self.lines.push(new);
            self.put_lines(intake)?;
        } else {
            for part in new.chunks(unpack::PIECE) {
                self.unpack(part, intake)?;
            }
        }
        intake.flush()?;
        Ok(read > 0)
    }

    fn put_lines(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        while let Some(line) = self.lines.next() {
            intake.line(&line, self.description.json)?;
        }
        Ok(())
    }

    /// Puts the lines of a part of a file that may be packed.
    fn unpack(&mut self, part: &[u8], intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let Some(opened) = &mut self.open else { return Ok(()) };
        self.unpacked.clear();
        let unpacked = opened.unpacker.push(part, &mut self.unpacked);
        self.lines.push(&self.unpacked);
        self.put_lines(intake)?;
        unpacked.map_err(|why| self.failed(&io::Error::other(why.to_string())))
    }

    /// The file is over: what is there without an end of line is a line too.
    fn finish(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        self.unpacked.clear();
        let unpacked = match &mut self.open {
            Some(opened) => std::mem::take(&mut opened.unpacker).finish(&mut self.unpacked),
            None => Ok(()),
        };
        self.lines.push(&self.unpacked);
        self.put_lines(intake)?;
        let put = self.lines.finish().map_or(Ok(()), |line| intake.line(&line, self.description.json));
        self.lines.restart();
        put.and_then(|()| intake.flush())?;
        unpacked.map_err(|why| self.failed(&io::Error::other(why.to_string())))
    }

    fn change(&self) -> io::Result<Change> {
        let Some(opened) = &self.open else { return Ok(Change::Nothing) };
        if opened.file.metadata()?.len() < opened.position {
            return Ok(Change::Truncated);
        }
        let there = match fs::metadata(&self.description.path) {
            Ok(there) => there,
            // Moved away, and the next one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Change::Nothing),
            Err(error) => return Err(error),
        };
        if identity(&there) == opened.identity {
            return Ok(Change::Nothing);
        }
        match open(&self.description) {
            Ok(new) => Ok(Change::Replaced(new)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Change::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Waits for a file that is not there yet.
    fn await_file(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        intake.feed.set_state(SourceState::Waiting);
        while self.open.is_none() {
            intake.sleep(LATE)?;
            match open(&self.description) {
                Ok(opened) => self.open = Some(opened),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        intake.feed.set_state(SourceState::Running);
        Ok(())
    }
}

impl SourceDriver for File {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        if self.open.is_none() {
            self.await_file(intake)?;
        }
        let mut piece = vec![0; PIECE];
        let mut pause = SOON;
        loop {
            if self.read(&mut piece, intake)? {
                pause = SOON;
                continue;
            }
            if !self.description.follow {
                return self.finish(intake);
            }
            match self.change().map_err(|error| self.failed(&error))? {
                Change::Nothing => {
                    intake.sleep(pause)?;
                    pause = (pause * 2).min(LATE);
                }
                Change::Truncated => {
                    self.finish(intake)?;
                    if let Some(opened) = &mut self.open {
                        opened.position = 0;
                        opened.within = false;
                        opened.file.rewind().map_err(|error| Stop::Failed(error.to_string()))?;
                    }
                }
                Change::Replaced(new) => {
                    // What was written to the old one after it was read last.
                    while self.read(&mut piece, intake)? {}
                    self.finish(intake)?;
                    self.open = Some(new);
                }
            }
        }
    }
}
