//! Alerts: told when a rule begins to hold and when it ends, and not in between.

use super::flow::Flow;
use super::rule::Rule;
use machine_protocol::status::Status;
use serde_json::{Value, json};
use std::time::Instant;

/// All alerts of a session.
#[derive(Debug, Default)]
pub struct Alerts(Vec<Alert>);

#[derive(Debug)]
struct Alert {
    machine: String,
    rule: Rule,
    /// Since when its rule holds.
    holds: Option<Instant>,
    /// Since when it is told to hold.
    told: Option<Instant>,
}

impl Alerts {
    /// Adds one; the same one twice is one.
    pub fn add(&mut self, machine: &str, rule: Rule) {
        if !self.0.iter().any(|alert| alert.machine == machine && alert.rule == rule) {
            self.0.push(Alert { machine: machine.to_owned(), rule, holds: None, told: None });
        }
    }

    /// Takes away the one of this text, or all of a machine; returns how many.
    pub fn remove(&mut self, machine: &str, text: Option<&str>) -> usize {
        let before = self.0.len();
        self.0.retain(|alert| alert.machine != machine || text.is_some_and(|text| alert.rule.text != text));
        before - self.0.len()
    }

    /// The machines that have one.
    pub fn machines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|alert| alert.machine.clone())
    }

    /// Those of a machine, and whether they hold: `[{"rule", "holds"}, …]`.
    pub fn of(&self, machine: &str) -> Value {
        let of = |alert: &Alert| json!({ "rule": alert.rule.text, "holds": alert.told.is_some() });
        self.0.iter().filter(|alert| alert.machine == machine).map(of).collect()
    }

    /// Looks at a machine; what there is to tell.
    pub fn check(&mut self, machine: &str, status: &Status, flow: &Flow, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        for alert in self.0.iter_mut().filter(|alert| alert.machine == machine) {
            let (holds, value) = alert.rule.holds(status, flow, now);
            let since = if holds { Some(*alert.holds.get_or_insert(now)) } else { None };
            alert.holds = since;
            let lasts = since.is_some_and(|since| now.saturating_duration_since(since) >= alert.rule.patience());
            match (alert.told, lasts) {
                (None, true) => {
                    alert.told = Some(now);
                    told.push(format!("alert: {machine}: {} ({value})", alert.rule.text));
                }
                (Some(since), false) => {
                    alert.told = None;
                    let lasted = crate::display::duration(now.saturating_duration_since(since));
                    told.push(format!("alert over: {machine}: {} ({value}, after {lasted})", alert.rule.text));
                }
                _ => {}
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::Alerts;
    use crate::display::tests::example_status;
    use crate::watch::flow::Flow;
    use crate::watch::rule::parse;
    use std::time::{Duration, Instant};

    #[test]
    fn an_alert_is_told_once_when_it_begins_and_once_when_it_ends() {
        let (mut alerts, flow, begin) = (Alerts::default(), Flow::default(), Instant::now());
        for text in ["queue > 0.8 for 10s", "queue > 0.8 for 10s"] {
            alerts.add("main", parse(text).unwrap_or_else(|error| panic!("{error}")));
        }
        let mut status = example_status();
        status.queue_capacity = 100;
        let mut told = Vec::new();
        for second in 0..60 {
            // Full from 5 to 9, which is too short, and from 20 to 39.
            status.queue_size = if (5..10).contains(&second) || (20..40).contains(&second) { 90 } else { 10 };
            let at = begin + Duration::from_secs(second);
            told.extend(alerts.check("main", &status, &flow, at).into_iter().map(|text| format!("{second} {text}")));
            assert!(alerts.check("train", &status, &flow, at).is_empty());
        }
        assert_eq!(
            told,
            [
                "30 alert: main: queue > 0.8 for 10s (queue is 0.900)",
                "40 alert over: main: queue > 0.8 for 10s (queue is 0.100, after 10 s)",
            ]
        );
        assert_eq!(alerts.remove("main", Some("queue > 1")), 0);
        assert_eq!(alerts.remove("main", None), 1);
    }
}
