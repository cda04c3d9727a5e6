//! Conditions that become true, and machines that become empty.

use crate::{DEADLINE, DRAIN_DEADLINE, scaled};
use machine::Machine;
use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Looks that only yield, before the first one that sleeps: most conditions are true within some of them.
const YIELDS: u32 = 100;
/// Each pause between two looks from then on is longer than the one before by so much, up to [`LONGEST`]: the workers
/// that a test waits for have the processor meanwhile.
const PAUSE: Duration = Duration::from_micros(50);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_millis(2);

/// Waits until `condition` is true.
///
/// # Panics
/// If it is not within [`DEADLINE`]: the message names `what`.
///
/// ```
/// # use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
/// static DONE: AtomicBool = AtomicBool::new(false);
/// std::thread::spawn(|| DONE.store(true, SeqCst));
/// machine_testkit::eventually("the thread is done", || DONE.load(SeqCst));
/// ```
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    if let Some(waited) = poll(scaled(DEADLINE), condition) {
        panic!("waited {waited:.1?} for: {what}");
    }
}

/// Like [`eventually()`], with the value that the condition looks at in the message.
///
/// # Panics
/// If no value fulfils the condition within [`DEADLINE`]: the message names `what` and the last value.
#[track_caller]
pub fn eventually_with<T: Debug>(what: &str, mut value: impl FnMut() -> T, condition: impl Fn(&T) -> bool) -> T {
    let mut last = None;
    let waited = poll(scaled(DEADLINE), || condition(last.insert(value())));
    match (waited, last) {
        (None, Some(last)) => last,
        (waited, last) => panic!("waited {:.1?} for: {what}; last seen: {last:?}", waited.unwrap_or_default()),
    }
}

/// Waits until an expression is true, and names the expression if it is not within [`DEADLINE`]. With a second
/// expression, shows its value then: `eventually!(m.status().in_flight == 1, m.status())`.
#[macro_export]
macro_rules! eventually {
    ($condition:expr $(,)?) => {
        $crate::eventually(stringify!($condition), || $condition)
    };
    ($condition:expr, $seen:expr $(,)?) => {
        $crate::eventually_with(stringify!($condition), || ($condition, $seen), |(holds, _)| *holds)
    };
}

/// Returns how long it waited in vain, or nothing if the condition became true.
pub fn poll(deadline: Duration, mut condition: impl FnMut() -> bool) -> Option<Duration> {
    let begin = Instant::now();
    let mut looks = 0;
    while !condition() {
        if begin.elapsed() > deadline {
            return Some(begin.elapsed());
        }
        if looks < YIELDS {
            thread::yield_now();
        } else {
            thread::sleep((PAUSE * (looks - YIELDS + 1)).min(LONGEST));
        }
        looks += 1;
    }
    None
}

/// A machine that is drained with a deadline.
pub trait Drained {
    /// Waits until all messages are processed, as `drain` does.
    ///
    /// # Panics
    /// If some are left after [`DRAIN_DEADLINE`]: the message shows the status.
    fn drained(&self) -> &Self;
}

impl Drained for Machine {
    #[track_caller]
    fn drained(&self) -> &Self {
        let begin = Instant::now();
        let deadline = scaled(DRAIN_DEADLINE);
        // A machine that does not run has something left at once, and is not waited for.
        if let Err(left) = self.drain_timeout(deadline)
            && begin.elapsed() >= deadline
        {
            panic!("waited {:.1?} for a drain: {left}; {:?}", begin.elapsed(), self.status());
        }
        self
    }
}
