//! Whose process is at the other end of a socket.
#![allow(unsafe_code, reason = "user numbers are asked for with libc")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// The user that this process acts as.
pub fn own_user() -> u32 {
    // SAFETY: has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// The user of the process that a stream is connected to, as it was when it connected.
///
/// # Errors
/// If the system does not say.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn user_of(stream: &UnixStream) -> io::Result<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open; `credentials` is as long as `length` says, and both are written by the call alone.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if failed == 0 { Ok(credentials.uid) } else { Err(io::Error::last_os_error()) }
}

/// The user of the process that a stream is connected to, as it was when it connected.
///
/// # Errors
/// If the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn user_of(stream: &UnixStream) -> io::Result<u32> {
    let (mut user, mut group) = (0, 0);
    // SAFETY: the descriptor is open; both numbers are written by the call alone.
    let failed = unsafe { libc::getpeereid(stream.as_raw_fd(), &raw mut user, &raw mut group) };
    if failed == 0 { Ok(user) } else { Err(io::Error::last_os_error()) }
}

/// Refuses a stream whose other end is another user's.
///
/// # Errors
/// If it is, or the system does not say.
pub fn check(stream: &UnixStream) -> io::Result<()> {
    let (own, other) = (own_user(), user_of(stream)?);
    if own == other {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the other end is user {other}, this is user {own}")))
}
