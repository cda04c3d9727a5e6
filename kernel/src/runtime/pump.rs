//! The process' standard streams, taken over.
#![allow(unsafe_code, reason = "file descriptors are moved with libc")]

use super::protocol::{Piece, Splitter};
use crate::control::server::Outbox;
use crate::control::{Event, Message, Printed};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How long the beginning of what may be a protocol line is held back, milliseconds.
const SETTLE_MS: i32 = 8;

/// Reads what this process prints and hands it on. Whoever tells the kernel something first drains the pump, so the
/// order is kept.
pub struct Pump {
    outbox: Arc<Outbox>,
    // One drain at a time, so that pieces are queued in the order in which they were read.
    streams: Mutex<Streams>,
    /// Whether a cell runs, so that its protocol is looked for. evcxr runs its first by itself, at start.
    running: AtomicBool,
    watched: [RawFd; 2],
    real_stderr: OwnedFd,
}

struct Streams {
    stdout: File,
    stderr: File,
    split: Splitter,
    plain: Splitter,
    real_stdout: File,
    /// Given to evcxr's input request.
    buffer: Vec<u8>,
}

impl Pump {
    /// Puts pipes in the place of the standard streams.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn take(outbox: Arc<Outbox>) -> io::Result<Self> {
        let (stdout, real_stdout) = replace(libc::STDOUT_FILENO)?;
        let (stderr, real_stderr) = replace(libc::STDERR_FILENO)?;
        let watched = [stdout.as_raw_fd(), stderr.as_raw_fd()];
        let streams = Streams {
            stdout: stdout.into(),
            stderr: stderr.into(),
            split: Splitter::default(),
            plain: Splitter::default(),
            real_stdout: real_stdout.into(),
            buffer: vec![0; 64 << 10],
        };
        Ok(Self { outbox, streams: Mutex::new(streams), running: AtomicBool::new(true), watched, real_stderr })
    }

    /// Says whether a cell runs from now on.
    pub fn set_running(&self, running: bool) {
        if !running {
            self.drain();
        }
        // Relaxed: the flag orders nothing else; a cell's end is drained above before it is taken back.
        self.running.store(running, Ordering::Relaxed);
    }

    /// Hands on all that has been printed up to now. Never waits for the kernel.
    pub fn drain(&self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running.load(Ordering::Relaxed);
        streams.drain(running, &self.outbox);
    }

    /// Queues a warning.
    pub fn notice(&self, text: &str) {
        self.drain();
        self.outbox.push(Message::Event(Event::Notice { text: text.to_owned() }));
    }

    /// Where the process' standard error really goes: evcxr reads it to the end when the process dies.
    pub fn real_stderr(&self) -> RawFd {
        self.real_stderr.as_raw_fd()
    }

    /// Hands on what is printed, forever.
    pub fn run(&self) {
        let mut holding = false;
        loop {
            let mut polls = self.watched.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
            let timeout = if holding { SETTLE_MS } else { -1 };
            // SAFETY: `polls` is an array of two initialised entries.
            let ready = unsafe { libc::poll(polls.as_mut_ptr(), 2, timeout) };
            if ready > 0 {
                self.drain();
            }
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            if ready == 0 {
                streams.settle(&self.outbox);
            }
            holding = streams.split.is_holding() || streams.plain.is_holding();
        }
    }
}

impl Streams {
    fn drain(&mut self, running: bool, outbox: &Outbox) {
        let mut found = Vec::new();
        // Several rounds, because a writer may be waiting for place in its pipe; bounded, because it may never stop.
        for _ in 0..64 {
            let mut idle = true;
            if let Ok(length @ 1..) = self.stderr.read(&mut self.buffer) {
                idle = false;
                self.plain.feed(self.buffer.get(..length).unwrap_or_default(), false, &mut found);
                queue(&mut found, Printed::Stderr, outbox);
            }
            if let Ok(length @ 1..) = self.stdout.read(&mut self.buffer) {
                idle = false;
                self.split.feed(self.buffer.get(..length).unwrap_or_default(), running, &mut found);
                for line in queue(&mut found, Printed::Stdout, outbox) {
                    // If evcxr is gone, so is the kernel.
                    let _ = self.real_stdout.write_all(format!("{line}\n").as_bytes());
                }
            }
            if idle {
                return;
            }
        }
    }

    fn settle(&mut self, outbox: &Outbox) {
        let mut found = Vec::new();
        self.plain.settle(&mut found);
        queue(&mut found, Printed::Stderr, outbox);
        self.split.settle(&mut found);
        queue(&mut found, Printed::Stdout, outbox);
    }
}

/// Queues what is for people, and returns what is for evcxr.
fn queue(found: &mut Vec<Piece>, stream: Printed, outbox: &Outbox) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in found.drain(..) {
        match piece {
            Piece::Text(text) => outbox.push(Message::Event(Event::Stream { stream, text })),
            Piece::Content(mime, content) => outbox.push(Message::Event(Event::Show { mime, content })),
            Piece::Line(line) => lines.push(line),
        }
    }
    lines
}

/// Puts a pipe in the place of a standard stream. Returns where to read from it, and the stream itself. Neither is
/// inherited by processes that a cell starts.
fn replace(stream: RawFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    let (read, write): (OwnedFd, OwnedFd) = (read.into(), write.into());
    // SAFETY: plain system calls on descriptors that are open; the result is checked before it is owned.
    unsafe {
        let real = libc::fcntl(stream, libc::F_DUPFD_CLOEXEC, 3);
        if real < 0 {
            return Err(io::Error::last_os_error());
        }
        let real = OwnedFd::from_raw_fd(real);
        let flags = libc::fcntl(read.as_raw_fd(), libc::F_GETFL);
        if flags < 0
            || libc::fcntl(read.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) < 0
            || libc::dup2(write.as_raw_fd(), stream) < 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok((read, real))
    }
}
