//! Processes that are killed while they write.

use crate::random::Random;
use crate::{append, records};
use machine_store::{Directory, Options};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const CHILD: &str = "MACHINE_TEST_LOG";
const SEED: &str = "MACHINE_LOG_SEED";
/// How many processes are killed.
const KILLS: &str = "MACHINE_LOG_KILLS";

/// The process that is killed: four threads append to one log, and each says which number is written.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let directory = Directory::claim(Path::new(&path), "a test").unwrap();
    let opened = directory.open(Options::default()).unwrap();
    println!("\nopened {}", opened.log.next_seq());
    let both = Mutex::new((opened.log, opened.acks));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let both = &both;
            scope.spawn(move || {
                for number in 0_u64.. {
                    let mut guard = both.lock().unwrap();
                    let (log, acks) = &mut *guard;
                    let seq = append(log, thread << 32 | number);
                    log.flush().unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "written {seq}").unwrap();
                    if number % 64 == 63 {
                        let synced = log.sync().unwrap();
                        acks.note_synced(synced).unwrap();
                    }
                    if number % 5 == 4 {
                        acks.finish(&[seq..seq + 1]).unwrap();
                        writeln!(out, "finished {seq}").unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn what_was_written_survives_a_kill() {
    let mut random = Random::seeded(SEED);
    let kills: u64 = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("log");
    let (mut written, mut finished) = (Vec::new(), rangemap::RangeSet::new());
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Each writes until it is killed, so lines go on to come.
        for _ in 0..random.below(3000) {
            take(&lines.next().unwrap().unwrap(), &mut written, &mut finished);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            take(&line, &mut written, &mut finished);
        }
        let disk = machine_store::look_at(&path).unwrap();
        let found = machine_store::verify(&disk).unwrap();
        assert!(found.corrupt.is_empty() && found.unsynced_lost.is_empty() && found.unreadable.is_empty(), "{found:?}");
        let there = records(&|| Arc::new(disk.clone()));
        for seq in &written {
            assert!(there.contains_key(seq), "kill {kill}: record {seq} is gone");
        }
        for range in finished.iter() {
            let missing = found.acknowledged.done.gaps(range).next();
            assert!(missing.is_none(), "kill {kill}: {missing:?} would be delivered again");
        }
    }
    assert!(!written.is_empty());
}

/// A line of the child; the last one may be cut.
fn take(line: &str, written: &mut Vec<u64>, finished: &mut rangemap::RangeSet<u64>) {
    match line.split_once(' ').map(|(what, seq)| (what, seq.parse::<u64>())) {
        Some(("written", Ok(seq))) => written.push(seq),
        Some(("finished", Ok(seq))) => finished.insert(seq..seq + 1),
        _ => {}
    }
}
