//! The descriptors 0, 1 and 2: pipes in the place of output and error, and put back if a cell closes them.
#![allow(unsafe_code, reason = "file descriptors are moved with libc")]

use crate::control::Printed;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The pipes in the place of standard output and error.
pub struct Standard {
    readers: [PipeReader; 2],
    // Also keep the readers from an end that would come when a cell closes the descriptors.
    writers: [PipeWriter; 2],
    empty: File,
}

/// The process' own streams.
pub struct Real {
    /// What evcxr reads.
    pub stdout: OwnedFd,
    /// What evcxr reads to the end when the process dies.
    pub stderr: OwnedFd,
}

const STREAMS: [(Printed, RawFd); 2] = [(Printed::Stdout, libc::STDOUT_FILENO), (Printed::Stderr, libc::STDERR_FILENO)];

impl Standard {
    /// Puts the pipes in place.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn take() -> io::Result<(Self, Real)> {
        let (out, err) = (io::pipe()?, io::pipe()?);
        let real = Real { stdout: keep(libc::STDOUT_FILENO)?, stderr: keep(libc::STDERR_FILENO)? };
        let standard = Self { readers: [out.0, err.0], writers: [out.1, err.1], empty: File::open("/dev/null")? };
        for ((_, fd), (reader, writer)) in STREAMS.iter().zip(standard.readers.iter().zip(&standard.writers)) {
            do_not_block(reader.as_raw_fd())?;
            put(writer.as_raw_fd(), *fd)?;
        }
        Ok((standard, real))
    }

    /// Where to read from.
    pub fn watched(&self) -> [RawFd; 2] {
        self.readers.each_ref().map(AsRawFd::as_raw_fd)
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8], mut give: impl FnMut(Printed, &[u8])) {
        // Several rounds, because a writer may be waiting for place in its pipe; bounded, because it may never stop.
        for _ in 0..64 {
            let mut idle = true;
            for ((stream, _), reader) in STREAMS.iter().zip(&mut self.readers) {
                if let Ok(length @ 1..) = reader.read(buffer) {
                    idle = false;
                    give(*stream, buffer.get(..length).unwrap_or_default());
                }
            }
            if idle {
                return;
            }
        }
    }

    /// Opens again what has been closed, and returns what it is called. The next file that somebody opens would be in
    /// its place, and would get what is printed.
    pub fn restore(&self) -> Vec<&'static str> {
        let [out, err] = self.writers.each_ref().map(AsRawFd::as_raw_fd);
        let all = [
            (libc::STDIN_FILENO, self.empty.as_raw_fd(), "standard input"),
            (libc::STDOUT_FILENO, out, "standard output"),
            (libc::STDERR_FILENO, err, "standard error"),
        ];
        // SAFETY: a plain system call, which fails for a descriptor that is not open.
        let closed = all.into_iter().filter(|(fd, ..)| unsafe { libc::fcntl(*fd, libc::F_GETFD) } < 0);
        closed.filter(|(fd, from, _)| put(*from, *fd).is_ok()).map(|(.., name)| name).collect()
    }
}

/// A copy of a descriptor, which processes that a cell starts do not inherit.
///
/// # Errors
/// If the system has no descriptors left.
pub fn keep(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain system calls; the result is checked before it is owned.
    unsafe {
        let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3);
        if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(copy)) }
    }
}

/// Puts what one descriptor stands for in the place of another, where processes that a cell starts inherit it.
///
/// # Errors
/// If the system refuses it.
pub fn put(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: a plain system call; `to` is a standard stream, which nobody owns.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn do_not_block(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain system calls on a descriptor that is open.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        if flags < 0 || libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
