//! Whether the client whose command a thread carries out is still there.
#![allow(unsafe_code, reason = "a socket is looked into with libc")]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

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
