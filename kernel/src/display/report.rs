//! A page with all that is known of a machine: one file, without scripts and without network.

use super::parts::{SHOWN, cell, cut_text, is_empty, number_cell, queue, signature};
use super::status::is_retried;
use super::text::{cut, duration, grouped, nanos, rate, time};
use machine_protocol::history::{History, Point};
use machine_protocol::status::{DeadLetter, Status};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::time::Duration;

/// How many pieces a curve has at most.
const PIECES: usize = 240;
/// How wide and how high a curve is, in its own units.
const SIZE: (f64, f64) = (720.0, 90.0);
/// How much of a message or an error is shown, characters.
const TEXT: usize = 2_000;

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 small { font-weight: normal; opacity: .65; font-size: 50%; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem; }
dt { opacity: .65; font-size: 85%; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
pre { background: #8881; padding: .5rem .75rem; border-radius: 4px; overflow-x: auto; white-space: pre-wrap; }
figure { margin: 0 0 1rem; } figcaption { opacity: .65; font-size: 85%; }
svg { width: 100%; height: 90px; } polyline { fill: none; stroke: #2a7fd4; stroke-width: 1.5; }
.errors polyline { stroke: #d1453b; } summary { cursor: pointer; }
";

/// What a report names as its maker.
const GENERATOR: &str = "rust-machine report";

/// Whether a file that begins so is a report.
#[must_use]
pub fn is_report(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).contains(GENERATOR)
}

/// The page, as text.
#[must_use]
pub fn report(status: &Status, history: &History, letters: &[DeadLetter]) -> String {
    let numbers = [
        ("state", status.state.to_string()),
        ("processed", grouped(status.processed)),
        ("rate", rate(status.rate)),
        (
            "errored",
            if is_retried(status) {
                format!("{}, all retried", grouped(status.errored))
            } else {
                grouped(status.errored)
            },
        ),
        ("accepted", grouped(status.accepted)),
        ("refused", grouped(status.refused)),
        ("discarded", grouped(status.discarded)),
        ("in flight", grouped(status.in_flight)),
        ("queue", queue(status)),
        ("workers", grouped(status.workers)),
        ("dead letters", grouped(status.dead_letters)),
        ("dropped letters", grouped(status.dead_letters_dropped)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content=(GENERATOR);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (status.machine) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (status.machine) " " small { (now()) } }
                dl { @for (name, value) in &numbers { div { dt { (name) } dd { (value) } } } }
                @if !status.last_oid.is_empty() {
                    p { "last message " code { (status.last_oid) } " at " (time(&status.last_processed_time)) }
                }
                h2 { "History" }
                (curves(history))
                h2 { "Slots" }
                (slots(status))
                h2 { "Code" }
                @for slot in status.slots.iter().filter(|slot| !is_empty(slot)) {
                    p { strong { (slot.slot) } " " (signature(slot)) " · revision " (slot.revision) " · " (cell(slot)) }
                    pre { (slot.code) }
                }
                h2 { "Dead letters" }
                (self::letters(status, letters))
            }
        }
    };
    page.into_string()
}

fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn slots(status: &Status) -> Markup {
    html! {
        table {
            thead {
                tr {
                    @for name in ["slot", "takes → gives", "ok", "errored", "skipped", "p50", "p99", "max"] { th { (name) } }
                }
            }
            tbody {
                @for slot in &status.slots {
                    tr {
                        th { (slot.slot) }
                        td { (signature(slot)) @if !slot.mismatch.is_empty() { br; strong { "⚠ " (slot.mismatch) } } }
                        @for count in [slot.ok, slot.errored, slot.skipped] { (number_cell(&grouped(count))) }
                        @for time in [slot.p50_ns, slot.p99_ns, slot.max_ns] { (number_cell(&nanos(time))) }
                    }
                }
            }
        }
    }
}

fn letters(status: &Status, letters: &[DeadLetter]) -> Markup {
    html! {
        @if status.dead_letters == 0 { p { "none" } }
        @else if (letters.len() as u64) < status.dead_letters {
            p { (letters.len()) " of " (grouped(status.dead_letters)) ", the newest that are not too long" }
        }
        @for letter in letters {
            details {
                summary { (letter.slot) " · " (time(&letter.time)) " · " (cut_text(&letter.error, 2 * SHOWN)) }
                p { "message " code { (letter.oid) } " · revision " (letter.revision) " · " (letter.kind) }
                pre { (cut(&letter.error, TEXT)) }
                pre { (cut(&letter.input, TEXT)) }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn curves(history: &History) -> Markup {
    let span: u64 = history.points.iter().map(|point| point.span_ms).sum();
    let each = (history.points.len().div_ceil(PIECES)).max(1);
    let pieces: Vec<&[Point]> = history.points.chunks(each).collect();
    let per_second = |count: fn(&Point) -> u64| -> Vec<f64> {
        let of = |piece: &&[Point]| {
            let span: u64 = piece.iter().map(|point| point.span_ms).sum();
            piece.iter().map(count).sum::<u64>() as f64 * 1e3 / span.max(1) as f64
        };
        pieces.iter().map(of).collect()
    };
    let waiting = pieces.iter().map(|piece| piece.iter().map(|point| point.queue).max().unwrap_or_default() as f64);
    html! {
        @if history.points.is_empty() { p { "nothing yet" } }
        @else {
            (curve("processed/s", "", &per_second(|point| point.processed)))
            (curve("messages that wait", "", &waiting.collect::<Vec<_>>()))
            (curve("errors/s", "errors", &per_second(|point| point.errored)))
            p { "over the last " (duration(Duration::from_secs(span / 1000))) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn curve(name: &str, class: &str, values: &[f64]) -> Markup {
    let most = values.iter().copied().fold(0.0_f64, f64::max);
    let (width, height) = SIZE;
    let step = width / (values.len().max(2) - 1) as f64;
    let place = |(at, value): (usize, &f64)| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        format!("{:.1},{:.1}", at as f64 * step, height - 2.0 - share * (height - 4.0))
    };
    let points: Vec<String> = values.iter().enumerate().map(place).collect();
    html! {
        figure class=(class) {
            figcaption { (name) ", at most " (rate(most).trim_end_matches("/s")) }
            svg viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" role="img" aria-label=(name) {
                polyline points=(points.join(" ")) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::display::tests::{dead_letters, example_status};
    use machine_protocol::history::{History, Point};

    #[test]
    fn a_page_needs_nothing_else_and_escapes_what_it_shows() {
        let mut letters = dead_letters();
        letters[0].error = "<script>alert(1)</script>".into();
        let points = (1..1000).map(|second| Point {
            time_ms: second * 1000,
            span_ms: 1000,
            processed: second,
            ..Point::default()
        });
        let history = History { machine: "main".into(), points: points.collect() };
        let page = report(&example_status(), &history, &letters);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(!page.contains("http") && !page.contains("src="), "{page}");
        assert_eq!(page.matches("<polyline").count(), 3);
        assert!(report(&example_status(), &History::default(), &[]).contains("nothing yet"));
    }
}
