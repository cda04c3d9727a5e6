//! `machine cat`: the records of a log.

use super::arguments::Cat;
use super::outcome::{Outcome, is_over};
use crate::display::grouped;
use machine_store::{Reader, Record, look_at, verify};
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// A record as a line. `payload` is its JSON, or, if it is none, its text.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    /// RFC 3339, UTC.
    time: String,
    oid: String,
    kind: &'static str,
    plan: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<std::borrow::Cow<'a, str>>,
    is_finished: bool,
    payload: &'a RawValue,
}

/// Prints the records until the end, or until nobody reads any more.
pub fn run(options: &Cat) -> Outcome {
    let disk = look_at(&options.directory)?;
    let done = verify(&disk)?.acknowledged.done;
    let mut reader = Reader::new(Arc::new(disk), options.from)?;
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(record) = reader.read()? {
        let is_finished = done.contains(&record.seq);
        if options.waiting && is_finished {
            continue;
        }
        let written = if options.raw { raw(&mut out, &record) } else { line(&mut out, &record, is_finished) };
        if is_over(written)? {
            return Ok(String::new());
        }
    }
    is_over(out.flush())?;
    if reader.skipped() > 0 {
        let skipped = grouped(reader.skipped());
        crate::server::log(&format!(
            "{skipped} damaged bytes were left out; `machine verify` says which records were in them"
        ));
    }
    Ok(String::new())
}

fn raw(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    out.write_all(record.entry.payload)?;
    out.write_all(b"\n")
}

fn line(out: &mut impl Write, record: &Record<'_>, is_finished: bool) -> io::Result<()> {
    let entry = &record.entry;
    let as_text;
    let payload = match serde_json::from_slice(entry.payload) {
        Ok(json) => json,
        Err(_) => {
            as_text = serde_json::value::to_raw_value(&String::from_utf8_lossy(entry.payload))?;
            &*as_text
        }
    };
    let time = i64::try_from(entry.time_ms).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    let line = Line {
        seq: record.seq,
        time: time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        oid: entry.oid.to_string(),
        kind: entry.kind.name(),
        plan: entry.plan,
        position: entry.position.map(String::from_utf8_lossy),
        is_finished,
        payload,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
