//! What several files of tests begin with, and what holds in all of them.

use machine::{Builder, Machine, Status};
use machine_testkit::{watchdog, within};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A separate machine for a test: this name and a number.
pub fn named(name: &str) -> Builder {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    watchdog();
    machine_engine::init();
    Machine::builder(&format!("{name}{}", NEXT.fetch_add(1, Relaxed)))
}

/// What holds in every status, whatever happens meanwhile.
#[track_caller]
#[allow(dead_code, reason = "not every file of tests looks at a status while something happens")]
pub fn reconciles(s: &Status) {
    assert_eq!(s.accepted, s.processed + s.queue_size + s.in_flight + s.discarded, "{s:?}");
    assert!(s.queue_size <= s.queue_capacity, "{s:?}");
    assert!(s.errored <= s.processed + s.in_flight, "{s:?}");
    assert!(s.slots.iter().all(|slot| slot.ok + slot.errored + slot.skipped <= s.processed + s.in_flight), "{s:?}");
}

/// Does something that may hang, and ends the test if it does.
#[track_caller]
#[allow(dead_code, reason = "as above")]
pub fn answers<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    within("a call", what)
}
