//! An HTTP endpoint.
//!
//! A request is answered at once: what has no room in the queue is refused, so that its sender knows. Bodies are read
//! whole, and looked at whole before the first message is put: a body that is not JSON puts nothing.
//!
//! Nobody is left waiting unheard: who finds all places taken is told so, and while all are taken each answer ends its
//! connection. No connection goes on for ever, whatever its client does: one that sends and never reads is cut off.

use crate::core::command_error::failed;
use crate::core::machine::Machine;
use crate::core::runtime;
use crate::core::source::context::{SourceContext, Stop};
use crate::core::source::pace::Pacer;
use crate::core::source::{SourceDriver, SourceTask, guard};
use crate::decode::body::{self, BadBody};
use crate::decode::unpack::{self, Packed};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use machine_protocol::source::Http;
use machine_protocol::{Error, ErrorKind};
use machine_remote::web_page;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Connections beyond them that are told so at a time; further ones are closed without a word.
const REFUSED: usize = 64;
/// How long that may take.
const REFUSAL: Duration = Duration::from_secs(5);
/// How long a client may take for its head, and for its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The first answer after this time ends a connection.
const TURN: Duration = Duration::from_mins(1);
/// The longest that a connection can take: a last head, body and answer after its turn.
const LONGEST: Duration = TURN.saturating_add(REQUEST_TIMEOUT.saturating_mul(3));
/// How long requests may go on when the source is cleared.
const LAST: Duration = Duration::from_millis(500);
/// How much of a body that is too large is read and dropped, so that the client gets to read the answer, and for how long.
const SURPLUS: usize = 1 << 30;
const SURPLUS_TIMEOUT: Duration = Duration::from_secs(20);
/// How much memory is taken for a body before it has come: announcing costs a client nothing.
const AT_ONCE: usize = 1 << 20;
/// How much of a rate may come at once.
const CREDIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: Option<TcpListener>,
    address: SocketAddr,
    max_bytes: usize,
}

impl Endpoint {
    /// # Errors
    /// If the address is none, or taken.
    pub fn open(http: Http) -> Result<Self, Error> {
        runtime::handle()?;
        let given = http.address;
        let full = if given.bytes().all(|byte| byte.is_ascii_digit()) { format!("127.0.0.1:{given}") } else { given };
        let wrong = |error: std::io::Error| {
            failed(ErrorKind::BadAddress, format!("cannot listen on {full}: {error}; 127.0.0.1:0 is any free port"))
        };
        let listener = TcpListener::bind(&full).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        Ok(Self { listener: Some(listener), address, max_bytes: http.max_bytes })
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn serve(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let broken = |error: std::io::Error| Stop::Failed(format!("the endpoint: {error}"));
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let listener = tokio::net::TcpListener::from_std(listener).map_err(broken)?;
        let door = Arc::new(Door {
            machine: intake.machine,
            feed: intake.feed.clone(),
            pacer: Mutex::new(intake.take_pacer().with_credit(CREDIT)),
            max_bytes: self.max_bytes,
            is_local: self.address.ip().is_loopback(),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
        });
        let mut tasks = JoinSet::new();
        let mut refused = 0_u64;
        loop {
            tokio::select! {
                biased;
                () = intake.feed.shutdown.ended() => break,
                Some(_) = tasks.join_next() => {}
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, from)) => {
                            let place = door.places.clone().try_acquire_owned().ok();
                            if place.is_none() {
                                refused += 1;
                                intake.feed.set_note(format!("{refused} connections refused: {CONNECTIONS} are open"));
                            }
                            if place.is_some() || tasks.len() < CONNECTIONS + REFUSED {
                                tasks.spawn(door.clone().attend(stream, from, place));
                            }
                        }
                        // Too many open files, or a client that is gone already: the next one may do.
                        Err(error) => {
                            intake.feed.set_note(format!("a connection was not accepted: {error}"));
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
            }
        }
        drop(listener);
        let over = async { while tasks.join_next().await.is_some() {} };
        // Who is not ready by then is cut off.
        let _ready = tokio::time::timeout(LAST, over).await;
        Err(Stop::Ended)
    }
}

