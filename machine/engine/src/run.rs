//! A pipeline as a process of its own: set up, run until its sources have ended and all is processed, and counted.

use crate::counts::{self, Line};
use crate::ending::{Ending, Left, Seen};
use crate::machine::Machine;
use crate::{cell_thread, metrics, registry};
use machine::command::{Command, Reply, Target};
use machine::status::{SourceStatus, Status};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What `machine run` asks for, in words with commas between: `fail-on-error`, `json`.
const OPTIONS_VARIABLE: &str = "MACHINE_RUN";
/// How long the pipeline's own code may go on after it was asked to stop, before what is queued is finished without it;
/// and how long metrics may take to leave at the end.
const GRACE: Duration = Duration::from_secs(3);
/// How long outputs are waited for at the end of which none leaves any more.
const STUCK: Duration = Duration::from_secs(10);
/// How often is looked whether all is done, where nothing tells it.
const LOOK: Duration = Duration::from_millis(100);
/// How soon again once nothing is left to process: whether that is so is told by two looks.
const AGAIN: Duration = Duration::from_millis(1);
/// The exit code of a process that a second Ctrl-C has ended.
const KILLED: i32 = 130;
/// The exit code of a process whose main thread has panicked, as Rust's own.
const PANICKED: u8 = 101;

/// Runs a pipeline: starts the engine, calls `main`, which assigns slots and sets sources, then waits until the sources
/// have ended and nothing is left to process, and tells the counts on standard error.
///
/// The first Ctrl-C (or SIGTERM) ends the sources, and what was put is still processed; the second ends the process at
/// once. The exit code is that of `main`; 101 if `main` panics; 1 if `MACHINE_RUN` has the word `fail-on-error` and a
/// message errored or a source failed. With the word `json` the last state of all machines is the last line of standard
/// output.
///
/// ```no_run
/// use machine::prelude::*;
///
/// fn main() -> std::process::ExitCode {
///     machine_engine::run(|| {
///         MACHINE[0].set(|x: f64| x * x)?;
///         MACHINE.source((0..1000).map(f64::from))
///     })
/// }
/// ```
pub fn run<T: Termination>(main: impl FnOnce() -> T) -> ExitCode {
    let begin = Instant::now();
    registry::init();
    // What waits on this thread, in `put_wait` or `drain`, gives up when the process is asked to stop.
    cell_thread::set_interruptible();
    let run = Arc::new(Run::default());
    if let Err(error) = run.handle_signals(begin) {
        registry::notice(&format!("Ctrl-C will end the process at once: {error}"));
    }
    let outcome = catch_unwind(AssertUnwindSafe(main));
    // `report` prints the error of a `main` that failed.
    let code = outcome.map_or(ExitCode::from(PANICKED), Termination::report);
    if code != ExitCode::SUCCESS {
        // Nobody finished setting up: sources without an end would run forever.
        run.stopping.store(true, Ordering::Release);
    }
    let worse = run.finish(code == ExitCode::SUCCESS, begin);
    crate::remote::close();
    worse.map_or(code, |worse| if code == ExitCode::SUCCESS { worse } else { code })
}

#[derive(Default)]
struct Run {
    stopping: AtomicBool,
    /// Whether somebody is finishing, or has: only one of the two threads that may.
    finishing: Mutex<bool>,
    finished: Condvar,
}

