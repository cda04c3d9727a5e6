//! What a display shows: a machine's state in the form that its views draw.
//!
//! Texts that come from cells, messages and errors are cut here, so that no message makes an update long; the views
//! show them as text and nothing else.

use super::flow::Flow;
use crate::display::{cut, one_line};
use machine::command::Outputs;
use machine::history::{History, Point};
use machine::kept::LetterQuery;
use machine::status::{DeadLetter, SlotStatus, Status};
use serde_json::{Value, json};

/// How many of the newest dead letters are shown.
const LETTERS: usize = 20;
/// How much of a text is shown, characters.
const TEXT: usize = 2_000;
/// How far back the curves go, milliseconds.
const PAST: u64 = 300_000;
/// How many points a curve has.
const POINTS: u64 = 150;

/// What changes rarely, and what changes always.
pub fn of(status: &Status, flow: &Flow) -> impl Iterator<Item = (&'static str, Value)> {
    [("plan", plan(status)), ("now", now(status, flow))].into_iter()
}

fn plan(status: &Status) -> Value {
    let slot = |(number, slot): (usize, &SlotStatus)| {
        json!({
            "slot": slot.slot, "revision": slot.revision, "cell": slot.cell, "code": cut(&slot.code, TEXT),
            "takes": slot.takes, "gives": slot.gives, "empty": slot.gives.is_empty(), "arrow": arrow(status, number),
            "async": slot.is_async, "settings": slot.settings.to_string(),
        })
    };
    status.slots.iter().enumerate().map(slot).collect()
}

/// What a slot is given: the type in words, and how well it fits.
fn arrow(status: &Status, number: usize) -> Value {
    let Some(slot) = status.slots.get(number) else { return Value::Null };
    // An empty slot passes on what it is given.
    let producer = |from: usize| status.slots.get(..from)?.iter().rev().find(|slot| !slot.gives.is_empty());
    let given = producer(number).map(|slot| slot.gives.as_str());
    let label = match given {
        Some(gives) => gives,
        None => slot.takes.last().map_or("", String::as_str),
    };
    let mut told = Vec::new();
    for (distance, takes) in slot.takes.iter().enumerate() {
        let Some(from) = number.checked_sub(distance).and_then(producer) else { continue };
        if plain(takes) != plain(&from.gives) && !takes.contains("Ignored") {
            told.push(format!("{} gives {}, taken as {takes}", from.slot, from.gives));
        }
    }
    let (kind, told) = match (slot.mismatch.is_empty(), told.is_empty()) {
        (false, _) => ("mismatch", slot.mismatch.clone()),
        (true, false) => ("converts", told.join("; ")),
        (true, true) => ("fits", String::new()),
    };
    json!({ "label": cut(label, 80), "kind": kind, "told": told })
}

/// A type without what makes no difference: reference, option, the unsized form.
fn plain(name: &str) -> String {
    let name = name.trim().trim_start_matches('&').trim();
    if let Some(inner) = name.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return plain(inner);
    }
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return format!("Vec<{inner}>");
    }
    if name == "str" { "String".to_owned() } else { name.to_owned() }
}

fn now(status: &Status, flow: &Flow) -> Value {
    let (rate_in, rate_out) = (flow.rate_in(), flow.rate_out());
    let slots: Vec<Value> = status
        .slots
        .iter()
        .map(|slot| json!([slot.ok, slot.errored, slot.skipped, slot.p50_ns, slot.p99_ns, slot.max_ns]))
        .collect();
    let outputs: Vec<Value> = status
        .outputs
        .iter()
        .map(|to| {
            json!({
                "kind": to.kind, "place": cut(&to.endpoint, 200), "sent": to.sent, "waiting": to.waiting, "lost": to.lost,
                "error": cut(&one_line(&to.error), 200),
            })
        })
        .collect();
    json!({
        "state": status.state, "processed": status.processed, "errored": status.errored, "accepted": status.accepted,
        "refused": status.refused, "discarded": status.discarded, "in_flight": status.in_flight,
        "queue": status.queue_size, "capacity": status.queue_capacity, "workers": status.workers,
        "letters": status.dead_letters, "letters_dropped": status.dead_letters_dropped,
        "rate_in": rounded(rate_in), "rate_out": rounded(rate_out), "rate_errors": rounded(flow.rate_errors()),
        "seconds_to_full": seconds_to_full(status, rate_in - rate_out), "wait_seconds": wait(status, rate_out),
        "busy": flow.load().map(|load| percent(load.busy)), "blocked": flow.load().map(|load| percent(load.blocked)),
        "waiting_puts": status.waiting_puts,
        "last_oid": status.last_oid, "last_time": status.last_processed_time,
        "source": cut(&source(status), 300), "in_hand": cut(&status.in_hand, TEXT), "slots": slots, "outputs": outputs,
    })
}

