//! A WebSocket client that connects again.
//!
//! It is read only while the machine takes messages, and pings are answered while it is read: a server that gives up
//! on a full queue is connected to again.

use crate::core::command_error::failed;
use crate::core::runtime;
use crate::core::source::SourceDriver;
use crate::core::source::context::{SourceContext, Stop};
use crate::decode;
use futures_util::{SinkExt, StreamExt};
use machine_protocol::source::WebSocket;
use machine_protocol::status::SourceState;
use machine_protocol::{Error, ErrorKind};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The pause after the first lost connection; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long connecting and greeting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How much may wait to be written beside the greetings: answers to pings of a server that does not read them.
const UNWRITTEN: usize = 1 << 20;
/// How long nothing may come before the server is asked for a sign of life, and again before it counts as gone.
const QUIET: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocket,
    host: String,
    port: u16,
    /// Attempts without a message.
    attempts: u32,
    /// Messages so far, for naming the ones that are none.
    number: u64,
    connected: bool,
}

impl Client {
    /// # Errors
    /// If the URL is none, or there are no threads for sockets.
    pub fn new(socket: WebSocket) -> Result<Self, Error> {
        runtime::handle()?;
        let bad = |why: &str| failed(ErrorKind::BadUrl, format!("{:?} is no ws://host:port/path: {why}", socket.url));
        let uri: Uri = socket.url.parse().map_err(|error| bad(&format!("{error}")))?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(bad("encrypted ones need a proxy on this computer, such as stunnel or socat")),
            _ => return Err(bad("it has to begin with ws://")),
        }
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return Err(bad("there is no host")) };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // After the last bracket: an address of version 6 has its own colons.
        let after = uri.authority().and_then(|authority| authority.as_str().rsplit(']').next()).unwrap_or_default();
        let port = match uri.port_u16() {
            Some(port) => port,
            None if after.contains(':') => return Err(bad("the port is no number from 0 to 65535")),
            None => 80,
        };
        Ok(Self { socket, host, port, attempts: 0, number: 0, connected: false })
    }

    async fn open(&self) -> Result<WebSocketStream<TcpStream>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        let most = Some(self.socket.max_bytes);
        let greetings: usize = self.socket.greetings.iter().map(String::len).sum();
        let config = WebSocketConfig::default()
            .max_message_size(most)
            .max_frame_size(most)
            .max_write_buffer_size(UNWRITTEN.saturating_add(greetings));
        let request = self.socket.url.as_str().into_client_request().map_err(|error| error.to_string())?;
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (mut stream, _response) = opened.map_err(|error| error.to_string())?;
        for greeting in &self.socket.greetings {
            stream.send(Message::text(greeting.as_str())).await.map_err(|error| error.to_string())?;
        }
        Ok(stream)
    }

    /// One connection, from its beginning to its end; returns why it ended.
    async fn session(&mut self, intake: &mut SourceContext<'_>) -> Result<String, Stop> {
        let opened = tokio::select! {
            () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
            opened = tokio::time::timeout(CONNECT, self.open()) => opened,
        };
        let mut stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Ok(why),
            Err(_) => return Ok(format!("no answer for {} s", CONNECT.as_secs())),
        };
        if self.connected {
            intake.feed.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        self.connected = true;
        intake.feed.set_state(SourceState::Running);
        let mut asked = false;
        let no_sign = || format!("no sign of life for {} s", 2 * QUIET.as_secs());
        loop {
            let next = tokio::select! {
                biased;
                () = intake.feed.shutdown.ended() => {
                    // The server may be gone; nobody waits for its answer.
                    let _said = tokio::time::timeout(Duration::from_millis(100), stream.close(None)).await;
                    return Err(Stop::Ended);
                }
                next = tokio::time::timeout(QUIET, stream.next()) => next,
            };
            match next {
                Ok(Some(Ok(message))) => {
                    asked = false;
                    if let Some(why) = self.take(message, intake)? {
                        return Ok(why);
                    }
                }
                Ok(Some(Err(error))) => {
                    let why = match &error {
                        tungstenite::Error::Capacity(error) => Some(error.to_string()),
                        tungstenite::Error::Utf8(_) => Some("not UTF-8".to_owned()),
                        _ => None,
                    };
                    if let Some(why) = why {
                        // It is lost: what comes after it cannot be found, so the connection ends.
                        self.number += 1;
                        intake.bad(&format!("message {}", self.number), &why, &[]);
                    }
                    return Ok(error.to_string());
                }
                Ok(None) => return Ok("the server ended the connection".to_owned()),
                Err(_) if asked => return Ok(no_sign()),
                Err(_) => {
                    asked = true;
                    // A server that does not read takes no ping either.
                    let sent = tokio::select! {
                        () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                        sent = tokio::time::timeout(QUIET, stream.send(Message::Ping(Vec::new().into()))) => sent,
                    };
                    match sent {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Ok(error.to_string()),
                        Err(_) => return Ok(no_sign()),
                    }
                }
            }
        }
    }

    /// Takes what came; returns why the connection ends, if it does.
    fn take(&mut self, message: Message, intake: &mut SourceContext<'_>) -> Result<Option<String>, Stop> {
        let data = match message {
            Message::Text(_) | Message::Binary(_) => message.into_data(),
            Message::Close(Some(frame)) => {
                return Ok(Some(format!("closed by the server: {} {}", frame.code, frame.reason)));
            }
            Message::Close(None) => return Ok(Some("closed by the server".to_owned())),
            // Pings are answered by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(None),
        };
        self.attempts = 0;
        self.number += 1;
        let text = std::str::from_utf8(&data).map_err(|error| format!("not UTF-8, byte {}", error.valid_up_to() + 1));
        match text.and_then(|text| decode::check(text).map(|()| text).map_err(|why| format!("not JSON: {why}"))) {
            // Waits, in this thread: nothing else is to be done here meanwhile, and no thread of the sockets'.
            Ok(text) => intake.json(decode::one_line(text).into_owned())?,
            Err(why) => intake.bad(&format!("message {}", self.number), &why, &data),
        }
        Ok(None)
    }

    async fn stay_connected(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        loop {
            intake.feed.set_state(SourceState::Connecting);
            self.attempts = self.attempts.saturating_add(1);
            let why = self.session(intake).await?;
            intake.feed.set_state(SourceState::Connecting);
            intake.feed.set_note(why.as_str());
            if self.socket.attempts > 0 && self.attempts >= self.socket.attempts {
                let attempts = self.attempts;
                return Err(Stop::Failed(format!("{} attempts to connect to {}: {why}", attempts, self.socket.url)));
            }
            tokio::select! {
                () = intake.feed.shutdown.ended() => return Err(Stop::Ended),
                () = tokio::time::sleep(pause(self.attempts, random())) => {}
            }
        }
    }
}

