//! What cargo compiles, told while a cell waits for it.
//!
//! evcxr prints cargo's lines to this process' standard error. So that is read here: lines about crates go to the
//! cell that waits, all others to where they would have gone.
#![allow(unsafe_code, reason = "standard error is moved with libc")]

use super::events::Events;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Reads this process' standard error from now on.
///
/// # Errors
/// If the system has no descriptors or threads left.
pub fn capture(events: Arc<Events>) -> io::Result<()> {
    let (read, write) = io::pipe()?;
    // SAFETY: plain system calls on open descriptors; the result is checked before it is owned.
    let mut real: File = unsafe {
        let real = libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        if real < 0 || libc::dup2(write.as_raw_fd(), libc::STDERR_FILENO) < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(real).into()
    };
    let forward = move || {
        let mut lines = BufReader::new(read);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            if events.is_running() && is_progress(&text) {
                events.warn(&text);
            } else {
                // Where there is no log there is nobody to miss it.
                let _ = real.write_all(&line);
            }
            line.clear();
        }
    };
    std::thread::Builder::new().name("progress".into()).spawn(forward).map(drop)
}

fn is_progress(line: &str) -> bool {
    line.trim_start().starts_with("Compiling ")
}
