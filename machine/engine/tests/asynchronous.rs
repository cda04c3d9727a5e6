//! What holds for async slots, and for slots with a timeout, retries or a concurrency.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use common::{named, reconciles};
use machine::prelude::*;
use machine_async::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Semaphore;

#[path = "asynchronous/call.rs"]
mod call;
#[path = "asynchronous/callers.rs"]
mod callers;
#[path = "asynchronous/cancelled.rs"]
mod cancelled;
mod common;
#[path = "asynchronous/in_flight.rs"]
mod in_flight;
#[path = "asynchronous/random.rs"]
mod random;
#[path = "asynchronous/setting.rs"]
mod setting;

const FOREVER: Duration = Duration::from_hours(1);

fn fresh() -> Builder {
    named("a").queue(10_000)
}

fn put_all(m: &Machine, numbers: std::ops::Range<u64>) {
    for n in numbers {
        m.put_wait(n).unwrap();
    }
}

#[track_caller]
fn counts(m: &Machine, slot: usize, ok: u64, errored: u64, skipped: u64) {
    let s = m.status();
    reconciles(&s);
    let found = s.slots.get(slot).map(|slot| (slot.ok, slot.errored, slot.skipped));
    assert_eq!(found, Some((ok, errored, skipped)), "{s:?}");
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An output that is counted.
#[derive(Serialize)]
struct Output {
    #[serde(skip)]
    _counted: Counted,
}

/// A slot whose futures end when permits are added.
fn held(m: &Machine, slot: usize) -> (Arc<Semaphore>, Arc<AtomicUsize>) {
    let (doors, inside) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (d, i) = (doors.clone(), inside.clone());
    m[slot]
        .set_async(async move |n: u64| {
            let _inside = Counted::new(&i);
            d.acquire().await.unwrap().forget();
            n
        })
        .unwrap();
    (doors, inside)
}
