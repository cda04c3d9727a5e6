//! Every order in which the ring's memory can be accessed by a few threads, tried by loom.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(dead_code, reason = "the engine uses more of it than a model does")]

#[path = "../../src/core/ring.rs"]
mod ring;

mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    pub(crate) const ZEROES_ARE_EMPTY: bool = false;
    /// Few, because each look doubles what has to be tried.
    pub(crate) const SPIN_LIMIT: u32 = 1;

    pub(crate) fn spin() {
        loom::thread::yield_now();
    }

    pub(crate) fn yield_now() {
        loom::thread::yield_now();
    }
}

use loom::sync::Arc;
use loom::thread;
use ring::Ring;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three changes of thread at any place find all but contrived mistakes, and take seconds instead of hours.
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Puts until all are in: the ring is full for a moment when its consumers are behind.
fn put_all(ring: &Ring<Box<u64>>, messages: &[u64]) {
    let mut left = messages;
    while !left.is_empty() {
        let mut next = left.iter();
        let put = ring.push(left.len() as u64, |_| u64::MAX, |_| Box::new(*next.next().unwrap()));
        left = left.get(usize::try_from(put).unwrap()..).unwrap();
        if put == 0 {
            thread::yield_now();
        }
    }
}

fn take(ring: &Ring<Box<u64>>, wanted: usize, most: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < wanted {
        let before = taken.len();
        taken.extend(ring.claim(most.min(wanted - before)).map(|message| *message));
        if taken.len() == before {
            thread::yield_now();
        }
    }
    taken
}

#[test]
fn two_producers_one_consumer_nothing_lost_and_each_in_order() {
    check(|| {
        let ring = Arc::new(Ring::new(4).unwrap());
        let producer = |messages: &'static [u64]| {
            let ring = ring.clone();
            thread::spawn(move || put_all(&ring, messages))
        };
        let (a, b) = (producer(&[1, 2]), producer(&[11]));
        let mut taken: Vec<u64> = ring.claim(2).map(|message| *message).collect();
        a.join().unwrap();
        b.join().unwrap();
        taken.extend(ring.claim(4).map(|message| *message));
        let of = |range: std::ops::Range<u64>| taken.iter().copied().filter(|m| range.contains(m)).collect::<Vec<_>>();
        assert_eq!((of(0..10), of(10..20)), (vec![1, 2], vec![11]));
    });
}

#[test]
fn a_batch_goes_round_the_ring_while_it_is_read() {
    check(|| {
        let ring = Arc::new(Ring::new(2).unwrap());
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || put_all(&ring, &[1, 2, 3, 4, 5]))
        };
        assert_eq!(take(&ring, 5, 2), [1, 2, 3, 4, 5]);
        producer.join().unwrap();
    });
}

#[test]
fn two_consumers_share_what_there_is() {
    check(|| {
        let ring = Arc::new(Ring::new(2).unwrap());
        put_all(&ring, &[1, 2]);
        let other = {
            let ring = ring.clone();
            thread::spawn(move || ring.claim(2).map(|message| *message).collect::<Vec<_>>())
        };
        let mut all: Vec<u64> = ring.claim(1).map(|message| *message).collect();
        all.extend(other.join().unwrap());
        all.extend(ring.claim(2).map(|message| *message));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

/// Loom also checks that nothing is leaked: the boxes that nobody took go with the ring.
#[test]
fn what_is_left_goes_with_the_ring() {
    check(|| {
        let ring = Arc::new(Ring::new(4).unwrap());
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || put_all(&ring, &[1, 2]))
        };
        drop(ring.claim(1));
        producer.join().unwrap();
    });
}
