//! `write` and `writev` in the place of the C library's, for all Rust code in the runtime process.
//!
//! The executable exports both, so the standard library of the cells' libraries calls them. What goes to standard output
//! or error is then put down in the order in which it was printed, together with who printed it; two pipes could keep
//! neither. Everything else, also in every other process of this executable, is the system call and nothing more.
//!
//! Code in C mostly calls the C library's own `write`, and other processes have only the pipes: their output is text,
//! and in order among itself.
#![allow(unsafe_code, reason = "functions of the C library are replaced, with system calls")]

use super::pump::Pump;
use super::recording;
use super::records::Source;
use crate::control::Printed;
use libc::{c_int, c_long, c_void, iovec, size_t, ssize_t};
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// Set once, when the standard streams are taken.
static TAKEN: OnceLock<Taken> = OnceLock::new();

/// The standard streams while they belong to a pump.
struct Taken {
    pump: Arc<Pump>,
    /// What the descriptors 1 and 2 are as long as nobody puts something else in their place.
    pipes: [Identity; 2],
    /// 1 in this process, 0 in one that was forked from it.
    here: &'static AtomicU8,
}

/// What makes an open file the same as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(libc::dev_t, libc::ino_t);

impl Identity {
    /// Of what a descriptor stands for.
    fn of(fd: RawFd) -> io::Result<Self> {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the system writes a whole `stat` if it returns 0.
        unsafe {
            if libc::fstat(fd, stat.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let stat = stat.assume_init();
            Ok(Self(stat.st_dev, stat.st_ino))
        }
    }
}

/// From now on what Rust code writes to standard output and error goes to the pump, which has put its pipes in their
/// place. Returns whether that is so: if not, all output goes through the pipes.
pub fn start(pump: &Arc<Pump>) -> bool {
    if !is_exported() {
        return false;
    }
    let (Ok(out), Ok(err), Some(here)) = (Identity::of(1), Identity::of(2), not_inherited()) else { return false };
    TAKEN.set(Taken { pump: Arc::clone(pump), pipes: [out, err], here }).is_ok()
}

/// Whether a library that is loaded calls the functions of this module.
fn is_exported() -> bool {
    // SAFETY: the name ends in a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"write".as_ptr()) };
    std::ptr::eq(found, write as *const c_void)
}

/// A byte that is 1 in this process and 0 in all that are forked from it.
fn not_inherited() -> Option<&'static AtomicU8> {
    // SAFETY: a new page of zeros, aligned, never unmapped, and written through the atomic alone.
    unsafe {
        let length = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).ok()?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if page == libc::MAP_FAILED || libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
            return None;
        }
        let here = AtomicU8::from_ptr(NonNull::new(page)?.cast::<u8>().as_ptr());
        // Relaxed: a thread that reads it was started later, or is this thread.
        here.store(1, Ordering::Relaxed);
        Some(here)
    }
}

/// Puts down what goes to a standard stream. Returns whether that was done.
fn record(fd: c_int, parts: &[IoSlice<'_>]) -> bool {
    let (stream, at) = match fd {
        libc::STDOUT_FILENO => (Printed::Stdout, 0),
        libc::STDERR_FILENO => (Printed::Stderr, 1),
        _ => return false,
    };
    let Some(taken) = TAKEN.get() else { return false };
    // Relaxed: a process sees its own.
    if taken.here.load(Ordering::Relaxed) == 0 {
        return false;
    }
    // A cell may have put a file in its place. One that is closed is still where output is printed.
    if Identity::of(fd).is_ok_and(|now| taken.pipes.get(at) != Some(&now)) {
        return false;
    }
    let source = Source { stream, cell: super::is_cell_code(), thread: recording::thread() };
    taken.pump.record(source, parts)
}

/// The C library's `write`.
///
/// # Safety
/// As for the C library's: `count` bytes can be read at `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    if (fd == libc::STDOUT_FILENO || fd == libc::STDERR_FILENO)
        && let Ok(length) = ssize_t::try_from(count)
        && !bytes.is_null()
    {
        // SAFETY: the caller's promise.
        let all = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
        if record(fd, &[IoSlice::new(all)]) {
            return length;
        }
    }
    // SAFETY: the caller's promise. The system checks the addresses.
    result(unsafe { libc::syscall(libc::SYS_write, fd, bytes, count) })
}

/// The C library's `writev`.
///
/// # Safety
/// As for the C library's: `count` parts can be read at `parts`, and what they stand for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if (fd == libc::STDOUT_FILENO || fd == libc::STDERR_FILENO)
        && let Ok(count) = usize::try_from(count)
        && !parts.is_null()
    {
        // SAFETY: the caller's promise.
        let all = unsafe { std::slice::from_raw_parts(parts, count) };
        let length = all.iter().fold(0_usize, |sum, part| sum.saturating_add(part.iov_len));
        if let Ok(length) = ssize_t::try_from(length)
            && all.iter().all(|part| !part.iov_base.is_null())
            // SAFETY: the caller's promise; an `IoSlice` has the layout of an `iovec`, which std guarantees on Unix.
            && record(fd, unsafe { std::slice::from_raw_parts(parts.cast::<IoSlice<'_>>(), count) })
        {
            return length;
        }
    }
    // SAFETY: the caller's promise. The system checks the addresses.
    result(unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) })
}

/// What a system call that counts bytes returned; the error is where the C library keeps it.
fn result(counted: c_long) -> ssize_t {
    ssize_t::try_from(counted).unwrap_or(-1)
}
