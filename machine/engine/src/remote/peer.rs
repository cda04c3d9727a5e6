//! Whose process is at the other end of a socket.
#![allow(unsafe_code, reason = "user numbers are asked for with libc")]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
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

thread_local! {
    /// The stream of the client that the calling thread serves.
    static CLIENT: Cell<Option<RawFd>> = const { Cell::new(None) };
}

/// The calling thread carries out a command of a client as long as this lives.
#[derive(Debug)]
pub struct Serving<'s>(std::marker::PhantomData<&'s UnixStream>);

impl<'s> Serving<'s> {
    pub fn begin(stream: &'s UnixStream) -> Self {
        CLIENT.with(|client| client.set(Some(stream.as_raw_fd())));
        Self(std::marker::PhantomData)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        CLIENT.with(|client| client.set(None));
    }
}

/// Whether the client that the calling thread serves has closed its end. Never waits.
pub fn client_is_gone() -> bool {
    let Some(client) = CLIENT.try_with(Cell::get).ok().flatten() else { return false };
    let mut byte = 0_u8;
    // SAFETY: `Serving` borrows the stream, so the descriptor is open; there is room for one byte.
    let read = unsafe { libc::recv(client, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    match read {
        0 => true,
        1.. => false,
        _ => !matches!(io::Error::last_os_error().kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
    }
}
