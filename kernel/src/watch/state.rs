//! What a display shows: a machine's state in the form that its views draw.
//!
//! Texts that come from cells, messages and errors are cut here, so that no message makes an update long; the views
//! show them as text and nothing else.

use super::arrow::arrow;
use super::flow::Flow;
use crate::display::{cut, one_line};
use machine_protocol::command::Outputs;
use machine_protocol::status::{DeadLetter, SlotStatus, SourceState, Status};
use serde_json::{Value, json};

/// How much of a text is shown, characters.
const TEXT: usize = 2_000;
/// How many dead letters a display has.
const LETTERS: usize = 20;

/// What changes rarely, and what changes always.
pub fn of(status: &Status, flow: &Flow) -> impl Iterator<Item = (&'static str, Value)> {
    [("plan", plan(status)), ("now", now(status, flow))].into_iter()
}

fn plan(status: &Status) -> Value {
    let slot = |(number, slot): (usize, &SlotStatus)| {
        json!({
            "slot": slot.slot, "revision": slot.revision, "cell": slot.cell, "code": cut(&slot.code, TEXT),
            "takes": slot.takes, "gives": slot.gives, "empty": slot.gives.is_empty(), "arrow": arrow(&status.slots, number),
            "async": slot.is_async, "settings": slot.settings.to_string(),
        })
    };
    status.slots.iter().enumerate().map(slot).collect()
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
        "state": status.state, "processed": status.processed, "errored": status.errored,
        "all_retried": crate::display::is_retried(status), "accepted": status.accepted,
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

/// What the source is doing, in words; empty if there is none.
pub fn source(status: &Status) -> String {
    let source = &status.source;
    let mut words = match source.state {
        SourceState::None => return String::new(),
        state => format!("{} · {state}, {} taken", source.description, crate::display::grouped(source.taken)),
    };
    if status.waiting_for_slot {
        words.push_str(&format!(": {}", source.note));
    }
    if !source.error.is_empty() {
        words.push_str(&format!(": {}", source.error));
    }
    one_line(words.trim())
}

/// A share in whole percents: what does not change is not sent.
fn percent(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}

/// Three digits are enough to look at, and what does not change is not sent.
pub(super) fn rounded(rate: f64) -> f64 {
    let digits = if rate >= 1.0 { 10f64.powf(rate.log10().floor() - 2.0) } else { 0.01 };
    let rounded = (rate / digits).round() * digits;
    // Without the rest that the division leaves.
    (rounded * 100.0).round() / 100.0
}

/// When the queue is full, if it goes on filling as it does; `None` if it does not fill.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn seconds_to_full(status: &Status, growth: f64) -> Option<f64> {
    let room = status.queue_capacity.saturating_sub(status.queue_size) as f64;
    let seconds = room / growth;
    (status.queue_size > 0 && growth > 1.0 && seconds < 86_400.0).then(|| rounded(seconds))
}

/// How long a message that is put now will wait, by Little's law; `None` if that cannot be said.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn wait(status: &Status, rate: f64) -> Option<f64> {
    match (status.queue_size, rate > 0.0) {
        (0, _) => Some(0.0),
        (waiting, true) => Some((waiting as f64 / rate * 1e6).round() / 1e6),
        (_, false) => None,
    }
}

/// Dead letters, newest first.
pub fn letters(letters: &[DeadLetter]) -> Value {
    letters
        .iter()
        .take(LETTERS)
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
    use machine_protocol::status::SlotErrorKind;

    #[test]
    fn a_long_message_is_cut_and_its_length_told() {
        let letter = DeadLetter {
            oid: "65f0c0de0123456789abcdef".into(),
            time: String::new(),
            slot: "f3".into(),
            revision: 2,
            error: "x".repeat(1_000_000),
            kind: SlotErrorKind::Error,
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
    fn the_queue_fills_only_if_more_comes_than_goes() {
        let status = Status { queue_size: 500, queue_capacity: 1000, ..example_status() };
        assert_eq!(seconds_to_full(&status, 100.0), Some(5.0));
        assert_eq!(seconds_to_full(&status, -100.0), None);
        assert_eq!((wait(&status, 1000.0), wait(&status, 0.0)), (Some(0.5), None));
    }
}
