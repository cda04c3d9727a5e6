//! How a pipeline's process ends: its exit code, the counts that it reports, and what it says was lost. Each pipeline is
//! a separate process, with signals and standard output as a shell gives them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::print_stdout, reason = "pipelines print")]

use machine::prelude::*;
use machine_protocol::Error;
use machine_testkit::{Received, eventually};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Marks the process of a test's pipeline.
const CHILD: &str = "MACHINE_TEST_ENDS";
/// The longest that a pipeline may take: a deadline for the test, not something that it measures.
const DEADLINE: Duration = Duration::from_mins(1);

/// A pipeline that runs in a separate process.
struct Pipeline(Child);

/// How a pipeline ended.
struct Ended {
    code: Option<i32>,
    errors: String,
}

impl Pipeline {
    /// Starts the test of this name as a pipeline.
    fn start(test: &str, options: &str, stdout: Stdio) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--quiet"])
            .envs([(CHILD, "1"), ("MACHINE_RUN", options)])
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Waits until it has ended.
    fn end(mut self) -> Ended {
        let mut stderr = self.0.stderr.take().unwrap();
        let (read, all) = channel();
        thread::spawn(move || {
            let mut errors = String::new();
            let _ = stderr.read_to_string(&mut errors);
            let _ = read.send(errors);
        });
        // Its standard error ends with it.
        let Ok(errors) = all.recv_timeout(DEADLINE) else {
            self.0.kill().unwrap();
            panic!("the pipeline did not end: {}", all.received());
        };
        Ended { code: self.0.wait().unwrap().code(), errors }
    }
}

/// Whether this process is the pipeline of a test.
fn is_pipeline() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs a pipeline and ends the process with its exit code: the test harness would write to its standard output.
fn run(pipeline: impl FnOnce() -> Result<(), Error>) -> ! {
    let code = format!("{:?}", machine_engine::run(pipeline));
    let number = code.chars().filter(char::is_ascii_digit).collect::<String>();
    std::process::exit(number.parse().unwrap())
}

/// The number before a word in the counts of a pipeline.
fn number(ended: &Ended, word: &str) -> u64 {
    let before = ended.errors.split(&format!(" {word}")).next().unwrap();
    assert!(before.len() < ended.errors.len(), "no {word}: {}", ended.errors);
    before.rsplit([' ', '(']).next().unwrap().parse().unwrap()
}

#[test]
fn a_source_that_is_ended_has_taken_what_was_processed() {
    if is_pipeline() {
        run(|| {
            MACHINE[0].set(|x: u64| x)?;
            thread::spawn(|| {
                eventually!(MACHINE.status().processed > 100_000);
                signal_hook::low_level::raise(SIGINT).unwrap();
            });
            MACHINE.source(0_u64..)
        });
    }
    for _ in 0..3 {
        let ended = Pipeline::start("a_source_that_is_ended_has_taken_what_was_processed", "", Stdio::null()).end();
        let (taken, processed) = (number(&ended, "taken"), number(&ended, "processed"));
        assert_eq!((taken, ended.code), (processed, Some(0)), "{}", ended.errors);
    }
}

#[test]
fn a_hang_up_ends_the_sources_and_processes_what_waits() {
    if is_pipeline() {
        run(|| {
            MACHINE[0].set(|x: u64| {
                // Slower than its source.
                thread::sleep(Duration::from_millis(1));
                x
            })?;
            thread::spawn(|| {
                eventually!(MACHINE.status().queue_size > 100);
                signal_hook::low_level::raise(SIGHUP).unwrap();
            });
            MACHINE.source(0_u64..)
        });
    }
    let ended = Pipeline::start("a_hang_up_ends_the_sources_and_processes_what_waits", "", Stdio::null()).end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(number(&ended, "processed"), number(&ended, "taken"));
}

