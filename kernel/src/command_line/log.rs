//! `machine log`: what a PUB sends, one line a message.
//!
//! A message is two frames, the oid's 24 hex digits and `[in,f0,…]` in JSON. What comes under another topic (that of one
//! slot, `f1.` and the oid) is the same again, so it is left out.

use super::arguments::Log;
use super::control;
use super::outcome::{Failed, Outcome};
use machine::command::{Command, Reply};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Duration;
use zeromq::{Socket, SocketOptions, SocketRecv, SubSocket};

/// How long is tried to reach the publisher at first. Once it was there, it is waited for.
const CONNECT: Duration = Duration::from_secs(3);
/// What was received is printed at the latest when nothing has followed for this long.
const LULL: Duration = Duration::from_millis(20);

/// Prints until the count is reached or nobody reads any more.
pub fn run(log: &Log) -> Outcome {
    let slot = log.slot.as_deref().map(Column::parse).transpose()?;
    let endpoint = endpoint(&log.endpoint)?;
    let printer = Printer { column: slot, json: log.json };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new("no_runtime", error.to_string()))?;
    runtime.block_on(follow(&endpoint, log.count, &printer))
}

/// What is connected to: the endpoint as it is, or that of a machine.
fn endpoint(given: &str) -> Result<String, Failed> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let (mut process, machine) = control::find(given)?;
    let target = machine::command::Target::Name(machine.clone());
    let status = match process.command(Command::Status { machine: target })? {
        Reply::Status(status) => serde_json::to_value(&*status).unwrap_or_default(),
        other => return Err(Failed::new("protocol", format!("the engine answers {other:?}"))),
    };
    published(&status).ok_or_else(|| {
        Failed::new("not_published", format!("{machine} publishes nothing: MACHINE.publish(…) makes it"))
    })
}

/// The endpoint of the first output that publishes.
fn published(status: &Value) -> Option<String> {
    let outputs = status.get("outputs").and_then(Value::as_array).into_iter().flatten();
    let text = |output: &Value, name: &str| output.get(name).and_then(Value::as_str).map(str::to_owned);
    outputs
        .filter(|output| text(output, "kind").is_some_and(|kind| kind == "publish"))
        .find_map(|output| text(output, "endpoint"))
}

async fn follow(endpoint: &str, count: Option<u64>, printer: &Printer) -> Outcome {
    let failed =
        |what: &str, error: &dyn std::error::Error| Failed::new("no_publisher", format!("{endpoint}: {what}: {error}"));
    let mut options = SocketOptions::default();
    options.connect_timeout(CONNECT);
    let mut socket = SubSocket::with_options(options);
    // Before the connection: then nothing is missed once it is there.
    socket.subscribe("").await.map_err(|error| failed("cannot subscribe", &error))?;
    match tokio::time::timeout(CONNECT, socket.connect(endpoint)).await {
        Ok(connected) => connected.map_err(|error| failed("nobody publishes there", &error))?,
        Err(elapsed) => return Err(failed("nobody publishes there", &elapsed)),
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let received = match tokio::time::timeout(LULL, socket.recv()).await {
            Ok(received) => received,
            Err(_) if out.buffer().is_empty() => socket.recv().await,
            Err(_) => {
                if is_over(out.flush())? {
                    break;
                }
                continue;
            }
        };
        // A publisher that went away may come back; the socket looks for it.
        let Ok(message) = received else { continue };
        let Some((oid, outputs)) = message.get(0).zip(message.get(1)).filter(|_| message.len() == 2) else { continue };
        let Some(line) = printer.line(oid, outputs) else { continue };
        if is_over(writeln!(out, "{line}"))? {
            break;
        }
        left -= 1;
    }
    is_over(out.flush()).map(|_| String::new())
}

/// Whether nobody reads any more.
fn is_over(written: io::Result<()>) -> Result<bool, Failed> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Failed::new("output", format!("standard output: {error}"))),
    }
}

