//! Flow control: who waits, who is refused, what is dropped for which reason, and that nobody waits for a slow slot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use common::{named, reconciles};
use machine::prelude::*;
use machine_testkit::{DEADLINE, Drained, Joined, Received, eventually};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

mod common;

/// A slot that tells when a message is in it, and keeps it until it is let go.
struct Slow {
    begun: Receiver<u64>,
    go: Option<Sender<()>>,
}

impl Slow {
    fn new(m: &Machine) -> Self {
        let (began, begun) = channel();
        let (go, gone) = channel::<()>();
        let (began, gone) = (Mutex::new(began), Mutex::new(gone));
        m[0].set(move |x: u64| {
            // Nobody listens any more once the test is over.
            let _ = began.lock().unwrap().send(x);
            let _ = gone.lock().unwrap().recv_timeout(DEADLINE);
            x
        })
        .unwrap();
        Self { begun, go: Some(go) }
    }

    /// Lets all messages go, these and those to come.
    fn open(&mut self) {
        self.go = None;
    }
}

/// Each call comes back although a message is in a slot that does not end, and a second time it changes nothing. To
/// pause a machine that is stopped is no change either.
#[test]
fn pause_stop_and_start_answer_while_a_slot_is_slow_and_can_be_said_twice() {
    let m = named("slow").queue(8).start().unwrap();
    let mut slow = Slow::new(&m);
    for x in 0..5_u64 {
        m.put(x).unwrap();
    }
    assert_eq!(slow.begun.received(), 0);
    for (turn, state) in [
        (Machine::pause as fn(&Machine) -> &Machine, "paused"),
        (Machine::stop, "stopped"),
        (Machine::pause, "stopped"),
        (Machine::start, "running"),
        (Machine::stop, "stopped"),
    ] {
        turn(&m);
        let once = m.status();
        turn(&m);
        let twice = m.status();
        for s in [once, twice] {
            assert_eq!((s.state.to_string().as_str(), s.running), (state, state == "running"));
            assert_eq!((s.in_flight, s.queue_size, s.processed), (1, 4, 0));
            reconciles(&s);
        }
    }
    assert_eq!((m.clear(), m.clear(), m.stop().clear()), (4, 0, 0));
    let s = m.status();
    assert_eq!((s.discarded, s.drops.cleared, s.in_flight), (4, 4, 1), "what is in the slot is no longer in the queue");
    m.put(9).unwrap();
    slow.open();
    m.start().start().drained();
    let s = m.status();
    assert_eq!((s.accepted, s.processed, s.discarded, s.workers), (6, 2, 4, 1));
    assert_eq!(slow.begun.try_iter().collect::<Vec<_>>(), [9]);
}

/// A worker that has seen that messages are fast claims many at once: what waits behind a slow one is discarded all the
/// same, and counted at once.
#[test]
fn clear_discards_what_waits_behind_a_slow_message() {
    let holds = [None, Some(Machine::pause as fn(&Machine) -> &Machine), Some(Machine::stop)];
    for (hold, has_async_slots) in holds.into_iter().flat_map(|hold| [(hold, false), (hold, true)]) {
        let m = named("claimed").queue(100).start().unwrap();
        // Messages fly through slots that have settings.
        m[1].retry(u32::from(has_async_slots), Duration::ZERO).unwrap();
        m[1].set(|f0: ()| f0).unwrap();
        let (began, begun) = channel();
        let (go, gone) = channel::<()>();
        let (began, gone) = (Mutex::new(began), Mutex::new(gone));
        m[0].set(move |x: u64| {
            began.lock().unwrap().send(x).unwrap();
            if x == 0 {
                gone.lock().unwrap().received();
            }
        })
        .unwrap();
        for x in 1..=20_u64 {
            m.put(x).unwrap();
            m.drained();
        }
        m.pause();
        for x in 0..=10_u64 {
            m.put(x).unwrap();
        }
        m.start();
        while begun.received() != 0 {}
        if let Some(hold) = hold {
            hold(&m);
        }
        assert_eq!(m.clear(), 10);
        let s = m.status();
        assert_eq!((s.queue_size, s.in_flight, s.discarded, s.drops.cleared), (0, 1, 10, 10));
        reconciles(&s);
        m.put(50_u64).unwrap();
        m.put(51_u64).unwrap();
        assert_eq!(m.clear(), 2);
        m.put(99_u64).unwrap();
        assert_eq!(m.status().queue_size, 1);
        go.send(()).unwrap();
        m.start().drained();
        assert_eq!(begun.try_iter().collect::<Vec<_>>(), [99]);
        let s = m.status();
        assert_eq!((s.accepted, s.processed, s.queue_size, s.in_flight, s.discarded), (34, 22, 0, 0, 12));
    }
}

