//! A pipeline as a process: set up, run until its sources have ended and all is processed, and counted.

mod options;
mod quiescence;
pub mod script;
mod signals;
mod summary;

use crate::connect::BuiltIn;
use crate::core::machine::Machine;
use crate::core::observer::notice;
use crate::core::{cell_thread, stdout};
use crate::run::options::Options;
use crate::run::quiescence::{QuiescenceDetector, Remaining, Seen};
use crate::run::summary::Summary;
use crate::server::connectors;
use crate::server::{commands, registry, start};
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::status::SinkKind;
use machine_protocol::status::{SinkStatus, Status};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How long the pipeline's own code may go on after it was asked to stop, before what is queued is finished without it;
/// and how long metrics may take to leave at the end.
const MAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a publisher is waited for at the end whose subscribers take nothing any more.
const SUBSCRIBER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long standard output may take for what is left of it at the end.
const STDOUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is checked whether all is done, where nothing notifies of it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How soon again once nothing is left to process: it takes two looks to know that.
const SECOND_LOOK: Duration = Duration::from_millis(1);
/// The exit code of a process that a second Ctrl-C has ended.
const KILLED: i32 = 130;
/// The exit code of a process whose main thread has panicked, as Rust's own.
const PANICKED: u8 = 101;
/// The exit code of a filter whose reader has gone: that of a process that `SIGPIPE` ends, as shells report it.
const READER_GONE: u8 = 141;
/// The exit code of a pipeline that has not done what it should.
const FAILED: u8 = 1;

/// Runs a pipeline: starts the engine, calls `main`, which assigns slots and sets sources, then waits until the sources
/// have ended and nothing is left to process, and reports the counts on standard error.
///
/// The first Ctrl-C (or SIGTERM, or SIGHUP unless it is ignored) ends the sources, and what was put is still processed,
/// for 30 seconds at most (`MACHINE_RUN=grace=…`, in seconds): then what is left is named. The second ends the process at
/// once.
///
/// The exit code is that of `main`, and 101 if `main` panics. Otherwise it is
/// - 141 if standard output has lost its reader (`| head -1`): the pipeline then ends as it does on a signal;
/// - 1 if standard output cannot be written for another reason, an output has failed or panicked, the grace time is over,
///   or a source has waited for a slot to the end;
/// - 1 if `MACHINE_RUN` has the word `fail-on-error` and a message errored that was not retried with success, a source
///   failed, or outputs were lost.
///
/// With the word `json` the last state of all machines is the last line of standard output.
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
    init();
    // What waits on this thread, in `put_wait` or `drain`, gives up when the process is asked to stop.
    cell_thread::set_interruptible();
    let run = Arc::new(Run::new(begin));
    if let Err(error) = run.handle_signals().and_then(|()| run.watch_stdout()) {
        notice(&format!("Ctrl-C will end the process at once: {error}"));
    }
    let outcome = catch_unwind(AssertUnwindSafe(main));
    // `report` prints the error of a `main` that failed.
    let code = outcome.map_or(ExitCode::from(PANICKED), Termination::report);
    let is_set_up = code == ExitCode::SUCCESS;
    if !is_set_up {
        // Nobody finished setting up: sources without an end would run forever.
        let _first = run.stopped.set(Instant::now());
    }
    let worse = run.finish(is_set_up);
    machine_remote::close();
    // A `main` that has failed because its own `println!` has lost its reader is no other failure.
    worse.filter(|worse| is_set_up || *worse == READER_GONE).map_or(code, ExitCode::from)
}

struct Run {
    options: Options,
    begin: Instant,
    /// When it was asked to stop.
    stopped: OnceLock<Instant>,
    /// Whether a signal asked for that.
    signalled: AtomicBool,
    /// Whether somebody is finishing, or has: only one of the two threads that may.
    finishing: Mutex<bool>,
    finished: Condvar,
}

impl Run {
    fn new(begin: Instant) -> Self {
        Self {
            options: Options::from_environment(),
            begin,
            stopped: OnceLock::new(),
            signalled: AtomicBool::new(false),
            finishing: Mutex::default(),
            finished: Condvar::new(),
        }
    }