/// How long to wait after so many attempts: between half and all of a time that doubles, so that many clients of one
/// server do not come back all at once.
fn pause(attempts: u32, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + random / 2.0)
}

/// Anything from 0 to 1.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

impl SourceDriver for Client {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let runtime = runtime::handle().map_err(|failure| Stop::Failed(failure.to_string()))?;
        runtime.block_on(self.stay_connected(intake))
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, pause, random};
    use machine_protocol::source::websocket;
    use std::time::Duration;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let millis = |attempts, random| pause(attempts, random).as_millis();
        assert_eq!([1, 2, 3, 4].map(|attempts| millis(attempts, 1.0)), [100, 200, 400, 800]);
        assert_eq!([1, 2, 3, 4].map(|attempts| millis(attempts, 0.0)), [50, 100, 200, 400]);
        assert_eq!(pause(u32::MAX, 1.0), Duration::from_secs(30));
        assert!((0..100).map(|_| random()).all(|r| (0.0..=1.0).contains(&r)));
    }

    #[test]
    fn urls_are_looked_at_at_once() {
        let client = |url| Client::new(websocket(url)).map(|client| (client.host, client.port));
        assert_eq!(client("ws://localhost/feed"), Ok(("localhost".to_owned(), 80)));
        assert_eq!(client("ws://[::1]:9000"), Ok(("::1".to_owned(), 9000)));
        for url in ["http://a", "wss://a", "", "ws://", "nonsense with spaces", "ws://127.0.0.1:99999/", "ws://[::1]:x"]
        {
            assert_eq!(
                client(url).map_err(|failure| failure.kind()),
                Err(machine_protocol::ErrorKind::BadUrl),
                "{url}"
            );
        }
    }
}