#[test]
fn stop_keeps_the_queue_and_its_order() {
    let m = named("stop").start().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    m[0].set(move |x: u64| see.lock().unwrap().push(x)).unwrap();
    m.stop();
    for x in 0..100_u64 {
        m.put(x).unwrap();
    }
    let s = m.stop().status();
    assert_eq!((s.queue_size, s.processed, s.running), (100, 0, false));
    m.start().drained();
    assert!(seen.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn drain_waits_so_long_and_says_what_is_left() {
    let m = named("drain").start().unwrap();
    let mut slow = Slow::new(&m);
    let left = |timeout| m.drain_timeout(timeout).map_or_else(|left| left.messages, |()| 0);
    assert_eq!(left(Duration::ZERO), 0, "nothing to wait for");
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    slow.begun.received();
    assert_eq!(left(Duration::ZERO), 3);
    assert_eq!(left(Duration::from_millis(1)), 3);
    slow.open();
    assert_eq!(left(Duration::MAX), 0);
    // What a machine keeps that does not run is not waited for.
    m.pause().put(3).unwrap();
    m.drained();
    assert_eq!(left(Duration::MAX), 1);
    m.stop().drained();
    assert_eq!(m.status().queue_size, 1);
}

#[test]
fn put_timeout_waits_so_long_whatever_the_policy_and_gives_the_message_back() {
    for policy in [Policy::Reject, Policy::Block, Policy::DropOldest, Policy::DropNewest] {
        let m = named("timeout").queue(2).policy(policy).start().unwrap();
        m.pause();
        m.put(0_u64).unwrap();
        m.put(1_u64).unwrap();
        assert_eq!(m.put_timeout(2_u64, Duration::ZERO), Err(Full(2)));
        assert_eq!(m.put_timeout(2_u64, Duration::from_millis(1)), Err(Full(2)));
        let s = m.status();
        assert_eq!((s.accepted, s.discarded, s.drops.newest, s.drops.oldest), (2, 0, 0, 0));
        // With room in time it is taken.
        thread::scope(|scope| {
            let put = scope.spawn(|| m.put_timeout(2_u64, Duration::MAX));
            m.start();
            assert_eq!(put.joined(), Ok(()));
        });
        m.drained();
        assert_eq!(m.status().processed, 3);
    }
}

/// A batch does what its messages would do one by one.
#[test]
fn a_batch_does_what_the_policy_says_and_keeps_the_order() {
    for (policy, kept, left, oldest, newest) in [
        (Policy::Reject, vec![0, 1, 2, 3], vec![4, 5, 6, 7, 8, 9], 0, 0),
        (Policy::Block, vec![0, 1, 2, 3], vec![4, 5, 6, 7, 8, 9], 0, 0),
        (Policy::DropOldest, vec![6, 7, 8, 9], vec![], 6, 0),
        (Policy::DropNewest, vec![0, 1, 2, 3], vec![], 0, 6),
    ] {
        let m = named("batch").queue(4).policy(policy).start().unwrap();
        m.pause();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let see = seen.clone();
        m[0].set(move |x: u64| see.lock().unwrap().push(x)).unwrap();
        let mut batch: Vec<u64> = (0..10).collect();
        assert_eq!(m.try_put_batch(&mut batch).unwrap(), 10 - left.len(), "{policy:?}");
        assert_eq!(batch, left, "{policy:?}");
        let s = m.status();
        assert_eq!((s.drops.oldest, s.drops.newest, s.drops.cleared), (oldest, newest, 0), "{policy:?}");
        reconciles(&s);
        m.start().drained();
        assert_eq!(*seen.lock().unwrap(), kept, "{policy:?}");
        assert_eq!(m.try_put_batch(&mut Vec::<u64>::new()).unwrap(), 0);
    }
}

/// Eight threads put in their own ways; each message arrives once, and those of one thread in their order.
#[test]
fn many_producers_at_once() {
    const EACH: u64 = 2_000;
    let m = named("many").queue(64).start().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    m[0].set(move |x: u64| see.lock().unwrap().push(x)).unwrap();
    let refused = AtomicU64::new(0);
    thread::scope(|scope| {
        for producer in 0..8 {
            let (m, refused) = (&m, &refused);
            scope.spawn(move || {
                let mut all = (producer * EACH)..(producer + 1) * EACH;
                match producer % 4 {
                    0 => all.for_each(|x| m.put_wait(x).unwrap()),
                    1 => all.for_each(|x| m.put_timeout(x, Duration::MAX).unwrap()),
                    2 => all.for_each(|x| {
                        while m.put(x).is_err() {
                            refused.fetch_add(1, Relaxed);
                            thread::yield_now();
                        }
                    }),
                    _ => {
                        let mut batch = Vec::new();
                        while !(batch.is_empty() && all.is_empty()) {
                            batch.extend(all.by_ref().take(10));
                            m.try_put_batch(&mut batch).unwrap();
                        }
                    }
                }
            });
        }
    });
    m.drained();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    for producer in 0..8 {
        let own = producer * EACH..(producer + 1) * EACH;
        assert!(seen.iter().copied().filter(|x| own.contains(x)).eq(own.clone()), "producer {producer}");
    }
    let s = m.status();
    assert_eq!((s.accepted, s.processed, s.discarded), (8 * EACH, 8 * EACH, 0));
    assert!(s.refused >= refused.load(Relaxed));
}

/// A message is dropped for one reason, and each reason has its own count.
#[test]
fn drops_are_counted_by_reason() {
    let m = named("drops").queue(4).start().unwrap();
    m.pause();
    let put = |policy: Policy, messages: u64| {
        m.policy(policy);
        (0..messages).filter(|x| m.put(*x).is_err()).count()
    };
    assert_eq!(put(Policy::Reject, 7), 3);
    assert_eq!(put(Policy::DropOldest, 5), 0);
    assert_eq!(put(Policy::DropNewest, 2), 0);
    assert_eq!(m.clear(), 4);
    assert_eq!(put(Policy::DropNewest, 5), 0);
    let s = m.status();
    assert_eq!((s.refused, s.drops.oldest, s.drops.newest, s.drops.cleared), (3, 5, 3, 4));
    assert_eq!((s.accepted, s.discarded, s.queue_size), (13, 9, 4));
    reconciles(&s);
    m.start().drained();
    assert_eq!(m.status().processed, 4);
}

/// Outputs leave in the order of arrival also while workers come and go, slots change, and the machine stands still.
#[test]
fn ordered_outputs_with_workers_that_come_and_go() {
    const ALL: u64 = 20_000;
    let m = named("dynamic").ordered(true).workers(1).start().unwrap();
    m[0].set(|x: u64| {
        if x.is_multiple_of(64) {
            thread::yield_now(); // so that others overtake it
        }
        x
    })
    .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    let sink = m.on_output(move |output| see.lock().unwrap().push(output.input::<u64>().unwrap())).unwrap();
    thread::scope(|scope| {
        let producer = scope.spawn(|| (0..ALL).for_each(|x| m.put_wait(x).unwrap()));
        for workers in [4, 1, 16, 3, 2, 8].into_iter().cycle() {
            if producer.is_finished() {
                break;
            }
            m.workers(workers).unwrap();
            match workers {
                16 => drop(m[1].set(|x: u64| x + 1)),
                3 => m[1].clear().unwrap(),
                2 => drop(m.pause().start()),
                8 => drop(m.stop().start()),
                _ => {}
            }
        }
    });
    m.start().drained();
    eventually!(seen.lock().unwrap().len() as u64 + sink.status().unwrap().lost >= ALL);
    let (seen, lost) = (seen.lock().unwrap(), sink.status().unwrap().lost);
    assert!(seen.is_sorted(), "an output left before its turn");
    assert_eq!(seen.len() as u64 + lost, ALL);
    let s = m.status();
    assert_eq!((s.processed, s.out_of_order, s.errored), (ALL, 0, 0));
}

/// A message that takes long may have others of its worker's claim behind it: a call that waits for their places has its time.
#[test]
fn a_wait_for_room_behind_a_slow_message_ends_in_time() {
    let m = named("stalled").workers(2).start().unwrap();
    let (door, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    m[0].set(move |x: u64| {
        if x == 0 {
            waits.lock().unwrap().received();
        }
    })
    .unwrap();
    // Workers claim several messages once they have seen that none takes long.
    for x in 1..10_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drained().pause();
    for x in 0..500_u64 {
        m.put(x).unwrap();
    }
    m.start();
    // Once around all places and more; nothing is in the way where messages are so slow that workers claim one at a time.
    for _ in 0..10_000 {
        if let Err(full) = m.put_timeout(1_u64, Duration::from_millis(50)) {
            assert!(full.to_string().contains("full"), "{full}");
            break;
        }
    }
    door.send(()).unwrap();
    m.drained();
    reconciles(&m.status());
}

/// A slot, an async one and a source that wait for the end of what they are part of would wait for ever.
#[test]
fn a_drain_that_would_wait_for_itself_is_an_error() {
    use machine_async::prelude::*;
    let (m, other) = (named("own").start().unwrap(), named("other").start().unwrap());
    m[0].set(move |x: u64| {
        other.put_wait(x).unwrap();
        other.drain();
        m.drain();
        x
    })
    .unwrap();
    m.put(1_u64).unwrap();
    common::answers(move || m.drain().status());
    let error = m.errors()[0].error.clone();
    assert!(error.contains("drain() of own") && error.contains("called in a slot of that machine"), "{error}");
    assert_eq!(other.status().processed, 1, "another machine can be waited for");
    m[0].set_async(async move |x: u64| {
        m.drain();
        x
    })
    .unwrap();
    m.put(2_u64).unwrap();
    common::answers(move || m.drain().status());
    let error = m.errors()[0].error.clone();
    assert!(error.contains("called in an async slot"), "{error}");
    m[0].set(|x: u64| x).unwrap();
    m.source((0..3_u64).inspect(move |_| drop(m.drain().status()))).unwrap();
    common::answers(move || m.drain().status());
    let error = m.status().source.error;
    assert!(error.contains("called in the source of that machine"), "{error}");
}

/// Also within one second, and although each counts its own.
#[test]
fn machines_never_share_an_oid() {
    let machines = [named("oids").start().unwrap(), named("oids").start().unwrap(), named("oids").start().unwrap()];
    let outputs: Vec<Outputs> = machines.iter().map(|m| m.outputs().unwrap()).collect();
    for x in 0..100_u64 {
        for m in &machines {
            m.put_wait(x).unwrap();
        }
    }
    let mut all = std::collections::BTreeSet::new();
    for (m, outputs) in machines.iter().zip(outputs) {
        m.drained();
        let own: Vec<String> = outputs.timeout(Duration::ZERO).map(|output| output.oid).collect();
        assert!(own.is_sorted() && own.len() == 100, "sorted by the order of arrival within a machine");
        all.extend(own);
        all.insert(m.call(1_u64).unwrap().oid());
    }
    assert_eq!(all.len(), 303);
    assert!(all.iter().all(|oid| oid.len() == 24));
}

/// All of a batch goes in, in order, however small the queue; interrupted, the rest is still there.
#[test]
fn a_batch_that_waits_is_put_whole_and_in_order() {
    let m = named("batch").queue(8).start().unwrap();
    let outputs = m.outputs().unwrap();
    for size in [0, 1, 7, 8, 9, 500] {
        let mut batch: Vec<String> = (0..size).map(|x: u64| x.to_string()).collect();
        m.put_batch_wait(&mut batch).unwrap();
        assert!(batch.is_empty());
    }
    m.drained();
    let got: Vec<String> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    let put: Vec<String> =
        [0, 1, 7, 8, 9, 500].into_iter().flat_map(|size: u64| 0..size).map(|x| x.to_string()).collect();
    assert_eq!(got, put);
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.accepted, s.refused), (525, 0));
    // Interrupted, on a thread of cells.
    m.pause();
    let left = thread::spawn(move || {
        machine_engine::set_cell_thread();
        let mut batch: Vec<u64> = (0..20).collect();
        let put = m.put_batch_wait(&mut batch);
        (put.unwrap_err().kind(), batch)
    });
    eventually!(m.status().queue_size >= 8);
    let interrupt = |on| drop(machine::handle::ask(&machine_protocol::command::Command::Interrupt { on }));
    interrupt(true);
    let left = left.joined();
    interrupt(false);
    assert_eq!(left, (machine::ErrorKind::Interrupted, (8..20).collect()));
    m.clear();
}
