//! The status of one machine.

use super::frame::{frame, frame_of_slots};
use super::parts::{SHOWN, cell, code, cut_text, empty, have_settings, is_empty, queue, queue_meter, settings, types};
use super::table::{Cell, Kind, Table};
use super::text::{cut, first_line, grouped, nanos, one_line, rate, time};
use crate::output::Display;
use machine_protocol::command::Undrained;
use machine_protocol::status::SourceState;
use machine_protocol::status::Status;
use maud::{Markup, html};

/// A machine: what it has done, what waits, each slot, the newest errors.
#[must_use]
pub fn status(status: &Status) -> Display {
    super::html_and_text(&markup(status), &text(status))
}

/// The slots of a machine as a `DataFrame`, one row a slot. Times are nanoseconds.
#[must_use]
pub fn status_frame(status: &Status) -> Display {
    // Should polars refuse to make it, the status says the same.
    frame_of_slots(&status.slots).map_or_else(|_| self::status(status), |slots| frame(&slots))
}

/// A machine after a command that changed it, in one line; `warning` on a second.
#[must_use]
pub fn changed(status: &Status, warning: Option<&str>) -> Display {
    let line = format!(
        "{} is {}: {} processed, {} wait, {} in flight",
        status.machine,
        status.state,
        grouped(status.processed),
        grouped(status.queue_size),
        grouped(status.in_flight)
    );
    let html = html! {
        p { (line) @if let Some(warning) = warning { br; strong { "Note: " } (warning) } }
    };
    let mut text = one_line(&line);
    if let Some(warning) = warning {
        text.push_str("\nnote: ");
        text.push_str(&one_line(warning));
    }
    super::html_and_text(&html, &text)
}

/// What a machine has still to do: `3 messages still wait, and the source has not ended`.
#[must_use]
pub fn still(left: Undrained) -> String {
    let wait = match (left.messages, left.outputs) {
        (0, 0) => String::new(),
        (0, 1) => "1 output has yet to leave".to_owned(),
        (0, several) => format!("{} outputs have yet to leave", grouped(several)),
        (1, _) => "1 message still waits".to_owned(),
        (several, _) => format!("{} messages still wait", grouped(several)),
    };
    match (wait.is_empty(), left.source_runs) {
        (_, false) => wait,
        (true, true) => "the source has not ended".to_owned(),
        (false, true) => format!("{wait}, and the source has not ended"),
    }
}

fn source(status: &Status) -> String {
    let source = &status.source;
    let mut words = match source.state {
        SourceState::None => "no source".to_owned(),
        state => format!("source {state}, {} taken", grouped(source.taken)),
    };
    let counts = [(source.errors, "errors"), (source.reconnects, "reconnects"), (source.dropped, "dropped")];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        words.push_str(&format!(", {} {what}", grouped(count)));
    }
    if !source.description.is_empty() {
        words.push_str(&format!(" ({})", source.description));
    }
    // A description has it already, unless the system chose it.
    if !source.description.contains(&source.address) {
        words.push_str(&format!(" at {}", source.address));
    }
    // Of one that runs, a note tells what was: it may have connected again since.
    let note = if source.state == SourceState::Running { "; earlier: " } else { ": " };
    for (before, text) in [(": ", &source.error), (note, &source.note)] {
        if !text.is_empty() {
            words.push_str(&format!("{before}{text}"));
        }
    }
    words
}

fn last(status: &Status) -> String {
    if status.last_oid.is_empty() {
        "no message yet".to_owned()
    } else {
        format!("last {} at {}", status.last_oid, time(&status.last_processed_time))
    }
}

/// How many messages errored, and whether they were all retried with success: `644 errored, all retried`.
fn errored(status: &Status) -> String {
    let all = if is_retried(status) { ", all retried" } else { "" };
    format!("{} errored{all}", grouped(status.errored))
}

/// Whether there were errors, and each message that errored has passed when it was retried.
#[must_use]
pub fn is_retried(status: &Status) -> bool {
    status.errored > 0 && status.retried_passed >= status.errored
}

/// What went wrong: nothing, or how much.
fn failures(status: &Status) -> String {
    let mut failures = errored(status);
    if status.dead_letters > 0 {
        failures.push_str(&format!(", {} dead letters", grouped(status.dead_letters)));
    }
    if status.dead_letters_dropped > 0 {
        failures.push_str(&format!(", {} older ones dropped", grouped(status.dead_letters_dropped)));
    }
    failures
}

fn flow(status: &Status) -> String {
    let mut flow = format!(
        "{} accepted, {} in flight, {} refused, {} discarded",
        grouped(status.accepted),
        grouped(status.in_flight),
        grouped(status.refused),
        grouped(status.discarded)
    );
    let drops = [
        (status.drops.oldest, "of these the oldest of a full queue"),
        (status.drops.in_flight, "of these given up in flight"),
        (status.drops.newest, "newest dropped"),
    ];
    let order = [(status.reordered, "out of order"), (status.out_of_order, "of these waiting for their turn")];
    for (count, what) in drops.into_iter().chain(order).filter(|(count, _)| *count > 0) {
        flow.push_str(&format!(", {} {what}", grouped(count)));
    }
    flow
}

