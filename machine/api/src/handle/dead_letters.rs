//! Dead letters of a machine: find them, and take them through the slots again.

use super::{Errors, Machine, ask, failure};
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::{DeadLetterQuery, Retried};

impl Machine {
    /// Takes dead letters through the slots as they are now, on this thread; what passes leaves the list and goes
    /// where outputs go. Each message keeps its oid. `""` means all; `"error like '%utf%'"` is a condition.
    ///
    /// # Errors
    /// If the machine is stopped, or the condition cannot be read.
    pub fn retry_errors(&self, condition: &str) -> Result<Retried, Error> {
        let query = DeadLetterQuery { filter: condition.into(), ..DeadLetterQuery::default() };
        Retried::all(&self.target(), &query, &mut |command| Ok(ask(&command)), &mut |_| true)
    }

    /// Dead letters that fulfil a condition, newest first: `MACHINE.errors_where("slot = 'f3' and error like '%utf%'")?`.
    ///
    /// # Errors
    /// If the condition cannot be read, or names what a letter does not have.
    pub fn errors_where(&self, condition: &str) -> Result<Errors, Error> {
        let query = DeadLetterQuery { filter: condition.into(), ..DeadLetterQuery::default() };
        Errors::all(&self.target(), query, &mut |command| Ok(ask(&command)))
    }
}

impl Errors {
    /// All dead letters of a query, in as many answers as they take. Those that come meanwhile are not among them.
    ///
    /// # Errors
    /// If the query cannot be read, or `ask` fails.
    pub fn all(
        machine: &Target,
        mut query: DeadLetterQuery,
        ask: &mut dyn FnMut(Command) -> Result<Reply, Error>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        loop {
            let command = Command::FindErrors { machine: machine.clone(), query: query.clone() };
            match ask(command)?.checked()? {
                Reply::FoundErrors { letters, too_long, next, .. } => {
                    all.letters.extend(letters);
                    all.left_out += too_long;
                    query.before = next;
                }
                other => return Err(failure(other)),
            }
            if query.before.is_none() {
                return Ok(all);
            }
        }
    }
}
