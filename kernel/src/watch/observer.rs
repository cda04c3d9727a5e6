//! One machine that is looked at again and again, for `%watch`, alerts and `machine top`: which questions are asked, and when.

use super::curves::{Curves, PAST_MS, curves};
use super::flow::Flow;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::DeadLetterQuery;
use machine_protocol::status::{DeadLetter, Status};
use machine_protocol::{Error, ErrorKind};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How many of the newest dead letters are asked for.
const LETTERS: usize = 50;

/// How a machine is asked.
pub type Ask<'a> = &'a mut dyn FnMut(Command) -> Result<Reply, Error>;

/// What is known of a machine from the last looks.
#[derive(Debug, Default)]
pub struct Observer {
    flow: Flow,
    curves: Curves,
    letters: Vec<DeadLetter>,
    /// What changes with each dead letter that comes, goes or fails again, when they were asked for last.
    counts: Option<[u64; 4]>,
    /// How often they were asked for.
    version: u64,
}

impl Observer {
    /// Asks for the counters.
    ///
    /// # Errors
    /// If the machine does not answer.
    pub fn look(&mut self, machine: &str, ask: Ask<'_>) -> Result<Status, Error> {
        match ask(Command::Status { machine: target(machine) })? {
            Reply::Status(status) => {
                self.flow.add(Instant::now(), &status);
                Ok(*status)
            }
            other => Err(Error::new(ErrorKind::Protocol, format!("the engine answers {other:?}"))),
        }
    }

    /// Asks for what a display shows besides, where these counters say that it has changed: once a second for the history,
    /// and for dead letters.
    ///
    /// # Errors
    /// If the machine does not answer.
    pub fn look_closely(&mut self, machine: &str, status: &Status, ask: Ask<'_>) -> Result<(), Error> {
        if self.flow.wants_history(Instant::now()) {
            let past = UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(Duration::from_millis(PAST_MS));
            let since_ms = u64::try_from(past.as_millis()).unwrap_or_default();
            if let Reply::History(history) = ask(Command::History { machine: target(machine), since_ms })? {
                self.flow.set_history(&history);
                self.curves = curves(&history);
            }
        }
        let counts = [status.dead_letters, status.dead_letters_dropped, status.errored, status.retried];
        if self.counts != Some(counts) {
            let query = DeadLetterQuery { limit: LETTERS, ..DeadLetterQuery::default() };
            if let Reply::FoundErrors { letters, .. } = ask(Command::FindErrors { machine: target(machine), query })? {
                self.letters = letters;
                self.version += 1;
                self.counts = Some(counts);
            }
        }
        Ok(())
    }

    /// Rates, from the counters of the last seconds.
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The last minutes.
    pub const fn curves(&self) -> &Curves {
        &self.curves
    }

    /// The newest dead letters, newest first, and how often they were asked for.
    pub fn letters(&self) -> (&[DeadLetter], u64) {
        (&self.letters, self.version)
    }
}

fn target(machine: &str) -> Target {
    Target::Name(machine.to_owned())
}
