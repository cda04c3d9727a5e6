//! Messages in flight that wait before their slot is called again.
//!
//! One thread for all machines, started with the first wait.

use crate::core::in_flight::InFlightMessage;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait between two calls.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait before call again number `attempt`, counted from 1.
pub(crate) fn wait_before(attempt: u32, first: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(LONGEST)
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    flight: Box<InFlightMessage>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    /// The soonest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.until.cmp(&self.until)
    }
}

static WAITING: Mutex<BinaryHeap<Waiting>> = Mutex::new(BinaryHeap::new());
static CHANGED: Condvar = Condvar::new();

/// No user code runs under this lock.
fn waiting() -> MutexGuard<'static, BinaryHeap<Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lands the flight after a while.
pub(crate) fn land_after(wait: Duration, flight: Box<InFlightMessage>) {
    static THREAD: OnceLock<bool> = OnceLock::new();
    let spawn = || std::thread::Builder::new().name("machine/backoff".to_owned()).spawn(run).is_ok();
    if !THREAD.get_or_init(spawn) {
        // No thread: no wait is better than none that ends.
        flight.make_ready();
        return;
    }
    waiting().push(Waiting { until: Instant::now() + wait, flight });
    CHANGED.notify_one();
}

/// Takes out those that wait and of which `goes` is true.
#[expect(clippy::vec_box, reason = "a flight goes around in its box")]
pub(crate) fn take_out(goes: impl Fn(&InFlightMessage) -> bool) -> Vec<Box<InFlightMessage>> {
    let mut all = waiting();
    let (gone, left): (Vec<_>, Vec<_>) = all.drain().partition(|waiting| goes(&waiting.flight));
    all.extend(left);
    drop(all);
    gone.into_iter().map(|waiting| waiting.flight).collect()
}

fn run() {
    let mut all = waiting();
    loop {
        let now = Instant::now();
        let due = all.peek().is_some_and(|first| first.until <= now);
        if due && let Some(first) = all.pop() {
            drop(all);
            first.flight.make_ready();
            all = waiting();
            continue;
        }
        all = match all.peek().map(|first| first.until.duration_since(now)) {
            Some(wait) => CHANGED.wait_timeout(all, wait).unwrap_or_else(PoisonError::into_inner).0,
            None => CHANGED.wait(all).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, wait_before};
    use std::time::Duration;

    #[test]
    fn each_wait_is_twice_the_one_before_and_none_is_too_long() {
        let first = Duration::from_millis(100);
        let waits: Vec<u128> = (1..=4).map(|attempt| wait_before(attempt, first).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800]);
        assert_eq!(wait_before(40, first), LONGEST);
        assert_eq!(wait_before(u32::MAX, Duration::ZERO), Duration::ZERO);
    }
}
