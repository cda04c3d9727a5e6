//! Machines that feed machines.

use crate::{all, fresh, named};
use machine::prelude::*;
use machine_testkit::{Drained, eventually};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[test]
fn a_slot_feeds_another_machine() {
    let (a, b) = (fresh(), named("b").queue(2).start().unwrap());
    a[0].set(|x: u64| if x.is_multiple_of(3) { Err("third") } else { Ok(vec![x; 4]) }).unwrap();
    b[0].set(|v: &Vec<u64>| v.iter().sum::<u64>()).unwrap();
    let chain = a.to(&b, 0).unwrap();
    let outputs = b.outputs().unwrap();
    for x in 0..300_u64 {
        a.put_wait(x).unwrap();
    }
    a.drained();
    b.drained();
    let sums: Vec<u64> = all(outputs).iter().map(|o| o.get(0).unwrap()).collect();
    assert_eq!(sums, (0..300).filter(|x| x % 3 != 0).map(|x| x * 4).collect::<Vec<_>>());
    let status = chain.status().unwrap();
    assert_eq!((status.kind.as_str(), status.sent, status.lost), ("to", 200, 0));
    assert!(status.endpoint.starts_with("f0 to b"));
    assert_eq!((a.status().errored, b.status().accepted, b.status().errored), (100, 200, 0));
    // A circle is refused, also by way of others.
    let c = fresh();
    b.to(&c, 0).unwrap();
    assert!(c.to(&a, 0).unwrap_err().message().contains("a chain must not be a circle"));
    assert!(a.to(&a, 0).is_err());
    assert!(a.to(&b, 8).unwrap_err().message().contains("there is no f8"));
    a.clear_outputs();
    assert_eq!((a.status().outputs.len(), chain.status().unwrap().sent), (0, 200));
    assert!(c.to(&a, 0).is_ok());
}

/// Moved, not written: what one machine gives is what the other takes, also what JSON does not know.
#[test]
fn a_chain_moves_values() {
    static LIVE: AtomicU64 = AtomicU64::new(0);
    #[derive(Serialize, Deserialize)]
    struct Token(f64);
    impl Drop for Token {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Relaxed);
        }
    }
    let (a, b) = (fresh(), fresh());
    a[3].set(|x: f64| {
        LIVE.fetch_add(1, Relaxed);
        Token(x)
    })
    .unwrap();
    b[0].set(|t: &Token| t.0.is_infinite()).unwrap();
    // An empty slot gives what the one before it gave.
    a.to(&b, 5).unwrap();
    let outputs = b.outputs().unwrap();
    for _ in 0..100 {
        a.put(f64::INFINITY).unwrap();
    }
    a.drained();
    b.drained();
    assert_eq!(all(outputs).iter().filter(|o| o.get(0).unwrap()).count(), 100);
    assert_eq!(LIVE.load(Relaxed), 0);
    // With somebody else who wants the values it is JSON that is handed on, unless it is a number.
    let outputs = a.outputs().unwrap();
    let seen = b.outputs().unwrap();
    a.put(1.0).unwrap();
    a.drained();
    b.drained();
    assert_eq!(all(outputs)[0].json(3).unwrap(), "1.0");
    assert!(!all(seen)[0].get::<bool>(0).unwrap());
}

#[test]
fn a_chain_loses_and_counts_if_told_so() {
    let (a, b) = (fresh(), named("b").queue(5).start().unwrap());
    b.pause();
    let chain = a.to(&b, 0).unwrap().lose_when_full().unwrap();
    for x in 0..20 {
        a.put(x).unwrap();
    }
    a.drained();
    let status = chain.status().unwrap();
    assert_eq!((status.sent, status.lost), (5, 15));
    assert!(chain.rotate(1, 1).unwrap_err().message().contains("not a file"));
}

/// A worker that waits for another machine is freed by taking the chain off.
#[test]
fn a_chain_that_is_ended_holds_nobody() {
    let (a, b) = (fresh(), named("b").queue(1).start().unwrap());
    b.pause();
    let chain = a.to(&b, 0).unwrap();
    for x in 0..3 {
        a.put(x).unwrap();
    }
    eventually!(a.status().in_flight != 0 && b.status().queue_size != 0);
    chain.stop();
    a.drained();
    assert_eq!((a.status().processed, b.status().accepted), (3, 1));
}

/// What stands in a file in place of a value that does not serialise is no message for another machine.
#[test]
fn what_cannot_be_written_is_not_handed_on() {
    #[derive(Deserialize, Clone)]
    struct Secret;
    impl Serialize for Secret {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is secret"))
        }
    }
    let (a, b) = (fresh(), fresh());
    a[0].set(|x: &Value| x.clone()).unwrap();
    a[1].set(|_: &Value| Secret).unwrap();
    let (plain, secret) = (a.to(&b, 0).unwrap(), a.to(&b, 1).unwrap());
    // Who takes the values last leaves their text to others.
    let _outputs = a.outputs().unwrap();
    let looks_so = json!({ "_exception": {} });
    a.put(looks_so.clone()).unwrap();
    a.drained();
    b.drained();
    let status = secret.status().unwrap();
    assert_eq!((status.sent, status.lost), (0, 1));
    assert!(status.error.contains("what f1 gave cannot be written: ") && status.error.contains("secret"), "{status:?}");
    assert_eq!((plain.status().unwrap().sent, plain.status().unwrap().lost), (1, 0));
    assert_eq!((b.status().accepted, &b.last_outputs().outputs[0].input), (1, &looks_so.to_string()));
}
