//! Timeouts, retries and concurrency of slots.

use crate::{Counted, FOREVER, Output, counts, fresh, held, put_all};
use machine_async::prelude::*;
use machine_testkit::{Barrier, Drained, eventually};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn a_future_that_takes_too_long_is_dropped() {
    let m = fresh().start().unwrap();
    m[0].timeout(Duration::from_millis(30)).unwrap();
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
    m.drained();
    counts(&m, 0, 2, 1, 0);
    assert_eq!(alive.load(SeqCst), 0);
    let errors = m.errors();
    assert_eq!((errors[0].kind.as_str(), errors[0].error.as_str()), ("timeout", "timed out after 30ms"));
}

#[test]
fn a_plain_function_that_took_too_long_has_failed() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let m = fresh().start().unwrap();
    m[0].timeout(Duration::from_nanos(1)).unwrap();
    let count = dropped.clone();
    m[0].set(move |_: u64| {
        // The function that takes too long.
        thread::sleep(Duration::from_micros(10));
        Output { _counted: Counted::new(&count) }
    })
    .unwrap();
    put_all(&m, 0..2);
    m.drained();
    counts(&m, 0, 0, 2, 0);
    assert_eq!(dropped.load(SeqCst), 0);
    assert!(m.errors()[0].error.starts_with("timed out after 1ns: it returned after "), "{:?}", m.errors());
    m[0].timeout(Duration::ZERO).unwrap();
    put_all(&m, 0..1);
    m.drained();
    counts(&m, 0, 1, 2, 0);
}

#[test]
fn a_failed_call_is_made_again_with_the_same_arguments() {
    for is_async in [false, true] {
        let m = fresh().start().unwrap();
        m[0].set(|n: u64| format!("message {n}")).unwrap();
        m[1].retry(3, Duration::from_micros(100)).unwrap();
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
        m.drained();
        counts(&m, 1, 4, 2, 0);
        assert_eq!(m.status().slots[1].retried, 1 + 2 + 3 + 3 + 3);
        assert_eq!(calls.lock().unwrap().len(), 6 + 12);
        assert_eq!(m.errors()[0].error, "attempt 4 (after 4 attempts)");
        assert_eq!(m.call(0_u64).unwrap().get::<usize>(1).unwrap(), 2);
    }
}

#[test]
fn many_calls_again_are_counted() {
    let m = fresh().start().unwrap();
    m[0].retry(100_000, Duration::ZERO).unwrap();
    m[0].set(|_: u64| Err::<u64, _>("never")).unwrap();
    put_all(&m, 0..1);
    m.drained();
    assert_eq!((m.status().slots[0].retried, m.status().errored), (100_000, 1));
}

#[test]
fn of_two_changes_at_a_time_the_one_that_is_shown_holds() {
    let m = fresh().workers(1).in_flight(100).start().unwrap();
    let (doors, inside) = held(&m, 0);
    for _ in 0..100 {
        let (barrier, most) = (Barrier::new(2), [2, 3]);
        thread::scope(|scope| {
            for most in most {
                let (m, barrier) = (&m, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    m[0].concurrency(most).unwrap();
                });
            }
        });
        put_all(&m, 0..4);
        let shown = usize::try_from(m.status().slots[0].settings.concurrency).unwrap();
        eventually!(m.status().in_flight == 4 && inside.load(SeqCst) >= shown);
        assert_eq!(inside.load(SeqCst), shown);
        doors.add_permits(4);
        m.drained();
    }
}

#[test]
fn a_backoff_keeps_no_worker_and_no_other_message() {
    let m = fresh().start().unwrap();
    m[0].retry(1, FOREVER).unwrap();
    m[0].set(|n: u64| if n == 0 { Err("zero".to_owned()) } else { Ok(n) }).unwrap();
    put_all(&m, 0..100);
    eventually!(m.status().processed == 99);
    m.pause();
    m.start();
    assert_eq!((m.status().in_flight, m.status().workers), (1, 1));
}

#[test]
fn no_more_messages_are_in_a_slot_than_its_concurrency() {
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let m = fresh().workers(4).start().unwrap();
    for slot in [0, 1] {
        m[slot].concurrency(3).unwrap();
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
            m.drained();
        } else {
            m[0].clear().unwrap();
            m[1].set(move |n: u64| {
                let _inside = Counted::new(&inside);
                most.fetch_max(inside.load(SeqCst), SeqCst);
                // Others are in the slot meanwhile.
                thread::sleep(Duration::from_micros(50));
                n
            })
            .unwrap();
            put_all(&m, 0..500);
            m.drained();
        }
        counts(&m, slot, 500, 0, 0);
    }
    assert_eq!((inside.load(SeqCst), most.load(SeqCst)), (0, 3));
}

#[test]
fn a_raised_concurrency_lets_in_those_that_wait() {
    let m = fresh().start().unwrap();
    m[0].concurrency(2).unwrap();
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..20);
    eventually!(m.status().in_flight == 20);
    eventually!(inside.load(SeqCst) == 2);
    m[0].concurrency(5).unwrap();
    eventually!(inside.load(SeqCst) == 5);
    m[0].concurrency(0).unwrap();
    eventually!(inside.load(SeqCst) == 20);
    doors.add_permits(20);
    m.drained();
    counts(&m, 0, 20, 0, 0);
}

#[test]
fn settings_stay_when_the_function_changes_and_are_shown() {
    let m = fresh().start().unwrap();
    m[2].timeout(Duration::from_secs(2)).unwrap().retry(3, Duration::from_millis(100)).unwrap().concurrency(8).unwrap();
    m[2].set(|n: u64| n).unwrap();
    m[2].set_async(async |n: u64| n).unwrap();
    let slot = &m.status().slots[2];
    assert_eq!(slot.settings.to_string(), "timeout 2s, 3 retries from 100ms, concurrency 8");
    assert_eq!(slot.revision, 2);
    m[2].timeout(Duration::ZERO).unwrap().retry(0, FOREVER).unwrap().concurrency(0).unwrap();
    assert_eq!(m.status().slots[2].settings, machine_protocol::status::Settings::default());
}
