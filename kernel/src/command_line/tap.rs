//! `machine tap`: the last outputs of a slot, as `%tap` shows them.

use super::arguments::{Named, Tap};
use super::control::{self, text};
use super::outcome::{self, Failed, Outcome};
use crate::magic::{Arguments, Word};
use crate::output::{Display, Output, Stream};
use machine_remote as remote;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

/// What is asked for in place of a slot to get the messages themselves.
const INPUT: &str = "in";

/// Shows what was kept; with `--follow` until Ctrl-C.
pub fn run(tap: &Tap) -> Outcome {
    let (name, slot) = match tap.names.as_slice() {
        [one] if is_slot(one) => (None, Some(one.as_str())),
        [name] => (Some(name.clone()), None),
        [name, slot, ..] => (Some(name.clone()), Some(slot.as_str())),
        [] => (None, None),
    };
    let named = Named { name: name.map_or_else(only, Ok)?, json: tap.json };
    let arguments = Arguments {
        slot: slot.filter(|slot| *slot != INPUT).map(Word::from),
        limit: Some(tap.limit),
        filter: tap.filter.clone(),
        every: tap.every,
        follow: tap.follow,
        ..Arguments::default()
    };
    let terminal = !tap.json && std::io::stdout().is_terminal();
    control::run("tap", &named, arguments, &Printed { json: tap.json, terminal, shown: Mutex::default() })
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
