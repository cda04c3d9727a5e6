//! What a user writes, from a plain Rust program.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]
use machine::prelude::*;
use machine::status::SlotErrorKind;
use machine::status::SourceState;
use machine_testkit::{DEADLINE, Drained, Received};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn machine(name: &str) -> Machine {
    machine_engine::init();
    Machine::builder(name).start().unwrap()
}

#[derive(Serialize, Deserialize, Clone)]
struct Tweet {
    text: String,
}

#[test]
fn numbers_text_and_types_go_through() {
    let m = machine("through");
    m[0].set(|x: f64| x * x).unwrap();
    m[1].set(|sq: f64, x: f64| sq - x).unwrap();
    m[2].set(f64::sqrt).unwrap();
    m[3].set(|x: f64| Tweet { text: format!("{x:.2}") }).unwrap();
    m[4].set(|t: &Tweet| t.text.clone()).unwrap();
    m[5].set(|s: &str| s.parse::<f64>()).unwrap();
    m[6].set(|x: f64| if x > 0.0 { Ok(Tweet { text: x.to_string() }) } else { Err("negative".to_owned()) }).unwrap();
    m[7].set(|t: &Tweet, five: u64| t.text.len() + usize::try_from(five).unwrap_or(0))
        .unwrap_or_else(|e| panic!("{e}"));
    let out = m.call(14.0).unwrap();
    assert_eq!(out.get::<f64>(1).unwrap(), 182.0);
    assert_eq!(out.get::<String>(4).unwrap(), "13.49");
    assert_eq!(out.get::<f64>(5).unwrap(), 13.49);
    assert!(out.get::<u64>(7).unwrap_err().to_string().contains("13.49 is no u64"));
    assert_eq!(out.json(6).unwrap(), r#"{"text":"13.49"}"#);
    assert_eq!(out.input::<f64>().unwrap(), 14.0);
    for x in 0..1000 {
        m.put_wait(f64::from(x)).unwrap();
    }
    m.drained();
    let status = m.status();
    assert_eq!(status.processed, 1000);
    assert_eq!(status.accepted, 1000);
    println!("{status:#?}");
}

#[test]
fn errors_panics_and_skips_are_counted() {
    let m = machine("errors");
    m[0].set(|x: u64| if x.is_multiple_of(3) { Err(std::io::Error::other("third")) } else { Ok(x) }).unwrap();
    m[1].set(|x: u64| {
        assert!(!x.is_multiple_of(5), "five {x}");
        x
    })
    .unwrap();
    m[2].set(|x: Option<u64>| x.is_some()).unwrap();
    for x in 0..30_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    let s = m.status();
    assert_eq!((s.processed, s.errored), (30, 10 + 4));
    assert_eq!((s.slots[0].ok, s.slots[0].errored, s.slots[0].skipped), (20, 10, 0));
    assert_eq!((s.slots[1].ok, s.slots[1].errored, s.slots[1].skipped), (16, 4, 10));
    assert_eq!((s.slots[2].ok, s.slots[2].errored, s.slots[2].skipped), (30, 0, 0));
    let errors = m.errors();
    assert_eq!(errors.len(), 14);
    assert_eq!(errors[0].slot, "f0");
    assert_eq!(errors[0].error, "third");
    assert_eq!(errors[0].input, "27");
    assert!(errors.iter().any(|e| e.error.starts_with("five 25 (") && e.kind == SlotErrorKind::Panic));
}

#[test]
fn json_and_mismatch() {
    let m = machine("json");
    m[0].set(|x: &Value| x["user"]["name"].clone()).unwrap();
    m[1].set(|s: &str| s.len()).unwrap();
    let out = m.call(json!({"user": {"name": "ann"}})).unwrap();
    assert_eq!(out.get::<u64>(1).unwrap(), 3);
    m[2].set(|t: &Tweet| t.text.clone()).unwrap();
    assert_eq!(m.status().slots[2].mismatch, "f2 takes &Tweet, but f1 gives usize");
    m.put(json!({"user": {"name": "ann"}})).unwrap();
    m.drained();
    let e = m.errors();
    assert_eq!((e[0].kind.as_str(), e[0].error.as_str()), ("type", "f2 takes &Tweet, but f1 gives usize"));
    assert_eq!(m[9].set(|x: f64| x).unwrap_err().to_string(), "there is no f9: json has the slots f0 to f7");
    assert!(m[0].set(|x: f64, _y: f64| x).unwrap_err().to_string().contains("f0 has 2 parameters"));
}

#[test]
fn source_and_captures() {
    let m = machine("source");
    let seen = Arc::new(AtomicU64::new(0));
    let s = seen.clone();
    m[0].set(move |n: u64| {
        s.fetch_add(n, Relaxed);
        n
    })
    .unwrap();
    m.source(0..100_000_u64).unwrap();
    assert!(m.source(0..1_u64).is_err());
    m.drained();
    assert_eq!(seen.load(Relaxed), 99_999 * 100_000 / 2);
    assert_eq!(m.status().source.state, SourceState::Exhausted);
    m.clear_source();
    m.source(vec![1_u64]).unwrap();
    m.drained();
    assert_eq!(m.status().processed, 100_001);
}

#[test]
fn pause_stop_clear_count() {
    machine_engine::init();
    let m = Machine::builder("pause").queue(16).start().unwrap();
    m.pause();
    for x in 0..16 {
        m.put(x).unwrap();
    }
    let Err(Full(back)) = m.put(99) else { panic!("not full") };
    assert_eq!(back, 99);
    let s = m.status();
    assert_eq!((s.queue_size, s.in_flight, s.processed, s.refused), (16, 0, 0, 1));
    assert!(!s.running);
    m.start().drained();
    assert_eq!(m.status().processed, 16);
    m.stop();
    for x in 0..5 {
        m.put(x).unwrap();
    }
    assert_eq!(m.stop().clear(), 5);
    assert_eq!(m.status().discarded, 5);
}

#[test]
fn put_never_waits_for_a_slow_slot() {
    machine_engine::init();
    let m = Machine::builder("slow").queue(4).start().unwrap();
    let (began, begun) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (began, gone) = (std::sync::Mutex::new(began), std::sync::Mutex::new(gone));
    m[0].set(move |x: u64| {
        began.lock().unwrap().send(()).unwrap();
        let _ = gone.lock().unwrap().recv_timeout(DEADLINE);
        x
    })
    .unwrap();
    m.put(0_u64).unwrap();
    begun.received();
    // One is in the slot, four places are free, and the fifth is refused at once, whatever place it would take.
    for x in 1..=4_u64 {
        m.put(x).unwrap();
    }
    assert!(matches!(m.put(5_u64), Err(Full(5))));
    let s = m.status();
    assert_eq!((s.in_flight, s.queue_size, s.processed), (1, 4, 0));
    drop(go);
    m.drained();
    assert_eq!(m.status().processed, 5);
}

/// What the engine keeps for a thread may be gone before the last of the user's own is.
#[test]
fn a_call_while_its_thread_ends_fails_as_any_other() {
    struct Last(Machine, std::sync::mpsc::Sender<String>);
    impl Drop for Last {
        fn drop(&mut self) {
            let error = self.0.call(1_u64).unwrap().get::<u64>(0).unwrap_err();
            self.1.send(error.to_string()).unwrap();
        }
    }
    thread_local! {
        static LAST: std::cell::OnceCell<Last> = const { std::cell::OnceCell::new() };
    }
    let m = machine("ends");
    m[0].set(|x: u64| [x][usize::try_from(x).unwrap_or(0)]).unwrap();
    let (sent, errors) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        LAST.with(|last| drop(last.set(Last(m, sent))));
        m.call(1_u64).unwrap();
    });
    let error = errors.recv_timeout(std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(error, "f0 failed (panic): a panic without a message");
}
