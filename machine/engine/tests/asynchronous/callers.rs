//! Calls, steps and retries whose futures never end: what gets them out.

use crate::{Counted, FOREVER, counts, fresh, reconciles};
use machine::handle::ask;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_protocol::command::{Command, Outputs, Reply, Target};
use machine_protocol::{Error, ErrorKind};
use machine_testkit::{Drained, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A future of this slot never ends; counts those that there are.
fn never(m: &Machine, slot: usize) -> Arc<AtomicUsize> {
    let inside = Arc::new(AtomicUsize::new(0));
    let i = inside.clone();
    m[slot]
        .set_async(async move |n: u64| {
            let _inside = Counted::new(&i);
            std::future::pending::<()>().await;
            n
        })
        .unwrap();
    inside
}

fn step(m: &Machine) -> Result<Outputs, Error> {
    match ask(&Command::Step { machine: Target::Name(m.status().machine) }) {
        Reply::Outputs(outputs) => Ok(outputs),
        Reply::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}

/// Does something on a thread, and waits until it is in `inside`.
fn begun<T: Send + 'static>(inside: &Arc<AtomicUsize>, what: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (tell, told) = channel();
    let before = inside.load(SeqCst);
    thread::spawn(move || tell.send(what()));
    eventually!(inside.load(SeqCst) > before);
    told
}

#[track_caller]
fn ended<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn a_timeout_that_is_set_later_ends_a_call_and_a_step() {
    let m = fresh().start().unwrap();
    let inside = never(&m, 0);
    m.pause().put(7_u64).unwrap();
    let stepped = begun(&inside, move || step(&m).unwrap());
    let called = begun(&inside, move || m.call(8_u64).unwrap().get::<u64>(0).unwrap_err().to_string());
    // Another slot's is not theirs.
    m[1].timeout(Duration::from_millis(1)).unwrap();
    m[0].timeout(FOREVER).unwrap();
    assert_eq!(inside.load(SeqCst), 2);
    m[0].timeout(Duration::from_millis(1)).unwrap();
    assert_eq!(ended(&called), "f0 failed (timeout): timed out after 1ms");
    assert_eq!(ended(&stepped).slots[0].error.as_deref(), Some("f0 failed (timeout): timed out after 1ms"));
    eventually!(inside.load(SeqCst) == 0);
    counts(&m, 0, 0, 1, 0);
    assert_eq!((m.errors()[0].input.as_str(), m.status().in_flight), ("7", 0));
}

#[test]
fn stop_and_clear_end_a_call_and_a_step_whose_message_is_discarded() {
    let m = fresh().ordered(true).start().unwrap();
    let outputs = m.outputs().unwrap();
    let inside = never(&m, 0);
    m.pause();
    for n in 0..3_u64 {
        m.put(n).unwrap();
    }
    let stepped = begun(&inside, move || step(&m).unwrap_err());
    let called = begun(&inside, move || m.call(8_u64).unwrap().get::<u64>(0).unwrap_err().to_string());
    assert_eq!((m.status().in_flight, m.status().queue_size), (1, 2));
    // One that runs or is paused keeps it.
    assert_eq!((m.clear(), m.status().in_flight), (2, 1));
    assert_eq!(m.stop().clear(), 1);
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.in_flight, s.discarded, s.drops.in_flight, s.processed), (0, 3, 1, 0));
    assert_eq!(ended(&stepped).kind(), ErrorKind::Cancelled);
    assert_eq!(ended(&called), "f0 failed (error): cancelled: the machine was stopped and cleared");
    eventually!(inside.load(SeqCst) == 0);
    // All goes on, also steps, and outputs in order wait for nothing.
    m[0].set(|n: u64| n + 1).unwrap();
    m.put(9_u64).unwrap();
    assert_eq!(step(&m).unwrap().slots[0].output.as_deref(), Some("10"));
    m.put(10_u64).unwrap();
    assert_eq!(m.start().drain_timeout(FOREVER), Ok(()));
    m.stop();
    assert_eq!(outputs.map(|output| output.get::<u64>(0).unwrap()).collect::<Vec<_>>(), [10, 11]);
    assert!(m.errors().is_empty());
}

#[test]
fn another_function_ends_a_call_and_a_step_of_the_one_before() {
    let m = fresh().start().unwrap();
    let inside = never(&m, 0);
    m.pause().put(7_u64).unwrap();
    let stepped = begun(&inside, move || step(&m).unwrap());
    let called = begun(&inside, move || m.call(8_u64).unwrap().get::<u64>(0).unwrap_err().to_string());
    m[1].set(|n: u64| n).unwrap();
    assert_eq!(inside.load(SeqCst), 2);
    m[0].set(|n: u64| n).unwrap();
    assert_eq!(ended(&called), "f0 failed (error): cancelled: f0 was changed while it ran");
    ended(&stepped);
    eventually!(inside.load(SeqCst) == 0);
    // Its message can be tried again.
    assert_eq!((m.status().processed, m.status().errored, m.status().in_flight), (1, 1, 0));
    assert_eq!(m.retry_errors("").unwrap().passed, 1);
}

#[test]
fn a_call_that_waits_for_a_place_and_a_retry_are_ended_too() {
    let m = fresh().start().unwrap();
    m[0].set_async(async |_: u64| Err::<u64, _>("no")).unwrap();
    m.put(7_u64).unwrap();
    m.drained();
    m[0].concurrency(1).unwrap();
    let inside = never(&m, 0);
    let retried = begun(&inside, move || m.retry_errors("").unwrap().tried);
    let (tell, called) = channel();
    thread::spawn(move || tell.send(m.call(8_u64).unwrap().get::<u64>(0).unwrap_err().to_string()));
    // Whether it has come to the place or not: it ends.
    m.stop().clear();
    assert_eq!(ended(&retried), 0);
    m[0].timeout(Duration::from_millis(1)).unwrap();
    let message = ended(&called);
    assert!(message.contains("cancelled: the machine was stopped") || message.contains("timed out"), "{message}");
    eventually!(inside.load(SeqCst) == 0);
    assert_eq!((m.errors()[0].error.as_str(), m.errors()[0].input.as_str()), ("no", "7"));
    m[0].timeout(Duration::ZERO).unwrap();
    m[0].set_async(async |n: u64| n).unwrap();
    m.start();
    assert_eq!(m.call(3_u64).unwrap().get::<u64>(0).unwrap(), 3, "the place is free");
}
