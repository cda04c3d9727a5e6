//! The smallest HTTP server that answers `GET /metrics`, one connection after the other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a client may take to say what it wants and to take the answer, in all: the next one waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request, bytes.
const LONGEST: u64 = 8 << 10;

/// Answers on a port of this machine alone; 0 for any. Returns the port; goes on on a thread of its own.
///
/// # Errors
/// If the port cannot be had.
pub fn serve(port: u16, text: impl Fn() -> String + Send + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = listener.local_addr()?.port();
    let accept = move || {
        for stream in listener.incoming() {
            match stream {
                // Whoever hangs up or talks nonsense is left alone.
                Ok(stream) => drop(answer(&stream, &text)),
                // No descriptors left, most likely: that passes.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    };
    std::thread::Builder::new().name("machine/metrics".to_owned()).spawn(accept)?;
    Ok(port)
}

fn answer(stream: &TcpStream, text: &dyn Fn() -> String) -> io::Result<()> {
    let mut stream = Timed { stream, until: Instant::now() + PATIENCE };
    let mut lines = BufReader::new(Read::by_ref(&mut stream).take(LONGEST)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The header is read to its end: a connection that is closed with something unread is reset.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/metrics") => ("200 OK", text()),
        ("GET", _) => ("404 Not Found", "there is /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET /metrics\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A stream that gives up at a point in time, however slowly the other end goes on.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
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
