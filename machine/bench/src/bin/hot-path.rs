//! Instructions a message: a regression test of the hot path that a busy machine does not disturb.
//!
//! `hot-path` runs itself under callgrind and compares what it counts with `instructions.json`, which is kept with the
//! sources; `--renew` writes that file. The steps of W8-A are counted one by one: messages are put while the machine is
//! paused, and taken after that. Each is done for few messages and for many, and the difference is divided: what the
//! start costs, and the waiting at the end, is in both. How many messages are timed depends on how long they take, which
//! under callgrind and on a busy machine is long, so what timing costs is left out. Threads that wait do so for different
//! lengths of time, so the least of some counts is taken.
#![expect(clippy::print_stdout, reason = "it prints what it counts")]

use machine::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where the counts are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
/// How much more a message may cost, in percent: what depends on the moment makes up to 3.
const TOLERANCE: f64 = 10.0;
/// Messages of the two measurements.
const FEW: u32 = 20_000;
const MANY: u32 = 220_000;
/// Measurements, of which the least counts.
const ROUNDS: usize = 3;
/// What takes a message through the slots and measures each.
const TIMED: &str = "machine_engine::core::worker::Worker::run_timed";
/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The compiler: with another one the counts are others.
    rustc: String,
    /// Instructions a message, by step.
    instructions: BTreeMap<String, f64>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", step, messages] => run(step, messages.parse()?).map(|()| ExitCode::SUCCESS),
        [] => compare(&measure()?),
        ["--renew"] => {
            std::fs::write(KEPT, serde_json::to_string_pretty(&measure()?)? + "\n")?;
            println!("written to {KEPT}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("hot-path takes --renew or nothing, but was given: {}", arguments.join(" ")).into()),
    }
}

/// What is counted, in a separate process.
fn run(step: &str, messages: u32) -> Result<(), Box<dyn Error>> {
    machine_engine::init();
    let m = Machine::builder("w8").queue(usize::try_from(messages)?).start()?;
    m[0].set(|x: f64| x * x)?;
    m[1].set(|a: f64| a + 1.0)?;
    m[2].set(|b: f64, a: f64| b - a)?;
    for slot in 3..8 {
        m[slot].set(|x: f64| x * 1.5)?;
    }
    let _file = (step == "json").then(|| m.to_json_lines("/dev/null")).transpose()?;
    m.pause();
    if step == "batch" {
        let mut batch = Vec::with_capacity(500);
        for begin in (0..messages).step_by(500) {
            batch.extend((begin..(begin + 500).min(messages)).map(f64::from));
            m.try_put_batch(&mut batch)?;
        }
    } else {
        for i in 0..messages {
            m.put(f64::from(i)).map_err(|_| "the queue is full")?;
        }
    }
    let takes = matches!(step, "take" | "json");
    if takes {
        m.start().drain();
    }
    let status = m.status();
    let (waiting, processed) = if takes { (0, messages) } else { (messages, 0) };
    if (status.queue_size, status.processed) != (waiting.into(), processed.into()) {
        return Err(format!("{} messages wait, {} were processed", status.queue_size, status.processed).into());
    }
    Ok(())
}

/// The instructions of a step for so many messages.
fn count(step: &str, messages: u32) -> Result<f64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Each entry and exit toggles; without the second, nothing would be counted before the first.
        .args([&format!("--toggle-collect={TIMED}"), "--collect-atstart=yes"])
        .arg(std::env::current_exe()?)
        .args(["run", step, &messages.to_string()])
        // What is kept is bounded by time, and under callgrind there is many times as much of it for each message.
        .env("MACHINE_KEEP", "off")
        // Nobody attaches, and nobody looks for others to attach to.
        .env("MACHINE_REMOTE", "off")
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected :")).filter(|_| output.status.success());
    let (_, collected) = collected.ok_or_else(|| format!("valgrind fails: {told}"))?;
    Ok(collected.trim().parse()?)
}

/// Instructions a message that a step costs, with what has to come before it.
fn whole(step: &str) -> Result<f64, Box<dyn Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        least = least.min((count(step, MANY)? - count(step, FEW)?) / f64::from(MANY - FEW));
    }
    Ok(least)
}

fn measure() -> Result<Kept, Box<dyn Error>> {
    let rustc = Command::new("rustc").arg("--version").output()?.stdout;
    let mut kept = Kept { rustc: String::from_utf8(rustc)?.trim().to_owned(), ..Kept::default() };
    let (put, take) = (whole("put")?, whole("take")?);
    // Each step without what has to come before it; to write the outputs as lines of JSON comes on top of taking them.
    let steps = [("put", put), ("take", take - put), ("batch", whole("batch")?), ("json", whole("json")? - take)];
    for (step, instructions) in steps {
        kept.instructions.insert(step.to_owned(), (instructions * 10.0).round() / 10.0);
    }
    Ok(kept)
}

/// Fails if a step costs more than it did.
fn compare(now: &Kept) -> Result<ExitCode, Box<dyn Error>> {
    let text = std::fs::read_to_string(KEPT).map_err(|error| format!("{KEPT}: {error}"))?;
    let kept: Kept = serde_json::from_str(&text)?;
    let mut code = ExitCode::SUCCESS;
    for (step, instructions) in &now.instructions {
        let before = kept.instructions.get(step).copied().unwrap_or_default();
        let percent = (instructions / before - 1.0) * 100.0;
        let mark = if percent.abs() <= TOLERANCE { "" } else { "  <-- out of tolerance" };
        println!("{step:6} {instructions:8.1} instructions a message, kept {before:8.1} ({percent:+.1} %){mark}");
        if percent > TOLERANCE && kept.rustc == now.rustc {
            code = ExitCode::FAILURE;
        }
    }
    let name = Path::new(KEPT).file_name().unwrap_or_default().display();
    if kept.rustc != now.rustc {
        println!("nothing is concluded: {name} was made with {}, this is {}", kept.rustc, now.rustc);
    }
    if code == ExitCode::FAILURE {
        println!("if it has to cost that, `hot-path --renew` writes {name}");
    }
    Ok(code)
}