fn progress(status: &Status) -> String {
    let workers = if status.workers == 1 { "worker" } else { "workers" };
    let mut progress = format!(
        "{} processed · {} · {} {workers}",
        grouped(status.processed),
        rate(status.rate),
        grouped(status.workers)
    );
    // A paused machine's workers are held, not idle.
    if let Some(load) = status.load.filter(|_| status.running) {
        let percent = |share: f64| (share * 100.0).round();
        progress.push_str(&format!(" · {} % busy", percent(load.busy)));
        if load.blocked >= 0.005 {
            progress.push_str(&format!(", {} % blocked by full outputs", percent(load.blocked)));
        }
    }
    progress
}

fn markup(status: &Status) -> Markup {
    html! {
        p {
            strong { (status.machine) } " " strong { (status.state) } " · " (progress(status)) br;
            "queue " (queue_meter(status)) " " (queue(status)) " · " (flow(status)) br;
            (failures(status)) " · " (last(status)) " · " (source(status))
            @if !status.in_hand.is_empty() { br; strong { "in hand: " } (cut_text(&status.in_hand, 2 * SHOWN)) }
        }
        (slots(status).html())
        @if !status.outputs.is_empty() { details open { summary { "outputs" } (outputs(status).html()) } }
        @if !status.errors.is_empty() { details open { summary { "newest errors" } (errors(status).html()) } }
    }
}

fn slots(status: &Status) -> Table {
    let mut columns = vec![
        ("slot", Kind::Name),
        ("code", Kind::Words),
        ("rev", Kind::Number),
        ("cell", Kind::Short),
        ("takes → gives", Kind::Long),
        ("ok", Kind::Number),
        ("errored", Kind::Number),
        ("skipped", Kind::Number),
        ("p50", Kind::Number),
        ("p99", Kind::Number),
    ];
    // Only a slot that gives an `Option` has some.
    let with_none = status.slots.iter().any(|slot| slot.none > 0);
    if with_none {
        columns.insert(columns.len() - 2, ("none", Kind::Number));
    }
    let with_settings = have_settings(status);
    if with_settings {
        columns.extend([("retried", Kind::Number), ("settings", Kind::Words)]);
    }
    Table::new(&columns).with(status.slots.iter().map(|slot| {
        if is_empty(slot) {
            return empty(slot);
        }
        let mut row: Vec<Cell> = vec![
            slot.slot.as_str().into(),
            Cell::new(cut(&first_line(&slot.code), SHOWN), code(&slot.code)),
            slot.revision.to_string().into(),
            cell(slot).into(),
            types(slot),
            grouped(slot.ok).into(),
            grouped(slot.errored).into(),
            grouped(slot.skipped).into(),
            nanos(slot.p50_ns).into(),
            nanos(slot.p99_ns).into(),
        ];
        if with_none {
            row.insert(row.len() - 2, grouped(slot.none).into());
        }
        if with_settings {
            row.extend([grouped(slot.retried).into(), settings(slot).into()]);
        }
        row
    }))
}

/// Where outputs go.
fn outputs(status: &Status) -> Table {
    let columns = [
        ("to", Kind::Short),
        ("place", Kind::Words),
        ("sent", Kind::Number),
        ("waiting", Kind::Number),
        ("lost", Kind::Number),
        ("subscribers", Kind::Number),
        ("error", Kind::Words),
    ];
    Table::new(&columns).with(status.outputs.iter().map(|output| {
        vec![
            output.kind.as_str().into(),
            Cell::new(one_line(&output.endpoint), html! { code { (output.endpoint) } }),
            grouped(output.sent).into(),
            grouped(output.waiting).into(),
            grouped(output.lost).into(),
            grouped(output.subscribers).into(),
            Cell::cut(&output.error, 2 * SHOWN, cut_text(&output.error, 2 * SHOWN)),
        ]
    }))
}

fn errors(status: &Status) -> Table {
    let columns = [
        ("slot", Kind::Short),
        ("time", Kind::Short),
        ("oid", Kind::Short),
        ("rev", Kind::Number),
        ("error", Kind::Words),
    ];
    Table::new(&columns).with(status.errors.iter().map(|error| {
        vec![
            error.slot.as_str().into(),
            time(&error.errtime).into(),
            Cell::new(error.oid.as_str(), html! { code { (error.oid) } }),
            error.revision.to_string().into(),
            Cell::cut(&error.err, 2 * SHOWN, cut_text(&error.err, 2 * SHOWN)),
        ]
    }))
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "{} {} · {}\nqueue {} · {}\n{} · {} · {}\n\n{}",
        one_line(&status.machine),
        status.state,
        progress(status),
        queue(status),
        flow(status),
        failures(status),
        last(status),
        one_line(&source(status)),
        slots(status).text()
    );
    if !status.in_hand.is_empty() {
        text.push_str(&format!("in hand: {}\n", one_line(&status.in_hand)));
    }
    for slot in status.slots.iter().filter(|slot| !slot.mismatch.is_empty()) {
        text.push_str(&format!("! {}\n", one_line(&slot.mismatch)));
    }
    for (name, table, is_empty) in [
        ("outputs", outputs(status), status.outputs.is_empty()),
        ("newest errors", errors(status), status.errors.is_empty()),
    ] {
        if !is_empty {
            text.push_str(&format!("\n{name}\n{}", table.text()));
        }
    }
    text
}
