//! What a cell gets, and what it does not take.

use crate::{all, fresh};
use machine::prelude::*;
use machine_testkit::{Drained, Joined, Received, eventually};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[test]
fn a_cell_gets_the_values_themselves() {
    #[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
    struct Point(f64);
    let m = fresh();
    m[0].set(|x: f64| Point(x / 0.0)).unwrap();
    m[1].set(|p: &Point| if p.0.is_nan() { Err("not a number".to_owned()) } else { Ok(p.0) }).unwrap();
    m[2].set(|x: f64| x).unwrap();
    let outputs = m.outputs().unwrap();
    for x in [1.0, 0.0, -1.0] {
        m.put(x).unwrap();
    }
    m.drained();
    let got = all(outputs);
    assert_eq!(got.len(), 3);
    // JSON has no infinity: these have not been written and read.
    assert_eq!(got[0].get::<Point>(0).unwrap(), Point(f64::INFINITY));
    assert_eq!(got[2].get::<f64>(1).unwrap(), f64::NEG_INFINITY);
    assert_eq!(got[1].input::<f64>().unwrap(), 0.0);
    assert_eq!(got[1].error(1).unwrap(), "f1 failed (error): not a number");
    assert_eq!(got[1].error(2).unwrap(), "f2 was skipped because f1 produced no output");
    // An empty slot passes on what the one before it gave, also an error.
    assert_eq!(got[1].error(7), got[1].error(2));
    assert_eq!(got[0].error(7), None);
    assert!(got[0].get::<f64>(8).unwrap_err().to_string().contains("there is no f8"));
    assert!(got[0].oid < got[1].oid && got[0].oid.len() == 24);
}

#[test]
fn two_cells_get_the_same_outputs() {
    let m = fresh();
    m[0].set(|x: u64| x * 2).unwrap();
    m[1].set(|x: u64| if x == 4 { Err("four") } else { Ok(format!("\"{x}\"")) }).unwrap();
    let (one, two) = (m.outputs().unwrap(), m.outputs().unwrap());
    for x in 0..5_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    let (one, two) = (all(one), all(two));
    assert_eq!((one.len(), two.len()), (5, 5));
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.oid, two.oid);
        assert_eq!(one.get::<u64>(0).unwrap(), two.get::<u64>(0).unwrap());
        assert_eq!(one.get::<String>(1).ok(), two.get::<String>(1).ok());
        assert_eq!(one.error(1), two.error(1));
    }
}

#[test]
fn what_a_cell_does_not_take_is_counted() {
    let m = fresh();
    let outputs = m.outputs_bounded(10).unwrap();
    for x in 0..25 {
        m.put(x).unwrap();
    }
    m.drained();
    let status = m.status().outputs;
    assert_eq!((status[0].kind.as_str(), status[0].waiting, status[0].lost, status[0].sent), ("outputs", 10, 15, 0));
    assert_eq!(outputs.lost(), 15);
    assert_eq!(all(outputs).iter().map(|o| o.input::<i32>().unwrap()).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(m.status().outputs.is_empty(), "dropped, so detached");
}

#[test]
fn outputs_end_when_the_machine_is_stopped_and_all_are_taken() {
    let m = fresh();
    let outputs = m.outputs().unwrap();
    let taker = thread::spawn(move || outputs.map(|o| o.input::<u32>().unwrap()).collect::<Vec<_>>());
    for x in 0..100_u32 {
        m.put_wait(x).unwrap();
    }
    m.drained().stop();
    assert_eq!(taker.joined(), (0..100).collect::<Vec<_>>());
    // One that is begun on a stopped machine ends at once; on a running one it waits no longer than it should.
    assert!(m.outputs().unwrap().next().is_none());
    m.start();
    assert!(m.outputs().unwrap().next_timeout(Duration::from_millis(1)).is_none());
}

#[test]
fn on_output_runs_on_a_thread_of_its_own_until_it_is_ended() {
    let m = fresh();
    m[0].set(|x: u64| x + 1).unwrap();
    let (sender, receiver) = mpsc::channel();
    let sink = m
        .on_output(move |o| {
            let _ = sender.send((o.get::<u64>(0).unwrap(), thread::current().name().map(str::to_owned)));
        })
        .unwrap();
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    let got: Vec<_> = (0..3).map(|_| receiver.received()).collect();
    assert_eq!(got.iter().map(|(x, _)| *x).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(got[0].1.as_deref().unwrap().ends_with("/on_output"));
    // It goes on after the machine was stopped.
    m.stop().start();
    m.put(9_u64).unwrap();
    assert_eq!(receiver.received().0, 10);
    sink.stop();
    receiver.closed();
    assert!(m.status().outputs.is_empty());
}

#[test]
fn a_panic_of_on_output_ends_it_and_is_told() {
    let m = fresh();
    let (sender, receiver) = mpsc::channel::<()>();
    m.on_output(move |o| {
        let _keep = &sender;
        assert!(o.input::<u64>().unwrap() != 1, "one is too many");
    })
    .unwrap();
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    receiver.closed();
    eventually!(!m.status().outputs[0].error.is_empty()); // the closure is dropped before or after the error is noted
    assert_eq!(m.status().outputs[0].error, "it panicked: one is too many");
    m.clear_outputs();
    assert!(m.status().outputs.is_empty());
}

#[test]
fn every_output_of_a_closure_that_panics_is_counted() {
    for workers in [1, 3] {
        let m = crate::named("m").workers(workers).start().unwrap();
        let sink = m.on_output(|o| assert!(o.input::<u64>().unwrap() != 20, "twenty")).unwrap();
        for x in 0..100_u64 {
            m.put(x).unwrap();
        }
        m.drained();
        eventually!(!sink.status().unwrap().error.is_empty());
        for x in 0..50_u64 {
            m.put(x).unwrap();
        }
        m.drained();
        let s = sink.status().unwrap();
        assert_eq!((s.sent + s.lost, s.waiting, s.error.as_str()), (150, 0, "it panicked: twenty"));
        assert!(s.lost >= 50, "{s:?}");
        assert_eq!(m.status().outputs, std::slice::from_ref(&s));
        // Taken off, it keeps its count.
        sink.stop();
        m.put(1_u64).unwrap();
        m.drained();
        assert_eq!((sink.status().unwrap(), m.status().outputs.len()), (s, 0));
    }
}

#[test]
fn a_sink_that_was_ended_tells_what_became_of_its_last_messages() {
    let m = fresh();
    let (open, opened) = mpsc::channel::<()>();
    let sink = m.on_output(move |_| opened.received()).unwrap();
    for x in 0..10_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    sink.stop();
    assert!(m.status().outputs.is_empty());
    (0..10).for_each(|_| open.send(()).unwrap());
    eventually!(sink.status().unwrap().sent >= 10);
    let s = sink.status().unwrap();
    assert_eq!((s.sent, s.waiting, s.lost, s.error.as_str()), (10, 0, 0, ""));
}

/// Ending the process waits for what is left.
#[test]
fn what_a_closure_has_in_hand_waits() {
    let m = fresh();
    let ((begun, begins), (open, opened)) = (mpsc::channel(), mpsc::channel::<()>());
    let sink = m
        .on_output(move |_| {
            begun.send(()).unwrap();
            opened.received();
        })
        .unwrap();
    for sent in 0..3 {
        m.put(sent).unwrap();
        begins.received();
        let s = sink.status().unwrap();
        assert_eq!((s.sent, s.waiting, s.lost), (sent, 1, 0));
        open.send(()).unwrap();
        eventually!(sink.status().unwrap().waiting == 0);
    }
    assert_eq!(sink.status().unwrap().sent, 3);
}
