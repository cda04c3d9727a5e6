//! What a pipeline does at its end, and when it is asked to stop: each in a separate process, for that waits for all of
//! its machines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use machine::prelude::*;
use machine::status::SourceState;
use machine_testkit::{DEADLINE, eventually};
use signal_hook::consts::SIGINT;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Tells that this is the process of a test's pipeline.
const CHILD: &str = "MACHINE_TEST_PIPELINE";

/// Runs the test of this name once more in a separate process, with these options of a pipeline. Returns whether the
/// calling one is that process.
fn is_child(test: &str, options: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([(CHILD, "1"), ("MACHINE_RUN", options)])
        .output()
        .unwrap();
    let text = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&text));
    false
}

#[track_caller]
fn gives(code: ExitCode, expected: ExitCode) {
    assert_eq!(format!("{code:?}"), format!("{expected:?}"));
}

/// A machine whose source has no end, so that its process goes on until it is asked to stop.
fn endless() -> Machine {
    let clock = Machine::builder("clock").start().unwrap();
    clock.start_empty();
    clock.source(source::interval(Duration::from_secs(1_000))).unwrap();
    clock
}

#[test]
fn a_closure_is_through_with_the_last_output_when_its_process_ends() {
    static DONE: AtomicU64 = AtomicU64::new(0);
    if !is_child("a_closure_is_through_with_the_last_output_when_its_process_ends", "") {
        return;
    }
    let code = machine_engine::run(|| {
        MACHINE.on_output(|_| {
            eventually!(MACHINE.status().processed == 3);
            // A process that does not wait for this closure ends meanwhile: nothing but time shows that it does not.
            thread::sleep(Duration::from_millis(50));
            DONE.fetch_add(1, Relaxed);
        })?;
        MACHINE.source(0..3)
    });
    assert_eq!((DONE.load(Relaxed), MACHINE.status().outputs[0].sent), (3, 3));
    gives(code, ExitCode::SUCCESS);
}

#[test]
fn what_waits_when_a_process_is_asked_to_stop_goes_through_all_machines() {
    const MESSAGES: u64 = 300;
    if !is_child("what_waits_when_a_process_is_asked_to_stop_goes_through_all_machines", "") {
        return;
    }
    let code = machine_engine::run(|| {
        let (first, last) = (Machine::builder("first").start().unwrap(), Machine::builder("last").start().unwrap());
        let (open, opened) = mpsc::channel::<()>();
        let opened = std::sync::Mutex::new(opened);
        first[0].set(move |x: u64| {
            let _door = opened.lock().unwrap().recv_timeout(DEADLINE);
            x
        })?;
        // Slower than the machine before it, so that messages wait here in the end.
        last[0].set(|_: u64| thread::sleep(Duration::from_millis(2)))?;
        first.to(&last, 0)?;
        for x in 0..MESSAGES {
            first.put_wait(x)?;
        }
        let clock = endless();
        thread::spawn(move || {
            signal_hook::low_level::raise(SIGINT).unwrap();
            eventually!(clock.status().source.state == SourceState::None);
            // Nothing tells that what is waited for has been counted: most likely it has by then.
            thread::sleep(Duration::from_millis(200));
            drop(open);
        });
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    assert_eq!(Machine::builder("last").start().unwrap().status().processed, MESSAGES);
    gives(code, ExitCode::SUCCESS);
}

#[test]
fn a_source_that_failed_is_not_forgotten_when_its_process_is_asked_to_stop() {
    if !is_child("a_source_that_failed_is_not_forgotten_when_its_process_is_asked_to_stop", "fail-on-error") {
        return;
    }
    let code = machine_engine::run(|| {
        endless();
        thread::spawn(|| {
            eventually!(MACHINE.status().source.state == SourceState::Failed);
            signal_hook::low_level::raise(SIGINT).unwrap();
        });
        MACHINE.start_empty().source((0..3).inspect(|x| assert!(*x < 2, "two is too many")))
    });
    assert_eq!(MACHINE.status().source.state, SourceState::Failed);
    gives(code, ExitCode::FAILURE);
}
