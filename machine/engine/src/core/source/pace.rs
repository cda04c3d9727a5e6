//! When the next item of a source is due.

use crate::core::command_error::failed;
use crate::decode::time::Clock;
use machine_protocol::source::Pacing;
use machine_protocol::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// How much of a rate may be made up for after a sleep that took too long.
const CREDIT: Duration = Duration::from_millis(20);

/// When the next item of a source is due: by a rate, by the times in the items, or at once.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    rate: Option<Rate>,
    replay: Option<Replay>,
}

#[derive(Debug)]
struct Rate {
    per_second: f64,
    period: Duration,
    credit: Duration,
    next: Option<Instant>,
}

#[derive(Debug)]
struct Replay {
    speed: f64,
    field: String,
    clock: Clock,
    /// When the first item was given, and its own time.
    first: Option<(Instant, f64)>,
    timed: u64,
    untimed: u64,
}

/// So many items without a time are an exception; more than that are common if they are [`COMMON`] of all.
const EXCEPTIONS: u64 = 10;
/// One item in so many.
const COMMON: u64 = 10;

impl Pacer {
    /// # Errors
    /// If a number is out of range.
    pub fn new(pacing: &Pacing) -> Result<Self, Error> {
        let mut pacer = Self::default();
        if let Some(rate) = pacing.rate {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(bad(format!("the rate is {rate}: it is how many items a second, more than 0")));
            }
            // Slower than one in a century is that.
            let period = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX).min(CENTURY);
            pacer.rate = Some(Rate { per_second: rate, period, credit: CREDIT, next: None });
        }
        if let Some(replay) = &pacing.replay {
            let speed = replay.speed;
            if replay.field.is_empty() {
                return Err(bad(
                    "replay needs the field that has an item's time: created_at, or user.created_at".to_owned()
                ));
            }
            if !(speed.is_finite() && speed >= 0.0) {
                return Err(bad(format!("the speed is {speed}: 1 is as fast as it was, 0 as fast as possible")));
            }
            if speed > 0.0 {
                let clock = Clock::new(&replay.field, replay.format.as_deref()).map_err(bad)?;
                let field = replay.field.clone();
                pacer.replay = Some(Replay { speed, field, clock, first: None, timed: 0, untimed: 0 });
            }
        }
        Ok(pacer)
    }

    /// Lets so much be made up for: for a source that cannot wait, and whose items come in heaps.
    pub fn with_credit(mut self, credit: Duration) -> Self {
        if let Some(rate) = &mut self.rate {
            rate.credit = credit;
        }
        self
    }

    /// Whether items are due at once, always.
    pub fn is_idle(&self) -> bool {
        self.rate.is_none() && self.replay.is_none()
    }

    /// When the item is due that could be given now; it counts as given. `time` reads its time.
    pub fn due(&mut self, now: Instant, time: impl FnOnce(&Clock) -> Option<f64>) -> Instant {
        let by_replay = self.replay.as_mut().map_or(now, |replay| replay.due(now, time));
        let by_rate = self.rate.as_mut().map_or(now, |rate| {
            let due = rate.earliest(now);
            rate.next = due.max(by_replay).checked_add(rate.period);
            due
        });
        by_rate.max(by_replay)
    }

    /// Whether an item is due now, by the rate; if so it counts as given.
    pub fn admits(&mut self, now: Instant) -> bool {
        let Some(rate) = &mut self.rate else { return true };
        let due = rate.earliest(now);
        if due > now {
            return false;
        }
        rate.next = due.checked_add(rate.period);
        true
    }

    /// How many items a second are admitted at most; without it, as many as like.
    pub fn rate(&self) -> Option<f64> {
        self.rate.as_ref().map(|rate| rate.per_second)
    }

    /// The machine did not run for so long: this time does not count.
    pub fn shift(&mut self, by: Duration) {
        if let Some((first, _)) = self.replay.as_mut().and_then(|replay| replay.first.as_mut()) {
            *first = first.checked_add(by).unwrap_or(*first);
        }
    }

    /// The items begin anew: the next one is the first.
    pub fn begin_anew(&mut self) {
        if let Some(replay) = &mut self.replay {
            replay.first = None;
        }
    }

    /// Items without a time so far, and where it was looked for.
    pub fn untimed(&self) -> Option<(u64, &str)> {
        self.replay.as_ref().map(|replay| (replay.untimed, replay.field.as_str()))
    }

    /// Whether items without a time are so many that replay is not what it is called: each is an error then.
    pub fn lacks_times(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| {
            let all = replay.untimed + replay.timed;
            replay.untimed > EXCEPTIONS && replay.untimed.saturating_mul(COMMON) >= all
        })
    }
}

const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

impl Rate {
    fn earliest(&self, now: Instant) -> Instant {
        let Some(next) = self.next else { return now };
        now.checked_sub(self.credit).map_or(next, |long_ago| next.max(long_ago))
    }
}