fn source(status: &Status) -> String {
    let source = &status.source;
    let mut words = match source.state.as_str() {
        "none" | "" => return String::new(),
        state => format!("{} {state}, {} taken", source.description, crate::display::grouped(source.taken)),
    };
    if !source.error.is_empty() {
        words.push_str(&format!(": {}", source.error));
    }
    one_line(words.trim())
}

/// A share in whole percents: what does not change is not sent.
fn percent(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}

/// Three digits are enough for whoever looks, and what does not change is not sent.
fn rounded(rate: f64) -> f64 {
    let digits = if rate >= 1.0 { 10f64.powf(rate.log10().floor() - 2.0) } else { 0.01 };
    let rounded = (rate / digits).round() * digits;
    // Without the rest that the division leaves.
    (rounded * 100.0).round() / 100.0
}

/// When the queue is full, if it goes on filling as it does; `None` if it does not fill.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds_to_full(status: &Status, growth: f64) -> Option<f64> {
    let room = status.queue_capacity.saturating_sub(status.queue_size) as f64;
    let seconds = room / growth;
    (status.queue_size > 0 && growth > 1.0 && seconds < 86_400.0).then(|| rounded(seconds))
}

/// How long a message that is put now will wait, by Little's law; `None` if that cannot be said.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn wait(status: &Status, rate: f64) -> Option<f64> {
    match (status.queue_size, rate > 0.0) {
        (0, _) => Some(0.0),
        (waiting, true) => Some((waiting as f64 / rate * 1e6).round() / 1e6),
        (_, false) => None,
    }
}