    fn handle_signals(self: &Arc<Self>) -> std::io::Result<()> {
        let hang_up = (!signals::is_ignored(SIGHUP)).then_some(SIGHUP);
        let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up))?;
        let run = Arc::clone(self);
        let listen = move || {
            let mut signals = signals.forever();
            if signals.next().is_none() {
                return;
            }
            let grace = run.options.grace;
            say(&format!(
                "Shutting down: finishing queued messages, for at most {grace:?}. Press Ctrl-C again to quit immediately"
            ));
            // Relaxed: the flag carries nothing but itself.
            run.signalled.store(true, Ordering::Relaxed);
            run.stop();
            if signals.next().is_some() {
                machine_remote::close();
                signal_hook::low_level::exit(KILLED);
            }
        };
        std::thread::Builder::new().name("machine/signals".to_owned()).spawn(listen).map(drop)
    }

    /// Stops once standard output cannot be written: nobody sees what the pipeline would print.
    fn watch_stdout(self: &Arc<Self>) -> std::io::Result<()> {
        let run = Arc::clone(self);
        let watch = move || {
            stdout::wait_for_error();
            run.stop();
        };
        std::thread::Builder::new().name("machine/stdout".to_owned()).spawn(watch).map(drop)
    }

    /// Ends the sources, and makes sure that the process ends even if its main thread does not.
    fn stop(self: &Arc<Self>) {
        if self.stopped.set(Instant::now()).is_err() {
            return;
        }
        cell_thread::interrupt(true);
        end_sources(&machines());
        let run = Arc::clone(self);
        let finish = move || {
            let begun = run.finishing.lock().unwrap_or_else(PoisonError::into_inner);
            let timeout = MAIN_TIMEOUT.min(run.options.grace);
            let (begun, _) = run
                .finished
                .wait_timeout_while(begun, timeout, |begun| !*begun)
                .unwrap_or_else(PoisonError::into_inner);
            if !*begun {
                drop(begun);
                let code = run.finish(true).map_or(0, i32::from);
                machine_remote::close();
                signal_hook::low_level::exit(code);
            }
        };
        let _ = std::thread::Builder::new().name("machine/finish".to_owned()).spawn(finish);
    }

    /// Waits until all is done, and reports the counts. Returns the exit code that they ask for, if it is not that of
    /// success.
    fn finish(&self, wait: bool) -> Option<u8> {
        *self.finishing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
        let mut reported = BTreeSet::new();
        let in_time = !wait || self.wait(&mut reported);
        let last = machines();
        crate::server::metrics::finish(MAIN_TIMEOUT);
        for (at, status) in last.iter().enumerate() {
            let source = machine(at).and_then(Machine::cleared_source);
            let line = Summary { status, source: source.as_ref(), time: self.begin.elapsed() };
            if last.len() == 1 || status.accepted > 0 {
                say(&line.to_string());
            }
        }
        let mut failed = !in_time;
        if !in_time {
            let left: Vec<String> = last.iter().filter_map(summary::left).collect();
            say(&format!("error: the grace time of {:?} is over; left: {}", self.options.grace, left.join("; ")));
        }
        for status in last.iter().filter(|status| status.waiting_for_slot && wait) {
            let name = &status.machine;
            say(&format!(
                "warning: the source of {name} waits for a slot: set a function in one, or an output, or call \
                 `start_empty()` to run it without"
            ));
            // Asked to stop, it does not matter what it would have waited for.
            failed |= !self.signalled.load(Ordering::Relaxed);
        }
        let is_closed = || stdout::error().is_some_and(|error| error.is_closed);
        let mut lost = false;
        for (name, sink) in all_sinks(&last).filter(|(_, sink)| sink.lost > 0 || summary::is_broken(sink)) {
            failed |= summary::is_broken(&sink);
            lost = true;
            if !is_closed() {
                report(&name, &sink, &mut reported);
            }
        }
        lost |= last.iter().flat_map(|status| &status.outputs).any(summary::is_leaving);
        finish_stdout(self.options.json.then_some(last.as_slice()), in_time);
        if let Some(error) = stdout::error().filter(|error| !error.is_closed) {
            say(&format!("error: cannot write to standard output: {}", error.text));
            failed = true;
        }
        failed |= self.options.fail_on_error && (lost || last.iter().any(summary::has_failed));
        if is_closed() { Some(READER_GONE) } else { failed.then_some(FAILED) }
    }

    /// Returns when no source is running and no machine has something to do; machines that do not run are not waited for,
    /// but their sources are: somebody may start them from outside. A source that waits for a slot is not waited for:
    /// the code that could have set one has returned. Returns whether that was so before the grace time was over.
    fn wait(&self, reported: &mut BTreeSet<u64>) -> bool {
        let mut ending = QuiescenceDetector::default();
        let mut quiet: Option<(Instant, u64)> = None;
        loop {
            let stopped = self.stopped.get();
            if stopped.is_some_and(|stopped| stopped.elapsed() >= self.options.grace) {
                return false;
            }
            let mut all = machines();
            if stopped.is_some() && end_sources(&all) {
                // What they have put until then is waited for.
                all = machines();
            }
            for (name, sink) in all_sinks(&all).filter(|(_, sink)| summary::is_broken(sink)) {
                report(&name, &sink, reported);
            }
            let seen: Vec<Seen> = all.iter().map(Seen::from).collect();
            match ending.look(&seen, stopped.is_some(), feeds) {
                Remaining::Nothing => return true,
                Remaining::Outputs => {
                    // What is on its way to files and closures leaves, too. Subscribers are not waited for without end.
                    let sinks = || all.iter().flat_map(|status| &status.outputs);
                    let gone = sinks().map(|sink| sink.sent + sink.lost).sum();
                    let (since, before) = *quiet.get_or_insert_with(|| (Instant::now(), gone));
                    if gone != before {
                        quiet = None;
                    } else if since.elapsed() > SUBSCRIBER_TIMEOUT
                        && sinks().all(|sink| sink.kind == SinkKind::Publish || !summary::is_leaving(sink))
                    {
                        return true;
                    }
                    if !all.iter().any(summary::is_sending) {
                        std::thread::sleep(SECOND_LOOK);
                        continue;
                    }
                }
                Remaining::Messages => quiet = None,
            }
            let is_busy = |s: &Status| s.running && s.queue_size + s.in_flight + s.out_of_order > 0;
            match all.iter().position(is_busy).and_then(machine) {
                // Returns as soon as it is idle and its outputs have left. Not the command: that gives up on this thread
                // once Ctrl-C came.
                Some(machine) => {
                    let _left = machine.drain(Some(POLL_INTERVAL), || false);
                }
                None => std::thread::sleep(POLL_INTERVAL / 4),
            }
        }
    }
}

