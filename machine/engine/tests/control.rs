//! What is said to a machine is answered, whatever its slots and sinks do, and whatever thread asks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use common::{answers, named, reconciles};
use machine::ErrorKind;
use machine::handle::ask;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_protocol::Error;
use machine_protocol::command::{Command, Outputs, Reply, Target};
use machine_testkit::{DEADLINE, Drained, Joined, Received, eventually};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

mod common;
#[path = "control/in_hand.rs"]
mod in_hand;
#[path = "control/random.rs"]
mod random;
#[path = "control/within.rs"]
mod within;

fn target(m: &Machine) -> Target {
    Target::Name(m.status().machine)
}

fn step(m: &Machine) -> Result<Outputs, Error> {
    match ask(&Command::Step { machine: target(m) }) {
        Reply::Outputs(outputs) => Ok(outputs),
        Reply::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}

fn peek(m: &Machine) -> Result<usize, Error> {
    match ask(&Command::Peek { machine: target(m), limit: 100 }) {
        Reply::Waiting(_, first) => Ok(first.len()),
        Reply::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}

fn hold_before(m: &Machine, slot: Option<u32>) -> Reply {
    ask(&Command::Break { machine: target(m), slot, filter: "".into() })
}

fn resume(m: &Machine) -> Reply {
    ask(&Command::Continue { machine: target(m) })
}

/// A machine that takes nothing, and whose queue is full.
fn full() -> Machine {
    let full = named("full").queue(1).policy(Policy::Block).start().unwrap();
    full.pause().put(u64::MAX).unwrap();
    full
}

/// A slot that tells when a message is in it, and keeps it until it is let go.
fn slow(m: &Machine, slot: usize) -> (Receiver<u64>, Sender<()>) {
    let (began, begun) = channel();
    let (go, gone) = channel::<()>();
    let (began, gone) = (Mutex::new(began), Mutex::new(gone));
    m[slot]
        .set(move |x: u64| {
            began.lock().unwrap().send(x).unwrap();
            // Nobody holds it any more once the test is over.
            let _ = gone.lock().unwrap().recv_timeout(DEADLINE);
            x
        })
        .unwrap();
    (begun, go)
}

/// Outputs in order that wait for one that never comes are in no way of those who give it up.
#[test]
fn clear_and_drain_do_not_wait_for_a_sink() {
    let (a, full) = (named("ordered").ordered(true).start().unwrap(), full());
    a.to(&full, 0).unwrap();
    let outputs = full.outputs().unwrap();
    a[0].set_async(async |n: u64| {
        if n == 0 {
            std::future::pending::<()>().await;
        }
        n
    })
    .unwrap();
    a.put(0_u64).unwrap();
    a.put(1_u64).unwrap();
    eventually!(a.status().out_of_order == 1);
    assert_eq!(answers(move || a.stop().clear()), 1);
    assert_eq!(answers(move || a.clear()), 0);
    // Nothing is left; its outputs are.
    let left = answers(move || a.start().drain_timeout(Duration::from_millis(1)).unwrap_err());
    assert_eq!((left.messages, left.outputs, left.to_string().as_str()), (0, 1, "1 output has yet to leave"));
    a.put(2_u64).unwrap();
    answers(move || a.drain_timeout(Duration::from_millis(1)).unwrap_err());
    full.start();
    a.drained();
    full.drained();
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, [u64::MAX, 1, 2]);
    reconciles(&a.status());
}

/// Messages that are so fast that the worker claims many at once; then those that are put wait.
fn fast(m: &Machine) {
    for x in 1..=20_u64 {
        m.put(x).unwrap();
        m.drained();
    }
    m.pause();
}

/// What was discarded behind a slow message is told to the outputs that wait for it in order.
#[test]
fn outputs_in_order_do_not_wait_for_what_was_discarded_behind_a_slow_message() {
    let m = named("behind").ordered(true).start().unwrap();
    let outputs = m.outputs().unwrap();
    fast(&m);
    let (begun, go) = slow(&m, 7);
    for x in 100..110_u64 {
        m.put(x).unwrap();
    }
    m.start();
    assert_eq!(begun.received(), 100);
    assert_eq!(m.clear(), 9);
    // Another worker is through with this one before.
    m.workers(2).unwrap();
    m[7].clear().unwrap();
    m.put(200_u64).unwrap();
    eventually!(m.status().out_of_order == 1);
    go.send(()).unwrap();
    m.drained();
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, (1..=20).chain([100, 200]).collect::<Vec<_>>());
}

