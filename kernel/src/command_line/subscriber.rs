//! A `ZeroMQ` SUB socket that connects again by itself.
//!
//! The protocol is ours (the crate `machine-zmtp`), in which a message is bounded and memory grows with what came:
//! what is connected to need not be a publisher that means well.

use machine_zmtp::subscriber::{Decoder, Event, hello, subscription};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

/// How long connecting is tried at first, and each handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest message that is shown, bytes.
const LONGEST: usize = 64 << 20;
/// How much is read at once.
const PIECE: usize = 64 << 10;

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What a subscriber has to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A message: its first frame, and its last.
    Message(Vec<u8>, Vec<u8>),
    /// A message of so many bytes was left out: they are too many.
    TooLong(u64),
    /// The connection has ended: why. The next report is that it is back.
    Gone(String),
    /// It is connected again.
    Back,
}

/// A subscriber to all that is published at an endpoint.
pub struct Subscriber {
    endpoint: String,
    /// None between `Gone` and `Back`.
    connection: Option<(Box<dyn Stream>, Decoder)>,
    piece: Vec<u8>,
}

impl Subscriber {
    /// Connects, and subscribes to everything.
    ///
    /// # Errors
    /// If no publisher answers in time: why the last attempt failed.
    pub async fn connect(endpoint: &str) -> Result<Self, String> {
        let until = Instant::now() + CONNECT_TIMEOUT;
        loop {
            match open(endpoint).await {
                Ok(connection) => {
                    let (endpoint, piece) = (endpoint.to_owned(), vec![0; PIECE]);
                    return Ok(Self { endpoint, connection: Some(connection), piece });
                }
                Err(Refused::Never(why)) => return Err(why),
                Err(Refused::Now(why)) if Instant::now() + RETRY_PAUSE >= until => return Err(why),
                Err(Refused::Now(_)) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    /// The next report. Nothing is lost if this is dropped while a connection is there.
    pub async fn next(&mut self) -> Report {
        let Some((stream, decoder)) = &mut self.connection else {
            loop {
                if let Ok(connection) = open(&self.endpoint).await {
                    self.connection = Some(connection);
                    return Report::Back;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        };
        let why = loop {
            match decoder.next() {
                Ok(Some(Event::Message { topic, body })) => return Report::Message(topic.to_vec(), body.to_vec()),
                Ok(Some(Event::TooLong(length))) => return Report::TooLong(length),
                Ok(Some(Event::Ready)) => {}
                Ok(Some(Event::Ping(answer))) => match stream.write_all(&answer).await {
                    Ok(()) => {}
                    Err(error) => break error.to_string(),
                },
                Ok(None) => match stream.read(&mut self.piece).await {
                    Ok(0) => break "the connection was ended".to_owned(),
                    Ok(count) => decoder.push(self.piece.get(..count).unwrap_or_default()),
                    Err(error) => break error.to_string(),
                },
                Err(why) => break why.to_owned(),
            }
        };
        self.connection = None;
        Report::Gone(why)
    }
}

/// Why there is no connection.
enum Refused {
    /// Another attempt may succeed.
    Now(String),
    /// The endpoint is none, or not a publisher's.
    Never(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Now(error.to_string())
    }
}

/// A connection after its handshake and subscription.
async fn open(endpoint: &str) -> Result<(Box<dyn Stream>, Decoder), Refused> {
    let until = Instant::now() + CONNECT_TIMEOUT;
    let opened = timeout_at(until, async {
        let mut stream = dial(endpoint).await?;
        let mut decoder = Decoder::new(LONGEST);
        stream.write_all(&hello()).await?;
        // What comes behind the handshake is read as messages are.
        let mut piece = [0; 1024];
        while decoder.next().map_err(|why| Refused::Never(why.to_owned()))? != Some(Event::Ready) {
            match stream.read(&mut piece).await? {
                0 => return Err(Refused::Now("the connection was ended".to_owned())),
                count => decoder.push(piece.get(..count).unwrap_or_default()),
            }
        }
        stream.write_all(&subscription("")).await?;
        Ok((stream, decoder))
    });
    opened.await.unwrap_or_else(|_| Err(Refused::Never(format!("no answer for {} s", CONNECT_TIMEOUT.as_secs()))))
}

async fn dial(endpoint: &str) -> Result<Box<dyn Stream>, Refused> {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let address = endpoint.strip_prefix("tcp://").filter(|address| address.contains(':'));
    let Some(address) = address else {
        return Err(Refused::Never("expected tcp://ADDRESS:PORT or ipc://PATH".to_owned()));
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
