//! One call of an async function: its arguments, its result, and what is dropped.

use crate::{Counted, FOREVER, Output, counts, fresh, put_all};
use machine::prelude::*;
use machine::status::SlotErrorKind;
use machine_async::prelude::*;
use machine_protocol::command::{Command, Reply, Target};
use machine_testkit::{Drained, eventually};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Tweet {
    id: u64,
    text: String,
}

#[test]
fn async_and_plain_slots_take_turns_and_borrow_across_awaits() {
    let m = fresh().start().unwrap();
    m[0].set(|tweet: &Tweet| tweet.text.to_uppercase()).unwrap();
    m[1].set_async(async |text: &str, tweet: &Tweet| {
        tokio::task::yield_now().await;
        format!("{}: {text}", tweet.id)
    })
    .unwrap();
    m[2].set_async(async |line: String| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        line.len()
    })
    .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    m[3].set(move |len: usize, line: &str, text: &str, tweet: &Tweet| {
        assert_eq!(line, format!("{}: {text}", tweet.id));
        assert_eq!(len, line.len());
        kept.lock().unwrap().push(tweet.id);
    })
    .unwrap();
    for id in 0..3000 {
        m.put_wait(Tweet { id, text: "word ".repeat(usize::try_from(id % 7).unwrap()) }).unwrap();
    }
    m.drained();
    for slot in 0..4 {
        counts(&m, slot, 3000, 0, 0);
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..3000));
    assert!(m.status().slots[1].is_async && !m.status().slots[3].is_async);
}

#[test]
fn messages_begin_in_order() {
    let m = fresh().in_flight(10).start().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let kept = order.clone();
    m[0].set_async(async move |n: u64| {
        kept.lock().unwrap().push(n);
        tokio::time::sleep(Duration::from_micros(n % 5 * 700)).await;
    })
    .unwrap();
    put_all(&m, 0..500);
    m.drained();
    assert!(order.lock().unwrap().iter().copied().eq(0..500));
}

#[test]
fn an_error_a_panic_and_what_follows_are_counted_as_for_plain_slots() {
    let m = fresh().start().unwrap();
    m[0].set_async(async |n: u64| {
        tokio::task::yield_now().await;
        assert!(n % 5 != 4, "fifth: {n}");
        if n % 5 == 3 { Err(format!("fourth: {n}")) } else { Ok(n) }
    })
    .unwrap();
    m[1].set(|n: u64| n).unwrap();
    m[2].set_async(async |before: Option<u64>| before.is_some()).unwrap();
    m[3].set_async(async |_: bool, _: Ignored, _: Ignored, n: &u64| n.to_string().parse::<u64>()).unwrap();
    put_all(&m, 0..1000);
    m.drained();
    counts(&m, 0, 600, 400, 0);
    counts(&m, 1, 600, 0, 400);
    counts(&m, 2, 1000, 0, 0);
    counts(&m, 3, 1000, 0, 0);
    assert_eq!(m.status().errored, 400);
    let errors = m.errors();
    let text = |id: &str| errors.iter().find(|e| e.input == id).map(|e| (e.kind, e.error.clone())).unwrap();
    assert_eq!(text("3"), (SlotErrorKind::Error, "fourth: 3".into()));
    let (kind, error) = text("4");
    assert!(
        kind == SlotErrorKind::Panic && error.starts_with("fifth: 4 (") && error.contains("call.rs:"),
        "{kind} {error}"
    );
}

#[test]
fn every_kind_of_result_is_one() {
    let m = fresh().start().unwrap();
    m[0].set_async(async |n: u64| if n == 0 { Err("text".to_owned()) } else { Ok(n) }).unwrap();
    m[1].set_async(async |_: Ignored, n: u64| n.checked_sub(1).ok_or(std::fmt::Error)).unwrap();
    m[2].set_async(async |_: Ignored, _: Ignored, n: u64| -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        if n == 0 { Err("boxed".into()) } else { Ok(n) }
    })
    .unwrap();
    let out = m.call(0_u64).unwrap();
    assert!(out.get::<u64>(0).unwrap_err().message().contains("text"));
    assert!(out.get::<u64>(1).unwrap_err().message().contains("formatting"), "{:?}", out.get::<u64>(1));
    assert!(out.get::<u64>(2).unwrap_err().message().contains("boxed"));
    let out = m.call(5_u64).unwrap();
    assert_eq!((out.get::<u64>(0).unwrap(), out.get::<u64>(1).unwrap(), out.get::<u64>(2).unwrap()), (5, 4, 5));
}