/// The curves of the last minutes: each a list of numbers, oldest first, evenly spaced, `null` where nothing is known.
pub fn series(history: &History) -> Value {
    let end = history.points.last().map_or(0, |point| point.time_ms);
    let step = PAST / POINTS;
    let slots = history.points.iter().map(|point| point.slots.len()).max().unwrap_or_default();
    let mut pieces: Vec<Vec<&Point>> = vec![Vec::new(); usize::try_from(POINTS).unwrap_or_default()];
    for point in &history.points {
        // Counted from the end, where the newest is.
        let back = end.saturating_sub(point.time_ms) / step;
        let place = POINTS.checked_sub(back + 1).and_then(|at| usize::try_from(at).ok());
        if let Some(piece) = place.and_then(|at| pieces.get_mut(at)) {
            piece.push(point);
        }
    }
    let curve = |value: &dyn Fn(&[&Point]) -> f64| -> Value {
        pieces.iter().map(|piece| if piece.is_empty() { Value::Null } else { json!(rounded(value(piece))) }).collect()
    };
    let of_slots: Vec<Value> = (0..slots)
        .map(|slot| {
            let rate = curve(&|piece| {
                per_second(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.ok + slot.errored))
            });
            let errors =
                curve(&|piece| per_second(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.errored)));
            let p99 = curve(&|piece| most(piece, |point| point.slots.get(slot).map_or(0, |slot| slot.p99_ns)));
            json!({ "rate": rate, "errors": errors, "p99": p99 })
        })
        .collect();
    json!({
        "seconds": PAST / 1000,
        "in": curve(&|piece| per_second(piece, |point| point.accepted)),
        "out": curve(&|piece| per_second(piece, |point| point.processed)),
        "errors": curve(&|piece| per_second(piece, |point| point.errored)),
        "queue": curve(&|piece| most(piece, |point| point.queue)),
        "slots": of_slots,
    })
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn per_second(piece: &[&Point], count: impl Fn(&Point) -> u64) -> f64 {
    let span: u64 = piece.iter().map(|point| point.span_ms).sum();
    let all: u64 = piece.iter().map(|point| count(point)).sum();
    if span == 0 { 0.0 } else { all as f64 * 1e3 / span as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn most(piece: &[&Point], count: impl Fn(&Point) -> u64) -> f64 {
    piece.iter().map(|point| count(point)).max().unwrap_or_default() as f64
}

/// The dead letters that are shown.
pub fn letter_query() -> LetterQuery {
    LetterQuery { limit: LETTERS, ..LetterQuery::default() }
}

/// Dead letters, newest first.
pub fn letters(letters: &[DeadLetter]) -> Value {
    letters
        .iter()
        .map(|letter| {
            json!({
                "oid": letter.oid, "time": letter.time, "slot": letter.slot, "revision": letter.revision,
                "kind": letter.kind, "error": cut(&letter.error, TEXT), "input": cut(&letter.input, TEXT),
                "input_bytes": letter.input.len(),
            })
        })
        .collect()
}

/// What a step has shown, in lines.
pub fn step(outputs: &Outputs) -> String {
    let mut text = format!("{}: {}", outputs.oid, cut(&one_line(&outputs.input), 200));
    for slot in outputs.slots.iter().filter(|slot| slot.revision > 0) {
        let made = match (&slot.output, &slot.error) {
            (_, Some(error)) => format!("failed: {}", cut(&one_line(error), 200)),
            (Some(output), None) => cut(&one_line(output), 200),
            (None, None) => "nothing".to_owned(),
        };
        text.push_str(&format!("\nf{} = {made}", slot.slot));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::tests::example_status;

    fn slot(name: &str, takes: &[&str], gives: &str) -> SlotStatus {
        SlotStatus {
            slot: name.into(),
            takes: takes.iter().map(|it| (*it).to_owned()).collect(),
            gives: gives.into(),
            ..SlotStatus::default()
        }
    }

    #[test]
    fn arrows_carry_types_and_tell_what_is_converted() {
        let slots = vec![
            slot("f0", &["&Tweet"], "String"),
            slot("f1", &["&str", "&Tweet"], "f64"),
            slot("f2", &[], ""),
            slot("f3", &["i64", "&str"], "Vec<u8>"),
            slot("f4", &["&[u8]"], "Option<u8>"),
            SlotStatus { mismatch: "f5 takes bool, but f4 gives Option<u8>".into(), ..slot("f5", &["bool"], "u8") },
        ];
        let status = Status { slots, ..example_status() };
        let arrows: Vec<Value> = (0..6).map(|number| arrow(&status, number)).collect();
        let of = |key: &str| -> Vec<String> { arrows.iter().map(|it| it[key].as_str().unwrap_or("").into()).collect() };
        assert_eq!(of("label"), ["&Tweet", "String", "f64", "f64", "Vec<u8>", "Option<u8>"]);
        assert_eq!(of("kind"), ["fits", "fits", "fits", "converts", "fits", "mismatch"]);
        // f3's second argument is what f2, which is empty, passes on.
        assert_eq!(arrows[3]["told"], "f1 gives f64, taken as i64; f1 gives f64, taken as &str");
    }

    #[test]
    fn a_long_message_is_cut_and_its_length_told() {
        let letter = DeadLetter {
            oid: "65f0c0de0123456789abcdef".into(),
            time: String::new(),
            slot: "f3".into(),
            revision: 2,
            error: "x".repeat(1_000_000),
            kind: "error".into(),
            input: "<script>".repeat(200_000),
            outputs: String::new(),
            failed: String::new(),
            retries: 0,
        };
        let shown = letters(&[letter]);
        assert!(shown.to_string().len() < 5_000);
        assert_eq!(shown[0]["input_bytes"], 1_600_000);
    }

    #[test]
    fn curves_end_with_the_newest_and_have_gaps_where_nothing_is_known() {
        let second =
            |time: u64| Point { time_ms: time * 1000, span_ms: 1000, processed: time, queue: time, ..Point::default() };
        let history = History { machine: "main".into(), points: (1_001..=1_010).map(second).collect() };
        let series = series(&history);
        let out = series["out"].as_array().cloned().unwrap_or_default();
        assert_eq!(out.len(), 150);
        assert!(out[..145].iter().all(Value::is_null), "{out:?}");
        // 1009 and 1010 in the last piece; three digits.
        assert_eq!((&out[149], &series["queue"][149]), (&json!(1010.0), &json!(1010.0)));
    }

    #[test]
    fn the_queue_fills_only_if_more_comes_than_goes() {
        let status = Status { queue_size: 500, queue_capacity: 1000, ..example_status() };
        assert_eq!(seconds_to_full(&status, 100.0), Some(5.0));
        assert_eq!(seconds_to_full(&status, -100.0), None);
        assert_eq!((wait(&status, 1000.0), wait(&status, 0.0)), (Some(0.5), None));
    }
}
