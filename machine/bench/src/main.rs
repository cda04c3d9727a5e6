//! The machine beside its peers, measured in turn in one run: `cargo run --release -p machine-bench`.
//!
//! Each work is done by each contestant in turn, and that several times; the medians of the rounds and the ratios
//! of each round are printed as the tables of RESULTS.md. Absolute times drift with the machine; ratios less so.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod outputs;
mod peers;
mod table;

use machine::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Messages of one measurement.
const MESSAGES: u32 = 2_000_000;
/// Measurements of each contestant.
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    machine_engine::init();
    let m = Machine::builder("w8").try_start()?;
    m[0].set(|x: f64| x * x)?;
    m[1].set(|a: f64| a + 1.0)?;
    m[2].set(|b: f64, a: f64| b - a)?;
    for slot in 3..8 {
        m[slot].set(|x: f64| x * 1.5)?;
    }
    let by_put = |n: u32| {
        for i in 0..n {
            // Refused only if interrupted, which nobody does here.
            let _ = m.put_wait(f64::from(i));
        }
        m.drain();
    };
    let by_source = |n: u32| {
        m.clear_source();
        let _ = m.source((0..n).map(f64::from));
        m.drain();
    };
    table::print(
        "W8-A: 8 trivial slots, one producer, one worker; ns a message",
        &mut [
            ("machine, put", &mut |n| by_put(n)),
            ("machine, source", &mut |n| by_source(n)),
            ("inlined closures + crossbeam(1024)", &mut peers::inlined),
            ("Vec<Box<dyn Fn(&[f64]) -> f64>> + crossbeam(1024)", &mut peers::boxed_f64),
            ("Vec<Box<dyn Fn(&[Value]) -> Value>> + crossbeam(1024)", &mut peers::boxed_value),
            ("Vec<Box<dyn Fn(&[Value]) -> Value>>, no queue", &mut peers::boxed_value_no_queue),
        ],
        MESSAGES,
        ROUNDS,
    );

    outputs::run(&m, MESSAGES, ROUNDS)?;

    let slow = Machine::builder("panics").try_start()?;
    #[expect(clippy::panic, reason = "what a panic costs is what is measured")]
    slow[0].set(|x: f64| -> f64 { panic!("no {x}") })?;
    let fails = Machine::builder("errors").try_start()?;
    fails[0].set(|x: f64| -> Result<f64, String> { Err(format!("no {x}")) })?;
    let feed = |m: &Machine, n: u32| {
        for i in 0..n {
            let _ = m.put_wait(f64::from(i));
        }
        m.drain();
    };
    table::print(
        "A slot that fails on every message; ns a message",
        &mut [("a panic", &mut |n| feed(&slow, n)), ("an Err", &mut |n| feed(&fails, n))],
        100_000,
        ROUNDS,
    );

    latency(&m);
    Ok(())
}

/// From `put` to the end of the last slot of an idle machine.
fn latency(m: &Machine) {
    m.drain();
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let set = m[7].set(move |_: f64| sender.send(Instant::now()).is_ok());
    let mut times: Vec<Duration> = Vec::new();
    if set.is_ok() {
        for i in 0..20_000 {
            let before = Instant::now();
            let _ = m.put_wait(f64::from(black_box(i)));
            times.extend(receiver.recv().map(|end| end.saturating_duration_since(before)));
        }
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default();
    println!(
        "Latency through an idle machine, put to last slot: p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(500),
        at(990),
        at(999)
    );
}