/// A future that is made, polled and dropped on one thread may hold what is not `Send`.
#[test]
fn a_future_need_not_be_send() {
    let m = fresh().start().unwrap();
    m[0].set_async(async |n: u64| {
        let here = std::rc::Rc::new(n);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let other = here.clone();
        tokio::task::spawn_local(async move { *other + 1 }).await.unwrap_or(*here)
    })
    .unwrap();
    assert_eq!(m.call(1_u64).unwrap().get::<u64>(0).unwrap(), 2);
}

#[test]
fn values_futures_and_closures_are_dropped_once() {
    let (futures, outputs, closures) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let m = fresh().start().unwrap();
    m[0].timeout(Duration::from_millis(20)).unwrap().retry(1, Duration::ZERO).unwrap();
    let closure = Counted::new(&closures);
    let (f, o) = (futures.clone(), outputs.clone());
    m[0].set_async(async move |n: u64| {
        let _held = (&closure, Counted::new(&f));
        let output = Output { _counted: Counted::new(&o) };
        match n % 4 {
            0 => {}
            1 => return Err("second".to_owned()),
            2 => panic!("third"),
            _ => tokio::time::sleep(FOREVER).await,
        }
        Ok(output)
    })
    .unwrap();
    put_all(&m, 0..400);
    m.drained();
    counts(&m, 0, 100, 300, 0);
    assert_eq!(m.status().slots[0].retried, 300);
    assert_eq!((futures.load(SeqCst), outputs.load(SeqCst), closures.load(SeqCst)), (0, 0, 1));
    m[0].clear().unwrap();
    eventually!(closures.load(SeqCst) == 0);
}

/// An interruption ends what a cell waits for, and the call itself; the message that the cell had taken is kept.
#[test]
fn an_interruption_ends_the_call_and_loses_no_message() {
    // For this thread alone: no other test's is one of cells.
    machine_engine::set_cell_thread();
    let interrupt = |on| drop(machine::handle::ask(&Command::Interrupt { on }));
    let m = fresh().start().unwrap();
    m[0].set_async(async |_: u64| Err::<u64, _>("no")).unwrap();
    m.put(7_u64).unwrap();
    m.drained();
    let inside = Arc::new(AtomicUsize::new(0));
    let waits = || {
        let i = inside.clone();
        m[0].set_async(async move |n: u64| {
            let _inside = Counted::new(&i);
            std::future::pending::<()>().await;
            n
        })
        .unwrap();
        m[0].concurrency(1).unwrap();
    };
    waits();
    let interrupted = |wait: &dyn Fn()| {
        thread::scope(|scope| {
            scope.spawn(|| {
                eventually!(inside.load(SeqCst) == 1);
                interrupt(true);
            });
            wait();
        });
        interrupt(false);
        // Its place is free for the next.
        eventually!(inside.load(SeqCst) == 0);
    };
    let letters = || -> Vec<_> { m.errors().iter().map(|it| (it.error.clone(), it.input.clone())).collect() };
    interrupted(&|| assert!(m.call(1_u64).unwrap().get::<u64>(0).is_err()));
    interrupted(&|| assert_eq!(m.retry_errors("").unwrap().tried, 0));
    assert_eq!(letters(), [("no".to_owned(), "7".to_owned())]);
    m.pause();
    m.put(8_u64).unwrap();
    let step = Command::Step { machine: Target::Name(m.status().machine) };
    interrupted(&|| assert!(matches!(machine::handle::ask(&step), Reply::Outputs(_))));
    assert_eq!(letters()[0], ("interrupted".to_owned(), "8".to_owned()));
    m.debug(true);
    m[0].set_async(async |_: u64| Err::<u64, _>("in hand")).unwrap();
    m.start();
    m.put(9_u64).unwrap();
    eventually!(!m.status().in_hand.is_empty());
    waits();
    interrupted(&|| assert!(m.retry().is_ok()));
    m[0].set(|n: u64| n + 1).unwrap();
    assert_eq!(m.retry().unwrap().slots[0].output.as_deref(), Some("10"));
    assert!(m.status().in_hand.is_empty());
}