/// A worker that hands out what waited for discarded messages, to a sink that takes nothing, holds up no other worker
/// each time that something is discarded.
#[test]
fn clear_does_not_wait_for_a_worker_that_tells_what_was_discarded() {
    let (m, full) = (named("telling").ordered(true).start().unwrap(), full());
    let outputs = full.outputs().unwrap();
    fast(&m);
    let (begun, go) = slow(&m, 7);
    for x in 100..110_u64 {
        m.put(x).unwrap();
    }
    m.start();
    assert_eq!(begun.received(), 100);
    assert_eq!(m.clear(), 9);
    // Another worker is through with this one before; this one alone goes to the sink.
    m.to(&full, 0).unwrap();
    m.workers(2).unwrap();
    m[7].clear().unwrap();
    m.put(200_u64).unwrap();
    eventually!(m.status().out_of_order == 1);
    go.send(()).unwrap();
    eventually!(m.status().in_flight == 0 && full.status().waiting_puts == 1);
    let began = Instant::now();
    for _ in 0..40 {
        answers(move || m.clear());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    full.start();
    m.drained();
    full.drained();
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, [u64::MAX, 200]);
}

/// Tells when something happens, and waits until it may go on.
type Held = (Sender<()>, Receiver<()>);

/// A message of which it is known when it is looked at.
#[derive(Clone, Default)]
struct Looked(Arc<Mutex<Option<Held>>>);

impl Looked {
    /// Tells when it is looked at next, and is looked at until it is let go.
    fn hold(&self) -> (Receiver<()>, Sender<()>) {
        let ((tell, told), (go, wait)) = (channel(), channel());
        *self.0.lock().unwrap() = Some((tell, wait));
        (told, go)
    }
}

impl Serialize for Looked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some((tell, wait)) = self.0.lock().unwrap().take() {
            tell.send(()).unwrap();
            wait.received();
        }
        serializer.serialize_u64(0)
    }
}

/// What was discarded while it was looked at is told to the outputs that wait for it in order.
#[test]
fn outputs_in_order_do_not_wait_for_what_was_discarded_while_it_was_looked_at() {
    let m = named("behind").ordered(true).start().unwrap();
    let outputs = m.outputs().unwrap();
    fast(&m);
    let (begun, go) = slow(&m, 7);
    let looked = Looked::default();
    m.put(100_u64).unwrap();
    m.put(looked.clone()).unwrap();
    m.start();
    assert_eq!(begun.received(), 100);
    // As above; the one between the two is given back.
    m.workers(2).unwrap();
    m[7].clear().unwrap();
    m.put(200_u64).unwrap();
    eventually!(m.status().out_of_order == 1);
    m.pause();
    go.send(()).unwrap();
    eventually!(peek(&m).unwrap() == 1);
    let (told, go) = looked.hold();
    let look = thread::spawn(move || peek(&m).unwrap());
    told.received();
    assert_eq!(m.clear(), 1);
    assert_eq!(m.status().out_of_order, 1);
    go.send(()).unwrap();
    assert_eq!(look.joined(), 1);
    answers(move || eventually!(m.status().out_of_order == 0));
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, (1..=20).chain([100, 200]).collect::<Vec<_>>());
}

/// A message that is looked at may be discarded meanwhile.
#[test]
fn what_is_looked_at_can_be_discarded() {
    let m = named("looked").start().unwrap();
    m.pause();
    let looked = Looked::default();
    m.put(looked.clone()).unwrap();
    m.put(Looked::default()).unwrap();
    let (told, go) = looked.hold();
    let look = thread::spawn(move || peek(&m).unwrap());
    told.received();
    assert_eq!(m.status().queue_size, 2);
    assert_eq!(
        answers(move || [peek(&m).unwrap_err().kind(), step(&m).unwrap_err().kind()]),
        [ErrorKind::StepRunning; 2]
    );
    m.start();
    assert_eq!((m.clear(), m.clear()), (2, 0));
    let s = m.status();
    assert_eq!((s.queue_size, s.discarded, s.accepted), (0, 2, 2));
    go.send(()).unwrap();
    assert_eq!(look.joined(), 2);
    m.put(Looked::default()).unwrap();
    m.drained();
    let s = m.status();
    assert_eq!((s.processed, s.discarded, s.queue_size), (1, 2, 0));
}

/// What was given back is claimed one by one, too, where the oldest is to make room.
#[test]
fn the_oldest_makes_room_also_after_it_was_looked_at() {
    let m = named("oldest").queue(11).policy(Policy::DropOldest).start().unwrap();
    let (begun, go) = slow(&m, 0);
    for x in 1..=20_u64 {
        go.send(()).unwrap();
        m.put(x).unwrap();
        m.drained();
    }
    m.pause();
    for x in 0..=10_u64 {
        m.put(x).unwrap();
    }
    assert_eq!(peek(&m).unwrap(), 11);
    m.start();
    eventually!(begun.received() == 0);
    answers(move || (11..=12_u64).for_each(|x| m.put(x).unwrap()));
    assert_eq!((m.status().drops.oldest, m.status().queue_size), (1, 11));
    drop(go);
    m.drained();
    assert_eq!(begun.try_iter().collect::<Vec<_>>(), (2..=12).collect::<Vec<_>>());
}
