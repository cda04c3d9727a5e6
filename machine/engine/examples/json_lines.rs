//! How fast JSON Lines of a file go through eight slots, beside a loop that does the same without a machine:
//! `cargo run --release -p machine-engine --example json_lines [LINES]`.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use machine::prelude::*;
use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

#[derive(Serialize, Deserialize)]
struct Reading {
    at: u64,
    station: String,
    value: f64,
}

/// The median of five.
fn median(mut f: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let before = Instant::now();
        f()?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(2).copied().unwrap_or_default())
}

fn by_loop(path: &Path) -> Result<(), Box<dyn Error>> {
    for line in BufReader::new(File::open(path)?).lines() {
        let reading: Reading = serde_json::from_str(&line?)?;
        let mut x = reading.value;
        x = x * x;
        for _ in 0..6 {
            x = black_box(x * 1.5);
        }
        black_box(x);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    machine_engine::init();
    let lines: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |lines| lines.parse())?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("readings.jsonl");
    let mut file = BufWriter::new(File::create(&path)?);
    for at in 0..lines {
        writeln!(file, r#"{{"at":{at},"station":"station {}","value":{}.25}}"#, at % 97, at % 1_000)?;
    }
    file.flush()?;

    let m = Machine::builder("lines").queue(8_192).start()?;
    m[0].set(|reading: &Reading| reading.value)?;
    m[1].set(|value: f64| value * value)?;
    for slot in 2..8 {
        m[slot].set(|x: f64| black_box(x * 1.5))?;
    }
    let by_machine = median(|| {
        m.clear_source().source(source::json_lines(&path))?;
        m.drain();
        Ok(())
    })?;
    let status = m.status();
    if status.errored + status.source.errors > 0 || status.processed != 5 * lines {
        return Err(format!("not all lines came through: {status:?}").into());
    }
    let without_slots = Machine::builder("empty").queue(8_192).start()?;
    let reading_alone = median(|| {
        without_slots.clear_source().start_empty().source(source::json_lines(&path))?;
        without_slots.drain();
        Ok(())
    })?;
    let by_loop = median(|| by_loop(&path))?;
    let bytes = std::fs::metadata(&path)?.len();
    for (what, took) in [("machine", by_machine), ("machine, empty slots", reading_alone), ("a loop", by_loop)] {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let (lines, bytes) = (lines as f64 / took.as_secs_f64(), bytes as f64 / took.as_secs_f64());
        println!("{what:>22}: {lines:>12.0} lines/s, {:>6.0} MB/s", bytes / 1e6);
    }
    Ok(())
}
