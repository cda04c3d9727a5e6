//! Slots that wait, and slots that compute, with several workers; futures without a thread each.

use crate::table;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_protocol::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_millis(100);

fn feed(m: &Machine, messages: u32) -> f64 {
    let before = Instant::now();
    for i in 0..messages {
        // Refused only if interrupted, which nobody does here.
        let _ = m.put_wait(f64::from(i));
    }
    m.drain();
    f64::from(messages) / before.elapsed().as_secs_f64()
}

/// About 20 µs of arithmetic.
fn compute(x: f64) -> f64 {
    (0..6_000).fold(x, |sum, _| black_box(sum.mul_add(1.000_000_1, 0.5)))
}

/// Prints messages a second of slots that wait, and the times of one that computes.
pub fn run(rounds: usize) -> Result<(), Error> {
    waiting()?;
    computing(rounds)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn waiting() -> Result<(), Error> {
    const TITLE: &str = "A slot that waits for 100 ms; messages a second";
    if !table::is_wanted(TITLE) {
        return Ok(());
    }
    println!("### {TITLE}\n\n| | messages/s |\n|---|---:|");
    let threads = Machine::builder("waits").workers(64).start()?;
    threads[0].set(|x: f64| {
        std::thread::sleep(WAIT);
        x
    })?;
    println!("| 64 workers, `sleep` | {:.0} |", feed(&threads, 2_560));
    threads.stop();
    let futures = Machine::builder("has_async_slots").start()?;
    futures[0].set_async(async |x: f64| {
        tokio::time::sleep(WAIT).await;
        x
    })?;
    println!("| 1 worker, an async closure, 1,024 in flight | {:.0} |", feed(&futures, 40_960));
    Ok(())
}

fn computing(rounds: usize) -> Result<(), Error> {
    let computes = Machine::builder("computes").start()?;
    computes[0].set(compute)?;
    let with = |workers: usize, messages: u32| {
        if computes.workers(workers).is_ok() {
            feed(&computes, messages);
        }
    };
    table::print(
        "A slot that computes for some 20 µs; ns a message",
        &mut [("1 worker", &mut |n| with(1, n)), ("2 workers", &mut |n| with(2, n))],
        20_000,
        rounds,
    );
    computes.stop();
    Ok(())
}
