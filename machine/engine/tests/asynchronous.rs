//! What holds for async slots, and for slots with a timeout, retries or a concurrency.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use machine::Status;
use machine::prelude::*;
use machine_async::prelude::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;

const FOREVER: Duration = Duration::from_hours(1);

fn fresh() -> Builder {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    machine_engine::init();
    Machine::builder(&format!("a{}", NEXT.fetch_add(1, SeqCst))).queue(10_000)
}

#[track_caller]
fn reconciles(s: &Status) {
    assert_eq!(s.accepted, s.processed + s.queue_size + s.in_flight + s.discarded, "{s:?}");
    assert!(s.errored <= s.processed + s.in_flight, "{s:?}");
    assert!(s.slots.iter().all(|slot| slot.ok + slot.errored + slot.skipped <= s.processed + s.in_flight), "{s:?}");
}

/// Ends when something has happened, which it will.
fn until(happened: impl Fn() -> bool) {
    while !happened() {
        thread::yield_now();
    }
}

fn put_all(m: &Machine, numbers: std::ops::Range<u64>) {
    for n in numbers {
        m.put_wait(n).unwrap();
    }
}

#[track_caller]
fn counts(m: &Machine, slot: usize, ok: u64, errored: u64, skipped: u64) {
    let s = m.status();
    reconciles(&s);
    let found = s.slots.get(slot).map(|slot| (slot.ok, slot.errored, slot.skipped));
    assert_eq!(found, Some((ok, errored, skipped)), "{s:?}");
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An output that is counted.
#[derive(Serialize)]
struct Output {
    #[serde(skip)]
    _counted: Counted,
}

#[derive(Serialize, Deserialize)]
struct Tweet {
    id: u64,
    text: String,
}

#[test]
fn async_and_plain_slots_take_turns_and_borrow_across_awaits() {
    let m = fresh().start();
    m[0].set(|tweet: &Tweet| tweet.text.to_uppercase()).unwrap();
    m[1].set_async(async |text: &str, tweet: &Tweet| {
        tokio::task::yield_now().await;
        format!("{}: {text}", tweet.id)
    })
    .unwrap();
    m[2].set_async(async |line: String| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        line.len()
    })
    .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    m[3].set(move |len: usize, line: &str, text: &str, tweet: &Tweet| {
        assert_eq!(line, format!("{}: {text}", tweet.id));
        assert_eq!(len, line.len());
        kept.lock().unwrap().push(tweet.id);
    })
    .unwrap();
    for id in 0..3000 {
        m.put_wait(Tweet { id, text: "word ".repeat(usize::try_from(id % 7).unwrap()) }).unwrap();
    }
    m.drain();
    for slot in 0..4 {
        counts(&m, slot, 3000, 0, 0);
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..3000));
    assert!(m.status().slots[1].is_async && !m.status().slots[3].is_async);
}

#[test]
fn messages_begin_in_order() {
    let m = fresh().in_flight(10).start();
    let order = Arc::new(Mutex::new(Vec::new()));
    let kept = order.clone();
    m[0].set_async(async move |n: u64| {
        kept.lock().unwrap().push(n);
        tokio::time::sleep(Duration::from_micros(n % 5 * 700)).await;
    })
    .unwrap();
    put_all(&m, 0..500);
    m.drain();
    assert!(order.lock().unwrap().iter().copied().eq(0..500));
}

#[test]
fn an_error_a_panic_and_what_follows_are_counted_as_for_plain_slots() {
    let m = fresh().start();
    m[0].set_async(async |n: u64| {
        tokio::task::yield_now().await;
        assert!(n % 5 != 4, "fifth: {n}");
        if n % 5 == 3 { Err(format!("fourth: {n}")) } else { Ok(n) }
    })
    .unwrap();
    m[1].set(|n: u64| n).unwrap();
    m[2].set_async(async |before: Option<u64>| before.is_some()).unwrap();
    m[3].set_async(async |_: bool, _: Ignored, _: Ignored, n: &u64| n.to_string().parse::<u64>()).unwrap();
    put_all(&m, 0..1000);
    m.drain();
    counts(&m, 0, 600, 400, 0);
    counts(&m, 1, 600, 0, 400);
    counts(&m, 2, 1000, 0, 0);
    counts(&m, 3, 1000, 0, 0);
    assert_eq!(m.status().errored, 400);
    let errors = m.errors();
    let text = |id: &str| errors.iter().find(|e| e.input == id).map(|e| (e.kind.clone(), e.error.clone())).unwrap();
    assert_eq!(text("3"), ("error".into(), "fourth: 3".into()));
    assert_eq!(text("4"), ("panic".into(), "fifth: 4".into()));
}

