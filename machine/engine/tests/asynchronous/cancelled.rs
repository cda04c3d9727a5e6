//! Futures that never end: what gets their messages out.

use crate::{Counted, FOREVER, Output, counts, fresh, held, put_all, reconciles};
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::{Drained, Received, eventually};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn a_stopped_machine_that_is_cleared_gives_up_what_is_in_flight() {
    let m = fresh().in_flight(100).ordered(true).start().unwrap();
    let outputs = m.outputs().unwrap().timeout(FOREVER);
    let alive = Arc::new(AtomicUsize::new(0));
    let count = alive.clone();
    m[0].set_async(async move |n: u64| {
        let _alive = Counted::new(&count);
        if n >= 10 {
            std::future::pending::<()>().await;
        }
        n
    })
    .unwrap();
    put_all(&m, 0..150);
    eventually!(alive.load(SeqCst) == 100 && m.status().processed == 10);
    m[0].set_async(async |n: u64| n + 1).unwrap();
    // 100 are in flight, 40 wait.
    assert_eq!(m.stop().clear(), 140);
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.in_flight, s.queue_size, s.discarded, s.drops.in_flight, s.drops.cleared), (0, 0, 140, 100, 40));
    eventually!(alive.load(SeqCst) == 0);
    m.start();
    put_all(&m, 0..200);
    assert_eq!(m.drain_timeout(FOREVER), Ok(()));
    counts(&m, 0, 200, 0, 0);
    // Outputs in order do not wait for what was given up.
    m.stop();
    assert_eq!(outputs.map(|output| output.get::<u64>(0).unwrap()).collect::<Vec<_>>().len(), 210);
}

#[test]
fn a_machine_that_runs_or_is_paused_keeps_what_is_in_flight() {
    let m = fresh().in_flight(10).start().unwrap();
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..12);
    eventually!(inside.load(SeqCst) == 10);
    assert_eq!(m.clear(), 2);
    put_all(&m, 0..3);
    assert_eq!(m.pause().clear(), 3);
    assert_eq!(m.status().in_flight, 10);
    doors.add_permits(10);
    m.start().drained();
    counts(&m, 0, 10, 0, 0);
}

#[test]
fn messages_that_wait_before_a_slot_or_a_call_again_are_given_up_too() {
    let m = fresh().in_flight(50).start().unwrap();
    m[0].concurrency(10).unwrap();
    m[1].retry(3, Duration::from_secs(30)).unwrap();
    let (_doors, inside) = held(&m, 0);
    put_all(&m, 0..30);
    eventually!(inside.load(SeqCst) == 10 && m.status().in_flight == 30);
    assert_eq!(m.stop().clear(), 30);
    m[0].set(|n: u64| n).unwrap();
    m[1].set(|_: u64| -> Result<u64, String> { Err("not yet".to_owned()) }).unwrap();
    m.start();
    put_all(&m, 0..20);
    eventually!(m.status().in_flight == 20);
    // The places in the first slot are free.
    eventually!(m.status().queue_size == 0);
    assert_eq!(m.stop().clear(), 20);
    m[1].clear().unwrap();
    m.start();
    put_all(&m, 0..40);
    m.drained();
    counts(&m, 0, 40, 0, 0);
    assert_eq!(m.status().discarded, 50);
}

#[test]
fn what_a_future_gives_after_it_was_given_up_is_dropped_once() {
    let made = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let m = fresh().start().unwrap();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    let (count, b) = (made.clone(), begun.clone());
    m[0].set_async(async move |_: u64| {
        b.fetch_add(1, SeqCst);
        // Blocks its thread: nobody can end that.
        opened.lock().unwrap().received();
        Output { _counted: Counted::new(&count) }
    })
    .unwrap();
    put_all(&m, 0..2);
    eventually!(begun.load(SeqCst) == 1 && m.status().in_flight == 2);
    assert_eq!(m.stop().clear(), 2);
    assert_eq!((m.status().in_flight, m.status().discarded), (0, 2));
    // A new function, and messages, while the old future is still at it.
    m[0].set(|n: u64| n).unwrap();
    m.start();
    put_all(&m, 0..5);
    m.drained();
    counts(&m, 0, 5, 0, 0);
    open.send(()).unwrap();
    eventually!(Arc::strong_count(&made) == 1);
    assert_eq!((made.load(SeqCst), begun.load(SeqCst)), (0, 1));
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored, s.discarded, s.in_flight), (5, 0, 2, 0));
}

#[test]
fn a_timeout_that_is_set_later_ends_calls_that_run() {
    let m = fresh().in_flight(100).start().unwrap();
    let (_doors, inside) = held(&m, 0);
    put_all(&m, 0..150);
    eventually!(inside.load(SeqCst) == 100);
    m[0].set_async(async |n: u64| n).unwrap();
    m[0].timeout(FOREVER).unwrap();
    assert_eq!(m.drain_timeout(Duration::from_millis(1)).map_err(|left| left.messages), Err(150));
    m[0].timeout(Duration::from_millis(1)).unwrap();
    m.drained();
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored, s.discarded), (150, 100, 0));
    assert_eq!(m.errors()[0].error, "timed out after 1ms");
}

