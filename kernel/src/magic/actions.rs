//! What each magic asks of the engine, and what it shows of the answer.

use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::meter::Meter;
use crate::display;
use crate::output::{Display, Output};
use machine_protocol::command::{Command, Reply, Target, Undrained};
use machine_protocol::retained::DeadLetterQuery;
use machine_protocol::status::Status;
use machine_protocol::{Error, ErrorKind};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How many dead letters `%errors` shows unless it is told otherwise.
const ERRORS: usize = 20;

/// Runs an action; a failure that comes of a machine that doesn't exist is told with the names that do.
pub fn carry_out(
    action: impl FnOnce(&Arguments<'_>, &dyn Engine) -> Result<Display, MagicError>,
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
) -> Result<Display, MagicError> {
    let result = action(arguments, engine);
    let (Err(MagicError::Failure(_)), Some(word)) = (&result, &arguments.machine) else { return result };
    // Asked only now: nearly always the machine is there, and one command less is one trip less.
    let names = machine_names(engine)?;
    if names.contains(&word.text) {
        return result;
    }
    let meant = closest_match(&word.text, names.iter().map(String::as_str)).map(str::to_owned);
    Err(MagicError::usage(
        format!(
            "there is no machine {}; there {} {}{}",
            quote(&word.text),
            if names.len() == 1 { "is" } else { "are" },
            names.join(", "),
            did_you_mean(meant)
        ),
        Some(word.span.clone()),
    ))
}

/// The names of all machines.
pub fn machine_names(engine: &dyn Engine) -> Result<Vec<String>, Error> {
    Ok(all_machines(engine)?.into_iter().map(|status| status.machine).collect())
}

/// The names of the slots of a machine.
pub fn slot_names(machine: Option<&str>, engine: &dyn Engine) -> Result<Vec<String>, Error> {
    let target = machine.map_or_else(Target::default, |name| Target::Name(name.to_owned()));
    Ok(status_of(target, engine)?.slots.into_iter().map(|slot| slot.slot).collect())
}

pub fn status(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let status = status_of(target(arguments), engine)?;
    Ok(if arguments.json {
        display::json(to_json(&status))
    } else if arguments.frame {
        display::status_frame(&status)
    } else {
        display::status(&status)
    })
}

pub fn errors(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let limit = arguments.limit.unwrap_or(ERRORS);
    match super::messages::find_errors(arguments, engine, limit)? {
        Reply::FoundErrors { letters, matching, .. } if arguments.json => {
            let unseen = matching.saturating_sub(letters.len() as u64);
            let machine = machine_name(arguments);
            Ok(display::json(json!({ "machine": machine, "errors": letters, "not_shown": unseen })))
        }
        Reply::FoundErrors { letters, matching, .. } => Ok(display::found_errors(&letters, matching, limit)),
        reply => Err(unexpected(reply)),
    }
}

pub fn slots(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let status = status_of(target(arguments), engine)?;
    Ok(if arguments.json {
        display::json(json!({ "machine": status.machine, "slots": status.slots }))
    } else {
        display::slots(&status)
    })
}

pub fn start(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let machine = target(arguments);
    let command = if arguments.empty { Command::StartEmpty { machine } } else { Command::Start { machine } };
    control(command, arguments, engine)
}

pub fn pause(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    control(Command::Pause { machine: target(arguments) }, arguments, engine)
}

pub fn stop(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    control(Command::Stop { machine: target(arguments) }, arguments, engine)
}

/// How long one command waits.
const SLICE: Duration = Duration::from_millis(250);

pub fn drain(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    wait_drained(arguments, engine, output).map(|(display, _)| display)
}

/// `%drain`, and whether it came to its end: if not, the time was up.
pub fn wait_drained(
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
    output: &dyn Output,
) -> Result<(Display, bool), MagicError> {
    let mut meter = Meter::new(output, "drain:");
    let mut most = 0;
    let until = arguments.timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let asked = Instant::now();
        let time_left = until.map_or(SLICE, |until| until.saturating_duration_since(asked).min(SLICE));
        let (left, warning) =
            match engine.command(Command::Drain { machine: target(arguments), timeout: Some(time_left) })? {
                Reply::Done => (Undrained::default(), None),
                Reply::Undrained(left) => (left, None),
                Reply::Warned(warning) => (Undrained::default(), Some(warning)),
                reply => return Err(unexpected(reply)),
            };
        let status = status_of(target(arguments), engine)?;
        most = left.messages.max(most);
        // How much a source will still give is not known.
        meter.at(most - left.messages, (!left.source_runs).then_some(most));
        if left == Undrained::default() {
            drop(meter);
            return Ok((done(&status, Some(left), warning.as_deref(), arguments.json), true));
        }
        let wait = display::still(left);
        if !status.running {
            let message = format!("{} is {}: {wait}; nothing moves until it is started", status.machine, status.state);
            return Err(MagicError::usage(message, None));
        }
        if status.waiting_for_slot && (left.messages, left.outputs) == (0, 0) {
            let message =
                format!("{}: {wait}; it is waiting for a slot; %start --empty to run without", status.machine);
            return Err(MagicError::usage(message, None));
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok((done(&status, Some(left), Some(&format!("the time is up: {wait}")), arguments.json), false));
        }
        // The engine waits as long as it is told, unless it was interrupted itself.
        if engine.interrupted() || asked.elapsed() < time_left / 2 {
            return Err(MagicError::Interrupted(wait));
        }
    }
}

