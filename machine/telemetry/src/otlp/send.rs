//! One request to a collector, over HTTP 1.1 without TLS.

use super::config::Config;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is sent, and what is answered.
const PROTOBUF: &str = "application/x-protobuf";
/// How much of an answer is read.
const LONGEST: usize = 64 << 10;
/// How much of it is reported.
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
    let is_protobuf =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(PROTOBUF.as_bytes()));
    taken(head.status.as_u16(), wait.map(Duration::from_secs), &body, is_protobuf)
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
        .header(CONTENT_TYPE, PROTOBUF)
        .header(USER_AGENT, concat!("machine-telemetry/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|error| Refusal { why: error.to_string(), again: None })
}

/// The error of a collector: `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// What an answer means.
fn taken(status: u16, wait: Option<Duration>, body: &[u8], is_protobuf: bool) -> Result<String, Refusal> {
    if (200..300).contains(&status) {
        let partial = ExportMetricsServiceResponse::decode(body).ok().and_then(|response| response.partial_success);
        let partial = partial.filter(|_| is_protobuf).unwrap_or_default();
        return Ok(match (partial.rejected_data_points, cut(&partial.error_message).as_str()) {
            (0, why) => why.to_owned(),
            (rejected, "") => format!("{rejected} points are refused"),
            (rejected, why) => format!("{rejected} points are refused: {why}"),
        });
    }
    let message = Status::decode(body).ok().filter(|_| is_protobuf).map(|status| status.message);
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
    use super::{ExportMetricsServiceResponse, Message, Refusal, Status, address, taken};
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
    use std::time::Duration;

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let again = |status, wait| taken(status, wait, b"", false).err().and_then(|refusal| refusal.again);
        let second = Some(Duration::from_secs(1));
        assert_eq!([again(503, None), again(429, second)], [Some(Duration::ZERO), second]);
        assert_eq!([again(400, None), again(401, second), again(301, None), again(500, None)], [None; 4]);
    }

    #[test]
    fn an_answer_says_what_is_wrong() {
        assert_eq!(taken(200, None, b"", true), Ok(String::new()));
        let partial = ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "too old".into() };
        let partial = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(taken(200, None, &partial, true), Ok("3 points are refused: too old".into()));
        let refusal = |why: &str| Err(Refusal { why: why.into(), again: None });
        assert_eq!(taken(404, None, b"not\nhere", false), refusal("HTTP status 404: not here"));
        let status = Status { message: "bad".into() }.encode_to_vec();
        assert_eq!(taken(400, None, &status, true), refusal("HTTP status 400: bad"));
    }

    #[test]
    fn an_address_has_a_port() {
        let of = |text: &str| text.parse().map(|uri| address(&uri)).unwrap_or_default();
        assert_eq!(of("http://here/v1/metrics"), ("here".into(), 80));
        assert_eq!(of("http://[::1]:4318/v1/metrics"), ("::1".into(), 4318));
    }
}