#[test]
fn a_timeout_that_is_taken_back_lets_calls_go_on() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let m = fresh().start().unwrap();
    m[0].timeout(TIMEOUT).unwrap();
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..5);
    eventually!(inside.load(SeqCst) == 5);
    m[0].timeout(Duration::ZERO).unwrap();
    // A call that began later, and kept the timeout, has timed out.
    let other = fresh().start().unwrap();
    other[0].timeout(TIMEOUT).unwrap();
    let _held = held(&other, 0);
    other.put(1_u64).unwrap();
    eventually!(other.status().errored == 1, other.status());
    assert_eq!(m.status().in_flight, 5);
    doors.add_permits(5);
    m.drained();
    counts(&m, 0, 5, 0, 0);
}

/// A message whose number is noted where it ends.
#[derive(Serialize, Deserialize, Clone)]
struct Noted(u64);

#[derive(Clone, Debug)]
enum Op {
    Put(u8),
    Stop,
    Start,
    Clear,
    Async(usize, u8),
    Timeout(usize, bool),
    Concurrency(usize, usize),
    Retry(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u8..60).prop_map(Op::Put),
        2 => Just(Op::Stop),
        2 => Just(Op::Start),
        3 => Just(Op::Clear),
        3 => (0_usize..3, 0_u8..4).prop_map(|(slot, kind)| Op::Async(slot, kind)),
        1 => (0_usize..3, any::<bool>()).prop_map(|(slot, on)| Op::Timeout(slot, on)),
        1 => (0_usize..3, 0_usize..4).prop_map(|(slot, most)| Op::Concurrency(slot, most)),
        1 => (0_usize..3, 0_u32..3).prop_map(|(slot, times)| Op::Retry(slot, times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// Each message that was accepted leaves the machine or is counted as discarded, and none does both or twice; all
    /// that slots have made is dropped; and the machine works on.
    #[test]
    fn nothing_is_lost_uncounted_and_nothing_counted_twice(
        ops in proptest::collection::vec(op(), 1..40), workers in 1_usize..3, in_flight in 1_usize..50, ordered: bool,
    ) {
        let m = fresh().queue(200).workers(workers).in_flight(in_flight).ordered(ordered).start().unwrap();
        let (made, out) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let ended = out.clone();
        m.on_output(move |output| ended.lock().unwrap().push(output.input::<Noted>().unwrap().0)).unwrap();
        let (mut next, mut accepted) = (0, 0);
        for op in &ops {
            match *op {
                Op::Put(count) => for _ in 0..count {
                    accepted += u64::from(m.put(Noted(next)).is_ok());
                    next += 1;
                },
                Op::Stop => { m.stop(); },
                Op::Start => { m.start(); },
                Op::Clear => { m.clear(); },
                Op::Async(slot, kind) => {
                    let made = made.clone();
                    m[slot].set_async(async move |n: &Noted| {
                        let output = Output { _counted: Counted::new(&made) };
                        match (kind, n.0 % 3) {
                            (0, _) | (1, 0) => std::future::pending().await,
                            (1, _) => tokio::task::yield_now().await,
                            (2, 0) => return Err("third".to_owned()),
                            (2, _) => tokio::time::sleep(Duration::from_micros(n.0 * 10)).await,
                            _ => {}
                        }
                        Ok(output)
                    }).unwrap();
                    // All take the message itself.
                    for after in slot + 1..3 {
                        m[after].clear().unwrap();
                    }
                },
                Op::Timeout(slot, on) => { m[slot].timeout(Duration::from_micros(if on { 200 } else { 0 })).unwrap(); },
                Op::Concurrency(slot, most) => { m[slot].concurrency(most).unwrap(); },
                Op::Retry(slot, times) => { m[slot].retry(times, Duration::from_micros(100)).unwrap(); },
            }
            reconciles(&m.status());
        }
        m.stop().clear();
        eventually!({ m.clear(); m.status().in_flight == 0 });
        let s = m.status();
        reconciles(&s);
        prop_assert_eq!((s.accepted, s.queue_size), (accepted, 0));
        prop_assert_eq!(s.processed + s.discarded, accepted);
        for slot in 0..3 {
            m[slot].clear().unwrap();
        }
        m.start();
        for _ in 0..100 {
            m.put_wait(Noted(next)).unwrap();
            next += 1;
        }
        prop_assert_eq!(m.drain_timeout(FOREVER), Ok(()));
        let after = m.status();
        prop_assert_eq!((after.processed, after.discarded), (s.processed + 100, s.discarded));
        eventually!(out.lock().unwrap().len() as u64 >= after.processed);
        let numbers = out.lock().unwrap().clone();
        prop_assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len(), "some went out twice");
        prop_assert_eq!(numbers.len() as u64, after.processed);
        prop_assert!(!ordered || numbers.is_sorted());
        eventually!(made.load(SeqCst) == 0);
    }
}
