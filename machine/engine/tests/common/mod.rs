//! What several files of tests begin with, and what holds in all of them.

use machine::{Builder, Machine, Status};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A separate machine for a test: this name and a number.
pub fn named(name: &str) -> Builder {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
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
#[allow(clippy::unwrap_used, reason = "a test ends where it fails")]
pub fn answers<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(what()));
    told.recv_timeout(Duration::from_secs(20)).unwrap()
}