pub fn step(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let reply = engine.command(Command::Step { machine: target(arguments) })?;
    outputs(reply, arguments)
}

pub fn call(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let json = arguments.message.unwrap_or_default().to_owned();
    let reply = engine.command(Command::Call { machine: target(arguments), json })?;
    outputs(reply, arguments)
}

pub fn put(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let json = arguments.message.unwrap_or_default().to_owned();
    match engine.command(Command::Put { machine: target(arguments), json })? {
        Reply::Oid(oid) if arguments.json => {
            Ok(display::json(json!({ "machine": machine_name(arguments), "oid": oid })))
        }
        Reply::Oid(oid) => Ok(display::line(&format!("{} accepted it as {oid}", machine_name(arguments)))),
        reply => Err(unexpected(reply)),
    }
}

pub fn machines(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let machines = all_machines(engine)?;
    Ok(if arguments.json { display::json(json!({ "machines": machines })) } else { display::machines(&machines) })
}

pub fn control(command: Command, arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let warning = match engine.command(command)? {
        Reply::Warned(warning) => Some(warning),
        Reply::Done | Reply::Count(_) => None,
        reply => return Err(unexpected(reply)),
    };
    Ok(done(&status_of(target(arguments), engine)?, None, warning.as_deref(), arguments.json))
}

/// What a machine is doing after a command that changed it.
fn done(status: &Status, left: Option<Undrained>, warning: Option<&str>, as_json: bool) -> Display {
    if as_json {
        let mut value = json!({
            "machine": status.machine, "state": status.state, "queue_size": status.queue_size,
            "in_flight": status.in_flight, "processed": status.processed, "warning": warning,
        });
        if let (Some(left), Some(object)) = (left, value.as_object_mut()) {
            object.insert("drained".to_owned(), (left == Undrained::default()).into());
            object.insert("left".to_owned(), left.messages.into());
            object.insert("source_runs".to_owned(), left.source_runs.into());
            object.insert("outputs".to_owned(), left.outputs.into());
        }
        return display::json(value);
    }
    display::changed(status, warning)
}

pub fn outputs(reply: Reply, arguments: &Arguments<'_>) -> Result<Display, MagicError> {
    match reply {
        Reply::Outputs(outputs) if arguments.json => {
            let mut value = to_json(&outputs);
            if let Some(object) = value.as_object_mut() {
                object.insert("machine".to_owned(), machine_name(arguments).into());
            }
            Ok(display::json(value))
        }
        Reply::Outputs(outputs) => Ok(display::outputs(&outputs)),
        // `step` with nothing to step.
        Reply::Warned(text) if arguments.json => {
            Ok(display::json(json!({ "machine": machine_name(arguments), "warning": text })))
        }
        Reply::Warned(text) => Ok(display::line(&text)),
        reply => Err(unexpected(reply)),
    }
}