/// Reports once why outputs of a sink are missing.
fn report(machine: &str, sink: &SinkStatus, reported: &mut BTreeSet<u64>) {
    // A sink that is broken is reported at once, so its last count may be larger; that is in the counts.
    if reported.insert(sink.id) {
        let level = if summary::is_broken(sink) { "error" } else { "warning" };
        let what = summary::loss(sink).unwrap_or_else(|| format!("{}: {}", summary::sink_name(sink), sink.error));
        say(&format!("{level}: {machine}: {what}"));
    }
}

/// Each sink of these machines, also those that were taken off, with the name of its machine.
fn all_sinks(all: &[Status]) -> impl Iterator<Item = (String, SinkStatus)> {
    all.iter().enumerate().flat_map(|(at, status)| {
        let ended = machine(at).map(Machine::ended_sinks).unwrap_or_default();
        status.outputs.iter().cloned().chain(ended).map(|sink| (status.machine.clone(), sink))
    })
}

/// Writes what is left for standard output, and the last state of all machines. Waits for a slow reader only as long as
/// there is time.
fn finish_stdout(json: Option<&[Status]>, in_time: bool) {
    let json = json.and_then(|last| serde_json::to_string(last).ok()).map(|line| line + "\n").unwrap_or_default();
    let (done, is_done) = mpsc::channel();
    let write = move || {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(json.as_bytes()).and_then(|()| out.flush()) {
            stdout::fail(error.kind() == std::io::ErrorKind::BrokenPipe, &error.to_string());
        }
        let _nobody_waits = done.send(());
    };
    let started = std::thread::Builder::new().name("machine/flush".to_owned()).spawn(write);
    let is_done = if in_time { is_done.recv().is_ok() } else { is_done.recv_timeout(STDOUT_TIMEOUT).is_ok() };
    if started.is_err() || !is_done {
        stdout::fail(false, "its reader takes nothing");
    }
}

/// Ends those that run: one that has failed or come to its end is not forgotten. Returns whether there were some.
fn end_sources(all: &[Status]) -> bool {
    let mut some = false;
    for status in all.iter().filter(|status| summary::has_source(status)) {
        commands::command(Command::ClearSource { machine: Target::Name(status.machine.clone()) });
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
    machine(from).zip(machine(to)).is_some_and(|(from, to)| from.feeds(to.number()))
}

fn machines() -> Vec<Status> {
    match commands::command(Command::Machines) {
        Reply::Machines(all) => all,
        _ => Vec::new(),
    }
}

/// One line on standard error.
fn say(line: &str) {
    // A reader that closed it does not want to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Starts the engine: registers it with the `machine` crate of this program, makes the default machine, sets the panic
/// hook, and lets other processes of this user attach to the machines (see the crate `machine-remote`). The second call does nothing.
pub fn init() {
    connectors::set(&BuiltIn);
    #[cfg(feature = "filter")]
    crate::filter::set_parser(|text| machine_filter::parse(text).map_err(|error| error.why));
    start::init();
}
