//! Commands about messages.

use crate::core::command_error::failed;
use crate::core::oid::Oid;
use crate::inspect::dead_letter_query::Found;
use crate::inspect::{breakpoint, retention_query, retry};
use crate::server::registry::{find, machine_of};
use machine_protocol::command::{Command, Reply};
use machine_protocol::{Error, ErrorKind};

/// Carries out a command about messages.
///
/// # Errors
/// As the command's own; or that there is no such command.
pub(crate) fn answer(command: Command) -> Result<Reply, Error> {
    Ok(match command {
        Command::FindErrors { machine, query } => {
            let Found { letters, matching, too_long, next } = retry::find_dead_letters(find(&machine)?, &query)?;
            Reply::FoundErrors { letters, matching, too_long, next }
        }
        Command::RetryErrors { machine, query, from } => {
            Reply::Retried(retry::retry_dead_letters(find(&machine)?, &query, from)?)
        }
        Command::Kept { machine, query } => Reply::Kept(Box::new(retention_query::recall(find(&machine)?, &query)?)),
        Command::Keep { machine, keep } => Reply::Keeping(retention_query::keep(find(&machine)?, keep)?),
        Command::Peek { machine, limit } => {
            let (waiting, first) = retention_query::peek(find(&machine)?, limit)?;
            Reply::Waiting(waiting, first)
        }
        Command::Explain { machine, oid } => {
            Reply::Explained(Box::new(retention_query::explain(find(&machine)?, &oid, name_of)?))
        }
        Command::Break { machine, slot, filter } => {
            let slot = slot.map(|slot| usize::try_from(slot).unwrap_or(usize::MAX));
            breakpoint::set_breakpoint(find(&machine)?, slot, &filter)?;
            Reply::Done
        }
        Command::Continue { machine } => {
            breakpoint::resume(find(&machine)?)?;
            Reply::Done
        }
        other => return Err(failed(ErrorKind::UnknownCommand, format!("this engine does not know {other:?}"))),
    })
}

/// The machine that a message was put on.
fn name_of(oid: Oid) -> Option<String> {
    machine_of(oid).map(|machine| machine.config().name.clone())
}
