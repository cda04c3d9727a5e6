//! `machine log`: what a PUB sends, one line a message.
//!
//! A message is two frames, the oid's 24 hex digits and `[in,f0,…]` in JSON. What comes under another topic (that of one
//! slot, `f1.` and the oid) is the same again, so it is left out.

use super::arguments::Log;
use super::control;
use super::outcome::{Failed, Outcome, is_over};
use super::subscriber::{Report, Subscriber};
use machine_engine::decode::one_line;
use machine_protocol::command::{Command, Reply};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// What was received is printed at the latest when nothing has followed for this long.
const LULL: Duration = Duration::from_millis(20);

/// Prints until the count is reached or nobody reads any more.
pub fn run(options: &Log) -> Outcome {
    let slot = options.slot.as_deref().map(Column::parse).transpose()?;
    let endpoint = endpoint(&options.endpoint, slot)?;
    let printer = Printer { column: slot, json: options.json };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new("no_runtime", error.to_string()))?;
    runtime.block_on(follow(&endpoint, options.count, &printer))
}

/// What is connected to: the endpoint as it is, or that of a machine, which is to have the slot.
fn endpoint(given: &str, column: Option<Column>) -> Result<String, Failed> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let (mut process, machine) = control::find(given)?;
    let target = machine_protocol::command::Target::Name(machine.clone());
    let status = match process.command(Command::Status { machine: target })? {
        Reply::Status(status) => status,
        other => return Err(Failed::new("protocol", format!("the engine answers {other:?}"))),
    };
    if let Some(column) = column {
        column.within(status.slots.len() + 1, &machine)?;
    }
    let status = serde_json::to_value(&*status).unwrap_or_default();
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
    let connected = Subscriber::connect(endpoint).await;
    let mut subscriber =
        connected.map_err(|why| Failed::new("no_publisher", format!("{endpoint}: nobody publishes there: {why}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let report = if out.buffer().is_empty() {
            subscriber.next().await
        } else {
            match tokio::time::timeout(LULL, subscriber.next()).await {
                Ok(report) => report,
                Err(_) if is_over(out.flush())? => break,
                Err(_) => continue,
            }
        };
        let Report::Message(oid, outputs) = report else {
            // What has come is printed before what is logged of the connection.
            if is_over(out.flush())? {
                break;
            }
            log(endpoint, &report);
            continue;
        };
        let Some(line) = printer.line(&oid, &outputs)? else { continue };
        if is_over(writeln!(out, "{line}"))? {
            break;
        }
        left -= 1;
    }
    is_over(out.flush()).map(|_| String::new())
}

/// Writes what has happened to the connection to standard error.
fn log(endpoint: &str, report: &Report) {
    let what = match report {
        Report::Gone(_) => "the publisher is gone; waiting for it until Ctrl-C".to_owned(),
        Report::Back => "the publisher is back".to_owned(),
        Report::TooLong(length) => format!("a message of {length} bytes was left out: it is too long"),
        Report::Message(..) => return,
    };
    crate::server::log(&format!("{endpoint}: {what}"));
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

    /// Fails unless it is one of so many outputs, the message itself being the first. `whose` they are.
    fn within(self, outputs: usize, whose: &str) -> Result<(), Failed> {
        if self.0 < outputs {
            return Ok(());
        }
        let slots = match outputs.checked_sub(2) {
            None => "no slot".to_owned(),
            Some(last) => format!("f0 to f{last}"),
        };
        Err(Failed::Usage(format!("{whose} has no slot {}; it has {slots}", self.name())))
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
    /// The line of a message; `None` if it is no message of a machine's. Values stay as they were written.
    ///
    /// # Errors
    /// If it has no such output: none of those that follow will have it.
    fn line(&self, oid: &[u8], outputs: &[u8]) -> Result<Option<String>, Failed> {
        let is_oid = oid.len() == 24 && oid.iter().all(u8::is_ascii_hexdigit);
        let Some((oid, text)) = str::from_utf8(oid).ok().filter(|_| is_oid).zip(str::from_utf8(outputs).ok()) else {
            return Ok(None);
        };
        let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(text) else { return Ok(None) };
        let Some(column) = self.column else {
            let text = one_line(text);
            let json = || format!("{{\"oid\":\"{oid}\",\"outputs\":{text}}}");
            return Ok(Some(if self.json { json() } else { format!("{oid} {text}") }));
        };
        column.within(values.len(), "what is published there")?;
        let value = one_line(values.get(column.0).map_or("null", |value| value.get()));
        let json = || format!("{{\"oid\":\"{oid}\",\"{}\":{value}}}", column.name());
        Ok(Some(if self.json { json() } else { format!("{oid} {value}") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &[u8] = b"6b03da0c50cca3c100001067";

    fn line(slot: Option<&str>, json: bool, outputs: &str) -> Result<Option<String>, Failed> {
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
            assert_eq!(line(slot, json, outputs), Ok(Some(expected.to_owned())));
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
        assert_eq!(line(None, false, "not JSON"), Ok(None));
        assert_eq!(line(None, false, "{\"a\":1}"), Ok(None));
        assert_eq!(Printer { column: None, json: false }.line(b"f1.6b03da0c50cca3c100001", b"[1]"), Ok(None));
        assert!(Column::parse("x").is_err());
    }

    #[test]
    fn a_slot_that_there_is_not_is_told() {
        let expected = "what is published there has no slot f7; it has f0 to f1";
        assert_eq!(line(Some("f7"), false, "[1,2,3]"), Err(Failed::Usage(expected.to_owned())));
        let expected = "main has no slot f0; it has no slot";
        assert_eq!(Column(1).within(1, "main"), Err(Failed::Usage(expected.to_owned())));
        assert_eq!(Column(0).within(1, "main"), Ok(()));
        assert_eq!(Column(8).within(9, "main"), Ok(()));
    }
}
