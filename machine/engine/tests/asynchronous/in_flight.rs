//! Messages in flight while the machine is drained, paused, changed, and asked.

use crate::{Counted, FOREVER, counts, fresh, held, put_all, reconciles};
use machine_async::prelude::*;
use machine_testkit::{Drained, Joined, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;

#[test]
fn as_many_messages_are_in_flight_as_was_said_and_no_more() {
    for workers in [1, 3] {
        let m = fresh().workers(workers).in_flight(100).start().unwrap();
        let (doors, inside) = held(&m, 0);
        put_all(&m, 0..1000);
        eventually!(inside.load(SeqCst) == 100);
        for _ in 0..9 {
            let s = m.status();
            reconciles(&s);
            assert_eq!((s.in_flight, s.queue_size), (100, 1000 - s.processed - 100));
            doors.add_permits(100);
            let before = s.processed;
            eventually!(m.status().processed >= before + 100 && inside.load(SeqCst) == 100);
            assert!(m.status().in_flight <= 100);
        }
        doors.add_permits(100);
        m.drained();
        counts(&m, 0, 1000, 0, 0);
    }
}

#[test]
fn drain_waits_for_futures() {
    let m = fresh().start().unwrap();
    let (doors, inside) = held(&m, 0);
    put_all(&m, 0..10);
    eventually!(inside.load(SeqCst) == 10);
    assert_eq!(m.drain_timeout(Duration::from_millis(1)).map_err(|left| left.messages), Err(10));
    thread::scope(|scope| {
        let drained = scope.spawn(|| m.drained().status());
        doors.add_permits(10);
        assert_eq!(drained.joined().processed, 10);
    });
}

#[test]
fn what_ends_while_the_machine_stands_is_held_until_it_starts() {
    let m = fresh().in_flight(10).start().unwrap();
    let (doors, inside) = held(&m, 0);
    m[1].set(|n: u64| n).unwrap();
    for round in 0..3 {
        // One more than there can be in flight: it waits.
        put_all(&m, 0..11);
        eventually!(inside.load(SeqCst) == 10);
        if round == 1 {
            m.stop()
        } else {
            m.pause()
        };
        let cleared = if round < 2 { 0 } else { m.clear() };
        doors.add_permits(10);
        eventually!(inside.load(SeqCst) == 0);
        let s = m.status();
        reconciles(&s);
        assert_eq!((s.in_flight, s.queue_size, cleared), if round < 2 { (10, 1, 0) } else { (10, 0, 1) });
        m.start();
        doors.add_permits(usize::try_from(s.queue_size).unwrap());
        m.drained();
    }
    let s = m.status();
    reconciles(&s);
    assert_eq!((s.processed, s.discarded, s.in_flight, s.slots[1].ok), (32, 1, 0, 32));
}

#[test]
fn a_closure_lives_until_its_futures_end() {
    let closures = Arc::new(AtomicUsize::new(0));
    let m = fresh().start().unwrap();
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
    eventually!(began.load(SeqCst) == 5);
    m[0].set(|n: u64| n).unwrap();
    m[1].set(|_: u64| 0_u64).unwrap();
    put_all(&m, 0..5);
    eventually!(m.status().processed == 5);
    assert_eq!((closures.load(SeqCst), m.status().in_flight), (1, 5));
    doors.add_permits(5);
    m.drained();
    eventually!(closures.load(SeqCst) == 0);
    assert_eq!(sum.load(SeqCst), 1 + 2 + 3 + 4 + 5);
    // A function counts its own messages.
    counts(&m, 0, 5, 0, 0);
    counts(&m, 2, 10, 0, 0);
}

#[test]
fn call_and_step_wait_for_futures() {
    let m = fresh().start().unwrap();
    m[0].retry(1, Duration::from_micros(10)).unwrap().timeout(FOREVER).unwrap().concurrency(1).unwrap();
    let failed = AtomicBool::new(false);
    m[0].set_async(async move |n: u64| {
        tokio::time::sleep(Duration::from_micros(100)).await;
        if failed.swap(true, SeqCst) { Ok(n + 1) } else { Err("first".to_owned()) }
    })
    .unwrap();
    assert_eq!(m.call(1_u64).unwrap().get::<u64>(0).unwrap(), 2);
    m.pause();
    m.put(2_u64).unwrap();
    let command = machine_protocol::command::Command::Step {
        machine: machine_protocol::command::Target::Name(m.status().machine),
    };
    let machine_protocol::command::Reply::Outputs(outputs) = machine::handle::ask(&command) else {
        panic!("no outputs")
    };
    assert_eq!(outputs.slots[0].output.as_deref(), Some("3"));
    counts(&m, 0, 1, 0, 0);
    assert_eq!(m.status().processed, 1);
}

/// One that is ahead waits for its turn while as many as may be are ahead of it: not for one that lands with it.
#[test]
fn flights_that_land_together_do_not_wait_for_each_other_where_outputs_go_in_order() {
    // As many as wait for their turn at most.
    const AHEAD: u64 = 4096;
    let m = fresh().in_flight(2).ordered(true).start().unwrap();
    let (doors, inside) = ([0, 1].map(|_| Arc::new(Semaphore::new(0))), Arc::new(AtomicUsize::new(0)));
    let (d, i) = (doors.clone(), inside.clone());
    m[0].set_async(async move |n: u64| {
        let door = match n {
            0 => &d[0],
            n if n > AHEAD => &d[1],
            _ => return n,
        };
        let _inside = Counted::new(&i);
        door.acquire().await.unwrap().forget();
        n
    })
    .unwrap();
    let outputs = m.outputs_bounded(8192).unwrap();
    put_all(&m, 0..AHEAD + 2);
    eventually!(m.status().processed == AHEAD && inside.load(SeqCst) == 2);
    m.pause();
    // The last one lands first.
    for (door, left) in [(1, 1), (0, 0)] {
        doors[door].add_permits(1);
        eventually!(inside.load(SeqCst) == left);
        // Nothing tells that it is ready; most likely it is then, and if not, nothing else is tested than that it comes out.
        thread::sleep(Duration::from_millis(10));
    }
    m.start();
    assert!(m.drain_timeout(Duration::from_secs(20)).is_ok(), "{:?}", m.status());
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, (0..AHEAD + 2).collect::<Vec<_>>());
}

