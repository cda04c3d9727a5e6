//! Outputs in the order of arrival.

use crate::{all, named};
use machine::prelude::*;
use machine_testkit::{Barrier, DEADLINE, Drained, Received, eventually};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How many values are being written as JSON, and how many ever were at one time.
type Writing = Arc<(Mutex<(usize, usize)>, Condvar)>;

/// A value that is written as soon as another one is being written, too.
#[derive(Clone)]
struct Together(Writing);

impl Serialize for Together {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (counts, changed) = &*self.0;
        let mut now = counts.lock().unwrap();
        now.0 += 1;
        now.1 = now.1.max(now.0);
        changed.notify_all();
        // Alone for so long, it will stay alone.
        let (mut now, _) = changed.wait_timeout_while(now, Duration::from_secs(5), |now| now.1 < 2).unwrap();
        now.0 -= 1;
        drop(now);
        serializer.serialize_unit()
    }
}

/// What a file needs is written by each worker for its own message, also if a closure takes the values.
#[test]
fn ordered_outputs_are_written_by_several_workers_at_a_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writing = Writing::default();
    let m = named("ordered").workers(2).ordered(true).start().unwrap();
    let (gate, own) = (Arc::new(Barrier::new(2)), writing.clone());
    m[0].set(move |_: u64| {
        // Two workers have one each.
        gate.wait();
        Together(own.clone())
    })
    .unwrap();
    m.to_json_lines(file.path()).unwrap();
    let (counts, taken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Condvar::new()));
    let (c, t) = (counts.clone(), taken.clone());
    m.on_output(move |output| {
        c.lock().unwrap().push(output.input::<u64>().unwrap());
        t.notify_all();
    })
    .unwrap();
    m.put(0_u64).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!(writing.0.lock().unwrap().1, 2, "one at a time: the lock was held");
    let counts = taken.wait_timeout_while(counts.lock().unwrap(), DEADLINE, |all| all.len() < 2).unwrap().0;
    assert_eq!(*counts, [0, 1]);
}

/// What has to wait for an earlier message is among what waits for its sinks.
#[test]
fn outputs_that_are_held_back_for_their_turn_are_counted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let m = named("ordered").workers(2).ordered(true).start().unwrap();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    m[0].set(move |x: u64| {
        if x == 0 {
            opened.lock().unwrap().received();
        }
        x
    })
    .unwrap();
    let lines = m.to_json_lines(file.path()).unwrap();
    let outputs = m.outputs().unwrap();
    for x in 0..6_u64 {
        m.put(x).unwrap();
    }
    eventually!(m.status().processed == 5, m.status());
    let s = m.status();
    assert_eq!((s.out_of_order, s.outputs.len()), (5, 2));
    for sink in &s.outputs {
        assert_eq!((sink.sent, sink.waiting, sink.held, sink.lost), (0, 5, 5, 0), "{sink:?}");
    }
    open.send(()).unwrap();
    m.drained();
    let status = lines.status().unwrap();
    assert_eq!((status.sent, status.waiting, status.held, status.lost), (6, 0, 0, 0));
    assert_eq!(m.status().outputs[1].waiting, 6);
    assert_eq!(all(outputs).len(), 6);
}

#[test]
fn ordered_outputs_keep_the_order_of_arrival() {
    for takes_values in [false, true] {
        let m = named("ordered").workers(4).ordered(true).start().unwrap();
        m[0].set(|x: u64| {
            if x.is_multiple_of(97) {
                thread::sleep(Duration::from_millis(1)); // so that others overtake it
            }
            if x.is_multiple_of(7) { Err(format!("seventh {x}")) } else { Ok(x.to_string()) }
        })
        .unwrap();
        let next = named("next").start().unwrap();
        let chain = (!takes_values).then(|| m.to(&next, 7).unwrap());
        let outputs = if takes_values { m.outputs().unwrap() } else { next.outputs().unwrap() };
        for x in 0..5000_u64 {
            m.put_wait(x).unwrap();
            if x % 1000 == 500 {
                m.pause().start();
                m.stop().start();
            }
        }
        m.drained();
        next.drained();
        let status = m.status();
        assert!(status.reordered > 0 && status.out_of_order == 0, "{status:?}");
        let got = all(outputs);
        if takes_values {
            assert_eq!(
                got.iter().map(|o| o.input::<u64>().unwrap()).collect::<Vec<_>>(),
                (0..5000).collect::<Vec<_>>()
            );
            assert_eq!(got[14].error(0).unwrap(), "f0 failed (error): seventh 14");
            assert_eq!(got[15].get::<String>(7).unwrap(), "15");
        } else {
            let wanted: Vec<String> = (0..5000_u64).filter(|x| x % 7 != 0).map(|x| x.to_string()).collect();
            assert_eq!(got.iter().map(|o| o.input::<String>().unwrap()).collect::<Vec<_>>(), wanted);
            assert_eq!(chain.unwrap().status().unwrap().sent, wanted.len() as u64);
        }
    }
}

