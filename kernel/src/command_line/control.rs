//! Machines of other processes: finding one, and what came of asking it.

use super::arguments::Named;
use super::attached::Attached;
use super::outcome::{Failed, Outcome};
use crate::display;
use crate::magic::{self, Engine, MagicError};
use crate::output::Display;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{self as remote, Process};
use serde_json::{Value, json};

/// The process with the machine of this name. If there is none, the failure names the nearest there is.
pub fn find(name: &str) -> Result<(Process, String), Failed> {
    remote::attach(name).map_err(|error| {
        if error.kind() == ErrorKind::NoSuchMachine {
            let all = remote::processes().found;
            let names = all.iter().flat_map(|(_, machines)| machines.iter().map(|status| status.machine.as_str()));
            let meant = magic::did_you_mean(magic::closest_match(name, names).map(str::to_owned));
            return Error::new(error.kind(), format!("{error}{meant}")).into();
        }
        error.into()
    })
}

/// Why a magic came to nothing on this machine.
pub fn failed(trouble: MagicError, machine: &str) -> Failed {
    match trouble {
        // A machine that holds, or a slot that there is not: the machine's state is at fault, not the line.
        MagicError::Usage { message, .. } => Failed::new("refused", message),
        MagicError::Failure(failure) => failure.into(),
        MagicError::Interrupted(left) => Failed::Interrupted(format!("{machine} goes on: {left}")),
    }
}

/// Discards what waits in the queue.
pub fn clear(named: &Named) -> Outcome {
    let (process, machine) = find(&named.name)?;
    let engine = Attached::new(process);
    match engine.command(Command::ClearQueue { machine: Target::Name(machine.clone()) })? {
        Reply::Count(count) if named.json => Ok(format!("{}\n", json!({ "machine": machine, "discarded": count }))),
        Reply::Count(count) => Ok(format!("{machine}: {} discarded\n", display::grouped(count))),
        other => Err(Failed::new("protocol", format!("the engine answers {other:?}"))),
    }
}

/// The text form, or the JSON on one line.
pub fn text(shown: &Display, json: bool) -> String {
    let part = |mime: &str| shown.data.get(mime);
    if json && let Some(value) = part("application/json") {
        return format!("{value}\n");
    }
    let text = part("text/plain").and_then(Value::as_str).unwrap_or_default();
    format!("{}\n", text.trim_end())
}
