//! Commands that do what a magic does, to a machine of another process: their arguments, help and actions are the magic's.

use super::attached::Attached;
use super::control::{self, failed, text};
use super::outcome::{self, Failed, Outcome};
use crate::display;
use crate::magic::{self, Arguments, Kind, MAGICS, Magic, MagicError, Parameter, Word};
use crate::output::{Display, Output, Silent, Stream};
use clap::{Arg, ArgAction, ArgMatches, Command};
use machine_engine::decode::told;
use machine_remote as remote;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// The machine, by its place.
const NAME: &str = "NAME";
const JSON: &str = "--json";
/// What is asked for in place of a slot to get the messages themselves.
const INPUT: &str = "in";

/// All of them, in the order of the table.
pub fn commands() -> impl Iterator<Item = Command> {
    MAGICS.iter().filter(|magic| !magic.commands.is_empty()).map(command)
}

/// The magic whose command has this name.
pub fn find(name: &str) -> Option<&'static Magic> {
    MAGICS.iter().find(|magic| magic.name == name && !magic.commands.is_empty())
}

fn command(magic: &'static Magic) -> Command {
    let about = display::capital(magic.summary);
    let title = if magic.commands.len() == 1 { "Example" } else { "Examples" };
    Command::new(magic.name)
        .after_help(format!("{title}:\n  {}", magic.commands.join("\n  ")))
        .long_about(format!("{about}\n\n{}", in_a_shell(magic.details)).trim_end().to_owned())
        .about(about)
        .arg(Arg::new(NAME).required(true).help(machine_help(magic)))
        .args(own(magic).map(argument))
        .arg(Arg::new(JSON).long("json").action(ArgAction::SetTrue).help("One JSON document"))
}

fn machine_help(magic: &Magic) -> &'static str {
    if takes_slot(magic) {
        "The machine, NAME@PID if several processes have one of this name; may be left out before a slot if there is only one"
    } else {
        "The machine; NAME@PID if several processes have one of this name"
    }
}

/// What a magic says of other magics, where these are commands.
fn in_a_shell(text: &str) -> String {
    let commands = MAGICS.iter().filter(|magic| !magic.commands.is_empty());
    commands.fold(text.to_owned(), |text, magic| {
        text.replace(&format!("%{} ", magic.name), &format!("`machine {}` ", magic.name))
            .replace(&format!("%{};", magic.name), &format!("`machine {}`;", magic.name))
            .replace(&format!("%{}.", magic.name), &format!("`machine {}`.", magic.name))
    })
}

/// The parameters of a magic beside the machine, which every command names first.
fn own(magic: &Magic) -> impl Iterator<Item = &'static Parameter> {
    magic.parameters.iter().filter(|parameter| parameter.kind != Kind::Machine)
}

fn id(parameter: &Parameter) -> &'static str {
    parameter.names.first().copied().unwrap_or(parameter.value)
}

fn argument(parameter: &'static Parameter) -> Arg {
    let mut argument = Arg::new(id(parameter)).help(display::capital(&in_a_shell(parameter.help)));
    for name in parameter.names {
        argument = match name.strip_prefix("--") {
            Some(long) => argument.long(long),
            None => argument.short(name.chars().nth(1)),
        };
    }
    if parameter.value.is_empty() {
        return argument.action(ArgAction::SetTrue);
    }
    let is_message = parameter.kind == Kind::Message;
    argument.value_name(parameter.value).required(is_message).allow_hyphen_values(is_message)
}

/// Does what the magic does. A failure is told as any command's.
pub fn carry_out(magic: &'static Magic, given: &ArgMatches) -> ExitCode {
    outcome::end(run(magic, given), given.get_flag(JSON))
}

