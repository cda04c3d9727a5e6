//! A machine with a message in hand is started, and goes on, whatever the message has before it.

use crate::*;
use machine_protocol::Error;
use machine_testkit::{Drained, Joined, Received, eventually};

/// A message that a slot fails on is in hand, and the machine is paused.
fn held(m: &Machine, x: u64) {
    m.debug(true).put(x).unwrap();
    eventually!(!m.status().in_hand.is_empty());
}

#[test]
fn start_answers_while_the_message_in_hand_is_in_a_slow_slot() {
    let m = named("held").start().unwrap();
    let (begun, go) = slow(&m, 1);
    assert_eq!(hold_before(&m, Some(1)), Reply::Done);
    m.put(7_u64).unwrap();
    eventually!(!m.status().in_hand.is_empty());
    assert_eq!(answers(move || resume(&m)), Reply::Done);
    assert!(m.status().running && m.status().in_hand.is_empty());
    assert_eq!(begun.received(), 7);
    assert_eq!(m.status().in_flight, 1);
    go.send(()).unwrap();
    m.drained();
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.slots[1].ok), (1, 0, 1));
}

#[test]
fn start_answers_while_the_sink_of_the_message_in_hand_is_full() {
    let (m, full) = (named("held").start().unwrap(), full());
    m.to(&full, 0).unwrap();
    m[0].set(|x: u64| x).unwrap();
    m[1].set(|_: u64| Err::<u64, _>("no")).unwrap();
    held(&m, 7);
    answers(move || m.start().status());
    let s = m.debug(false).status();
    assert_eq!((s.running, s.in_hand.as_str(), s.in_flight, s.errored + s.processed <= 1), (true, "", 1, true));
    full.start();
    m.drained();
    full.drained();
    assert_eq!((m.errors()[0].input.as_str(), m.status().processed, full.status().processed), ("7", 1, 2));
}

#[test]
fn a_slot_that_is_stepped_starts_its_machine() {
    let m = named("held").start().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    m[0].set(move |x: u64| {
        if x == 1 {
            let code = |failure: Error| failure.kind();
            let said = [m.retry().map_err(code).err(), step(&m).map_err(code).err(), peek(&m).map_err(code).err()];
            tell.lock().unwrap().extend(said.into_iter().flatten());
            assert!(!m.give_up());
            m.start();
        }
        if x == 0 { Err("zero") } else { Ok(x) }
    })
    .unwrap();
    held(&m, 0);
    m.debug(false).put(1_u64).unwrap();
    answers(move || step(&m).unwrap());
    assert_eq!(*told.lock().unwrap(), [machine::ErrorKind::StepRunning; 3]);
    m.drained();
    let s = m.status();
    assert_eq!((s.running, s.processed, s.errored, s.in_flight), (true, 2, 1, 0));
}

/// The place that the step waits for is with a message that goes on when the machine is started.
#[test]
fn start_answers_while_a_step_waits_for_a_place_in_a_slot() {
    let m = named("held").start().unwrap();
    m[0].concurrency(1).unwrap();
    let doors = Arc::new(Semaphore::new(0));
    let d = doors.clone();
    m[0].set_async(async move |x: u64| {
        d.acquire().await.unwrap().forget();
        x
    })
    .unwrap();
    m[1].set(|x: u64| if x == 0 { Err("zero") } else { Ok(x) }).unwrap();
    m.debug(true);
    (0..3_u64).for_each(|x| m.put(x).unwrap());
    eventually!(m.status().in_flight == 3);
    doors.add_permits(1);
    eventually!(!m.status().in_hand.is_empty());
    m.debug(false).put(3_u64).unwrap();
    let stepped = thread::spawn(move || step(&m).unwrap());
    eventually!(m.status().in_flight == 4);
    answers(move || m.start().status());
    doors.add_permits(3);
    assert_eq!(answers(move || stepped.joined()).input, "3");
    m.drained();
    let s = m.status();
    assert_eq!((s.processed, s.errored, s.in_flight), (4, 1, 0));
}

