//! What is asked of one running machine.

use super::arguments::{Commands, Drain, Errors, Message, Named, Start};
use super::attached::Attached;
use super::outcome::{self, Failed, Outcome};
use crate::display;
use crate::magic::{self, Arguments, Engine, MagicError, Word};
use crate::output::{Display, Output, Silent};
use machine_engine::decode::told;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::{Error, ErrorKind};
use machine_remote::{self as remote, Process};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// Carries out a command that names a machine.
pub fn carry_out(command: Commands) -> ExitCode {
    let (magic, named, arguments) = match &command {
        Commands::Status(named) => ("status", named, Ok(Arguments::default())),
        Commands::Slots(named) => ("slots", named, Ok(Arguments::default())),
        Commands::Start(Start { machine, empty }) => {
            ("start", machine, Ok(Arguments { empty: *empty, ..Arguments::default() }))
        }
        Commands::Pause(named) => ("pause", named, Ok(Arguments::default())),
        Commands::Stop(named) => ("stop", named, Ok(Arguments::default())),
        Commands::Step(named) => ("step", named, Ok(Arguments::default())),
        Commands::Clear(named) => return outcome::end(clear(named), named.json),
        Commands::Errors(Errors { machine, slot, limit }) => {
            let slot = slot.as_deref().map(Word::from);
            ("errors", machine, Ok(Arguments { slot, limit: Some(*limit), ..Arguments::default() }))
        }
        Commands::Drain(Drain { machine, timeout }) => {
            let timeout =
                timeout.as_deref().map(|text| crate::input::duration(text, "5s").map_err(Failed::Usage)).transpose();
            return outcome::end(timeout.and_then(|timeout| drain(machine, timeout)), machine.json);
        }
        Commands::Put(Message { machine, message }) => ("put", machine, checked(message)),
        Commands::Call(Message { machine, message }) => ("call", machine, checked(message)),
        // All others are carried out elsewhere.
        other => return outcome::end(Err(Failed::Usage(format!("not for a machine: {other:?}"))), false),
    };
    outcome::end(arguments.and_then(|arguments| run(magic, named, arguments, &Silent)), named.json)
}

fn checked(message: &str) -> Result<Arguments<'_>, Failed> {
    serde_json::from_str::<serde::de::IgnoredAny>(message).map_err(|error| {
        Failed::Usage(format!("{} cannot be read as JSON: {}", display::cut(message, 60), told(&error.to_string())))
    })?;
    Ok(Arguments { message: Some(message), ..Arguments::default() })
}

fn attach(named: &Named) -> Result<(Attached, String), Failed> {
    let (process, machine) = find(&named.name)?;
    Ok((Attached::new(process), machine))
}

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

/// Does what a magic does, on a machine of another process. What it shows before its end goes to `output`.
pub fn run(magic: &str, named: &Named, arguments: Arguments<'_>, output: &dyn Output) -> Outcome {
    let (engine, machine) = attach(named)?;
    let arguments = Arguments { json: named.json, machine: Some(Word::from(machine.as_str())), ..arguments };
    let shown = magic::ask(magic, &arguments, &engine, output);
    engine.clear_line();
    shown.map(|display| text(&display, named.json)).map_err(|trouble| failed(trouble, &machine))
}

/// Fails if the time is up before the end.
fn drain(named: &Named, timeout: Option<Duration>) -> Outcome {
    let (engine, machine) = attach(named)?;
    let word = Word::from(machine.as_str());
    let arguments = Arguments { json: named.json, machine: Some(word), timeout, ..Arguments::default() };
    let drained = magic::drain(&arguments, &engine, &Silent);
    engine.clear_line();
    let (display, is_over) = drained.map_err(|trouble| failed(trouble, &machine))?;
    let text = text(&display, named.json);
    if is_over { Ok(text) } else { Err(Failed::Printed(text)) }
}

fn failed(trouble: MagicError, machine: &str) -> Failed {
    match trouble {
        // A machine that holds, or a slot that there is not: the machine's state is at fault, not the line.
        MagicError::Usage { message, .. } => Failed::new("refused", message),
        MagicError::Failure(failure) => failure.into(),
        MagicError::Interrupted(left) => Failed::Interrupted(format!("{machine} goes on: {left}")),
    }
}

fn clear(named: &Named) -> Outcome {
    let (engine, machine) = attach(named)?;
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