#[test]
fn every_kind_of_result_is_one() {
    let m = fresh().start();
    m[0].set_async(async |n: u64| if n == 0 { Err("text".to_owned()) } else { Ok(n) }).unwrap();
    m[1].set_async(async |_: Ignored, n: u64| n.checked_sub(1).ok_or(std::fmt::Error)).unwrap();
    m[2].set_async(async |_: Ignored, _: Ignored, n: u64| -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        if n == 0 { Err("boxed".into()) } else { Ok(n) }
    })
    .unwrap();
    let out = m.call(0_u64).unwrap();
    assert!(out.get::<u64>(0).unwrap_err().message.contains("text"));
    assert!(out.get::<u64>(1).unwrap_err().message.contains("formatting"), "{:?}", out.get::<u64>(1));
    assert!(out.get::<u64>(2).unwrap_err().message.contains("boxed"));
    let out = m.call(5_u64).unwrap();
    assert_eq!((out.get::<u64>(0).unwrap(), out.get::<u64>(1).unwrap(), out.get::<u64>(2).unwrap()), (5, 4, 5));
}

/// A future that is made, polled and dropped on one thread may hold what is not `Send`.
#[test]
fn a_future_need_not_be_send() {
    let m = fresh().start();
    m[0].set_async(async |n: u64| {
        let here = std::rc::Rc::new(n);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let other = here.clone();
        tokio::task::spawn_local(async move { *other + 1 }).await.unwrap_or(*here)
    })
    .unwrap();
    assert_eq!(m.call(1_u64).unwrap().get::<u64>(0).unwrap(), 2);
}

#[test]
fn values_futures_and_closures_are_dropped_once() {
    let (futures, outputs, closures) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let m = fresh().start();
    m[0].timeout(Duration::from_millis(20)).retry(1, Duration::ZERO);
    let closure = Counted::new(&closures);
    let (f, o) = (futures.clone(), outputs.clone());
    m[0].set_async(async move |n: u64| {
        let _held = (&closure, Counted::new(&f));
        let output = Output { _counted: Counted::new(&o) };
        match n % 4 {
            0 => {}
            1 => return Err("second".to_owned()),
            2 => panic!("third"),
            _ => tokio::time::sleep(FOREVER).await,
        }
        Ok(output)
    })
    .unwrap();
    put_all(&m, 0..400);
    m.drain();
    counts(&m, 0, 100, 300, 0);
    assert_eq!(m.status().slots[0].retried, 300);
    assert_eq!((futures.load(SeqCst), outputs.load(SeqCst), closures.load(SeqCst)), (0, 0, 1));
    m[0].clear();
    until(|| closures.load(SeqCst) == 0);
}

#[test]
fn a_future_that_takes_too_long_is_dropped() {
    let m = fresh().start();
    m[0].timeout(Duration::from_millis(30));
    let alive = Arc::new(AtomicUsize::new(0));
    let count = alive.clone();
    m[0].set_async(async move |n: u64| {
        let _alive = Counted::new(&count);
        if n == 1 {
            tokio::time::sleep(FOREVER).await;
        }
        n
    })
    .unwrap();
    put_all(&m, 0..3);
    m.drain();
    counts(&m, 0, 2, 1, 0);
    assert_eq!(alive.load(SeqCst), 0);
    let errors = m.errors();
    assert_eq!((errors[0].kind.as_str(), errors[0].error.as_str()), ("timeout", "timed out after 30ms"));
}

