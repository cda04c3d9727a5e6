//! The smallest HTTP server that answers `GET /metrics`, each connection on a thread.

use crate::web_page;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a client may take to say what it wants and to take the answer, in all.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest request, bytes.
const LONGEST: u64 = 8 << 10;
/// The most connections at a time. One more cuts off the oldest: who says nothing keeps nobody out.
const CONNECTIONS: usize = 32;

/// Answers on a port of this machine alone; 0 for any. Returns the port; goes on on a thread of its own.
///
/// # Errors
/// If the port cannot be had.
pub fn serve(port: u16, text: impl Fn() -> String + Send + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = listener.local_addr()?.port();
    let server = Arc::new(Server { text: Mutex::new(Box::new(text)), open: Mutex::default() });
    let accept = move || {
        for (number, stream) in listener.incoming().enumerate() {
            // No descriptors or threads left, most likely: that passes.
            if stream.and_then(|stream| server.attend(number, stream)).is_err() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    std::thread::Builder::new().name("machine/metrics".to_owned()).spawn(accept)?;
    Ok(port)
}

struct Server {
    text: Mutex<Box<dyn Fn() -> String + Send>>,
    /// The connections, by their numbers: oldest first.
    open: Mutex<BTreeMap<usize, TcpStream>>,
}

impl Server {
    fn attend(self: &Arc<Self>, number: usize, stream: TcpStream) -> io::Result<()> {
        let mut open = lock(&self.open);
        if open.len() >= CONNECTIONS
            && let Some((_, oldest)) = open.pop_first()
        {
            // Gone already is as good.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        open.insert(number, stream.try_clone()?);
        drop(open);
        let server = Arc::clone(self);
        let work = move || {
            // Whoever hangs up or talks nonsense is left alone.
            let _ = server.answer(&stream);
            lock(&server.open).remove(&number);
        };
        let spawned = std::thread::Builder::new().name("machine/scrape".to_owned()).spawn(work);
        if spawned.is_err() {
            lock(&self.open).remove(&number);
        }
        spawned.map(drop)
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let mut stream = Timed { stream, until: Instant::now() + CLIENT_TIMEOUT };
        let mut lines = BufReader::new(Read::by_ref(&mut stream).take(LONGEST)).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut refused = None;
        // The header is read to its end: a connection that is closed with something unread is reset.
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                refused = refused.or(web_page::refuses(name, value.trim(), true));
            }
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, body) = match (refused, method, path.split('?').next().unwrap_or_default()) {
            (Some(why), ..) => ("403 Forbidden", format!("{why}\n")),
            (None, "GET", "/metrics") => ("200 OK", lock(&self.text)()),
            (None, "GET", _) => ("404 Not Found", "there is /metrics\n".to_owned()),
            _ => ("405 Method Not Allowed", "GET /metrics\n".to_owned()),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
