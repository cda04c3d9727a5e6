//! What an interrupted cell has left, and the words for it: each says what is so, not what was meant to be.

use super::super::errors;
use super::super::interrupt::Reach;
use super::super::processes;
use super::{Failed, Worker};
use crate::output::{CellError, Display};
use evcxr::Error;
use machine_protocol::ErrorKind;
use machine_protocol::command::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is run on a thread that takes over: it fails to come to its end if the abandoned one holds what cells need.
const TAKE_OVER: &str = "machine::cell::enter(); machine::cell::leave();";
/// How long that may take to run.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const TAKE_OVER_INTERVAL: Duration = Duration::from_millis(50);

/// What an interrupt always keeps, as long as there is the same runtime process.
const MACHINES: &str = "machines with their queues, slots, sources and outputs";

impl Worker {
    /// What a cell is answered, given how far it was interrupted and which variables there were before it.
    pub(super) fn conclude(
        &mut self,
        outcome: Result<Option<Display>, Failed>,
        reach: Reach,
        before: &[String],
    ) -> Result<Option<Display>, CellError> {
        if reach == Reach::None {
            return outcome.map_err(Failed::into_error);
        }
        let killed = reach == Reach::Killed || self.is_silent();
        let text = match (outcome, reach) {
            (Err(Failed::Died { how, lost }), _) => died(killed, &how, &lost),
            _ if killed || !self.is_there() => self.replace(killed, before),
            (_, Reach::Abandoned(doing)) => self.take_over(&doing, before),
            (outcome, _) => {
                let how = match outcome {
                    Ok(_) => "interrupted; the cell had come to its end",
                    Err(Failed::Compile { ran: false, .. }) => "interrupted while compiling; nothing was run",
                    Err(_) => "interrupted",
                };
                let after = self.variables();
                let gone: Vec<&str> = before.iter().filter(|name| !after.contains(name)).map(String::as_str).collect();
                kept(how, &gone)
            }
        };
        // Nobody interrupts to have more run, although this cell may have come to its end.
        Err(errors::plain("KeyboardInterrupt", &text))
    }

    /// Clears the interrupt. Returns whether the runtime process is there and does not answer.
    fn is_silent(&self) -> bool {
        let mut silent = true;
        for _ in 0..2 {
            silent = self
                .client
                .command_now(Command::Interrupt { on: false })
                .is_err_and(|error| error.kind() == ErrorKind::Timeout);
            if !silent {
                break;
            }
            if let Some(pid) = self.client.pid() {
                processes::continue_stopped(pid);
            }
        }
        silent
    }

    /// Whether the runtime process has not ended.
    fn is_there(&self) -> bool {
        let Some(context) = &self.context else { return false };
        context.process_handle().lock().is_ok_and(|mut process| matches!(process.try_wait(), Ok(None)))
    }

    /// Starts a runtime process in the place of one that has died unseen, or does not answer.
    fn replace(&mut self, killed: bool, before: &[String]) -> String {
        let lost = self.lost(before);
        self.interrupt.kill_runtime();
        let how = self.restart();
        died(killed, &how, &lost)
    }

    /// Has another thread run the next cells. The variables were the abandoned thread's.
    fn take_over(&mut self, doing: &str, before: &[String]) -> String {
        let variables = self.variables();
        if !variables.is_empty() {
            self.client.forget(variables);
        }
        self.events.begin(true);
        let done = Arc::new(AtomicBool::new(false));
        let watch = self.watch_take_over(&done);
        let result = self.evaluate(TAKE_OVER);
        done.store(true, Ordering::Release);
        if let Some(watch) = watch {
            let _ = watch.join();
        }
        self.client.ping();
        let _ = self.events.end();
        if matches!(result, Err(Error::SubprocessTerminated(_))) {
            let held = "the abandoned thread holds what cells need, for example standard output";
            return format!("interrupted; the cell did not stop within 2 s: it {doing}\n{held}\n{}", self.lost(before));
        }
        let core = if doing.starts_with("computes") { ". It uses a core until it ends" } else { "" };
        let lost = if before.is_empty() { "lost: nothing".to_owned() } else { variables_lost(before) };
        format!(
            "interrupted; the cell did not stop within 2 s: it {doing}{core}\n\
             its thread was abandoned, and another one runs the next cells\n{lost}\n\
             kept: {MACHINES}; functions, types, imports, dependencies"
        )
    }

    /// Kills the runtime if the thread that takes over does not come to its end.
    fn watch_take_over(&self, done: &Arc<AtomicBool>) -> Option<std::thread::JoinHandle<()>> {
        let (done, events, interrupt) = (Arc::clone(done), Arc::clone(&self.events), Arc::clone(&self.interrupt));
        let watch = move || {
            let mut begun = None;
            while !done.load(Ordering::Acquire) {
                if events.has_entered() && begun.get_or_insert_with(Instant::now).elapsed() > TAKE_OVER_TIMEOUT {
                    return interrupt.kill_runtime();
                }
                std::thread::sleep(TAKE_OVER_INTERVAL);
            }
        };
        std::thread::Builder::new().name("take-over".into()).spawn(watch).ok()
    }
}

fn died(killed: bool, how: &str, lost: &str) -> String {
    if killed {
        format!("interrupted; the process that runs the cells did not answer, so it was restarted\n{lost}")
    } else {
        format!("interrupted; the process that runs the cells died: {how}\n{lost}")
    }
}

fn kept(how: &str, gone: &[&str]) -> String {
    if gone.is_empty() {
        format!("{how}; kept: all variables, {MACHINES}")
    } else {
        format!("{how}; the cell had used up variables: {}\nkept: all other variables, {MACHINES}", gone.join(", "))
    }
}

fn variables_lost(names: &[String]) -> String {
    format!("lost: variables: {}", names.join(", "))
}