fn run(magic: &'static Magic, given: &ArgMatches) -> Outcome {
    let mut arguments = Arguments { json: given.get_flag(JSON), ..Arguments::default() };
    for parameter in own(magic) {
        if parameter.value.is_empty() {
            if given.get_flag(id(parameter)) {
                set(parameter, "", &mut arguments)?;
            }
        } else if let Some(text) = given.get_one::<String>(id(parameter)) {
            match parameter.kind {
                Kind::Message => arguments.message = Some(checked(text)?),
                _ => set(parameter, text, &mut arguments)?,
            }
        }
    }
    let mut name = given.get_one::<String>(NAME).cloned().unwrap_or_default();
    if takes_slot(magic) && arguments.slot.is_none() && is_slot(&name) {
        arguments.slot = Some(Word::from(name.as_str()));
        name = only()?;
    }
    let (process, machine) = control::find(&name)?;
    let engine = Attached::new(process);
    arguments.machine = Some(Word::from(machine.as_str()));
    let terminal = !arguments.json && std::io::stdout().is_terminal();
    let printed = Printed { json: arguments.json, terminal, shown: Mutex::default() };
    // What else is shown before the end is a notebook's bar.
    let output: &dyn Output = if arguments.follow { &printed } else { &Silent };
    let shown = if magic.name == "drain" {
        magic::drain(&arguments, &engine, output)
    } else {
        magic::ask(magic.name, &arguments, &engine, output).map(|display| (display, true))
    };
    engine.clear_line();
    let (display, is_done) = shown.map_err(|trouble| failed(trouble, &machine))?;
    let text = text(&display, arguments.json);
    // The time was up before the end.
    if is_done { Ok(text) } else { Err(Failed::Printed(text)) }
}

fn set(parameter: &Parameter, text: &str, arguments: &mut Arguments<'_>) -> Result<(), Failed> {
    magic::set(parameter, Word::from(text), arguments).map_err(|mistake| match mistake {
        MagicError::Usage { message, .. } | MagicError::Interrupted(message) => Failed::Usage(message),
        MagicError::Failure(error) => error.into(),
    })
}

fn checked(message: &str) -> Result<&str, Failed> {
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(message);
    checked.map(|_| message).map_err(|error| {
        Failed::Usage(format!("{} cannot be read as JSON: {}", display::cut(message, 60), told(&error.to_string())))
    })
}

/// Whether a slot may stand in the place of the machine.
fn takes_slot(magic: &Magic) -> bool {
    own(magic).any(|parameter| parameter.kind == Kind::Slot && parameter.is_positional())
}

/// Whether this can only be a slot: a machine may have any other name.
fn is_slot(word: &str) -> bool {
    let digits = word.strip_prefix(['f', 'F']).unwrap_or(word);
    word == INPUT || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The name of the only machine that there is.
fn only() -> Result<String, Failed> {
    let names: Vec<String> = remote::processes()
        .found
        .iter()
        .flat_map(|(process, machines)| {
            machines.iter().map(move |status| format!("{}@{}", status.machine, process.pid()))
        })
        .collect();
    match names.as_slice() {
        [] => Err(Failed::new("no_such_machine", "no process of this user runs a machine")),
        [only] => Ok(only.clone()),
        several => {
            Err(Failed::Usage(format!("there are {} machines, say which: {}", several.len(), several.join(", "))))
        }
    }
}

/// What an action shows while it goes on: in a terminal each thing takes the place of the one before.
struct Printed {
    json: bool,
    terminal: bool,
    /// How many lines of the terminal the last thing took.
    shown: Mutex<usize>,
}

impl Output for Printed {
    fn stream(&self, _: Stream, text: &str) {
        outcome::print(text);
    }

    fn display(&self, display: Display) {
        let text = text(&display, self.json);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = text.lines().count();
        outcome::print(&text);
    }

    fn clear(&self, _: bool) {
        let lines = std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        if self.terminal && lines > 0 {
            // To the first of these lines, and nothing below it any more.
            outcome::print(&format!("\x1b[{lines}F\x1b[J"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_slot;

    #[test]
    fn a_slot_is_told_from_a_machine() {
        assert!(["f0", "F12", "3", "in"].into_iter().all(is_slot));
        assert!(!["main", "f", "foo", "f1@7", "main@1234", ""].into_iter().any(is_slot));
    }
}
