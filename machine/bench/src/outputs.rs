//! Outputs to JSON, and to a subscriber.

use crate::table;
use machine::prelude::*;
use machine_protocol::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The outputs of W8 for one message.
fn outputs_of(x: f64) -> [f64; 9] {
    let f0 = x * x;
    let f1 = f0 + 1.0;
    let f2 = f1 - f0;
    let (f3, f4, f5, f6) = (f2 * 1.5, f2 * 2.25, f2 * 3.375, f2 * 5.0625);
    [x, f0, f1, f2, f3, f4, f5, f6, f6 * 1.5]
}

/// Computes and writes, with nothing around it.
fn alone(n: u32) {
    let mut json = Vec::new();
    for i in 0..n {
        json.clear();
        // Numbers can be written to memory.
        let _ = serde_json::to_writer(&mut json, &black_box(outputs_of(f64::from(i))));
        black_box(&json);
    }
}

/// The same behind a channel, with a producer.
fn behind_a_channel(n: u32) {
    let mut json = Vec::new();
    crate::peers::behind_a_channel(n, f64::from, |x| {
        json.clear();
        let _ = serde_json::to_writer(&mut json, &black_box(outputs_of(x)));
        black_box(&json);
    });
}

fn feed(m: &Machine, n: u32) {
    for i in 0..n {
        // Refused only if interrupted, which nobody does here.
        let _ = m.put_wait(f64::from(i));
    }
    m.drain();
}

/// W8-B and W8-C. `m` has the slots of W8.
pub fn run(m: &Machine, messages: u32, rounds: usize) -> Result<(), Error> {
    let sink = m.to_json_lines("/dev/null")?;
    table::print(
        "W8-B: the same, and [in,f0,…,f7] as JSON; ns a message",
        &mut [
            ("machine, to_json_lines(\"/dev/null\")", &mut |n| feed(m, n)),
            ("computing and serialising alone: no queue, no producer", &mut |n| alone(n)),
            ("the same behind crossbeam(1024), with a producer", &mut |n| behind_a_channel(n)),
        ],
        messages,
        rounds,
    );
    sink.stop();
    if table::is_wanted("W8-C") { published(m, messages, rounds) } else { Ok(()) }
}

/// The library of libzmq that `LIBZMQ` names, or the one that pyzmq brings along in the environment.
fn libzmq() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LIBZMQ") {
        return Some(path.into());
    }
    let library = std::fs::read_dir(".venv/lib").ok()?.flatten().map(|python| python.path());
    library
        .flat_map(|python| std::fs::read_dir(python.join("site-packages/pyzmq.libs")))
        .flatten()
        .flatten()
        .find_map(|file| file.file_name().to_string_lossy().starts_with("libzmq").then(|| file.path()))
}

/// A process with a subscriber of libzmq.
struct Subscriber {
    child: Child,
    counts: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    fn start(endpoint: &str) -> Option<Self> {
        let here = std::env::current_exe().ok()?.with_file_name("libzmq-subscriber");
        let mut child = Command::new(here).arg(libzmq()?).arg(endpoint).stdout(Stdio::piped()).spawn().ok()?;
        let counts = BufReader::new(child.stdout.take()?).lines();
        Some(Self { child, counts })
    }

    /// How many messages came, and how long that took, nanoseconds.
    fn next(&mut self) -> (u64, u64) {
        let line = self.counts.next().and_then(Result::ok).unwrap_or_default();
        let mut numbers = line.split(' ').map_while(|number| number.parse().ok());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It waits for messages until it is ended.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints its results")]
fn published(m: &Machine, messages: u32, rounds: usize) -> Result<(), Error> {
    println!("### W8-C: published to one subscriber of libzmq, over ipc; {messages} messages a round\n");
    println!("| | ns a message | delivered/s | delivered | counted as lost | sent |\n|---|---:|---:|---:|---:|---:|");
    for no_loss in [true, false] {
        let sink = m.publish("")?;
        let sink = if no_loss { sink.no_loss()? } else { sink };
        let Some(mut subscriber) = Subscriber::start(sink.endpoint()) else {
            println!("\nno libzmq: name one with LIBZMQ, or start this beside a .venv with pyzmq\n");
            sink.stop();
            return Ok(());
        };
        let count = || sink.status().map_or((0, 0, 0), |status| (status.sent, status.lost, status.subscribers));
        while count().2 == 0 {
            std::thread::yield_now();
        }
        let mut results = Vec::new();
        for round in 0..=rounds {
            let (_, lost, _) = count();
            feed(m, messages - 1);
            // Not before all is written: the last message must not be lost.
            let _ = m.put_wait(-1.0);
            m.drain();
            let (delivered, nanos) = subscriber.next();
            if round > 0 {
                results.push((nanos as f64 / f64::from(messages), delivered, count().1 - lost));
            }
        }
        results.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (nanos, delivered, lost) = results.get(rounds / 2).copied().unwrap_or_default();
        let rate = delivered as f64 / (nanos * f64::from(messages)) * 1e9;
        let name = if no_loss { "no loss: the worker waits" } else { "high-water mark 65,536" };
        println!("| {name} | {nanos:.0} | {rate:.0} | {delivered} | {lost} | {messages} |");
        sink.stop();
    }
    println!();
    Ok(())
}
