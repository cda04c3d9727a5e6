//! Outputs in the order of arrival.

use crate::{all, named};
use machine::prelude::*;
use std::thread;
use std::time::Duration;

#[test]
fn ordered_outputs_keep_the_order_of_arrival() {
    for takes_values in [false, true] {
        let m = named("ordered").workers(4).ordered(true).start();
        m[0].set(|x: u64| {
            if x.is_multiple_of(97) {
                thread::sleep(Duration::from_millis(1)); // so that others overtake it
            }
            if x.is_multiple_of(7) { Err(format!("seventh {x}")) } else { Ok(x.to_string()) }
        })
        .unwrap();
        let next = named("next").start();
        let chain = (!takes_values).then(|| m.to(&next, 7).unwrap());
        let outputs = if takes_values { m.outputs() } else { next.outputs() };
        for x in 0..5000_u64 {
            m.put_wait(x).unwrap();
            if x % 1000 == 500 {
                m.pause().start();
                m.stop().start();
            }
        }
        m.drain();
        next.drain();
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
    let m = named("ordered").workers(3).ordered(true).queue(64).start();
    let outputs = m.outputs();
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
    m.drain();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert_eq!(got.len() as u64, put - discarded);
    assert!(got.is_sorted());
}

/// Messages that wait on their way (here for a second call) are overtaken, and leave in order all the same.
#[test]
fn ordered_outputs_wait_for_messages_that_wait() {
    let m = named("flights").ordered(true).start();
    let failed = std::sync::Mutex::new(std::collections::HashSet::new());
    m[0].set(
        move |x: u64| {
            if x.is_multiple_of(10) && failed.lock().unwrap().insert(x) { Err("the first time") } else { Ok(x) }
        },
    )
    .unwrap();
    m[0].retry(1, Duration::from_millis(2));
    let outputs = m.outputs();
    for x in 0..2_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drain();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.get(7).unwrap()).collect();
    assert_eq!(got, (0..2_000).collect::<Vec<_>>());
    // Debug mode keeps one of these too.
    m.debug(true);
    m[1].set(|x: u64| if x == 5 { Err("five") } else { Ok(x) }).unwrap();
    m.put(5_u64).unwrap();
    while m.status().in_hand.is_empty() {
        thread::yield_now();
    }
    m[1].clear();
    assert_eq!(m.retry().unwrap().slots[7].output.as_deref(), Some("5"));
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.errored), (2_001, 0, 0));
    m.start();
    m.put(6_u64).unwrap();
    m.drain();
    assert_eq!(m.status().processed, 2_002);
}

/// A sink may hold up the workers: those who put a message in the place of an older one do not wait with them.
#[test]
fn whoever_drops_the_oldest_does_not_wait_for_a_sink() {
    let m = named("ordered").ordered(true).queue(4).policy(Policy::DropOldest).start();
    let full = named("full").queue(1).policy(Policy::Block).start();
    full.pause();
    let chain = m.to(&full, 0).unwrap();
    let outputs = full.outputs();
    m.put(0_u64).unwrap();
    m.put(1_u64).unwrap();
    while m.status().processed == 0 || m.status().in_flight == 0 {
        thread::yield_now();
    }
    // Its worker hands out the second one, or is about to.
    for x in 2..1000_u64 {
        thread::yield_now();
        m.put(x).unwrap();
    }
    assert!(m.status().discarded > 900, "{:?}", m.status());
    full.start();
    m.drain();
    full.drain();
    let status = m.status();
    assert_eq!((status.processed + status.discarded, status.out_of_order), (1000, 0), "{status:?}");
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert!(got.is_sorted() && got.len() as u64 == status.processed && got.last() == Some(&999), "{got:?}");
    assert_eq!(chain.status().unwrap().sent, status.processed);
}
