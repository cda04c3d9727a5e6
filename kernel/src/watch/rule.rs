//! Rules of alerts: `queue > 0.8 for 10s`, `f3.errors/s > 1`, `idle for 1m`.

use super::flow::Flow;
use machine_engine::closest_match::closest_match;
use machine_protocol::status::Status;
use std::time::{Duration, Instant};

/// What can be measured, and what it is.
pub const MEASURES: [(&str, &str); 7] = [
    ("queue", "the share of the queue that is full, 0 to 1"),
    ("waiting", "messages that wait"),
    ("rate", "messages processed a second"),
    ("errors/s", "messages with errors a second"),
    ("errors", "messages with errors so far"),
    ("dead_letters", "dead letters that are kept"),
    ("in_flight", "messages in the slots"),
];
/// What can be measured of a slot.
const OF_SLOTS: [&str; 4] = ["errors/s", "errors", "p50", "p99"];

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As it was written, white space aside.
    pub text: String,
    condition: Condition,
    /// How long it has to hold.
    pub lasting: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// No message is processed.
    Idle,
    /// A number is beyond a limit.
    Beyond { measure: Measure, above: bool, limit: f64 },
}

#[derive(Clone, Debug, PartialEq)]
struct Measure {
    /// Of the machine, if there is none.
    slot: Option<usize>,
    name: String,
}

impl Rule {
    /// Whether it holds at this moment, with the value that is measured in words.
    pub fn holds(&self, status: &Status, flow: &Flow, now: Instant) -> (bool, String) {
        match &self.condition {
            // How long it has to last is asked of the flow, which knows when the last message was processed.
            Condition::Idle => {
                let idle = flow.idle(now);
                (idle >= self.lasting, format!("idle for {}", crate::display::duration(rounded(idle))))
            }
            Condition::Beyond { measure, above, limit } => {
                let value = measure.value(status, flow);
                let holds = if *above { value > *limit } else { value < *limit };
                (holds, format!("{} is {}", measure.written(), number(value)))
            }
        }
    }

    /// How long it has to hold before it is told; `idle` knows that by itself.
    pub fn patience(&self) -> Duration {
        if self.condition == Condition::Idle { Duration::ZERO } else { self.lasting }
    }

    /// Whether the machine has the slot that is meant.
    pub fn slot(&self) -> Option<usize> {
        match &self.condition {
            Condition::Idle => None,
            Condition::Beyond { measure, .. } => measure.slot,
        }
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis() / 100 * 100).unwrap_or_default())
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }
}

impl Measure {
    fn written(&self) -> String {
        match self.slot {
            Some(slot) => format!("f{slot}.{}", self.name),
            None => self.name.clone(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "compared with a limit that people wrote")]
    fn value(&self, status: &Status, flow: &Flow) -> f64 {
        if let Some(number) = self.slot {
            let Some(slot) = status.slots.get(number) else { return 0.0 };
            return match self.name.as_str() {
                "errors/s" => flow.rate_slot_errors(number),
                "p50" => slot.p50_ns as f64 / 1e9,
                "p99" => slot.p99_ns as f64 / 1e9,
                _ => slot.errored as f64,
            };
        }
        match self.name.as_str() {
            "queue" => status.queue_size as f64 / (status.queue_capacity.max(1) as f64),
            "waiting" => status.queue_size as f64,
            "rate" => flow.rate_out(),
            "errors/s" => flow.rate_errors(),
            "dead_letters" => status.dead_letters as f64,
            "in_flight" => status.in_flight as f64,
            _ => status.errored as f64,
        }
    }
}

/// Parses a rule.
///
/// # Errors
/// What is wrong with it, in one line: what was given, what there is.
pub fn parse(text: &str) -> Result<Rule, String> {
    let spaced = text.replace('>', " > ").replace('<', " < ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (words, lasting) = match words.as_slice() {
        [rest @ .., "for", time] => (rest, crate::input::duration(time, "5s")?),
        words => (words, Duration::ZERO),
    };
    let condition = match words {
        ["idle"] if lasting.is_zero() => return Err("idle needs a time: idle for 1m".to_owned()),
        ["idle"] => Condition::Idle,
        [measure, sign @ (">" | "<"), limit] => {
            let limit = self::limit(limit)?;
            Condition::Beyond { measure: self::measure(measure)?, above: *sign == ">", limit }
        }
        _ => {
            return Err(format!(
                "{} is no rule; expected for example queue > 0.8 for 10s, f3.errors/s > 1 or idle for 1m",
                if text.trim().is_empty() { "nothing" } else { text.trim() }
            ));
        }
    };
    let mut text = words.join(" ");
    if !lasting.is_zero() {
        text.push_str(&format!(" for {}", crate::display::duration(lasting).replace(' ', "")));
    }
    Ok(Rule { text, condition, lasting })
}

/// `0.8`, `80%`, `5ms`
fn limit(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text} is no number; expected for example 0.8, 80% or 5ms");
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<f64>().map(|percent| percent / 100.0).map_err(|_| wrong());
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ if text.ends_with('s') => {
            for (unit, seconds) in [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)] {
                if let Some(number) = text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok()) {
                    return Ok(number * seconds);
                }
            }
            Err(wrong())
        }
        _ => Err(wrong()),
    }
}