/// It is started while a message is tried again, and stands when that is in hand again.
#[test]
fn a_machine_does_not_run_with_a_message_in_hand() {
    let m = named("held").ordered(true).start().unwrap();
    m[0].set(|_: u64| Err::<u64, _>("no")).unwrap();
    held(&m, 0);
    let (began, begun) = channel();
    let (go, gone) = channel::<()>();
    let (began, gone) = (Mutex::new(began), Mutex::new(gone));
    m[0].set(move |x: u64| {
        if x > 0 {
            return Ok(x);
        }
        began.lock().unwrap().send(()).unwrap();
        gone.lock().unwrap().received();
        Err("no")
    })
    .unwrap();
    let again = thread::spawn(move || m.retry());
    begun.received();
    m.start();
    m.put(1_u64).unwrap();
    eventually!(m.status().out_of_order == 1);
    go.send(()).unwrap();
    assert!(again.joined().unwrap().slots[0].error.is_some());
    let s = m.status();
    assert_eq!((s.running, s.in_hand.is_empty(), s.in_flight), (false, false, 1));
    assert_eq!(answers(move || m.drain_timeout(Duration::from_mins(1))).unwrap_err().messages, 1);
    answers(move || m.start().drained().status());
    assert_eq!((m.status().processed, m.status().errored, m.status().out_of_order), (2, 1, 0));
}

/// Messages that were in hand are no work of the worker that began them.
#[test]
fn a_worker_is_idle_after_its_message_was_given_up() {
    let m = named("held").start().unwrap();
    m[0].set(|x: u64| if x < 3 { Err("no") } else { Ok(x) }).unwrap();
    for x in 0..3 {
        held(&m, x);
        assert!(m.give_up());
        m.start();
    }
    m.put(3_u64).unwrap();
    m.drained();
    // The load is that of the last seconds.
    answers(move || eventually!(m.status().load.is_some_and(|load| load.idle > 0.99)));
}

/// A breakpoint stays whatever becomes of the slots, and holds what waits on its way, too.
#[test]
fn a_breakpoint_holds_messages_of_slots_that_are_async_or_have_settings() {
    for kind in 0..3 {
        let m = named("held").workers(2).start().unwrap();
        m[0].set(|x: u64| x + 1).unwrap();
        m[1].set(|x: u64| x + 10).unwrap();
        m[2].set(|x: u64| x + 100).unwrap();
        let condition = Command::Break { machine: target(&m), slot: Some(1), filter: "f0 = 3".into() };
        if kind == 0 {
            // Also one that is set when they are so already.
            m[2].timeout(Duration::from_hours(1)).unwrap();
        }
        assert_eq!(ask(&condition), Reply::Done);
        match kind {
            0 => {}
            1 => drop(m[1].timeout(Duration::from_hours(1)).unwrap()),
            _ => {
                m[0].set_async(async |x: u64| {
                    tokio::task::yield_now().await;
                    x + 1
                })
                .unwrap();
                m[2].set_async(async |x: u64| x + 100).unwrap();
            }
        }
        let outputs = m.outputs().unwrap();
        m.put(1_u64).unwrap();
        m.drained();
        m.put(2_u64).unwrap();
        eventually!(!m.status().in_hand.is_empty());
        let s = m.status();
        reconciles(&s);
        assert!(s.in_hand.ends_with("held before f1"), "{}", s.in_hand);
        assert_eq!((s.running, s.in_flight, s.slots[0].ok, s.slots[1].ok), (false, 1, 1, 1));
        assert_eq!(answers(move || resume(&m)), Reply::Done);
        m.drained();
        // Given up, it goes on from there as well.
        m.put(2_u64).unwrap();
        eventually!(!m.status().in_hand.is_empty());
        assert!(answers(move || m.give_up()));
        assert_eq!(hold_before(&m, None), Reply::Done);
        m.start().put(2_u64).unwrap();
        m.drained();
        let s = m.status();
        reconciles(&s);
        assert_eq!((s.processed, s.in_flight, s.errored), (4, 0, 0));
        let got: Vec<u64> = outputs.timeout(Duration::ZERO).map(|output| output.get(2).unwrap()).collect();
        assert_eq!(got, [112, 113, 113, 113]);
    }
}
