//! What is at hand of messages that went through, or were stopped on their way.

use crate::{all, fresh, named};
use machine::ErrorKind;
use machine_testkit::{Drained, Joined, Received, eventually};
use std::sync::{Mutex, mpsc};
use std::thread;

#[test]
fn the_last_ten_outputs_are_at_hand() {
    let m = named("last").ordered(false).start().unwrap();
    m[0].set(|x: u64| if x == 5 { Err("five") } else { Ok(x + 1) }).unwrap();
    assert!(m.last_outputs().is_empty());
    for x in 0..25_u64 {
        m.put(x).unwrap();
        m.drained();
    }
    let last = m.last_outputs();
    assert_eq!(
        last.iter().map(|l| l.input.clone()).collect::<Vec<_>>(),
        (15..25).rev().map(|x| x.to_string()).collect::<Vec<_>>()
    );
    assert_eq!((last[0].outputs.len(), last[0].outputs[7].as_str()), (8, "25"));
    assert_eq!(last[0].oid, m.status().last_oid);
    // The last errors are there too, with their inputs.
    assert_eq!((m.errors()[0].input.as_str(), m.status().errors.len()), ("5", 1));
}

#[test]
fn debug_mode_stops_at_the_first_error_with_the_message_in_hand() {
    let m = fresh();
    m[0].set(|x: u64| x * 2).unwrap();
    m[1].set(|x: u64| if x == 6 { Err(format!("not {x}")) } else { Ok(x) }).unwrap();
    m.debug(true);
    let outputs = m.outputs().unwrap();
    for x in 0..10_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    eventually!(!m.status().in_hand.is_empty());
    let s = m.pause().status();
    assert_eq!((s.state.to_string().as_str(), s.processed, s.in_flight, s.errored), ("paused", 3, 1, 0));
    assert_eq!(s.accepted, s.processed + s.queue_size + s.in_flight + s.discarded);
    assert!(s.in_hand.ends_with(": f1 failed (error): not 6"), "{}", s.in_hand);
    let held = m.in_hand().unwrap();
    assert_eq!(
        (held.input.as_str(), held.slots[0].output.as_deref(), held.slots[1].output.as_deref()),
        ("3", Some("6"), None)
    );
    assert_eq!(held.slots[1].error.as_deref(), Some("f1 failed (error): not 6"));
    // Not corrected: it stays in hand.
    assert!(m.retry().unwrap().slots[1].error.is_some());
    assert!(m.in_hand().is_some());
    m[1].set(|x: u64| if x == 12 { Err("twelve") } else { Ok(x) }).unwrap();
    assert_eq!(m.retry().unwrap().slots[1].output.as_deref(), Some("6"));
    assert!(m.in_hand().is_none() && m.retry().unwrap_err().kind() == ErrorKind::NothingInHand);
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.errored), (4, 0, 0));
    m.start();
    eventually!(!m.status().in_hand.is_empty());
    // Given up, it is what it would have been: a dead letter, and published.
    assert!(m.give_up() && !m.give_up());
    assert_eq!(m.errors()[0].input, "6");
    m.debug(false).start().drained();
    let s = m.status();
    assert_eq!((s.processed, s.errored, s.in_flight, s.queue_size), (10, 1, 0, 0));
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
}

/// Another one may fail while the message in hand is tried again: then that one is in hand, and the first goes its way.
#[test]
fn a_message_that_fails_while_another_is_tried_again_is_not_lost() {
    let m = named("debug").workers(2).start().unwrap();
    m.debug(true);
    let (in_slot, entered) = mpsc::channel();
    let doors: [_; 2] = std::array::from_fn(|_| mpsc::channel::<()>());
    let [(first, first_waits), (second, second_waits)] = doors;
    let waits = [first_waits, second_waits].map(Mutex::new);
    m[0].set(move |x: usize| {
        in_slot.send(x).unwrap();
        waits[x].lock().unwrap().received();
        Err::<u64, _>("no")
    })
    .unwrap();
    m.put(0_usize).unwrap();
    m.put(1_usize).unwrap();
    for _ in 0..2 {
        entered.received();
    }
    first.send(()).unwrap();
    let held = || m.in_hand().map(|outputs| outputs.input);
    eventually!(held().is_some());
    thread::scope(|scope| {
        let again = scope.spawn(|| m.retry().unwrap());
        assert_eq!(entered.received(), 0);
        second.send(()).unwrap();
        eventually!(held().as_deref() == Some("1"));
        first.send(()).unwrap();
        again.joined();
    });
    assert_eq!(held().as_deref(), Some("1"));
    let s = m.status();
    assert_eq!((s.accepted, s.processed, s.in_flight, s.errored), (2, 1, 1, 1), "{s:?}");
    assert!(m.give_up());
    m.start().drained();
    assert_eq!(m.status().processed, 2);
}
