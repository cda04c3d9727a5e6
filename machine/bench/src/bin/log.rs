//! What a durable message costs: appending, syncing, reading and recovering a log, beside what the file system takes alone.
//!
//! `cargo run --release -p machine-bench --bin log [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use machine_store::{Directory, Entry, Log, Options, look_at, verify};
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The length of a message in bytes.
const MESSAGE: usize = 200;
const MILLION: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let path = place.join(format!("machine-log-{}", std::process::id()));
    let measured = measure(&path);
    std::fs::remove_dir_all(&path)?;
    measured
}

fn measure(path: &Path) -> Result<(), Box<dyn Error>> {
    let payload = [b'x'; MESSAGE];
    let directory = Directory::claim(path, "a benchmark")?;
    println!("messages of {MESSAGE} bytes on {}", directory.file_system()?.name);
    alone(path)?;
    let mut log = directory.open(Options::default())?.log;
    let entry = Entry { payload: &payload, ..Entry::default() };

    let mut times = Vec::with_capacity(200_000);
    for _ in 0..200_000 {
        let begin = Instant::now();
        log.append(&entry)?;
        log.flush()?;
        times.push(begin.elapsed());
    }
    quantiles("a lone put, written", &mut times);

    let begin = Instant::now();
    let log = Mutex::new(log);
    std::thread::scope(|scope| {
        let put = || -> machine_store::Result<()> {
            for _ in 0..MILLION / 4 {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.append(&entry)?;
                log.flush()?;
            }
            Ok(())
        };
        let threads = [(); 4].map(|()| scope.spawn(put));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    rate("4 producers, each put written", MILLION, begin.elapsed());
    let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);

    let begin = Instant::now();
    batches(&mut log, &entry, 1000, Log::flush)?;
    rate("batches of 1,000, written", MILLION, begin.elapsed());
    log.sync()?;

    let begin = Instant::now();
    batches(&mut log, &entry, 10_000, |log| log.sync().map(drop))?;
    rate("batches of 10,000, synced", MILLION, begin.elapsed());

    let mut times = Vec::with_capacity(500);
    for _ in 0..500 {
        let begin = Instant::now();
        log.append(&entry)?;
        log.sync()?;
        times.push(begin.elapsed());
    }
    quantiles("a lone put, synced", &mut times);

    let begin = Instant::now();
    let (mut reader, mut count) = (log.reader(0)?, 0);
    while let Some(record) = reader.read()? {
        count += u64::from(record.entry.payload.len() == MESSAGE);
    }
    rate("read", count, begin.elapsed());
    drop((log, directory));

    let begin = Instant::now();
    let found = verify(&look_at(path)?)?;
    let took = begin.elapsed();
    println!(
        "{:<34} {took:>10.1?} for {} records, {:.1?} for a million",
        "recovered",
        found.records,
        per_million(took, found.records)
    );
    Ok(())
}

/// The same bytes without a log.
fn alone(path: &Path) -> std::io::Result<()> {
    let file = path.join("alone");
    let mut times = Vec::new();
    {
        let mut file = File::create(&file)?;
        for _ in 0..500 {
            let begin = Instant::now();
            file.write_all(&[b'x'; MESSAGE])?;
            file.sync_data()?;
            times.push(begin.elapsed());
        }
    }
    quantiles("the file system alone, fdatasync", &mut times);
    std::fs::remove_file(file)
}

fn batches(
    log: &mut Log,
    entry: &Entry<'_>,
    of: u64,
    end: impl Fn(&mut Log) -> machine_store::Result<()>,
) -> machine_store::Result<()> {
    for _ in 0..MILLION / of {
        for _ in 0..of {
            log.append(entry)?;
        }
        end(log)?;
    }
    Ok(())
}

fn quantiles(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!("{what:<34} {:>10.1?} p50 {:>10.1?} p99", at(50), at(99));
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn rate(what: &str, count: u64, took: Duration) {
    println!("{what:<34} {:>10.2} M/s", count as f64 / took.as_secs_f64() / 1e6);
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn per_million(took: Duration, count: u64) -> Duration {
    took.mul_f64(1e6 / count.max(1) as f64)
}