/// One that never lands keeps the others from going out: then no more are begun than may wait for their turn.
#[test]
fn what_waits_for_its_turn_is_bounded_with_several_workers_too() {
    // As many as wait for their turn at most, without those that are on their way.
    const AHEAD: u64 = 4096;
    const FLIGHTS: u16 = 500;
    const MESSAGES: u64 = 4 * AHEAD;
    let m = fresh().in_flight(FLIGHTS.into()).queue(20_000).ordered(true).workers(2).start().unwrap();
    let door = Arc::new(Semaphore::new(0));
    let d = door.clone();
    m[0].set_async(async move |n: u64| {
        if n == 0 {
            d.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        n
    })
    .unwrap();
    let outputs = m.outputs_bounded(20_000).unwrap();
    put_all(&m, 0..MESSAGES);
    eventually!(m.status().out_of_order >= AHEAD);
    // Nothing but time shows that no more become ready: without the bound it would be all of them.
    thread::sleep(Duration::from_millis(200));
    let status = m.status();
    assert!(status.out_of_order < AHEAD + u64::from(FLIGHTS) + 100 && status.queue_size > 0, "{status:?}");
    door.add_permits(1);
    assert!(m.drain_timeout(Duration::from_mins(1)).is_ok(), "{:?}", m.status());
    let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.input().unwrap()).collect();
    assert_eq!(got, (0..MESSAGES).collect::<Vec<_>>());
}

/// A step waits for the place of a message that is ready and goes on only when the machine is started.
#[test]
fn a_machine_starts_while_a_step_waits_for_a_place_in_a_slot() {
    let m = fresh().start().unwrap();
    let (doors, inside) = held(&m, 0);
    m[0].concurrency(1).unwrap();
    m.put(1_u64).unwrap();
    eventually!(inside.load(SeqCst) == 1);
    m.pause();
    doors.add_permits(2);
    eventually!(inside.load(SeqCst) == 0);
    m.put(2_u64).unwrap();
    let step = machine_protocol::command::Command::Step {
        machine: machine_protocol::command::Target::Name(m.status().machine),
    };
    thread::scope(|scope| {
        let stepped = scope.spawn(|| machine::handle::ask(&step));
        eventually!(m.status().in_flight == 2 || stepped.is_finished());
        m.start();
        assert!(matches!(stepped.joined(), machine_protocol::command::Reply::Outputs(_)));
    });
    assert!(m.drain_timeout(Duration::from_secs(20)).is_ok(), "{:?}", m.status());
    counts(&m, 0, 2, 0, 0);
}
