//! A process with machines, as the engine that magics ask.

use super::interrupt::Interrupt;
use crate::display::{grouped, rate};
use crate::magic::Engine;
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::status::SourceState;
use machine_protocol::status::Status;
use machine_remote::Process;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long is waited between two looks at Ctrl-C.
const SLICE: Duration = Duration::from_millis(200);

/// The engine of another process.
pub struct Attached {
    process: Mutex<Process>,
    interrupt: Interrupt,
    /// Whether there is somebody to see progress, and whether something is on the line.
    terminal: bool,
    line: Mutex<bool>,
}

impl Attached {
    /// Asks this process. Ctrl-C is looked at between waits.
    pub fn new(process: Process) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let interrupt = Interrupt::listen();
        Self { process: Mutex::new(process), interrupt, terminal, line: Mutex::new(false) }
    }

    fn ask(&self, command: Command) -> Result<Reply, Error> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).command(command)
    }

    /// Waits in slices, and shows how far it is.
    fn drain(&self, machine: &Target, timeout: Option<Duration>) -> Result<Reply, Error> {
        let begin = Instant::now();
        loop {
            let left = timeout.map_or(SLICE, |timeout| timeout.saturating_sub(begin.elapsed()).min(SLICE));
            let reply = self.ask(Command::Drain { machine: machine.clone(), timeout: Some(left) })?;
            let over = !matches!(reply, Reply::Undrained(_));
            if !over
                && self.terminal
                && let Reply::Status(status) = self.ask(Command::Status { machine: machine.clone() })?
            {
                self.show(&status);
                if !status.running || status.waiting_for_slot {
                    return Ok(reply);
                }
            }
            if over || self.interrupt.came() || timeout.is_some_and(|timeout| begin.elapsed() >= timeout) {
                return Ok(reply);
            }
        }
    }

    fn show(&self, status: &Status) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let (waiting, rate) = (grouped(status.queue_size), rate(status.rate));
        let source = if status.source.state == SourceState::Running { ", its source is running" } else { "" };
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{}: {waiting} waiting, {} in flight, {rate}{source}",
            crate::display::one_line(&status.machine),
            grouped(status.in_flight)
        );
    }

    /// Leaves the line of progress as if it had never been.
    pub fn clear_line(&self) {
        if std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner)) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Engine for Attached {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        match command {
            Command::Drain { machine, timeout } => self.drain(&machine, timeout),
            command => self.ask(command),
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupt.came()
    }
}
