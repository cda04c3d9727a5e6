//! A `ZeroMQ` SUB socket.
//!
//! It is read only while the machine takes messages: what waits meanwhile waits in the system's buffers and then
//! with the publisher, up to its high-water mark. Pings are answered while it is read.
//!
//! The protocol is our own (the crate `machine-zmtp`), because the library that there is ends the connection at each
//! PING, and bounds no message.

use crate::core::backoff;
use crate::core::command_error::failed;
use crate::core::runtime;
use crate::core::source::SourceDriver;
use crate::core::source::context::{SourceContext, Stop};
use crate::decode::frames::{self, Read};
use machine_protocol::source::ZmqSub;
use machine_protocol::status::SourceState;
use machine_protocol::{Error, ErrorKind};
use machine_zmtp::subscriber::{Decoder, Event, hello, subscription};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The pause after the first lost connection; each further one is twice as long: what is published meanwhile is lost.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long connecting and greeting may take, and a write of some bytes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much is read at once.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Subscriber {
    sub: ZmqSub,
    read: Read,
    /// Messages so far, for naming the ones that are none.
    number: u64,
    /// Attempts to connect since it was connected last.
    attempts: u32,
    connected: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What an endpoint lacks.
fn check(endpoint: &str) -> Result<(), &'static str> {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return if path.is_empty() { Err("there is no path") } else { Ok(()) };
    }
    let address = endpoint.strip_prefix("tcp://").ok_or("it begins with neither tcp:// nor ipc://")?;
    // Without brackets, what is behind the last colon of an address of version 6 is no port.
    let (host, port) = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        .ok_or(if address.is_empty() { "there is no address" } else { "there is no port" })?;
    if host.is_empty() {
        return Err("there is no host");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port is no number from 1 to 65535"),
    }
}

impl Subscriber {
    /// # Errors
    /// If the endpoint is none, or there are no threads for sockets.
    pub fn new(sub: ZmqSub) -> Result<Self, Error> {
        runtime::handle()?;
        if let Err(why) = check(&sub.endpoint) {
            let examples = "tcp://127.0.0.1:5555 and ipc:///path/of/a/socket are";
            return Err(failed(
                ErrorKind::BadEndpoint,
                format!("{:?} is no endpoint: {why}; {examples}", sub.endpoint),
            ));
        }
        let read = match (sub.text, sub.slot) {
            (true, _) => Read::Text,
            (false, Some(slot)) => Read::Slot(slot),
            (false, None) => Read::Json,
        };
        Ok(Self { sub, read, number: 0, attempts: 0, connected: false })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        if let Some(path) = self.sub.endpoint.strip_prefix("ipc://") {
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        let address = self.sub.endpoint.strip_prefix("tcp://").unwrap_or_default();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// Connects, and says what it wants; returns what comes then, and where from.
    async fn open(&self) -> Result<(Box<dyn Stream>, Decoder), String> {
        let mut stream = self.connect().await.map_err(|error| error.to_string())?;
        let mut decoder = Decoder::new(self.sub.max_bytes);
        stream.write_all(&hello()).await.map_err(|error| error.to_string())?;
        // No longer than a greeting and a command: what comes behind them is read as messages are.
        let mut piece = [0; 1024];
        while decoder.next()? != Some(Event::Ready) {
            match stream.read(&mut piece).await {
                Ok(0) => return Err("the connection was ended".to_owned()),
                Ok(read) => decoder.push(piece.get(..read).unwrap_or_default()),
                Err(error) => return Err(error.to_string()),
            }
        }
        stream.write_all(&subscription(&self.sub.topic)).await.map_err(|error| error.to_string())?;
        Ok((stream, decoder))
    }

    /// One connection, from its beginning to its end; returns why it ended.
    async fn session(&mut self, piece: &mut [u8], intake: &mut SourceContext<'_>) -> Result<String, Stop> {
        let opened = tokio::select! {
            () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
            opened = tokio::time::timeout(CONNECT_TIMEOUT, self.open()) => opened,
        };
        let (mut stream, mut decoder) = match opened {
            Ok(Ok(open)) => open,
            Ok(Err(why)) => return Ok(format!("not connected: {why}")),
            Err(_) => return Ok(format!("not connected: no answer for {} s", CONNECT_TIMEOUT.as_secs())),
        };
        if self.connected {
            intake.feed.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        (self.connected, self.attempts) = (true, 0);
        intake.feed.set_state(SourceState::Running);
        let lost = |why: &dyn std::fmt::Display| Ok(format!("the connection was lost: {why}"));
        loop {
            let mut answers = Vec::new();
            loop {
                match decoder.next() {
                    Ok(Some(Event::Message { topic, body })) => self.put(topic, body, intake)?,
                    Ok(Some(Event::TooLong(length))) => self.leave_out(length, intake),
                    Ok(Some(Event::Ping(answer))) => answers.extend(answer),
                    Ok(Some(Event::Ready)) => {}
                    Ok(None) => break,
                    Err(why) => return lost(&why),
                }
            }
            let next = async {
                if !answers.is_empty() {
                    let written = tokio::time::timeout(CONNECT_TIMEOUT, stream.write_all(&answers)).await;
                    written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
                }
                stream.read(piece).await
            };
            let read = tokio::select! {
                biased;
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                read = next => read,
            };
            match read {
                Ok(0) => return lost(&"the publisher has ended it"),
                Ok(read) => decoder.push(piece.get(..read).unwrap_or_default()),
                Err(error) => return lost(&error),
            }
        }
    }

    fn put(&mut self, topic: &[u8], body: &[u8], intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        self.number += 1;
        match frames::message([topic, body], self.read) {
            // Waits, in this thread: nothing else is to be done here meanwhile, and no thread of the sockets'.
            Ok(json) => intake.json(json),
            Err(why) => {
                intake.bad(&format!("message {}", self.number), &why, body);
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, length: u64, intake: &SourceContext<'_>) {
        self.number += 1;
        let why = format!("{length} bytes long: it may be {} (max_bytes)", self.sub.max_bytes);
        intake.bad(&format!("message {}", self.number), &why, &[]);
    }

    async fn stay_connected(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let mut piece = vec![0; PIECE];
        loop {
            intake.feed.set_state(SourceState::Connecting);
            let why = self.session(&mut piece, intake).await?;
            intake.feed.set_state(SourceState::Connecting);
            intake.feed.set_note(why);
            self.attempts = self.attempts.saturating_add(1);
            let pause = backoff::wait_before(self.attempts, FIRST_PAUSE).min(LONGEST_PAUSE);
            tokio::select! {
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl SourceDriver for Subscriber {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let runtime = runtime::handle().map_err(|failure| Stop::Failed(failure.to_string()))?;
        runtime.block_on(self.stay_connected(intake))
    }
}