/// Messages that are discarded hold nobody up.
#[test]
fn ordered_outputs_do_not_wait_for_what_was_discarded() {
    let m = named("ordered").workers(3).ordered(true).queue(64).start().unwrap();
    let outputs = m.outputs().unwrap();
    let mut put = 0_u64;
    let mut discarded = 0;
    for round in 0..50 {
        for _ in 0..40 {
            if m.put(put).is_ok() {
                put += 1;
            }
        }
        if round % 3 == 0 {
            m.stop();
            discarded += m.clear();
            m.start();
        }
    }
    m.drained();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert_eq!(got.len() as u64, put - discarded);
    assert!(got.is_sorted());
}

/// Messages that wait on their way (here for a second call) are overtaken, and leave in order all the same.
#[test]
fn ordered_outputs_wait_for_messages_that_wait() {
    let m = named("flights").ordered(true).start().unwrap();
    let failed = std::sync::Mutex::new(std::collections::HashSet::new());
    m[0].set(
        move |x: u64| {
            if x.is_multiple_of(10) && failed.lock().unwrap().insert(x) { Err("the first time") } else { Ok(x) }
        },
    )
    .unwrap();
    m[0].retry(1, Duration::from_millis(2)).unwrap();
    let outputs = m.outputs().unwrap();
    for x in 0..2_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drained();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.get(7).unwrap()).collect();
    assert_eq!(got, (0..2_000).collect::<Vec<_>>());
    // Debug mode keeps one of these too.
    m.debug(true);
    m[1].set(|x: u64| if x == 5 { Err("five") } else { Ok(x) }).unwrap();
    m.put(5_u64).unwrap();
    eventually!(!m.status().in_hand.is_empty());
    m[1].clear().unwrap();
    assert_eq!(m.retry().unwrap().slots[7].output.as_deref(), Some("5"));
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.errored), (2_001, 0, 0));
    m.start();
    m.put(6_u64).unwrap();
    m.drained();
    assert_eq!(m.status().processed, 2_002);
}

/// A sink may hold up the workers: those who put a message in the place of an older one do not wait with them.
#[test]
fn whoever_drops_the_oldest_does_not_wait_for_a_sink() {
    let m = named("ordered").ordered(true).queue(4).policy(Policy::DropOldest).start().unwrap();
    let full = named("full").queue(1).policy(Policy::Block).start().unwrap();
    full.pause();
    let chain = m.to(&full, 0).unwrap();
    let outputs = full.outputs().unwrap();
    m.put(0_u64).unwrap();
    m.put(1_u64).unwrap();
    eventually!(m.status().processed != 0 && m.status().in_flight != 0);
    // Its worker hands out the second one, or is about to.
    for x in 2..1000_u64 {
        thread::yield_now();
        m.put(x).unwrap();
    }
    assert!(m.status().discarded > 900, "{:?}", m.status());
    full.start();
    m.drained();
    full.drained();
    let status = m.status();
    assert_eq!((status.processed + status.discarded, status.out_of_order), (1000, 0), "{status:?}");
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert!(got.is_sorted() && got.len() as u64 == status.processed && got.last() == Some(&999), "{got:?}");
    assert_eq!(chain.status().unwrap().sent, status.processed);
}
