//! One request to a collector, over HTTP 1.1 without TLS.

use super::config::Config;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How much of an answer is read.
const LONGEST: usize = 64 << 10;
/// How much of it is told.
const TOLD: usize = 200;

/// Why a collector did not take what it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub why: String,
    /// In how long at the earliest the same request may be taken, if ever.
    pub again: Option<Duration>,
}

impl Refusal {
    /// Nobody is there, or it does not answer: that may pass.
    fn passing(why: impl std::fmt::Display) -> Self {
        Self { why: why.to_string(), again: Some(Duration::ZERO) }
    }
}

/// Posts a request. If it was taken, returns what the collector complains of all the same; empty if it does not.
pub(super) async fn post(config: &Config, body: Bytes) -> Result<String, Refusal> {
    let exchange = exchange(config, body);
    let Ok(answer) = tokio::time::timeout(config.timeout, exchange).await else {
        return Err(Refusal::passing(format!("no answer within {:?}", config.timeout)));
    };
    answer
}

async fn exchange(config: &Config, body: Bytes) -> Result<String, Refusal> {
    let uri = &config.endpoint;
    let stream = TcpStream::connect(address(uri)).await.map_err(Refusal::passing)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Refusal::passing)?;
    // The connection lives as long as the set: it ends with the request that it was made for.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let answer = sender.send_request(request(config, body)?).await.map_err(Refusal::passing)?;
    let (head, body) = answer.into_parts();
    // What cannot be read of it is not needed.
    let body = Limited::new(body, LONGEST).collect().await.map(Collected::to_bytes).unwrap_or_default();
    let wait = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    taken(head.status.as_u16(), wait.map(Duration::from_secs), &body)
}

/// Host and port.
fn address(uri: &Uri) -> (String, u16) {
    // The brackets around an address of version 6 belong to the URI.
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), uri.port_u16().unwrap_or(80))
}

fn request(config: &Config, body: Bytes) -> Result<Request<Full<Bytes>>, Refusal> {
    let uri = &config.endpoint;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, uri.authority().map(ToString::to_string).unwrap_or_default())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("machine-engine/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|error| Refusal { why: error.to_string(), again: None })
}

/// What an answer means.
fn taken(status: u16, wait: Option<Duration>, body: &[u8]) -> Result<String, Refusal> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    if (200..300).contains(&status) {
        let of = |name: &str| json.get("partialSuccess").and_then(|partial| partial.get(name));
        let rejected =
            of("rejectedDataPoints").and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
        let why = cut(of("errorMessage").and_then(Value::as_str).unwrap_or_default());
        return Ok(match (rejected.unwrap_or(0), why.as_str()) {
            (0, why) => why.to_owned(),
            (rejected, "") => format!("{rejected} points are refused"),
            (rejected, why) => format!("{rejected} points are refused: {why}"),
        });
    }
    let message = json.get("message").and_then(Value::as_str).map(str::to_owned);
    let text = cut(&message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()));
    let why = if text.is_empty() { format!("HTTP status {status}") } else { format!("HTTP status {status}: {text}") };
    Err(Refusal { why, again: matches!(status, 429 | 502..=504).then_some(wait.unwrap_or_default()) })
}

/// One line, not too long.
fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Refusal, address, taken};
    use std::time::Duration;

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let again = |status, wait| taken(status, wait, b"").err().and_then(|refusal| refusal.again);
        let second = Some(Duration::from_secs(1));
        assert_eq!([again(503, None), again(429, second)], [Some(Duration::ZERO), second]);
        assert_eq!([again(400, None), again(401, second), again(301, None), again(500, None)], [None; 4]);
    }

    #[test]
    fn an_answer_tells_what_is_wrong() {
        assert_eq!(taken(200, None, b"{}"), Ok(String::new()));
        let partial = br#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}"#;
        assert_eq!(taken(200, None, partial), Ok("3 points are refused: too old".into()));
        let refusal = |why: &str| Err(Refusal { why: why.into(), again: None });
        assert_eq!(taken(404, None, b"not\nhere"), refusal("HTTP status 404: not here"));
        assert_eq!(taken(400, None, br#"{"message":"bad"}"#), refusal("HTTP status 400: bad"));
    }

    #[test]
    fn an_address_has_a_port() {
        let of = |text: &str| text.parse().map(|uri| address(&uri)).unwrap_or_default();
        assert_eq!(of("http://here/v1/metrics"), ("here".into(), 80));
        assert_eq!(of("http://[::1]:4318/v1/metrics"), ("::1".into(), 4318));
    }
}