impl Replay {
    fn due(&mut self, now: Instant, time: impl FnOnce(&Clock) -> Option<f64>) -> Instant {
        let Some(time) = time(&self.clock) else {
            self.untimed += 1;
            return now;
        };
        self.timed += 1;
        let (began, first) = *self.first.get_or_insert((now, time));
        let after = Duration::try_from_secs_f64((time - first) / self.speed).unwrap_or_default().min(CENTURY);
        began.checked_add(after).unwrap_or(began).max(now)
    }
}

fn bad(message: String) -> Error {
    failed(ErrorKind::OutOfRange, message)
}

#[cfg(test)]
mod tests {
    use super::Pacer;
    use machine_protocol::source::{Pacing, Replay};
    use std::time::{Duration, Instant};

    fn by_rate(rate: f64) -> Pacing {
        Pacing { rate: Some(rate), replay: None }
    }

    fn by_time(speed: f64) -> Pacing {
        Pacing { rate: None, replay: Some(Replay { field: "t".to_owned(), speed, format: None }) }
    }

    /// The milliseconds at which items are given that are ready at once, each at the time before plus `late`.
    fn given(pacing: &Pacing, times: &[Option<f64>], late: u64) -> Vec<u128> {
        let mut pacer = Pacer::new(pacing).unwrap_or_default();
        let start = Instant::now();
        let mut now = start;
        let give = |time: &Option<f64>| {
            now = pacer.due(now, |_| *time).max(now);
            let at = (now - start).as_millis();
            now += Duration::from_millis(late);
            at
        };
        times.iter().map(give).collect()
    }

    #[test]
    fn a_rate_is_even_and_makes_up_for_little() {
        assert_eq!(given(&by_rate(100.0), &[None; 4], 0), [0, 10, 20, 30]);
        assert_eq!(given(&by_rate(100.0), &[None; 4], 4), [0, 10, 20, 30]);
        assert_eq!(given(&by_rate(100.0), &[None; 4], 1_000), [0, 1_000, 2_000, 3_000]);
    }

    #[test]
    fn a_rate_refuses_what_is_too_fast_beyond_its_credit() {
        let start = Instant::now();
        let mut pacer = Pacer::new(&by_rate(10.0)).unwrap_or_default().with_credit(Duration::from_secs(1));
        assert!(pacer.admits(start));
        assert!(!pacer.admits(start + Duration::from_millis(50)));
        let later = start + Duration::from_mins(1);
        assert_eq!((0..100).filter(|_| pacer.admits(later)).count(), 11);
    }

    #[test]
    fn replay_keeps_distances_and_order() {
        let times = [Some(100.0), Some(101.0), Some(100.5), None, Some(104.0)];
        assert_eq!(given(&by_time(1.0), &times, 0), [0, 1_000, 1_000, 1_000, 4_000]);
        assert_eq!(given(&by_time(10.0), &times, 0), [0, 100, 100, 100, 400]);
        assert_eq!(given(&by_time(0.0), &times, 0), [0; 5]);
    }

    #[test]
    fn items_without_a_time_are_an_error_once_they_are_common() {
        let mut pacer = Pacer::new(&by_time(1.0)).unwrap_or_default();
        let mut lacks = |time: Option<f64>| {
            pacer.due(Instant::now(), |_| time);
            pacer.lacks_times()
        };
        assert!((0..200).all(|_| !lacks(Some(0.0))));
        assert!((0..22).all(|_| !lacks(None)), "fewer than one in ten");
        assert!(lacks(None));
        let mut pacer = Pacer::new(&by_time(1.0)).unwrap_or_default();
        let all: Vec<bool> = (0..12)
            .map(|_| {
                pacer.due(Instant::now(), |_| None);
                pacer.lacks_times()
            })
            .collect();
        assert_eq!(all.iter().position(|lacks| *lacks), Some(10), "the first ten are exceptions");
    }

    #[test]
    fn time_in_which_the_machine_does_not_run_does_not_count() {
        let start = Instant::now();
        let mut pacer = Pacer::new(&by_time(1.0)).unwrap_or_default();
        assert_eq!(pacer.due(start, |_| Some(0.0)), start);
        pacer.shift(Duration::from_mins(1));
        let due = pacer.due(start + Duration::from_mins(1), |_| Some(1.0));
        assert_eq!(due, start + Duration::from_secs(61));
    }

    #[test]
    fn what_begins_anew_is_paced_anew() {
        let start = Instant::now();
        let mut pacer = Pacer::new(&by_time(1.0)).unwrap_or_default();
        let due = |pacer: &mut Pacer, time| (pacer.due(start, |_| Some(time)) - start).as_secs();
        assert_eq!([7.0, 8.0].map(|time| due(&mut pacer, time)), [0, 1]);
        pacer.begin_anew();
        assert_eq!([5.0, 7.0].map(|time| due(&mut pacer, time)), [0, 2]);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Pacer::new(&by_rate(rate)).is_err());
        }
        for speed in [-1.0, f64::NAN] {
            assert!(Pacer::new(&by_time(speed)).is_err());
        }
        let mut slow = Pacer::new(&by_rate(1e-300)).unwrap_or_default();
        let now = Instant::now();
        assert!(slow.admits(now) && !slow.admits(now));
    }
}