/// One place among the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column(usize);

impl Column {
    fn parse(text: &str) -> Result<Self, Failed> {
        if text == "in" {
            return Ok(Self(0));
        }
        let number = text.strip_prefix('f').unwrap_or(text).parse::<usize>();
        number
            .map(|number| Self(number.saturating_add(1)))
            .map_err(|_| Failed::Usage(format!("--slot {text} is no slot; expected f0, f1, … or in")))
    }

    fn name(self) -> Cow<'static, str> {
        match self.0.checked_sub(1) {
            None => "in".into(),
            Some(slot) => format!("f{slot}").into(),
        }
    }
}

struct Printer {
    column: Option<Column>,
    json: bool,
}

impl Printer {
    /// The line of a message; `None` if it is no message of a machine's, or has no such output. Values stay as they
    /// were written.
    fn line(&self, oid: &[u8], outputs: &[u8]) -> Option<String> {
        let is_oid = oid.len() == 24 && oid.iter().all(u8::is_ascii_hexdigit);
        let oid = str::from_utf8(oid).ok().filter(|_| is_oid)?;
        let values: Vec<&RawValue> = serde_json::from_slice(outputs).ok()?;
        let value = |at: usize| values.get(at).map(|value| value.get());
        Some(match (self.column, self.json) {
            (None, false) => format!("{oid} {}", one_line(str::from_utf8(outputs).ok()?)),
            (Some(column), false) => format!("{oid} {}", one_line(value(column.0)?)),
            (None, true) => format!("{{\"oid\":\"{oid}\",\"outputs\":{}}}", one_line(str::from_utf8(outputs).ok()?)),
            (Some(column), true) => {
                format!("{{\"oid\":\"{oid}\",\"{}\":{}}}", column.name(), one_line(value(column.0)?))
            }
        })
    }
}

/// JSON has line ends only between its parts, where they mean nothing.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &[u8] = b"6b03da0c50cca3c100001067";

    fn line(slot: Option<&str>, json: bool, outputs: &str) -> Option<String> {
        let column = slot.map(|slot| Column::parse(slot).unwrap_or(Column(99)));
        Printer { column, json }.line(OID, outputs.as_bytes())
    }

    #[test]
    fn a_message_is_a_line() {
        let outputs = "[14.0,196.0,\n{\"a\":1}]";
        for (slot, json, expected) in [
            (None, false, "6b03da0c50cca3c100001067 [14.0,196.0, {\"a\":1}]"),
            (None, true, "{\"oid\":\"6b03da0c50cca3c100001067\",\"outputs\":[14.0,196.0, {\"a\":1}]}"),
            (Some("in"), false, "6b03da0c50cca3c100001067 14.0"),
            (Some("f0"), true, "{\"oid\":\"6b03da0c50cca3c100001067\",\"f0\":196.0}"),
            (Some("1"), false, "6b03da0c50cca3c100001067 {\"a\":1}"),
        ] {
            assert_eq!(line(slot, json, outputs).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_endpoint_is_that_of_the_output_that_publishes() {
        let status = serde_json::json!({"outputs": [
            {"kind": "json_lines", "endpoint": "out.jsonl"}, {"kind": "publish", "endpoint": "tcp://127.0.0.1:5"}
        ]});
        assert_eq!(published(&status).as_deref(), Some("tcp://127.0.0.1:5"));
        assert_eq!(published(&serde_json::json!({"outputs": []})), None);
    }

    #[test]
    fn what_is_no_message_is_left_out() {
        assert_eq!(line(Some("f7"), false, "[1]"), None);
        assert_eq!(line(None, false, "not JSON"), None);
        assert_eq!(line(None, false, "{\"a\":1}"), None);
        assert_eq!(Printer { column: None, json: false }.line(b"f1.6b03da0c50cca3c100001", b"[1]"), None);
        assert!(Column::parse("x").is_err());
    }
}
