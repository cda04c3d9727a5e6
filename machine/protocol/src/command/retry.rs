//! Retrying dead letters, a few per command.

use super::{Command, Reply, Target};
use crate::retained::{DeadLetterQuery, Retried};
use crate::{Error, ErrorKind};

impl Retried {
    /// Takes dead letters through the slots as they are now, through any client: each command tries some of them.
    /// After each, `go_on` gets the counts so far; if it returns false, `left` were not tried.
    ///
    /// # Errors
    /// The first refusal: what passed before it has passed.
    pub fn all(
        machine: &Target,
        query: &DeadLetterQuery,
        ask: &mut dyn FnMut(Command) -> Result<Reply, Error>,
        go_on: &mut dyn FnMut(&Self) -> bool,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        loop {
            let command = Command::RetryErrors { machine: machine.clone(), query: query.clone(), from: all.next };
            let Self { tried, passed, .. } = all;
            let some = match ask(command)?.checked()? {
                Reply::Retried(some) => some,
                other => return Err(Error::new(ErrorKind::Protocol, format!("a retry was answered with {other:?}"))),
            };
            all = Self { tried: tried + some.tried, passed: passed + some.passed, ..some };
            if some.left == 0 || some.tried == 0 || !go_on(&all) {
                return Ok(all);
            }
        }
    }
}
