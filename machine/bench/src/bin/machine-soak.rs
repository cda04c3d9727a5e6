//! Overload for minutes, with everything that can be done to a machine done at random throughout:
//! `cargo run --release -p machine-bench --bin machine-soak [minutes]` (10 unless told otherwise).
//!
//! Three threads put messages faster than two to eight workers take them, one by `put`, one with a time limit, one in
//! batches, while another changes policies, slots and the number of workers, pauses, stops, starts, clears and steps.
//! A fifth reads the status and checks that it reconciles. In the end every message must have been processed, given back
//! or counted as dropped, and the memory of the second half must be that of the first.
#![expect(clippy::print_stdout, reason = "it prints what it saw")]
#![expect(clippy::too_many_lines, reason = "threads that share what `main` has")]

#[path = "../memory.rs"]
mod memory;

use machine::prelude::*;
use machine_protocol::command::{Command, Target};
use memory::{mebibytes, resident};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const NAME: &str = "soak";

/// Numbers that look random; the same in each run (Knuth's linear congruential generator for MMIX).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let minutes: f64 = match std::env::args().nth(1) {
        Some(given) => given.parse().map_err(|_| format!("minutes are a number, not {given:?}"))?,
        None => 10.0,
    };
    machine_engine::init();
    let m = Machine::builder(NAME).workers(2).start()?;
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let (offered, given_back, actions) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    let mut samples = Vec::new();
    let goes_on = || !over.load(Relaxed);
    let snapshots = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0.0;
            while goes_on() {
                i += 1.0;
                offered.fetch_add(1, Relaxed);
                given_back.fetch_add(u64::from(m.put(i).is_err()), Relaxed);
            }
        });
        scope.spawn(|| {
            while goes_on() {
                offered.fetch_add(1, Relaxed);
                let refused = m.put_timeout(1.0, Duration::from_micros(200)).is_err();
                given_back.fetch_add(u64::from(refused), Relaxed);
            }
        });
        scope.spawn(|| {
            let mut batch = Vec::new();
            while goes_on() {
                batch.resize(100, 2.0);
                offered.fetch_add(100, Relaxed);
                if m.try_put_batch(&mut batch).is_ok() {
                    given_back.fetch_add(batch.len() as u64, Relaxed);
                }
                batch.clear();
            }
        });
        scope.spawn(|| {
            let mut draw = Draw(7);
            while goes_on() {
                act(&m, &mut draw);
                actions.fetch_add(1, Relaxed);
                std::thread::sleep(Duration::from_micros(draw.below(3000)));
            }
            m.start();
        });
        let watch = scope.spawn(|| {
            let (mut snapshots, mut wrong) = (0_u64, 0_u64);
            while goes_on() {
                let s = m.status();
                snapshots += 1;
                let adds_up = s.accepted == s.processed + s.queue_size + s.in_flight + s.discarded;
                if !adds_up || s.queue_size > s.queue_capacity {
                    wrong += 1;
                    println!("does not reconcile: {s:?}");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (snapshots, wrong)
        });
        let mut next = Instant::now();
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100).min(end.saturating_duration_since(Instant::now())));
            if Instant::now() >= next {
                next += Duration::from_secs_f64((minutes * 60.0 / 20.0).max(1.0));
                let s = m.status();
                samples.push(resident());
                println!(
                    "{} processed, {} discarded, {} dropped before, {:.1} MiB",
                    s.processed,
                    s.discarded,
                    s.drops.newest,
                    mebibytes(resident())
                );
            }
        }
        over.store(true, Relaxed);
        watch.join().unwrap_or_default()
    });
    m.start().drain();
    let s = m.status();
    let accounted = s.processed + s.discarded + s.drops.newest + given_back.load(Relaxed);
    // The first quarter fills what is bounded: the dead letters, and the messages that are kept.
    let settled = samples.get(samples.len() / 4..).unwrap_or_default();
    let (least, most) = (settled.iter().min().copied().unwrap_or(0), settled.iter().max().copied().unwrap_or(0));
    println!(
        "{minutes} minutes, {} actions, {} snapshots of which {} did not reconcile\n\
         {} offered = {} processed + {} cleared + {} oldest dropped + {} newest dropped + {} given back: {}\n\
         {} with errors; memory after the first quarter {:.1} to {:.1} MiB",
        actions.load(Relaxed),
        snapshots.0,
        snapshots.1,
        offered.load(Relaxed),
        s.processed,
        s.drops.cleared,
        s.drops.oldest,
        s.drops.newest,
        given_back.load(Relaxed),
        if accounted == offered.load(Relaxed) { "all are accounted for" } else { "MESSAGES ARE MISSING" },
        s.errored,
        mebibytes(least),
        mebibytes(most),
    );
    if accounted != offered.load(Relaxed) || snapshots.1 > 0 {
        return Err("the counters do not reconcile".into());
    }
    Ok(())
}

/// Something that a user does.
fn act(m: &Machine, draw: &mut Draw) {
    let slot = usize::try_from(draw.below(8)).unwrap_or(0);
    let machine = Target::Name(NAME.to_owned());
    let set = match draw.below(16) {
        0 => m[slot].set(|x: f64| x + 1.0),
        1 => m[slot].set(|x: f64| if x.rem_euclid(3.0) < 1.0 { Err("third".to_owned()) } else { Ok(x) }),
        2 => m[slot].set(|x: f64| x.to_string()),
        3 => m[slot].set(|text: &str| text.len()),
        4 => m[slot].set(|x: Option<f64>| {
            assert!(x.is_some_and(|x| x.rem_euclid(100.0) < 99.0), "a panic");
            x
        }),
        5 | 6 => m[slot].clear(),
        7 => m.workers(usize::try_from(draw.below(8)).unwrap_or(0) + 1).map(drop),
        8 => {
            let policies = [Policy::Reject, Policy::DropOldest, Policy::DropNewest, Policy::Block];
            let which = usize::try_from(draw.below(4)).unwrap_or(0);
            m.policy(policies.get(which).copied().unwrap_or_default());
            Ok(())
        }
        9 => {
            m.pause();
            let _ = machine::handle::ask(&Command::Step { machine });
            Ok(())
        }
        10 => {
            m.stop();
            Ok(())
        }
        11 => {
            m.stop().clear();
            m.start();
            Ok(())
        }
        _ => {
            m.start();
            Ok(())
        }
    };
    // What does not fit is told as a warning; numbers are in range.
    debug_assert!(set.is_ok());
}
