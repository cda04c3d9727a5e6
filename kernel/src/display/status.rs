//! The status of one machine.

use super::frame::{frame, frame_of_slots};
use super::parts::{SHOWN, cell, code, cut_text, is_empty, number_cell, queue, queue_meter, signature};
use super::text::{Align, cut, first_line, grouped, nanos, one_line, rate, table, time};
use crate::output::Display;
use machine::status::{SinkStatus, SlotStatus, Status};
use maud::{Markup, html};

/// What is shown of each place where outputs go.
const OUTPUTS: [&str; 7] = ["to", "place", "sent", "waiting", "lost", "subscribers", "error"];

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

fn source(status: &Status) -> String {
    let source = &status.source;
    let mut words = match source.state.as_str() {
        "none" | "" => "no source".to_owned(),
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
    for text in [&source.error, &source.note].into_iter().filter(|text| !text.is_empty()) {
        words.push_str(&format!(": {text}"));
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

/// What went wrong: nothing, or how much.
fn failures(status: &Status) -> String {
    let mut failures = format!("{} errored", grouped(status.errored));
    if status.dead_letters > 0 {
        failures.push_str(&format!(", {} dead letters kept", grouped(status.dead_letters)));
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
    let drops = [(status.drops.oldest, "of these the oldest of a full queue"), (status.drops.newest, "newest dropped")];
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
        table {
            thead {
                tr {
                    @for name in
                        ["slot", "code", "rev", "cell", "takes → gives", "ok", "errored", "skipped", "p50", "p99"]
                    {
                        th { (name) }
                    }
                }
            }
            tbody {
                @for slot in &status.slots { (slot_row(slot)) }
            }
        }
        @if !status.outputs.is_empty() {
            details open {
                summary { "outputs" }
                table {
                    thead { tr { @for name in OUTPUTS { th { (name) } } } }
                    tbody {
                        @for output in &status.outputs {
                            tr {
                                td { (output.kind) }
                                td style="text-align:left" { code { (output.endpoint) } }
                                @for count in [output.sent, output.waiting, output.lost, output.subscribers] {
                                    (number_cell(&grouped(count)))
                                }
                                td style="text-align:left" { (cut_text(&output.error, 2 * SHOWN)) }
                            }
                        }
                    }
                }
            }
        }
        @if !status.errors.is_empty() {
            details open {
                summary { "newest errors" }
                table {
                    thead { tr { @for name in ["slot", "time", "oid", "rev", "error"] { th { (name) } } } }
                    tbody {
                        @for error in &status.errors {
                            tr {
                                td { (error.slot) }
                                td { (time(&error.errtime)) }
                                td { code { (error.oid) } }
                                (number_cell(&error.revision.to_string()))
                                td style="text-align:left" { (cut_text(&error.err, 2 * SHOWN)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn slot_row(slot: &SlotStatus) -> Markup {
    html! {
        tr {
            th { (slot.slot) }
            @if is_empty(slot) {
                td style="text-align:left" colspan="9" { em { "empty: " (signature(slot)) } }
            } @else {
                td style="text-align:left" { (code(&slot.code)) }
                (number_cell(&slot.revision.to_string()))
                td { (cell(slot)) }
                td style="text-align:left" {
                    (signature(slot))
                    @if !slot.mismatch.is_empty() { br; strong { "⚠ " (slot.mismatch) } }
                }
                @for count in [slot.ok, slot.errored, slot.skipped] { (number_cell(&grouped(count))) }
                @for time in [slot.p50_ns, slot.p99_ns] { (number_cell(&nanos(time))) }
            }
        }
    }
}

fn text(status: &Status) -> String {
    let header = [
        ("slot", Align::Left),
        ("code", Align::Left),
        ("rev", Align::Right),
        ("cell", Align::Left),
        ("ok", Align::Right),
        ("errored", Align::Right),
        ("skipped", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("takes → gives", Align::Left),
    ];
    let rows: Vec<Vec<String>> = status.slots.iter().map(text_row).collect();
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
        table(&header, &rows)
    );
    if !status.in_hand.is_empty() {
        text.push_str(&format!("in hand: {}\n", one_line(&status.in_hand)));
    }
    for slot in status.slots.iter().filter(|slot| !slot.mismatch.is_empty()) {
        text.push_str(&format!("! {}\n", one_line(&slot.mismatch)));
    }
    if !status.outputs.is_empty() {
        let align = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
        let header: Vec<_> = OUTPUTS.into_iter().zip(align).collect();
        let rows: Vec<Vec<String>> = status.outputs.iter().map(output_row).collect();
        text.push_str("\noutputs\n");
        text.push_str(&table(&header, &rows));
    }
    if !status.errors.is_empty() {
        let header = [
            ("slot", Align::Left),
            ("time", Align::Left),
            ("oid", Align::Left),
            ("rev", Align::Right),
            ("error", Align::Left),
        ];
        let rows: Vec<Vec<String>> = status
            .errors
            .iter()
            .map(|error| {
                vec![
                    error.slot.clone(),
                    time(&error.errtime),
                    error.oid.clone(),
                    error.revision.to_string(),
                    cut(&one_line(&error.err), 2 * SHOWN),
                ]
            })
            .collect();
        text.push_str("\nnewest errors\n");
        text.push_str(&table(&header, &rows));
    }
    text
}

fn output_row(output: &SinkStatus) -> Vec<String> {
    vec![
        output.kind.clone(),
        one_line(&output.endpoint),
        grouped(output.sent),
        grouped(output.waiting),
        grouped(output.lost),
        grouped(output.subscribers),
        cut(&one_line(&output.error), 2 * SHOWN),
    ]
}

fn text_row(slot: &SlotStatus) -> Vec<String> {
    if is_empty(slot) {
        return vec![slot.slot.clone(), "(empty)".to_owned()];
    }
    vec![
        slot.slot.clone(),
        cut(&first_line(&slot.code), SHOWN),
        slot.revision.to_string(),
        cell(slot),
        grouped(slot.ok),
        grouped(slot.errored),
        grouped(slot.skipped),
        nanos(slot.p50_ns),
        nanos(slot.p99_ns),
        one_line(&signature(slot)),
    ]
}
