//! How fast things happen: rates over the last seconds, from the counters of successive states.

use machine_protocol::history::History;
use machine_protocol::status::{Load, Status};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(2);
/// How often the history is asked for.
const HISTORY: Duration = Duration::from_secs(1);
/// How many of the last points are asked what the workers did.
const LOAD: usize = 3;

/// The counters of one machine over the last seconds.
#[derive(Debug, Default)]
pub struct Flow {
    counts: VecDeque<Counts>,
    asked: Option<Instant>,
    load: Option<Load>,
    /// When a message was last processed, as far as it was seen.
    moved: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Counts {
    at: Instant,
    accepted: u64,
    processed: u64,
    errored: u64,
    slots: Vec<u64>,
}

impl Flow {
    /// Takes a state in.
    pub fn add(&mut self, at: Instant, status: &Status) {
        if self.counts.back().is_none_or(|last| last.processed != status.processed) {
            self.moved = Some(at);
        }
        let slots = status.slots.iter().map(|slot| slot.errored).collect();
        let Status { accepted, processed, errored, .. } = *status;
        self.counts.push_back(Counts { at, accepted, processed, errored, slots });
        // One older than the window stays, so that the window is whole.
        while self.counts.get(1).is_some_and(|second| at.saturating_duration_since(second.at) >= WINDOW) {
            self.counts.pop_front();
        }
    }

    /// Messages accepted a second.
    pub fn rate_in(&self) -> f64 {
        self.rate(|counts| counts.accepted)
    }

    /// Messages processed a second.
    pub fn rate_out(&self) -> f64 {
        self.rate(|counts| counts.processed)
    }

    /// Messages with errors a second.
    pub fn rate_errors(&self) -> f64 {
        self.rate(|counts| counts.errored)
    }

    /// Errors of one slot a second.
    pub fn rate_slot_errors(&self, slot: usize) -> f64 {
        self.rate(|counts| counts.slots.get(slot).copied().unwrap_or_default())
    }

    /// How long no message has been processed, as far as that was seen.
    pub fn idle(&self, now: Instant) -> Duration {
        self.moved.map_or(Duration::ZERO, |moved| now.saturating_duration_since(moved))
    }

    /// What the workers did over the last seconds.
    pub fn load(&self) -> Option<Load> {
        self.load
    }

    /// Whether it is time to ask for the history; then it counts as asked for.
    pub fn wants_history(&mut self, now: Instant) -> bool {
        let wants = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= HISTORY);
        if wants {
            self.asked = Some(now);
        }
        wants
    }

    /// Takes the history in.
    pub fn set_history(&mut self, history: &History) {
        let last = || history.points.iter().rev().take(LOAD);
        let looks: u64 = last().map(|point| point.looks).sum();
        let (busy, blocked) = last().fold((0.0, 0.0), |sum, point| (sum.0 + point.busy, sum.1 + point.blocked));
        self.load = Load::of(busy, blocked, looks);
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    fn rate(&self, count: impl Fn(&Counts) -> u64) -> f64 {
        let (Some(first), Some(last)) = (self.counts.front(), self.counts.back()) else { return 0.0 };
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        // Counts of a slot begin anew when it is assigned.
        let more = count(last).saturating_sub(count(first));
        if seconds < 0.05 { 0.0 } else { more as f64 / seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::Flow;
    use crate::display::tests::example_status;
    use std::time::{Duration, Instant};

    #[test]
    #[expect(clippy::float_cmp, reason = "exact: whole numbers over whole seconds")]
    fn rates_are_those_of_the_window() {
        let (mut flow, begin) = (Flow::default(), Instant::now());
        let mut status = example_status();
        assert_eq!(flow.rate_out(), 0.0);
        for second in 0..10 {
            status.processed += if second < 5 { 1000 } else { 10 };
            status.errored += 1;
            flow.add(begin + Duration::from_secs(second), &status);
        }
        assert_eq!((flow.rate_out(), flow.rate_errors(), flow.rate_in()), (10.0, 1.0, 0.0));
        let end = begin + Duration::from_secs(9);
        assert_eq!(flow.idle(end), Duration::ZERO);
        assert_eq!(flow.idle(end + Duration::from_mins(1)), Duration::from_mins(1));
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "exact: zero")]
    fn a_slot_that_is_assigned_anew_has_no_negative_rate() {
        let (mut flow, begin) = (Flow::default(), Instant::now());
        let mut status = example_status();
        status.slots[0].errored = 100;
        flow.add(begin, &status);
        status.slots[0].errored = 0;
        flow.add(begin + Duration::from_secs(1), &status);
        assert_eq!(flow.rate_slot_errors(0), 0.0);
        assert_eq!(flow.rate_slot_errors(99), 0.0);
    }
}