#[test]
fn a_plain_function_that_took_too_long_has_failed() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let m = fresh().start();
    m[0].timeout(Duration::from_nanos(1));
    let count = dropped.clone();
    m[0].set(move |_: u64| {
        thread::sleep(Duration::from_micros(10));
        Output { _counted: Counted::new(&count) }
    })
    .unwrap();
    put_all(&m, 0..2);
    m.drain();
    counts(&m, 0, 0, 2, 0);
    assert_eq!(dropped.load(SeqCst), 0);
    assert!(m.errors()[0].error.starts_with("timed out after 1ns: it returned after "), "{:?}", m.errors());
    m[0].timeout(Duration::ZERO);
    put_all(&m, 0..1);
    m.drain();
    counts(&m, 0, 1, 2, 0);
}

#[test]
fn a_failed_call_is_made_again_with_the_same_arguments() {
    for is_async in [false, true] {
        let m = fresh().start();
        m[0].set(|n: u64| format!("message {n}")).unwrap();
        m[1].retry(3, Duration::from_micros(100));
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = calls.clone();
        // Message n succeeds at attempt n + 1.
        let attempt = move |text: &str, n: u64| {
            let mut calls = seen.lock().unwrap();
            calls.push(text.to_owned());
            let failed = calls.iter().filter(|call| *call == text).count() as u64;
            if failed > n { Ok(failed) } else { Err(format!("attempt {failed}")) }
        };
        // A parameter that is converted is not converted twice.
        if is_async {
            m[1].set_async(async move |text: &str, n: u64| attempt(text, n)).unwrap();
        } else {
            m[1].set(move |text: &str, n: u64| attempt(text, n)).unwrap();
        }
        put_all(&m, 0..6);
        m.drain();
        counts(&m, 1, 4, 2, 0);
        assert_eq!(m.status().slots[1].retried, 1 + 2 + 3 + 3 + 3);
        assert_eq!(calls.lock().unwrap().len(), 6 + 12);
        assert_eq!(m.errors()[0].error, "attempt 4 (after 4 attempts)");
        assert_eq!(m.call(0_u64).unwrap().get::<usize>(1).unwrap(), 2);
    }
}

#[test]
fn a_backoff_keeps_no_worker_and_no_other_message() {
    let m = fresh().start();
    m[0].retry(1, FOREVER);
    m[0].set(|n: u64| if n == 0 { Err("zero".to_owned()) } else { Ok(n) }).unwrap();
    put_all(&m, 0..100);
    until(|| m.status().processed == 99);
    m.pause();
    m.start();
    assert_eq!((m.status().in_flight, m.status().workers), (1, 1));
}

#[test]
fn no_more_messages_are_in_a_slot_than_its_concurrency() {
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let m = fresh().workers(4).start();
    for slot in [0, 1] {
        m[slot].concurrency(3);
        let (inside, most) = (inside.clone(), most.clone());
        if slot == 0 {
            m[0].set_async(async move |n: u64| {
                let _inside = Counted::new(&inside);
                most.fetch_max(inside.load(SeqCst), SeqCst);
                tokio::time::sleep(Duration::from_micros(50)).await;
                n
            })
            .unwrap();
            put_all(&m, 0..500);
            m.drain();
        } else {
            m[0].clear();
            m[1].set(move |n: u64| {
                let _inside = Counted::new(&inside);
                most.fetch_max(inside.load(SeqCst), SeqCst);
                thread::sleep(Duration::from_micros(50));
                n
            })
            .unwrap();
            put_all(&m, 0..500);
            m.drain();
        }
        counts(&m, slot, 500, 0, 0);
    }
    assert_eq!((inside.load(SeqCst), most.load(SeqCst)), (0, 3));
}

/// A slot whose futures end when permits are added.
fn held(m: &Machine, slot: usize) -> (Arc<Semaphore>, Arc<AtomicUsize>) {
    let (doors, inside) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (d, i) = (doors.clone(), inside.clone());
    m[slot]
        .set_async(async move |n: u64| {
            let _inside = Counted::new(&i);
            d.acquire().await.unwrap().forget();
            n
        })
        .unwrap();
    (doors, inside)
}

