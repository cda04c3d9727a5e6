//! How long workers stand still while somebody asks for what was kept: `%tap --follow`, with and without a condition, at
//! 64 MiB kept. The slot notes how long it is from the end of one call to the beginning of the next; with a queue that is
//! never empty that is what the worker does between two messages, keeping them included.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use machine::handle::ask;
use machine::prelude::*;
use machine_protocol::command::{Command, Target};
use machine_protocol::retained::RetainedQuery;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long each row is measured.
const TIME: Duration = Duration::from_secs(5);
/// How often is asked, as `%tap --follow` does.
const LOOK: Duration = Duration::from_millis(200);

/// When the last call ended, and the gaps after earlier ones, nanoseconds.
static GAPS: Mutex<(Option<Instant>, Vec<u64>)> = Mutex::new((None, Vec::new()));
static IS_OVER: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), machine::Error> {
    machine_engine::init();
    let machine = Machine::builder("m").queue(1024).start()?;
    let slot = |text: &String| {
        // One worker: nobody else has it but for a moment.
        if let Ok(mut gaps) = GAPS.lock()
            && let Some(before) = gaps.0
        {
            gaps.1.push(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        // So slow that all of it is kept.
        let end = Instant::now() + Duration::from_micros(150);
        while Instant::now() < end {}
        if let Ok(mut gaps) = GAPS.lock() {
            gaps.0 = Some(Instant::now());
        }
        text.len() as u64
    };
    let text = format!("{{\"lang\":\"en\",\"id\":1,\"text\":\"{}\"}}", "x".repeat(6_400));
    let set = machine[0].set(slot);
    // Without an end: the machine ends with the process.
    let started = set.and_then(|()| machine.source(std::iter::repeat(text)));
    if let Err(error) = started {
        println!("{error:?}");
        return Ok(());
    }
    thread::sleep(Duration::from_secs(5));
    row("nobody asks", None);
    row("%tap f0 --follow", Some(""));
    row("%tap f0 --follow --where", Some("in like '%y%'"));
    row("three names", Some("in = 'de' or waited_ms < 0 or oid like '%y%'"));
    row("nobody asks", None);
    Ok(())
}

/// Measures one row; prints the median gap, the longest, and how many were longer than a millisecond.
fn row(name: &str, filter: Option<&str>) {
    IS_OVER.store(false, Ordering::Relaxed);
    let mut asked = Vec::new();
    thread::scope(|scope| {
        let asking = filter.map(|filter| {
            scope.spawn(move || {
                let mut took = Vec::new();
                while !IS_OVER.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let query =
                        RetainedQuery { slot: Some(0), filter: filter.into(), limit: 20, ..RetainedQuery::default() };
                    ask(&Command::Kept { machine: Target::Name("m".to_owned()), query });
                    took.push(began.elapsed());
                    thread::sleep(LOOK);
                }
                took
            })
        });
        if let Ok(mut gaps) = GAPS.lock() {
            gaps.1.clear();
        }
        thread::sleep(TIME);
        IS_OVER.store(true, Ordering::Relaxed);
        asked = asking.and_then(|asking| asking.join().ok()).unwrap_or_default();
    });
    let Ok(mut gaps) = GAPS.lock().map(|mut gaps| std::mem::take(&mut gaps.1)) else { return };
    gaps.sort_unstable();
    let at = |share: usize| gaps.get(gaps.len().saturating_sub(1) * share / 1_000).map_or(0.0, |gap| micros(*gap));
    let long = gaps.iter().filter(|gap| **gap > 1_000_000).count();
    asked.sort_unstable();
    let question = asked.get(asked.len() / 2).map_or(String::new(), |time| format!(", a question takes {time:.1?}"));
    println!(
        "{name:28} {:7} messages, between two of them: median {:.1} µs, 99.9 % {:.1} µs, longest {:.0} µs, {long} over 1 ms{question}",
        gaps.len(),
        at(500),
        at(999),
        at(1_000),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to show")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
