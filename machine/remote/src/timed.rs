//! A stream whose transfers end in time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A stream that gives up at a point in time, however slowly the other end goes on.
pub struct Timed<'a> {
    stream: &'a UnixStream,
    until: Instant,
    /// What is granted once the first byte is there.
    then: Option<Duration>,
}

impl<'a> Timed<'a> {
    /// Everything until `limit` from now.
    #[must_use]
    pub fn new(stream: &'a UnixStream, limit: Duration) -> Self {
        Self { stream, until: Instant::now() + limit, then: None }
    }

    /// Until `limit` for the first byte, and until `then` after it for the rest.
    #[must_use]
    pub fn starting_with(stream: &'a UnixStream, limit: Duration, then: Duration) -> Self {
        Self { then: Some(then), ..Self::new(stream, limit) }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        let length = self.stream.read(buffer)?;
        if let Some(then) = self.then.take() {
            self.until = Instant::now() + then;
        }
        Ok(length)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
