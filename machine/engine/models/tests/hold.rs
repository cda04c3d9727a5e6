//! Every order of what a worker does after a message and what `clear` does when it holds the queue, tried by loom, with
//! barriers on both sides: what the queue relies on where the system has no cheaper ones.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// As `WorkerStats` and `Queue::hold`.
#[derive(Default)]
struct Shared {
    hold: AtomicBool,
    begun: AtomicU64,
    done: AtomicU64,
}

/// A worker takes messages until it sees that the queue is held.
fn work(shared: &Shared) {
    for message in 1..=2 {
        if shared.hold.load(Ordering::Relaxed) {
            return;
        }
        shared.begun.store(message, Ordering::Release);
        shared.done.store(message, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

#[test]
fn whoever_is_seen_in_a_slot_of_a_held_queue_begins_nothing_more() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || work(&shared))
        };
        shared.hold.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let done = shared.done.load(Ordering::Acquire);
        let begun = shared.begun.load(Ordering::Acquire);
        worker.join().unwrap();
        if begun > done {
            assert_eq!(shared.begun.load(Ordering::Acquire), begun);
        }
    });
}
