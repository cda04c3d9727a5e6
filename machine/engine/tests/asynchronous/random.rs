//! Any changes at any time: nothing is lost, and all snapshots reconcile.

use crate::{counts, fresh, put_all, reconciles};
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::{Drained, Joined};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

#[test]
fn a_thousand_swaps_between_async_and_plain_lose_nothing() {
    let m = fresh().workers(2).in_flight(64).start().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let s = seen.clone();
    m[1].set(move |f0: &(u64, u64)| {
        assert_eq!(f0.0, f0.1);
        s.fetch_add(1, SeqCst);
    })
    .unwrap();
    m[0].set(|_: u64| (0_u64, 0_u64)).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !over.load(SeqCst) {
                m.put_wait(n).unwrap();
                n += 1;
            }
        });
        for generation in 0..1000_u64 {
            if generation % 2 == 0 {
                m[0].set_async(async move |_: u64| {
                    let first = generation;
                    tokio::task::yield_now().await;
                    (first, generation)
                })
                .unwrap();
            } else {
                m[0].set(move |_: u64| (generation, generation)).unwrap();
            }
            if generation % 100 == 0 {
                reconciles(&m.status());
            }
        }
        over.store(true, SeqCst);
    });
    m.drained();
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored), (s.accepted, 0));
    assert_eq!(seen.load(SeqCst), s.accepted);
    counts(&m, 1, s.accepted, 0, 0);
}

#[derive(Clone, Debug)]
enum Op {
    Put(u64),
    Assign(usize, u8),
    Setting(usize, u8),
    Pause,
    Stop,
    Start,
    ClearQueue,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u64..200).prop_map(Op::Put),
        4 => (0_usize..4, 0_u8..6).prop_map(|(slot, kind)| Op::Assign(slot, kind)),
        2 => (0_usize..4, 0_u8..5).prop_map(|(slot, kind)| Op::Setting(slot, kind)),
        1 => Just(Op::Pause),
        1 => Just(Op::Stop),
        2 => Just(Op::Start),
        1 => Just(Op::ClearQueue),
    ]
}

fn assign(m: &Machine, slot: usize, kind: u8) {
    let set = match kind {
        0 => m[slot].set(|n: u64| n),
        1 => m[slot].set_async(async |n: u64| n),
        2 => m[slot].set_async(async |n: u64| {
            tokio::task::yield_now().await;
            if n.is_multiple_of(3) { Err("third".to_owned()) } else { Ok(n) }
        }),
        3 => m[slot].set_async(async |n: u64| {
            tokio::time::sleep(Duration::from_millis(n % 3)).await;
            assert!(n % 50 != 1, "fiftieth");
            n
        }),
        4 => m[slot].set(|n: u64| if n.is_multiple_of(7) { Err("seventh".to_owned()) } else { Ok(n) }),
        _ => {
            m[slot].clear().unwrap();
            Ok(())
        }
    };
    set.unwrap();
}

fn set(m: &Machine, slot: usize, kind: u8) {
    match kind {
        0 => m[slot].retry(2, Duration::from_micros(50)).unwrap(),
        1 => m[slot].concurrency(2).unwrap(),
        2 => m[slot].timeout(Duration::from_millis(1)).unwrap(),
        3 => m[slot].retry(1, Duration::ZERO).unwrap(),
        _ => m[slot].timeout(Duration::ZERO).unwrap().retry(0, Duration::ZERO).unwrap().concurrency(0).unwrap(),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// One thread puts, one does what it likes, one reads: every snapshot reconciles, and in the end each accepted
    /// message was processed or counted as discarded, once.
    #[test]
    fn every_snapshot_reconciles(
        ops in proptest::collection::vec(op(), 1..40), workers in 1_usize..4, in_flight in 1_usize..100,
    ) {
        let m = fresh().queue(300).workers(workers).in_flight(in_flight).start().unwrap();
        let (accepted, discarded) = (AtomicU64::new(0), AtomicU64::new(0));
        let over = AtomicBool::new(false);
        let put = |n| if m.put(n).is_ok() { accepted.fetch_add(1, SeqCst); };
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = 0;
                while !over.load(SeqCst) {
                    let s = m.status();
                    reconciles(&s);
                    assert!(s.processed >= last, "processed went back");
                    last = s.processed;
                    thread::yield_now();
                }
            });
            let producer = scope.spawn(|| (0..300).for_each(put));
            for op in &ops {
                match *op {
                    Op::Put(n) => (0..n).for_each(put),
                    Op::Assign(slot, kind) => assign(&m, slot, kind),
                    Op::Setting(slot, kind) => set(&m, slot, kind),
                    Op::Pause => { m.pause(); },
                    Op::Stop => { m.stop(); },
                    Op::Start => { m.start(); },
                    Op::ClearQueue => { discarded.fetch_add(m.clear(), SeqCst); },
                }
            }
            producer.joined();
            m.start().drained();
            over.store(true, SeqCst);
            reader.joined();
        });
        let s = m.status();
        reconciles(&s);
        prop_assert_eq!((s.queue_size, s.in_flight), (0, 0));
        prop_assert_eq!((s.accepted, s.processed), (accepted.load(SeqCst), s.accepted - s.discarded));
        // Messages between two slots are given up a moment after `clear`.
        prop_assert!(s.discarded - s.drops.in_flight <= discarded.load(SeqCst) && discarded.load(SeqCst) <= s.discarded);
        // All functions are counted alike: a last round reaches each of them.
        let before: Vec<u64> = s.slots.iter().map(|slot| slot.ok + slot.errored + slot.skipped).collect();
        put_all(&m, 0..50);
        m.drained();
        let after = m.status();
        for (slot, before) in after.slots.iter().zip(before).filter(|(slot, _)| !slot.gives.is_empty()) {
            prop_assert_eq!(slot.ok + slot.errored + slot.skipped, before + 50, "{:?}", slot);
        }
    }
}
