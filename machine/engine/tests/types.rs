//! Which type is which: a name alone does not say it.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]
#![forbid(unsafe_code)]

use common::named;
use machine::prelude::*;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

mod common;
#[path = "types/none.rs"]
mod none;
#[path = "types/pairs.rs"]
mod pairs;

/// Two types of one function share their name, also inside a `Result`, where nothing else is known of them before there
/// is one.
#[test]
fn two_types_of_one_name_are_told_apart() {
    let m = named("types").start().unwrap();
    {
        #[derive(Serialize, Deserialize, Clone)]
        struct P(u64);
        m[0].set(|x: u64| Ok::<_, String>(P(x))).unwrap();
        m[1].set(|p: &P| p.0 + 1).unwrap();
    }
    let first = m.call(7_u64).unwrap();
    let read = {
        #[derive(Serialize, Deserialize, Clone)]
        struct P(String);
        m[2].set(|_: Ignored, p: &P| p.0.clone()).unwrap();
        first.get::<P>(0).map(|p| p.0)
    };
    assert_eq!(first.get::<u64>(1).unwrap(), 8);
    assert!(read.unwrap_err().to_string().contains("the output of f0 is 7, which is no P"));
    let error = m.call(7_u64).unwrap().get::<String>(2).unwrap_err().to_string();
    assert!(error.contains("f2 takes &P, but f0 gives P, and it does not convert: invalid type: integer"), "{error}");
    {
        #[derive(Serialize, Deserialize, Clone)]
        struct P(f64);
        m[2].set(|_: Ignored, p: &P| p.0 / 2.0).unwrap();
    }
    let half = m.call(7_u64).unwrap().get::<f64>(2).unwrap();
    assert_eq!(half.to_bits(), 3.5_f64.to_bits(), "another type of that name reads what the first one wrote");
}

/// A user who names it so writes no unsafe code.
#[test]
fn a_type_is_taken_by_value_once_it_is_named() {
    #[derive(Serialize, Deserialize, Clone)]
    struct Point(f64, f64);
    machine::by_value!(Point);
    let m = named("types").start().unwrap();
    m[0].set(|p: Point| Point(p.1, p.0)).unwrap();
    m[1].set(|swapped: Option<Point>, p: Point| (swapped.map(|p| p.0), p.0)).unwrap();
    assert_eq!(m.call(Point(1.0, 2.0)).unwrap().json(1).unwrap(), "[2.0,1.0]");
}

/// What has no size can lie where another value is to be made.
#[test]
fn what_is_inside_of_a_result_is_dropped_once() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Serialize, Deserialize)]
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }
    let m = named("types").start().unwrap();
    // Nothing but the `Result` has a size, so what is inside, which has none, lies where the argument would be made.
    m[0].set(|(): ()| {
        MADE.fetch_add(1, Relaxed);
        Ok::<_, ()>(Nothing)
    })
    .unwrap();
    m[1].set(|_: &Nothing| ()).unwrap();
    for _ in 0..10 {
        assert_eq!(m.call(()).unwrap().get::<()>(1), Ok(()));
    }
    assert_eq!((MADE.load(Relaxed), DROPPED.load(Relaxed)), (10, 10));
}

/// To learn what a type reads its own code is asked, which may use the machine that asks.
#[test]
fn a_type_may_use_the_machine_while_it_is_asked_what_it_reads() {
    static MACHINE_OF_IT: OnceLock<Machine> = OnceLock::new();
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Serialize)]
    struct Curious;
    impl<'de> Deserialize<'de> for Curious {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            ASKED.fetch_add(1, Relaxed);
            let m = MACHINE_OF_IT.get().unwrap();
            assert_eq!(m.status().slots.len(), 8);
            m.call(1_u64).unwrap();
            m[7].set(|_: Ignored| ()).unwrap();
            String::deserialize(deserializer).map(|_| Self)
        }
    }
    let m = *MACHINE_OF_IT.get_or_init(|| named("types").start().unwrap());
    let (done, is_done) = channel();
    std::thread::spawn(move || {
        m[0].set(|x: u64| x).unwrap();
        m[1].set(|_: &Curious| ()).unwrap();
        let asked = ASKED.load(Relaxed);
        let s = m.status();
        m[2].set(|_: &Curious| ()).unwrap();
        done.send((asked, ASKED.load(Relaxed), s.slots[1].mismatch.clone())).unwrap();
    });
    let (asked, later, mismatch) = is_done.recv_timeout(Duration::from_mins(1)).expect("it waits for itself");
    assert_eq!(mismatch, "f1 takes &Curious, but f0 gives u64");
    assert_eq!(asked, later, "it is asked once");
}