impl SourceDriver for Endpoint {
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop> {
        let runtime = runtime::handle().map_err(|failure| Stop::Failed(failure.to_string()))?;
        runtime.block_on(self.serve(intake))
    }
}

/// What all connections of an endpoint share.
#[derive(Debug)]
struct Door {
    machine: &'static Machine,
    feed: Arc<SourceTask>,
    pacer: Mutex<Pacer>,
    max_bytes: usize,
    /// Whether only this computer can connect.
    is_local: bool,
    places: Arc<Semaphore>,
}

/// An answer: its status, and what its JSON says.
struct Answer {
    status: StatusCode,
    json: serde_json::Value,
}

impl Answer {
    fn refused(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { status, json: serde_json::json!({ "accepted": 0, "error": error, "message": message }) }
    }

    fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        if let Some(fields) = self.json.as_object_mut() {
            fields.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Of so many messages some were accepted, up to the one in a line.
    fn after(self, line: u64, accepted: usize, count: usize) -> Self {
        self.with("accepted", accepted).with("refused", count - accepted).with("line", line)
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.json.to_string() + "\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

impl Door {
    /// Answers the requests of one connection; one without a place is told that there is none.
    async fn attend(
        self: Arc<Self>,
        stream: tokio::net::TcpStream,
        from: SocketAddr,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let (begin, has_place) = (Instant::now(), place.is_some());
        let answer = async |request| {
            let answer = if has_place { self.answer(request, from).await } else { Self::refuse(request).await };
            let mut response = answer.response();
            if !has_place {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // A client that retries should find a place.
            if !has_place || self.places.available_permits() == 0 || begin.elapsed() > TURN {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        };
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
        let connection = builder.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
        let mut connection = std::pin::pin!(connection);
        // What is wrong with a connection concerns its client alone.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = tokio::time::sleep(if has_place { LONGEST } else { REFUSAL }) => {}
            () = self.feed.shutdown.ended() => {
                connection.as_mut().graceful_shutdown();
                let _over = connection.await;
            }
        }
    }

    /// Answers without taking anything: the body is read, so that the client gets to read the answer.
    async fn refuse(request: Request<Incoming>) -> Answer {
        let _too_large = Self::read(request.into_body(), 0).await;
        let message = format!("{CONNECTIONS} clients are connected already: send it again after a second");
        Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    async fn answer(&self, request: Request<Incoming>, from: SocketAddr) -> Answer {
        let mut headers = request.headers().iter();
        let refuses = |(name, value): (&HeaderName, &HeaderValue)| {
            web_page::refuses(name.as_str(), &String::from_utf8_lossy(value.as_bytes()), self.is_local)
        };
        if let Some(why) = headers.find_map(refuses) {
            return Answer::refused(StatusCode::FORBIDDEN, "web_page", why);
        }
        if request.method() != Method::POST {
            let message = "POST one JSON value, or JSON Lines with Content-Type: application/x-ndjson";
            return Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "not_a_post", message);
        }
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (kind, encoding) = (header(CONTENT_TYPE).to_owned(), header(CONTENT_ENCODING).to_owned());
        if request.headers().contains_key(EXPECT) && request.body().size_hint().lower() > self.max_bytes as u64 {
            // It waits for an answer before it sends the body.
            return Self::too_large(self.max_bytes);
        }
        match tokio::time::timeout(REQUEST_TIMEOUT, Self::read(request.into_body(), self.max_bytes)).await {
            Ok(Ok(bytes)) => match unpack::body(&encoding, bytes, self.max_bytes) {
                Ok(bytes) => self.take(&kind, &bytes, from),
                Err(Packed::TooLarge) => Self::too_large(self.max_bytes),
                Err(Packed::Unsupported(why)) => {
                    Answer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", why)
                }
                Err(Packed::Broken(why)) => Answer::refused(StatusCode::BAD_REQUEST, "bad_body", why),
            },
            Ok(Err(answer)) => answer,
            Err(_) => {
                let message = format!("the body did not come within {} s", REQUEST_TIMEOUT.as_secs());
                Answer::refused(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
            }
        }
    }

    /// Reads a body of `most` bytes at most.
    async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, Answer> {
        let announced = body.size_hint().lower();
        let mut too_large = announced > most as u64;
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(most).min(AT_ONCE));
        let (mut surplus, begin) = (0, Instant::now());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Answer::refused(StatusCode::BAD_REQUEST, "bad_body", format!("the body ended before its time: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            too_large |= bytes.len() + data.len() > most;
            if too_large {
                surplus += data.len();
                if surplus > SURPLUS || begin.elapsed() > SURPLUS_TIMEOUT {
                    break;
                }
            } else {
                bytes.extend_from_slice(&data);
            }
        }
        if too_large {
            return Err(Self::too_large(most));
        }
        Ok(bytes)
    }

    fn too_large(most: usize) -> Answer {
        let message = format!("the body is larger than {most} bytes: send it in several requests");
        Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with("max_bytes", most)
    }

    fn take(&self, kind: &str, bytes: &[u8], from: SocketAddr) -> Answer {
        let messages = match body::messages(kind, bytes) {
            Ok(messages) => messages,
            Err(BadBody { line, why, bytes }) => {
                self.feed.bad(self.machine, &format!("POST from {from}, line {line}"), &why, &bytes);
                let message = format!("line {line}: {why}; nothing of this request was accepted");
                return Answer::refused(StatusCode::BAD_REQUEST, "bad_json", message).with("line", line);
            }
        };
        let (count, mut accepted) = (messages.len(), 0_usize);
        for (line, message) in messages {
            let why = if self.machine.waits_for_slot() {
                return self.waiting(line, accepted, count);
            } else if !guard(&self.pacer).admits(Instant::now()) {
                "too_fast"
            } else if self.machine.try_put_json(message, &self.feed.shutdown).is_some() {
                accepted += 1;
                continue;
            } else if self.feed.shutdown.is_ended() {
                return self.ended(line, accepted, count);
            } else {
                "queue_full"
            };
            return self.no_room(why, line, accepted, count);
        }
        Answer { status: StatusCode::ACCEPTED, json: serde_json::json!({ "accepted": accepted }) }
    }

    fn no_room(&self, why: &str, line: u64, accepted: usize, count: usize) -> Answer {
        let (name, most) = (&self.machine.config().name, self.machine.config().queue);
        let what = match why {
            "queue_full" => {
                self.machine.queue().refused.fetch_add((count - accepted) as u64, Ordering::Relaxed);
                format!("the queue of {name} is full: {most} messages wait")
            }
            _ => {
                let rate = guard(&self.pacer).rate().unwrap_or_default();
                format!("{name} takes at most {rate} messages a second here")
            }
        };
        let todo = if count > 1 { format!("from line {line} on") } else { "it".to_owned() };
        let message = format!("{what}; send {todo} again after a second");
        Answer::refused(StatusCode::TOO_MANY_REQUESTS, why, message).after(line, accepted, count)
    }

    fn waiting(&self, line: u64, accepted: usize, count: usize) -> Answer {
        let message = format!("{} waits for a slot and takes nothing until it has one", self.machine.config().name);
        Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "waiting_for_slot", message).after(line, accepted, count)
    }

    fn ended(&self, line: u64, accepted: usize, count: usize) -> Answer {
        let message = format!("{} takes nothing here any more: the source was cleared", self.machine.config().name);
        Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "ended", message).after(line, accepted, count)
    }
}