/// What stands in place of a slot for what its source gave that is no message.
pub const SOURCE: &str = "source";

/// The slot's number, if the machine has that slot.
pub fn slot_number(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Option<u32>, MagicError> {
    number_of(arguments, engine, "")
}

/// What [`slot_number`] gives, where the source may be meant, too.
pub fn letter_slot(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Option<u32>, MagicError> {
    if arguments.slot.as_ref().is_some_and(|word| word.text == SOURCE) {
        return Ok(Some(DeadLetterQuery::SOURCE));
    }
    number_of(arguments, engine, SOURCE)
}

/// `other` may be meant, too.
fn number_of(arguments: &Arguments<'_>, engine: &dyn Engine, other: &str) -> Result<Option<u32>, MagicError> {
    let Some(word) = &arguments.slot else { return Ok(None) };
    let status = status_of(target(arguments), engine)?;
    let number = word.text.strip_prefix(['f', 'F']).unwrap_or(&word.text).parse::<u32>().ok();
    if let Some(number) = number.filter(|number| (*number as usize) < status.slots.len()) {
        return Ok(Some(number));
    }
    let names: Vec<&str> = status.slots.iter().map(|slot| slot.slot.as_str()).collect();
    let (first, last) = (names.first().unwrap_or(&""), names.last().unwrap_or(&""));
    // Who counts from 1 means the last slot by a number that is too large by one; any other number is no slip.
    let all = || names.iter().copied().chain((!other.is_empty()).then_some(other));
    let meant = match number {
        None => closest_match(&word.text, all()),
        Some(number) => names.last().copied().filter(|_| number as usize == names.len()),
    };
    let other = if other.is_empty() { String::new() } else { format!(", and {other}") };
    Err(MagicError::usage(
        format!(
            "{} has no slot {}; it has {first} to {last}{other}{}",
            status.machine,
            quote(&word.text),
            did_you_mean(meant.map(str::to_owned))
        ),
        Some(word.span.clone()),
    ))
}

pub fn status_of(machine: Target, engine: &dyn Engine) -> Result<Status, Error> {
    match engine.command(Command::Status { machine })? {
        Reply::Status(status) => Ok(*status),
        Reply::Failed(failure) => Err(failure),
        reply => Err(protocol_failure(&reply)),
    }
}

fn all_machines(engine: &dyn Engine) -> Result<Vec<Status>, Error> {
    match engine.command(Command::Machines)? {
        Reply::Machines(machines) => Ok(machines),
        Reply::Failed(failure) => Err(failure),
        reply => Err(protocol_failure(&reply)),
    }
}

/// A reply that is a failure, or that doesn't belong to the command.
pub fn unexpected(reply: Reply) -> MagicError {
    MagicError::Failure(match reply {
        Reply::Failed(failure) => failure,
        reply => protocol_failure(&reply),
    })
}

fn protocol_failure(reply: &Reply) -> Error {
    let kind = to_json(reply).get("reply").and_then(Value::as_str).unwrap_or("nothing").to_owned();
    Error::new(ErrorKind::Protocol, format!("the engine answered with {kind}, which is no answer to this command"))
}

pub fn target(arguments: &Arguments<'_>) -> Target {
    arguments.machine.as_ref().map_or_else(Target::default, |word| Target::Name(word.text.clone()))
}

pub fn machine_name<'a>(arguments: &'a Arguments<'_>) -> &'a str {
    arguments.machine.as_ref().map_or(machine_protocol::command::DEFAULT_MACHINE, |word| &word.text)
}

/// These types have string keys and no fallible fields, so this always succeeds.
pub fn to_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