impl Run {
    fn handle_signals(self: &Arc<Self>, begin: Instant) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let run = Arc::clone(self);
        let listen = move || {
            let mut signals = signals.forever();
            if signals.next().is_none() {
                return;
            }
            say("stopping: sources end, what waits is processed; Ctrl-C again ends at once");
            run.stop(begin);
            if signals.next().is_some() {
                crate::remote::close();
                signal_hook::low_level::exit(KILLED);
            }
        };
        std::thread::Builder::new().name("machine/signals".to_owned()).spawn(listen).map(drop)
    }

    /// Ends the sources, and makes sure that the process ends even if its main thread does not.
    fn stop(self: &Arc<Self>, begin: Instant) {
        self.stopping.store(true, Ordering::Release);
        cell_thread::interrupt(true);
        end_sources(&machines());
        let run = Arc::clone(self);
        let finish = move || {
            let begun = run.finishing.lock().unwrap_or_else(PoisonError::into_inner);
            let (begun, _) =
                run.finished.wait_timeout_while(begun, GRACE, |begun| !*begun).unwrap_or_else(PoisonError::into_inner);
            if !*begun {
                drop(begun);
                let code = run.finish(true, begin).map_or(0, |_| 1);
                crate::remote::close();
                signal_hook::low_level::exit(code);
            }
        };
        let _ = std::thread::Builder::new().name("machine/finish".to_owned()).spawn(finish);
    }

    /// Waits until all is done, and tells the counts. Returns the exit code that they ask for, if it is not that of success.
    fn finish(&self, wait: bool, begin: Instant) -> Option<ExitCode> {
        *self.finishing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
        let options = std::env::var(OPTIONS_VARIABLE).unwrap_or_default();
        let asked = |word: &str| options.split(',').any(|option| option == word);
        let mut fed = Vec::new();
        if wait {
            self.wait(&mut fed);
        }
        let last = machines();
        metrics::otlp::finish(GRACE);
        for status in &last {
            // A source that was ended on demand is gone from the status; what it was is remembered.
            let source = fed.iter().find(|(name, _)| *name == status.machine).map(|(_, source)| source);
            let line = Line { status, source, time: begin.elapsed() };
            if last.len() == 1 || status.accepted > 0 {
                say(&line.to_string());
            }
        }
        if asked("json") {
            let mut out = std::io::stdout().lock();
            // Whoever closed standard output does not want to read it.
            let _ = serde_json::to_writer(&mut out, &last).map(|()| writeln!(out));
        }
        let failed = last.iter().any(counts::has_failed);
        (failed && asked("fail-on-error")).then_some(ExitCode::FAILURE)
    }

    /// Returns when no source is running and no machine has something to do; machines that do not run are not waited for,
    /// but their sources are: somebody may start them from outside.
    fn wait(&self, fed: &mut Vec<(String, SourceStatus)>) {
        let mut note = |all: &[Status]| {
            for status in all.iter().filter(|status| counts::is_fed(status)) {
                fed.retain(|(name, _)| *name != status.machine);
                fed.push((status.machine.clone(), status.source.clone()));
            }
        };
        let mut ending = Ending::default();
        let mut quiet: Option<(Instant, u64)> = None;
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let mut all = machines();
            note(&all);
            if stopping && end_sources(&all) {
                // What they have put until then is waited for.
                all = machines();
            }
            let seen: Vec<Seen> = all.iter().map(Seen::from).collect();
            match ending.look(&seen, stopping, feeds) {
                Left::Nothing => return,
                Left::Outputs => {
                    // What is on its way to files and subscribers leaves, too, unless whoever takes it is stuck.
                    let gone = all.iter().flat_map(|status| &status.outputs).map(|sink| sink.sent + sink.lost).sum();
                    let (since, before) = *quiet.get_or_insert_with(|| (Instant::now(), gone));
                    if gone != before {
                        quiet = None;
                    } else if since.elapsed() > STUCK {
                        return;
                    }
                    if !all.iter().any(counts::is_sending) {
                        std::thread::sleep(AGAIN);
                        continue;
                    }
                }
                Left::Messages => quiet = None,
            }
            let is_busy = |s: &Status| s.running && s.queue_size + s.in_flight + s.out_of_order > 0;
            match all.iter().position(is_busy).and_then(machine) {
                // Returns as soon as it is idle and its outputs have left. Not the command: that gives up on this thread
                // once Ctrl-C came.
                Some(machine) => {
                    let _left = machine.drain(Some(LOOK), || false);
                }
                None => std::thread::sleep(LOOK / 4),
            }
        }
    }
}

/// Ends those that run: one that has failed or come to its end is not forgotten. Returns whether there were some.
fn end_sources(all: &[Status]) -> bool {
    let mut some = false;
    for status in all.iter().filter(|status| counts::is_fed(status)) {
        registry::command(Command::ClearSource { machine: Target::Name(status.machine.clone()) });
        some = true;
    }
    some
}

/// The machine at this place among all.
fn machine(at: usize) -> Option<&'static Machine> {
    registry::machine(u32::try_from(at).ok()?)
}

/// Whether outputs of one machine are messages of another one, by their places.
fn feeds(from: usize, to: usize) -> bool {
    machine(from).zip(machine(to)).is_some_and(|(from, to)| from.feeds(to))
}

fn machines() -> Vec<Status> {
    match registry::command(Command::Machines) {
        Reply::Machines(all) => all,
        _ => Vec::new(),
    }
}

/// One line on standard error.
fn say(line: &str) {
    // Whoever closed it does not want to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}
