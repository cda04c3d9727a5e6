//! What leaves a machine: to whom, in which form, in which order, and what is counted.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::panic,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use common::named;
use machine::prelude::*;
use machine_testkit::{Drained, Joined};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

#[path = "outputs/at_hand.rs"]
mod at_hand;
#[path = "outputs/cell.rs"]
mod cell;
#[path = "outputs/chain.rs"]
mod chain;
mod common;
#[path = "outputs/json.rs"]
mod json;
#[path = "outputs/order.rs"]
mod order;
#[path = "outputs/publish.rs"]
mod publish;
#[path = "outputs/refused.rs"]
mod refused;
#[path = "outputs/subscribed.rs"]
mod subscribed;
#[path = "outputs/unwritten.rs"]
mod unwritten;
#[path = "outputs/writer.rs"]
mod writer;

fn fresh() -> Machine {
    named("m").start().unwrap()
}

fn all(outputs: Outputs) -> Vec<Output> {
    outputs.timeout(Duration::ZERO).collect()
}

/// A thousand changes of sinks and slots under load, and each message goes to one set of sinks, once.
#[test]
fn sinks_come_and_go_under_load() {
    let m = named("load").workers(2).start().unwrap();
    m[0].set(|x: u64| x).unwrap();
    let (count, sum) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (c, s) = (count.clone(), sum.clone());
    let to = fresh();
    to[0]
        .set(move |x: u64| {
            c.fetch_add(1, Relaxed);
            s.fetch_add(x, Relaxed);
        })
        .unwrap();
    m.to(&to, 0).unwrap();
    let producer = thread::spawn(move || (1..=20_000_u64).for_each(|x| m.put_wait(x).unwrap()));
    let mut taken = 0;
    while !producer.is_finished() {
        let outputs = m.outputs_bounded(100).unwrap();
        m[1].set(|x: u64| x + 1).unwrap();
        taken += outputs.timeout(Duration::ZERO).take(50).count();
        m[1].clear().unwrap();
    }
    producer.joined();
    m.drained();
    to.drained();
    assert_eq!((count.load(Relaxed), sum.load(Relaxed)), (20_000, 20_000 * 20_001 / 2), "taken meanwhile: {taken}");
}
