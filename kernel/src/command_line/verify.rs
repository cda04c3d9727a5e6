//! `machine verify`: every checksum of a log, and what a recovery would find.

use super::arguments::Verify;
use super::outcome::{Failed, Outcome};
use crate::display::{grouped, one_line};
use machine_store::{Recovery, look_at, verify};
use serde_json::json;
use std::fmt::Write;

/// Prints what is in the log. It failed if something that was synced is damaged.
///
/// The document is `{"machine", "segments": [{"first", "end", "records", "waiting", "bytes", "damaged_bytes", "torn_bytes"}, …],
/// "records", "waiting", "corrupt": [[from, to], …], "unsynced_lost": […], "unreadable": [file, …], "was_closed", "next"}`;
/// `end` and `to` are exclusive.
pub fn run(options: &Verify) -> Outcome {
    let recovery = verify(&look_at(&options.directory)?)?;
    let text = if options.json { document(&recovery) } else { report(&recovery) };
    if recovery.corrupt.is_empty() && recovery.unreadable.is_empty() { Ok(text) } else { Err(Failed::Printed(text)) }
}

fn report(recovery: &Recovery) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<15}{value}");
    };
    let bytes: u64 = recovery.segments.iter().map(|segment| segment.bytes).sum();
    line("machine", machine(recovery));
    line("segments", format!("{}, {} bytes", grouped(recovery.segments.len() as u64), grouped(bytes)));
    let numbers =
        recovery.segments.first().map(|first| format!(", {} to {}", first.first, recovery.end.saturating_sub(1)));
    line("records", format!("{}{}", grouped(recovery.records), numbers.unwrap_or_default()));
    line("waiting", grouped(recovery.waiting));
    line("closed", if recovery.was_closed { "yes" } else { "no: it is in use, or its process was ended" }.to_owned());
    let torn: u64 = recovery.segments.iter().map(|segment| segment.torn).sum();
    if torn > 0 {
        line("torn end", format!("{} bytes of a write that was cut short", grouped(torn)));
    }
    for (name, ranges, why) in [
        ("unsynced lost", &recovery.unsynced_lost, "a crash took them before they were synced"),
        ("corrupt", &recovery.corrupt, "damaged although they were synced"),
    ] {
        if !ranges.is_empty() {
            let all: Vec<String> = ranges.iter().map(span).collect();
            line(name, format!("{}: {why}", all.join(", ")));
        }
    }
    for file in &recovery.unreadable {
        line("unreadable", format!("{}: both headers are damaged", one_line(file)));
    }
    text
}

/// The UUID; none of an empty directory.
fn machine(recovery: &Recovery) -> String {
    recovery.machine.map_or_else(|| "none yet".to_owned(), |machine| uuid::Uuid::from_bytes(machine).to_string())
}

fn span(range: &std::ops::Range<u64>) -> String {
    let last = range.end - 1;
    if range.start == last { last.to_string() } else { format!("{} to {last}", range.start) }
}

fn document(recovery: &Recovery) -> String {
    let ranges =
        |all: &mut dyn Iterator<Item = &std::ops::Range<u64>>| all.map(|it| [it.start, it.end]).collect::<Vec<_>>();
    let segments: Vec<_> = recovery
        .segments
        .iter()
        .map(|segment| {
            let damaged: u64 = segment.gaps.iter().map(|gap| gap.to - gap.from).sum();
            json!({
                "first": segment.first, "end": segment.end, "records": segment.records, "waiting": segment.waiting,
                "bytes": segment.bytes, "damaged_bytes": damaged, "torn_bytes": segment.torn,
            })
        })
        .collect();
    let document = json!({
        "machine": recovery.machine.map(|machine| uuid::Uuid::from_bytes(machine).to_string()),
        "segments": segments,
        "records": recovery.records,
        "waiting": recovery.waiting,
        "corrupt": ranges(&mut recovery.corrupt.iter()),
        "unsynced_lost": ranges(&mut recovery.unsynced_lost.iter()),
        "unreadable": recovery.unreadable,
        "was_closed": recovery.was_closed,
        "next": recovery.next,
    });
    format!("{document}\n")
}
