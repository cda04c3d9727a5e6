//! Finished messages as lines of a file: JSON Lines, with rotation by size.
//!
//! A worker waits while the disk is slower than the machine ([`Buffered`]), so a file loses nothing but what cannot be
//! written; that is counted, and the next lines are tried again. `drain` and `stop` wait until the buffer is written; a
//! process that ends without them loses what it buffered in the last few milliseconds.

use super::buffered::{Buffered, Written};
use crate::core::command_error::failed;
use crate::core::output::{Finished, Sink, SinkDemand};
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the writer sleeps at most before it tries again to write to a pipe that is full.
const MAX_PIPE_PAUSE: Duration = Duration::from_millis(50);
/// How long the writer sleeps at first before it tries again to write to a pipe that is full; `MAX_PIPE_PAUSE` at last.
const FULL: Duration = Duration::from_millis(1);

/// A file of JSON lines.
#[derive(Debug)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Its size at most, and how many files that were put aside are kept.
    rotation: Mutex<(u64, u32)>,
    buffered: Buffered,
}

impl Shared {
    fn rotation(&self) -> MutexGuard<'_, (u64, u32)> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// If it cannot be opened, or there is no thread to write it.
    pub fn open(machine: &str, path: &str, rotate: u64, keep: u32) -> Result<Arc<dyn Sink>, Error> {
        let shared = Arc::new(Shared {
            path: PathBuf::from(path),
            rotation: Mutex::new((rotate, keep)),
            buffered: Buffered::default(),
        });
        let output = Output::open(&shared.path)
            .map_err(|error| failed(ErrorKind::CannotOpen, format!("cannot open {path} for appending: {error}")))?;
        let writer = shared.clone();
        let write = move |output: &mut Output, batch: &[u8], lines: u64| {
            let rotation = *writer.rotation();
            let (lines, error) = output.write(&writer.path, batch, lines, rotation);
            // The next lines are tried again.
            Written { lines, error: error.map(|error| error.to_string()), is_over: false }
        };
        let writer = shared.clone();
        std::thread::Builder::new()
            .name(format!("{machine}/lines"))
            .spawn(move || writer.buffered.write_all(output, write))
            .map_err(|error| failed(ErrorKind::NoThread, format!("no thread to write {path}: {error}")))?;
        Ok(Arc::new(Self(shared)))
    }
}

impl Sink for Lines {
    fn wants(&self) -> SinkDemand {
        SinkDemand::Json
    }

    fn accept(&self, message: &mut Finished<'_>) {
        self.0.buffered.append(message.json().line());
    }

    fn status(&self) -> SinkStatus {
        self.0.buffered.status(SinkKind::JsonLines, self.0.path.display().to_string())
    }

    fn configure(&self, config: &SinkConfig) -> Result<(), Error> {
        let SinkConfig::JsonLines { rotate, keep, .. } = config else {
            return Err(failed(ErrorKind::WrongSink, "this output is a file"));
        };
        *self.0.rotation() = (*rotate, *keep);
        Ok(())
    }

    fn flush(&self, deadline: Instant) {
        self.0.buffered.flush(deadline);
    }

    fn close(&self) {
        self.0.buffered.close();
    }
}