#[test]
fn as_many_messages_are_in_flight_as_was_said_and_no_more() {
    for workers in [1, 3] {
        let m = fresh().workers(workers).in_flight(100).start();
        let (doors, inside) = held(&m, 0);
        put_all(&m, 0..1000);
        until(|| inside.load(SeqCst) == 100);
        for _ in 0..9 {
            let s = m.status();
            reconciles(&s);
            assert_eq!((s.in_flight, s.queue_size), (100, 1000 - s.processed - 100));
            doors.add_permits(100);
            let before = s.processed;
            until(|| m.status().processed >= before + 100 && inside.load(SeqCst) == 100);
            assert!(m.status().in_flight <= 100);
        }
        doors.add_permits(100);
        m.drain();
        counts(&m, 0, 1000, 0, 0);
    }
}

#[test]
fn a_raised_concurrency_lets_in_those_that_wait() {
    let m = fresh().start();
    m[0].concurrency(2);
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..20);
    until(|| m.status().in_flight == 20);
    until(|| inside.load(SeqCst) == 2);
    m[0].concurrency(5);
    until(|| inside.load(SeqCst) == 5);
    m[0].concurrency(0);
    until(|| inside.load(SeqCst) == 20);
    doors.add_permits(20);
    m.drain();
    counts(&m, 0, 20, 0, 0);
}

#[test]
fn drain_waits_for_futures() {
    let m = fresh().start();
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..10);
    until(|| inside.load(SeqCst) == 10);
    assert_eq!(m.drain_timeout(Duration::from_millis(1)), 10);
    thread::scope(|scope| {
        let drained = scope.spawn(|| m.drain().status());
        doors.add_permits(10);
        assert_eq!(drained.join().unwrap().processed, 10);
    });
}

#[test]
fn what_ends_while_the_machine_stands_is_held_until_it_starts() {
    let m = fresh().in_flight(10).start();
    let (doors, inside) = held(&m, 0);
    m[1].set(|n: u64| n).unwrap();
    for round in 0..4 {
        // One more than there can be in flight: it waits.
        put_all(&m, 0..11);
        until(|| inside.load(SeqCst) == 10);
        if round % 2 == 0 {
            m.pause()
        } else {
            m.stop()
        };
        let cleared = if round < 2 { 0 } else { m.clear() };
        doors.add_permits(10);
        until(|| inside.load(SeqCst) == 0);
        let s = m.status();
        reconciles(&s);
        assert_eq!((s.in_flight, s.queue_size, cleared), if round < 2 { (10, 1, 0) } else { (10, 0, 1) });
        m.start();
        doors.add_permits(usize::try_from(s.queue_size).unwrap());
        m.drain();
    }
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.discarded, s.in_flight, s.slots[1].ok), (42, 2, 0, 42));
}

#[test]
fn a_closure_lives_until_its_futures_end() {
    let closures = Arc::new(AtomicUsize::new(0));
    let m = fresh().start();
    let doors = Arc::new(Semaphore::new(0));
    let (closure, d) = (Counted::new(&closures), doors.clone());
    let began = Arc::new(AtomicUsize::new(0));
    let b = began.clone();
    m[0].set_async(async move |n: u64| {
        b.fetch_add(1, SeqCst);
        d.acquire().await.unwrap().forget();
        assert!(closure.0.load(SeqCst) == 1, "the closure was dropped");
        n
    })
    .unwrap();
    // The message sees the slots of its beginning, also those after the one it waits in.
    m[1].set(|n: u64| n + 1).unwrap();
    let sum = Arc::new(AtomicU64::new(0));
    let s = sum.clone();
    m[2].set(move |n: u64| s.fetch_add(n, SeqCst)).unwrap();
    put_all(&m, 0..5);
    until(|| began.load(SeqCst) == 5);
    m[0].set(|n: u64| n).unwrap();
    m[1].set(|_: u64| 0_u64).unwrap();
    put_all(&m, 0..5);
    until(|| m.status().processed == 5);
    assert_eq!((closures.load(SeqCst), m.status().in_flight), (1, 5));
    doors.add_permits(5);
    m.drain();
    until(|| closures.load(SeqCst) == 0);
    assert_eq!(sum.load(SeqCst), 1 + 2 + 3 + 4 + 5);
    // Counts of a function are of its own messages.
    counts(&m, 0, 5, 0, 0);
    counts(&m, 2, 10, 0, 0);
}

