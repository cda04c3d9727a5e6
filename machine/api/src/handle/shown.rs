//! What a cell shows when it is its last expression, and handles in one line, for `{:?}`: what they stand for now.

use super::{Call, Machine, SlotRef, ask};
use crate::show::{self, ShowAs as _};
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::status::{DeadLetter, Status};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt::{Debug, Formatter, Result, Write};

/// How much of a slot's code goes into its line.
const MOST_CODE: usize = 60;

/// Dead letters, newest first: a slice of them. As the last expression of a cell they are shown as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// How many more there are that are not here, because each is too long for an answer of the engine: error, input
    /// and outputs together some 48 MiB as JSON.
    pub left_out: u64,
}

impl std::ops::Deref for Errors {
    type Target = [DeadLetter];
    fn deref(&self) -> &[DeadLetter] {
        &self.letters
    }
}

impl Errors {
    /// Shows them in the notebook.
    pub fn evcxr_display(&self) {
        show::json("application/vnd.machine.errors+json", self);
    }
}

impl Machine {
    /// Shows its status in the notebook.
    pub fn evcxr_display(&self) {
        self.status().evcxr_display();
    }
}

/// The status of a machine, if there is one of this number.
pub(crate) fn status_of(machine: u32) -> Option<Status> {
    match ask(&Command::Status { machine: Target::Id(machine) }) {
        Reply::Status(status) => Some(*status),
        _ => None,
    }
}

impl Debug for Machine {
    /// `Machine("main", running, 8 slots, 4200 processed, 0 waiting)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Some(status) = status_of(self.id) else { return write!(f, "Machine({}, gone)", self.id) };
        let Status { machine, state, slots, processed, queue_size, in_flight, .. } = status;
        write!(f, "Machine({machine:?}, {state}, {} slots, {processed} processed, {queue_size} waiting", slots.len())?;
        if in_flight > 0 {
            write!(f, ", {in_flight} in flight")?;
        }
        f.write_char(')')
    }
}

impl Debug for SlotRef {
    /// `SlotRef("main", f1, |x: f64| x * x, 100 ok, 0 errored, timeout 2s)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Some(status) = status_of(self.machine) else { return write!(f, "SlotRef({}, gone)", self.machine) };
        let slot = usize::try_from(self.slot).ok().and_then(|slot| status.slots.get(slot));
        write!(f, "SlotRef({:?}, f{}", status.machine, self.slot)?;
        match slot {
            None => f.write_str(", no such slot")?,
            Some(slot) if slot.code.is_empty() => f.write_str(", empty")?,
            Some(slot) => write!(f, ", {}, {} ok, {} errored", first_line(&slot.code), slot.ok, slot.errored)?,
        }
        let settings = slot.map(|slot| slot.settings.to_string()).unwrap_or_default();
        if !settings.is_empty() {
            write!(f, ", {settings}")?;
        }
        f.write_char(')')
    }
}

/// The first line of some code, cut.
fn first_line(code: &str) -> String {
    let line = code.lines().next().unwrap_or_default().trim_end();
    let cut: String = line.chars().take(MOST_CODE).collect();
    if cut.len() < code.trim_end().len() { format!("{cut} …") } else { cut }
}

impl Call {
    /// Shows its values in the notebook, a line each.
    pub fn evcxr_display(&self) {
        let lines: Vec<String> = self.shown().into_iter().map(|(name, value)| format!("{name}  {value}")).collect();
        show::text(&lines.join("\n"));
    }

    /// The input and what each slot with a function made of it: as JSON, or why there is nothing.
    fn shown(&self) -> Vec<(String, String)> {
        let json = self.0.shown();
        let values: Vec<(String, Option<&RawValue>, Option<String>)> =
            serde_json::from_slice(&json).unwrap_or_default();
        let text = |value: Option<&RawValue>, why: Option<String>| match value {
            Some(value) => value.get().to_owned(),
            None => format!("({})", why.unwrap_or_default()),
        };
        values.into_iter().map(|(name, value, why)| (name, text(value, why))).collect()
    }

    /// `in: 3.0, f0: 9.0, f1: (f1 failed (error): too big)`
    pub(crate) fn line(&self) -> String {
        let values: Vec<String> = self.shown().into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        values.join(", ")
    }
}

impl Debug for Call {
    /// `Call(in: 3.0, f0: 9.0)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "Call({})", self.line())
    }
}
