//! What cannot be is refused at once, with what was given and what is wrong with it.

use crate::{fresh, named};
use machine::prelude::*;
use machine::status::SourceState;
use machine_testkit::{Drained, Received, eventually};

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, machine_protocol::Error>, expected: &str) {
    let message = result.unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn wrong_inputs_are_told() {
    let m = fresh();
    let items = || [json!({ "t": 1 })];
    let cases = [
        (m.source(items().rate(f64::NAN)), "the rate is NaN: it is how many items a second, more than 0"),
        (m.source(items().rate(f64::INFINITY)), "the rate is inf"),
        (m.source(source::json_lines("x").rate(f64::NAN)), "the rate is NaN"),
        (m.source(items().replay("t", f64::NAN)), "the speed is NaN: 1 is as fast as it was"),
        (m.source(source::json_lines("x").replay("t", f64::NAN)), "the speed is NaN"),
        (m.source(items().replay("", 1.0)), "replay needs the field that has an item's time"),
        (m.source(source::json_lines("x").max_bytes(0)), "max_bytes is 0"),
        (m.source(source::stdin().max_bytes(0)), "max_bytes is 0"),
        (m.source(source::http(0).max_bytes(0)), "max_bytes is 0"),
        (m.source(source::websocket("ws://127.0.0.1:9").max_bytes(0)), "max_bytes is 0"),
        (
            m.source(source::http(0).max_bytes((1 << 30) + 1)),
            "max_bytes is 1073741825: each message is in memory whole, so it may be 1073741824 at most (1 GiB)",
        ),
        (m.source(source::websocket("ws://127.0.0.1:9").max_bytes(usize::MAX)), "1073741824 at most"),
        (m.source(source::websocket("ws://127.0.0.1:99999/")), "the port is no number from 0 to 65535"),
        (m.source(source::zmq_sub("tcp://")), "\"tcp://\" is no endpoint: there is no address; tcp://127.0.0.1:5555"),
        (m.source(source::zmq_sub("tcp://127.0.0.1")), "there is no port"),
        (m.source(source::zmq_sub("tcp://[::1]")), "there is no port"),
        (m.source(source::zmq_sub("tcp://:5555")), "there is no host"),
        (m.source(source::zmq_sub("tcp://127.0.0.1:x")), "the port is no number from 1 to 65535"),
        (m.source(source::zmq_sub("ipc://")), "there is no path"),
        (m[0].set(|a: u64, b: u64| a + b), "f0 has 2 parameters, but only 1 value is available: the message"),
        (m[1].set(|a: u64, b: u64, c: u64| a + b + c), "but only 2 values are available: f0 and the message"),
        (
            m[2].set(|a: u64, b: u64, c: u64, d: u64| a + b + c + d),
            "but only 3 values are available: f1, f0 and the message",
        ),
    ];
    for (result, expected) in cases {
        says(result, expected);
    }
    says(m.outputs_bounded(0), "room for 0 outputs");
    says(
        m.publish("ipc:///nowhere/at/all/socket"),
        "ipc:///nowhere/at/all/socket cannot be bound to publish on it: there is no directory /nowhere/at/all: make it",
    );
    assert!(!std::path::Path::new("/nowhere").exists());
    let file = std::env::temp_dir().join(format!("machine-refused-{}.txt", std::process::id()));
    std::fs::write(&file, "not ours").unwrap();
    says(
        m.publish(&format!("ipc://{}", file.display())),
        "somebody listens there, or a file is there: name another path",
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not ours");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(m.status().source.state, SourceState::None);
}

#[test]
fn a_name_that_is_taken_is_told_with_what_differs() {
    let builder = named("taken");
    let m = builder.clone().start().unwrap();
    assert_eq!(builder.clone().start().unwrap().status().machine, m.status().machine);
    let other = builder.queue(5).ordered(true).start();
    says(other, "already, with queue 1024 instead of 5, ordered false instead of true: choose another name");
}

#[test]
fn a_refused_batch_stays_with_its_sender_and_counts_as_nothing() {
    let m = named("batch").queue(10).start().unwrap();
    m.pause();
    let mut batch: Vec<u64> = (0..25).collect();
    for _ in 0..100 {
        m.try_put_batch(&mut batch).unwrap();
    }
    let s = m.status();
    assert_eq!((batch.len(), s.accepted, s.refused), (15, 10, 0));
    assert!(m.put(1_u64).is_err());
    assert_eq!(m.status().refused, 1);
}

#[test]
fn a_slot_runs_without_what_it_only_may_have() {
    let m = fresh();
    m[0].set(|x: u64| if x == 1 { Err("one") } else { Ok(x) }).unwrap();
    m[1].set(|x: u64| x).unwrap();
    m[2].set(|_: Option<u64>, f0: u64| f0).unwrap();
    let call = m.call(1_u64).unwrap();
    let why = |slot| call.json(slot).unwrap_err().to_string();
    assert!(why(1).contains("because f0 produced no output"), "{}", why(1));
    assert!(why(2).contains("f2 was skipped because f0 produced no output"), "{}", why(2));
}

/// A pause and a stop that change nothing do not wait for a slot again.
#[test]
fn who_has_been_stopped_stops_at_once() {
    let m = fresh();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let opened = std::sync::Mutex::new(opened);
    m[0].set(move |x: u64| {
        opened.lock().unwrap().received();
        x
    })
    .unwrap();
    m.put(1_u64).unwrap();
    eventually!(m.status().in_flight != 0);
    // A quarter of a second each would be minutes.
    for _ in 0..1_000 {
        m.pause();
    }
    for _ in 0..1_000 {
        m.stop().pause();
    }
    assert_eq!(m.status().state, machine_protocol::status::State::Stopped);
    open.send(()).unwrap();
    m.start().drained();
    assert_eq!(m.status().processed, 1);
}