fn measure(text: &str) -> Result<Measure, String> {
    let (slot, name) = match text.split_once('.') {
        Some((slot, name)) => {
            let number = slot.strip_prefix('f').and_then(|number| number.parse::<usize>().ok());
            let number = number.ok_or_else(|| format!("{slot} is no slot; expected f0, f1, …"))?;
            (Some(number), name)
        }
        None => (None, text),
    };
    let names: Vec<&str> =
        if slot.is_some() { OF_SLOTS.to_vec() } else { MEASURES.iter().map(|(name, _)| *name).collect() };
    if names.contains(&name) {
        return Ok(Measure { slot, name: name.to_owned() });
    }
    let of = if slot.is_some() { "of a slot " } else { "" };
    let meant = closest_match(name, names.iter().copied()).map(|name| format!("; did you mean {name}?"));
    let all = names.join(", ");
    let all = if slot.is_some() { all } else { format!("{all}, idle, f0.errors/s") };
    Err(format!("{name} cannot be measured; {of}there is {all}{}", meant.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::tests::example_status;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = parse(text).map_or_else(|error| error, |rule| rule.text);
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn rules_are_read_as_people_write_them() {
        check("queue > 0.8 for 10s", "queue > 0.8 for 10s");
        check(" queue>80% ", "queue > 80%");
        check("f3.errors/s > 1", "f3.errors/s > 1");
        check("f3.p99 > 5ms for 1m", "f3.p99 > 5ms for 1min0s");
        check("idle for 1.5s", "idle for 1.5s");
        check("rate < 100 for 5s", "rate < 100 for 5s");
    }

    #[test]
    fn mistakes_say_what_there_is() {
        check("idle", "idle needs a time: idle for 1m");
        check("", "nothing is no rule; expected for example queue > 0.8 for 10s, f3.errors/s > 1 or idle for 1m");
        check(
            "qeue > 1",
            "qeue cannot be measured; there is queue, waiting, rate, errors/s, errors, dead_letters, in_flight, idle, \
             f0.errors/s; did you mean queue?",
        );
        check(
            "f3.eror > 1",
            "eror cannot be measured; of a slot there is errors/s, errors, p50, p99; did you mean errors?",
        );
        check("x3.errors > 1", "x3 is no slot; expected f0, f1, …");
        check("queue > lots", "lots is no number; expected for example 0.8, 80% or 5ms");
    }

    #[test]
    fn limits_are_of_the_measure() {
        let mut status = example_status();
        (status.queue_size, status.queue_capacity) = (90, 100);
        let (flow, now) = (Flow::default(), Instant::now());
        let holds = |text: &str| parse(text).is_ok_and(|rule| rule.holds(&status, &flow, now).0);
        assert!(holds("queue > 0.8") && holds("queue > 80%") && !holds("queue > 0.95"));
        assert!(holds("waiting > 89") && holds("rate < 1") && !holds("f99.errors > 0"));
    }
}
