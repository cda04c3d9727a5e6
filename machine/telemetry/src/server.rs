//! `GET /metrics` over HTTP.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// How long a client may take to ask.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may take in all.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections at a time. One more cuts off the oldest: a silent client keeps nobody out.
const CONNECTIONS: usize = 32;
/// The pause after a connection that could not be accepted: there are no descriptors left, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a request with this header (name, value) is refused, and why.
pub type Refuses = fn(&str, &str) -> Option<&'static str>;

/// Makes the page.
type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers on a port of this computer alone, 0 for any, on the threads of `handle`. Returns the port.
///
/// # Errors
/// If the port cannot be bound.
pub fn serve(
    handle: &Handle,
    port: u16,
    refuses: Refuses,
    text: impl Fn() -> String + Send + Sync + 'static,
) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let _in_runtime = handle.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let text: Text = Arc::new(text);
    handle.spawn(async move {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            open.push_back(tokio::spawn(attend(stream, refuses, Arc::clone(&text))).abort_handle());
        }
    });
    Ok(port)
}

/// Answers the request of one connection.
async fn attend(stream: TcpStream, refuses: Refuses, text: Text) {
    let service = hyper::service::service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(&request, refuses, &text).await)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // What is wrong with a connection concerns its client alone.
    let _ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(request: &Request<Incoming>, refuses: Refuses, text: &Text) -> Response<Full<Bytes>> {
    let mut headers = request.headers().iter();
    let refused = headers.find_map(|(name, value)| refuses(name.as_str(), &String::from_utf8_lossy(value.as_bytes())));
    let (status, body) = match (refused, request.method(), request.uri().path()) {
        (Some(why), ..) => (StatusCode::FORBIDDEN, format!("{why}\n")),
        (None, &Method::GET, "/metrics") => {
            // It may ask other processes.
            let text = Arc::clone(text);
            match tokio::task::spawn_blocking(move || text()).await {
                Ok(text) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            }
        }
        (None, &Method::GET, _) => (StatusCode::NOT_FOUND, "the only page is /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "GET /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}