#[test]
fn a_slot_that_hangs_is_waited_for_as_long_as_the_grace_time() {
    if is_pipeline() {
        run(|| {
            MACHINE[0].set(|x: u64| {
                if x == 3 {
                    loop {
                        thread::park();
                    }
                }
                x
            })?;
            thread::spawn(|| {
                eventually!(MACHINE.status().in_flight == 1 && MACHINE.status().processed == 3);
                signal_hook::low_level::raise(SIGTERM).unwrap();
            });
            MACHINE.source(0_u64..10)
        });
    }
    let test = "a_slot_that_hangs_is_waited_for_as_long_as_the_grace_time";
    let ended = Pipeline::start(test, "grace=0.3", Stdio::null()).end();
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("3 processed"), "{}", ended.errors);
    assert!(ended.errors.contains("main: 6 queued, 1 in its slots"), "{}", ended.errors);
}

#[test]
fn an_output_that_panics_is_an_error() {
    if is_pipeline() {
        run(|| {
            MACHINE.on_output(|output| assert!(output.input::<u64>().unwrap() < 2, "two is too many"))?;
            MACHINE.source(0_u64..5)
        });
    }
    let ended = Pipeline::start("an_output_that_panics_is_an_error", "", Stdio::null()).end();
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("on_output: 2 sent, 3 lost"), "{}", ended.errors);
    assert!(ended.errors.contains("two is too many"), "{}", ended.errors);
}

/// Prints each message without an end.
fn print_all() -> ! {
    run(|| {
        MACHINE.on_output(|output| println!("{}", output.input::<u64>().unwrap()))?;
        MACHINE.source(0_u64..)
    })
}

#[test]
fn a_filter_ends_when_its_reader_does() {
    if is_pipeline() {
        print_all();
    }
    let mut pipeline = Pipeline::start("a_filter_ends_when_its_reader_does", "", Stdio::piped());
    let mut lines = BufReader::new(pipeline.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "7"));
    drop(lines);
    let ended = pipeline.end();
    assert_eq!(ended.code, Some(141), "{}", ended.errors);
}

#[test]
fn a_slot_that_prints_ends_with_its_reader() {
    if is_pipeline() {
        run(|| {
            MACHINE[0].set(|x: u64| println!("{x}"))?;
            MACHINE.source(0_u64..)
        });
    }
    let mut pipeline = Pipeline::start("a_slot_that_prints_ends_with_its_reader", "", Stdio::piped());
    let mut lines = BufReader::new(pipeline.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "7"));
    drop(lines);
    let ended = pipeline.end();
    assert_eq!(ended.code, Some(141), "{}", ended.errors);
}

#[test]
fn outputs_that_are_lost_are_a_warning_and_an_error_if_asked() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    if is_pipeline() {
        run(|| {
            MACHINE.on_output(|_| {
                if SEEN.fetch_add(1, Relaxed) == 0 {
                    eventually!(MACHINE.status().processed == 20_000);
                }
            })?;
            MACHINE.source(0_u64..20_000)
        });
    }
    for (options, code) in [("", 0), ("fail-on-error", 1)] {
        let test = "outputs_that_are_lost_are_a_warning_and_an_error_if_asked";
        let ended = Pipeline::start(test, options, Stdio::null()).end();
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        let warning = ended.errors.lines().find(|line| line.starts_with("warning: main: on_output lost"));
        assert!(warning.is_some_and(|line| line.contains(" of 20000 outputs")), "{}", ended.errors);
    }
}

#[test]
fn errors_that_were_all_retried_with_success_are_none() {
    static FIXED: AtomicU64 = AtomicU64::new(0);
    if is_pipeline() {
        run(|| {
            MACHINE[0].set(|x: u64| if FIXED.load(Relaxed) < x % 2 { Err("odd") } else { Ok(x) })?;
            MACHINE.source(0_u64..10)?;
            MACHINE.drain();
            FIXED.store(1, Relaxed);
            if std::env::var("MACHINE_RUN").is_ok_and(|options| options.contains("retry")) {
                assert_eq!(MACHINE.retry_errors("")?.passed, 5);
            }
            Ok(())
        });
    }
    let test = "errors_that_were_all_retried_with_success_are_none";
    let ended = Pipeline::start(test, "fail-on-error", Stdio::null()).end();
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("5 errored (f0 5)"), "{}", ended.errors);
    let ended = Pipeline::start(test, "fail-on-error,retry", Stdio::null()).end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.contains("5 errored, all retried"), "{}", ended.errors);
}