#[test]
fn a_thousand_swaps_between_async_and_plain_lose_nothing() {
    let m = fresh().workers(2).in_flight(64).start();
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
    m.drain();
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.errored), (s.accepted, 0));
    assert_eq!(seen.load(SeqCst), s.accepted);
    counts(&m, 1, s.accepted, 0, 0);
}

#[test]
fn call_and_step_wait_for_futures() {
    let m = fresh().start();
    m[0].retry(1, Duration::from_micros(10)).timeout(FOREVER).concurrency(1);
    let failed = AtomicBool::new(false);
    m[0].set_async(async move |n: u64| {
        tokio::time::sleep(Duration::from_micros(100)).await;
        if failed.swap(true, SeqCst) { Ok(n + 1) } else { Err("first".to_owned()) }
    })
    .unwrap();
    assert_eq!(m.call(1_u64).unwrap().get::<u64>(0).unwrap(), 2);
    m.pause();
    m.put(2_u64).unwrap();
    let command = machine::command::Command::Step { machine: machine::command::Target::Name(m.status().machine) };
    let machine::command::Reply::Outputs(outputs) = machine::handle::ask(&command) else { panic!("no outputs") };
    assert_eq!(outputs.slots[0].output.as_deref(), Some("3"));
    counts(&m, 0, 1, 0, 0);
    assert_eq!(m.status().processed, 1);
}

#[test]
fn settings_stay_when_the_function_changes_and_are_shown() {
    let m = fresh().start();
    m[2].timeout(Duration::from_secs(2)).retry(3, Duration::from_millis(100)).concurrency(8);
    m[2].set(|n: u64| n).unwrap();
    m[2].set_async(async |n: u64| n).unwrap();
    let slot = &m.status().slots[2];
    assert_eq!(slot.settings.to_string(), "timeout 2s, 3 retries from 100ms, concurrency 8");
    assert_eq!(slot.revision, 2);
    m[2].timeout(Duration::ZERO).retry(0, FOREVER).concurrency(0);
    assert_eq!(m.status().slots[2].settings, machine::status::Settings::default());
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
            m[slot].clear();
            Ok(())
        }
    };
    set.unwrap();
}

fn set(m: &Machine, slot: usize, kind: u8) {
    match kind {
        0 => m[slot].retry(2, Duration::from_micros(50)),
        1 => m[slot].concurrency(2),
        2 => m[slot].timeout(Duration::from_millis(1)),
        3 => m[slot].retry(1, Duration::ZERO),
        _ => m[slot].timeout(Duration::ZERO).retry(0, Duration::ZERO).concurrency(0),
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
        let m = fresh().queue(300).workers(workers).in_flight(in_flight).start();
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
            producer.join().unwrap();
            m.start().drain();
            over.store(true, SeqCst);
            reader.join().unwrap();
        });
        let s = m.status();
        reconciles(&s);
        prop_assert_eq!((s.queue_size, s.in_flight), (0, 0));
        prop_assert_eq!((s.accepted, s.discarded), (accepted.load(SeqCst), discarded.load(SeqCst)));
        // All functions are counted alike: a last round reaches each of them.
        let before: Vec<u64> = s.slots.iter().map(|slot| slot.ok + slot.errored + slot.skipped).collect();
        put_all(&m, 0..50);
        m.drain();
        let after = m.status();
        for (slot, before) in after.slots.iter().zip(before).filter(|(slot, _)| !slot.gives.is_empty()) {
            prop_assert_eq!(slot.ok + slot.errored + slot.skipped, before + 50, "{:?}", slot);
        }
    }
}
