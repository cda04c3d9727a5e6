//! The machine beside its peers, measured in turn in one run: `cargo run --release -p machine-bench`,
//! or `… -- W8-B` for those with this in their titles. With `--loaded` all is measured beside processes that never rest,
//! one for each core.
//!
//! Each work is done by each contestant in turn, and that several times; the medians of the rounds and the ratios
//! of each round are printed as the tables of RESULTS.md. Absolute times drift with the machine; ratios less so.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod concurrency;
mod crowd;
mod load;
mod memory;
mod outputs;
mod peers;
mod table;
mod text;

use machine::prelude::*;
use machine_protocol::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Messages of one measurement.
const MESSAGES: u32 = 2_000_000;
/// Measurements of each contestant.
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let has = |argument: &str| std::env::args().skip(1).any(|given| given == argument);
    if has(load::SPIN) {
        load::spin();
        return Ok(());
    }
    let loaded = has(load::OPTION).then(|| load::Load::start().ok_or("the load cannot be started")).transpose()?;
    println!("{}", if loaded.is_some() { "Beside a load on all cores" } else { "With nothing beside it" });
    machine_engine::init();
    let m = Machine::builder("w8").start()?;
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
    let batched = |n: u32, size: u32| {
        let mut batch: Vec<f64> = Vec::new();
        for begin in (0..n).step_by(size as usize) {
            batch.extend((begin..(begin + size).min(n)).map(f64::from));
            // Refused only if interrupted, which nobody does here.
            let _ = m.put_batch_wait(&mut batch);
        }
        m.drain();
    };
    table::print(
        "W8-A in batches; ns a message",
        &mut [
            ("machine, `put_batch_wait` of 64", &mut |n| batched(n, 64)),
            ("machine, `put_batch_wait` of 1,000", &mut |n| batched(n, 1000)),
            ("machine, put", &mut |n| by_put(n)),
            ("machine, source", &mut |n| by_source(n)),
            ("Vec<Box<dyn Fn(&[f64]) -> f64>> + crossbeam(1024)", &mut peers::boxed_f64),
        ],
        MESSAGES,
        ROUNDS,
    );
    watched(&by_put, &m);

    let (texts, tweets) = (text::machine()?, text::tweets());
    table::print(
        "WTEXT-A: parse a tweet, count its words, score, every 31st an error; ns a message",
        &mut [
            ("machine, put", &mut |n| text::by_put(&texts, &tweets, n)),
            ("the same functions in a loop + crossbeam(1024)", &mut |n| text::inlined(&tweets, n)),
        ],
        100_000,
        ROUNDS,
    );
    let crowd = Machine::builder("crowd").workers(2).start()?;
    table::print(
        "4 producers, 2 workers, no slots; ns a message",
        &mut [
            ("machine", &mut |n| crowd::machine(&crowd, n)),
            ("its queue alone", &mut crowd::queue),
            ("crossbeam(1024) alone", &mut crowd::channel),
        ],
        MESSAGES,
        ROUNDS,
    );
    concurrency::run(ROUNDS)?;
    if table::is_wanted("memory") {
        waiting()?;
    }

    failing()?;
    if table::is_wanted("Latency") {
        latency(&m)?;
    }
    Ok(())
}

/// What an error costs.
fn failing() -> Result<(), Error> {
    let slow = Machine::builder("panics").start()?;
    #[expect(clippy::panic, reason = "what a panic costs is what is measured")]
    slow[0].set(|x: f64| -> f64 { panic!("no {x}") })?;
    let fails = Machine::builder("errors").start()?;
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
    Ok(())
}

/// What it costs to be looked at 100 times a second.
fn watched(work: &dyn Fn(u32), m: &Machine) {
    let watching = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if watching.load(Ordering::Relaxed) {
                    black_box(m.status());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let with = |on: bool, n: u32| {
            watching.store(on, Ordering::Relaxed);
            work(n);
        };
        table::print(
            "W8-A while its status is read 100 times a second; ns a message",
            &mut [("watched", &mut |n| with(true, n)), ("not watched", &mut |n| with(false, n))],
            MESSAGES,
            ROUNDS,
        );
        over.store(true, Ordering::Relaxed);
    });
}

/// The memory of a million messages that wait.
fn waiting() -> Result<(), Error> {
    let m = Machine::builder("waiting").queue(1_000_000).start()?;
    m.pause();
    let before = memory::resident();
    for i in 0..1_000_000 {
        let _ = m.put(f64::from(i));
    }
    let (waiting, more) = (m.status().queue_size, memory::resident().saturating_sub(before));
    println!("{waiting} small messages wait in {:.1} MiB\n", memory::mebibytes(more));
    m.clear();
    Ok(())
}

/// From `put` to a thread that waits for the outputs of an idle machine, and to the end of its last slot.
fn latency(m: &Machine) -> Result<(), machine::Error> {
    m.drain();
    let mut outputs = m.outputs()?;
    percentiles("put to `outputs()`", || {
        let before = Instant::now();
        let _ = m.put_wait(black_box(1.0));
        outputs.next().map(|_output| before.elapsed())
    });
    drop(outputs);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    if m[7].set(move |_: f64| sender.send(Instant::now()).is_ok()).is_ok() {
        percentiles("put to last slot", || {
            let before = Instant::now();
            let _ = m.put_wait(black_box(1.0));
            receiver.recv().ok().map(|end| end.saturating_duration_since(before))
        });
    }
    Ok(())
}

fn percentiles(of: &str, mut one: impl FnMut() -> Option<Duration>) {
    let mut times: Vec<Duration> = (0..20_000).filter_map(|_| one()).collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default();
    println!("Latency through an idle machine, {of}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}
