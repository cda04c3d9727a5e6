//! Sources that are built in: files, standard input, the network, a clock.

#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod interval;
pub(crate) mod lines;
pub(crate) mod stdin;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;
#[cfg(feature = "zeromq")]
pub(crate) mod zmq_sub;

#[cfg(not(all(feature = "http", feature = "websocket", feature = "zeromq")))]
use super::not_built;
use crate::core::command_error::failed;
use crate::core::source::pace::Pacer;
use crate::core::source::{SourceDriver, SourceTask};
use machine_protocol::source::{Description, Pacing};
use machine_protocol::{Error, ErrorKind};

/// How large the messages may be that come whole from elsewhere, bytes: memory is taken for what is announced.
const LARGEST: usize = 1 << 30;

/// Makes the source that is described; files and ports are opened here.
///
/// # Errors
/// If that fails, or a number is out of range.
pub(crate) fn open(source: Description, pacing: &Pacing) -> Result<SourceTask, Error> {
    let pacer = Pacer::new(pacing)?;
    let most = match &source {
        Description::Lines(lines) => lines.max_bytes,
        Description::Stdin(stdin) => stdin.max_bytes,
        Description::Http(http) => http.max_bytes,
        Description::WebSocket(socket) => socket.max_bytes,
        Description::ZmqSub(sub) => sub.max_bytes,
        _ => usize::MAX,
    };
    if most == 0 {
        return Err(failed(ErrorKind::OutOfRange, "max_bytes is 0: each message has at least one byte".to_owned()));
    }
    let whole = matches!(source, Description::Http(_) | Description::WebSocket(_) | Description::ZmqSub(_));
    if whole && most > LARGEST {
        let message =
            format!("max_bytes is {most}: each message is in memory whole, so it may be {LARGEST} at most (1 GiB)");
        return Err(failed(ErrorKind::OutOfRange, message));
    }
    let is_text = match &source {
        Description::Lines(lines) => !lines.json,
        Description::Stdin(stdin) => !stdin.json,
        Description::ZmqSub(sub) => sub.text,
        Description::Http(_) => true,
        _ => false,
    };
    if is_text && pacing.replay.is_some() {
        let message = "replay needs the times in items of JSON: an endpoint and lines of text have none";
        return Err(failed(ErrorKind::NoReplay, message));
    }
    #[cfg_attr(
        not(any(feature = "http", feature = "websocket", feature = "zeromq")),
        expect(unused_mut, reason = "set by the sources of the network")
    )]
    let mut address = String::new();
    let (driver, description, endless): (Box<dyn SourceDriver>, _, _) = match source {
        Description::Lines(lines) => {
            let description = lines::describe(&lines);
            let follow = lines.follow;
            (Box::new(lines::File::open(lines)?), description, follow)
        }
        Description::Stdin(stdin) => {
            let description = format!("{} of standard input", if stdin.json { "JSON lines" } else { "lines" });
            (Box::new(stdin::Input::open(stdin)?), description, false)
        }
        Description::Interval(interval) => {
            let description = format!("a tick each {:?}", interval.period);
            (Box::new(interval::Clock::new(&interval)?), description, true)
        }
        #[cfg(feature = "zeromq")]
        Description::ZmqSub(sub) => {
            address.clone_from(&sub.endpoint);
            let description = format!("ZeroMQ SUB of {}", sub.endpoint);
            (Box::new(zmq_sub::Subscriber::new(sub)?), description, true)
        }
        #[cfg(feature = "http")]
        Description::Http(http) => {
            let endpoint = http::Endpoint::open(http)?;
            address = endpoint.address();
            (Box::new(endpoint), "HTTP endpoint".to_owned(), true)
        }
        #[cfg(feature = "websocket")]
        Description::WebSocket(socket) => {
            address.clone_from(&socket.url);
            let description = format!("WebSocket {}", socket.url);
            (Box::new(websocket::Client::new(socket)?), description, true)
        }
        #[cfg(not(feature = "zeromq"))]
        Description::ZmqSub(_) => return Err(not_built("source::zmq_sub", "zeromq")),
        #[cfg(not(feature = "http"))]
        Description::Http(_) => return Err(not_built("source::http", "http")),
        #[cfg(not(feature = "websocket"))]
        Description::WebSocket(_) => return Err(not_built("source::websocket", "websocket")),
        other => return Err(failed(ErrorKind::UnknownSource, format!("this engine does not know {other:?}"))),
    };
    Ok(SourceTask::new(driver, pacer, &description, pacing).built_in(endless, address))
}