/// The file, while it is open.
#[derive(Debug)]
struct Output(Option<File>);

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        // To open a pipe that nobody reads, or to write to one that is full, would take for ever: what there is no room
        // for is tried again. With a file it makes no difference.
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|error| if error.raw_os_error() == Some(libc::ENXIO) { unread(path, error) } else { error })?;
        let found = file.metadata()?;
        // Two outputs in one file would rotate it under each other. What cannot be locked, on some network, is not.
        if found.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let message = "another output is already writing to it; stop it or choose another file";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        if found.is_file() && ends_within_a_line(path, &file)? {
            file.write_all(b"\n")?;
        }
        Ok(Self(Some(file)))
    }

    /// Whether the file is still the one at its path: nobody reads what is written to one that was deleted.
    fn is_in_place(&self, path: &Path) -> bool {
        let Some(file) = &self.0 else { return true };
        // What cannot be looked at is written to all the same.
        let Ok(own) = file.metadata() else { return true };
        match std::fs::metadata(path) {
            Ok(there) => (there.dev(), there.ino()) == (own.dev(), own.ino()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Writes `all` lines; returns how many were written, and what kept it from writing the others. If the file was
    /// deleted or moved away, a new one is begun.
    fn write(
        &mut self,
        path: &Path,
        mut lines: &[u8],
        all: u64,
        (rotate, keep): (u64, u32),
    ) -> (u64, Option<io::Error>) {
        let mut written = 0;
        if self.0.is_none() || !self.is_in_place(path) {
            self.0 = None;
            match Self::open(path) {
                Ok(opened) => *self = opened,
                Err(error) => return (0, Some(error)),
            }
        }
        while !lines.is_empty() {
            match self.put(path, lines, (rotate, keep)) {
                Ok(length) => {
                    let (now, later) = lines.split_at_checked(length).unwrap_or((lines, &[]));
                    lines = later;
                    written +=
                        if lines.is_empty() { all - written } else { memchr::memchr_iter(b'\n', now).count() as u64 };
                }
                Err(error) => {
                    // Opened anew for the next lines: the cause may be gone by then.
                    self.0 = None;
                    return (written, Some(error));
                }
            }
        }
        (written, None)
    }

    /// Writes the lines that fit into the file, or puts it aside. Returns how many bytes were written.
    fn put(&mut self, path: &Path, lines: &[u8], (rotate, keep): (u64, u32)) -> io::Result<usize> {
        let Some(file) = &mut self.0 else { return Err(io::ErrorKind::NotFound.into()) };
        // Each time: others may have appended to it, or cut it.
        let size = file.metadata()?.len();
        let room = if rotate == 0 { u64::MAX } else { rotate.saturating_sub(size) };
        let length = match whole_lines(lines, room) {
            0 if size > 0 => return self.rotate(path, keep).map(|()| 0),
            // A line that is larger than a whole file gets its own file.
            0 => first_line(lines),
            length => length,
        };
        let lines = lines.get(..length).unwrap_or(lines);
        if let Err(error) = write_whole(file, lines) {
            // Half a line would spoil the next one. What cannot be cut off (a pipe) stays.
            let _ = file.set_len(size);
            return Err(error);
        }
        Ok(length)
    }

    /// `path` becomes `path.1`, `path.1` becomes `path.2`, and the one beyond the last is removed.
    fn rotate(&mut self, path: &Path, keep: u32) -> io::Result<()> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        let missing_is_fine = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        self.0 = None;
        if keep == 0 {
            missing_is_fine(std::fs::remove_file(path))?;
        }
        for number in (1..=keep).rev() {
            let from = if number == 1 { path.to_owned() } else { numbered(number - 1) };
            missing_is_fine(std::fs::rename(from, numbered(number)))?;
        }
        *self = Self::open(path)?;
        Ok(())
    }
}

/// Why something cannot be written to.
#[cold]
fn unread(path: &Path, error: io::Error) -> io::Error {
    if !std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        return error;
    }
    io::Error::new(error.kind(), "it is a pipe that nobody reads: start its reader first, or name a file")
}

/// Whether the last line of a file has no end, as a process leaves it that was killed. What cannot be read has one.
fn ends_within_a_line(path: &Path, file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [b'\n'];
    // `file` is open for writing alone.
    let _read = File::open(path).and_then(|file| file.read_at(&mut byte, last));
    Ok(byte != [b'\n'])
}

/// Writes all of it, also to a pipe whose reader is slow.
fn write_whole(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    let mut pause = FULL;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (bytes, pause) = (bytes.get(written..).unwrap_or_default(), FULL),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(MAX_PIPE_PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many bytes of whole lines fit into `room`.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return lines.len();
    }
    lines.get(..room).and_then(|part| part.iter().rposition(|byte| *byte == b'\n')).map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1)
}
