//! What a magic is: its name, its arguments and its action.

use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::MagicError;
use crate::output::{Display, Output};

/// One magic.
pub struct Magic {
    /// Its name, without `%`.
    pub name: &'static str,
    /// What it takes beside `--json`.
    pub parameters: &'static [Parameter],
    /// One line: what it shows or does.
    pub summary: &'static str,
    /// More, for `%help`.
    pub details: &'static str,
    /// A line that can be run.
    pub example: &'static str,
    /// Examples of the command of the same name, which does this to a machine of another process; none if there is no such
    /// command.
    pub commands: &'static [&'static str],
    /// What it does.
    pub action: Action,
}

/// What a magic does.
#[derive(Clone, Copy)]
pub enum Action {
    /// Shows something.
    Line(LineAction),
    /// Shows something, and how it comes about meanwhile.
    Live(LiveAction),
    /// Shows something about the rest of the cell, which is no Rust. Written with `%%`.
    Body(LiveAction),
    /// Runs the rest of the cell and tells how long that took. Written with `%%`.
    Time,
}

/// A magic's action.
pub type LineAction = fn(&Arguments, &dyn Engine) -> Result<Display, MagicError>;

/// The action of a magic that also shows what happens meanwhile.
pub type LiveAction = fn(&Arguments, &dyn Engine, &dyn Output) -> Result<Display, MagicError>;

/// An argument of a magic.
pub struct Parameter {
    /// How it is written: `--timeout`; nothing for an argument that is known by its place.
    pub names: &'static [&'static str],
    /// What stands for its value in a usage line; nothing for a flag.
    pub value: &'static str,
    /// What it means to the parser.
    pub kind: Kind,
    /// For `%help`.
    pub help: &'static str,
}

/// What an argument means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Show JSON.
    Json,
    /// Show a `DataFrame`.
    Frame,
    /// Run a source without a slot.
    Empty,
    /// A machine's name.
    Machine,
    /// A slot: `f3` or `3`.
    Slot,
    /// What a dead letter is of: a slot, or `source`.
    Origin,
    /// How many at most.
    Limit,
    /// How long at most.
    Timeout,
    /// JSON text, up to the end of the line. Required.
    Message,
    /// SQL, up to the end of the line.
    Query,
    /// A magic's name.
    Topic,
    /// A condition.
    Where,
    /// How far back.
    Since,
    /// One of so many.
    Every,
    /// Go on until interrupted.
    Follow,
    /// Which messages: an oid, a slot, or all; or which of their values.
    Which,
    /// What goes across in a plot.
    Against,
    /// What gives a plot its colours.
    By,
    /// What a plot looks like.
    Shape,
    /// The rule of an alert: words.
    Rule,
    /// A file's path.
    File,
    /// Take away instead of add.
    Clear,
    /// Estimate for all messages from a sample.
    Scale,
    /// Refuse a sample.
    Exact,
}

impl Parameter {
    /// Whether it is known by its place.
    pub fn is_positional(&self) -> bool {
        self.names.is_empty()
    }

    /// As in a usage line: `[--timeout TIME]`.
    pub fn usage(&self) -> String {
        match (self.names.first(), self.value, self.kind) {
            (None, value, Kind::Message) => value.to_owned(),
            (None, value, _) => format!("[{value}]"),
            (Some(name), "", _) => format!("[{name}]"),
            (Some(name), value, _) => format!("[{name} {value}]"),
        }
    }
}

impl Magic {
    /// With its percent signs.
    pub fn written(&self) -> String {
        match self.action {
            Action::Line(_) | Action::Live(_) => format!("%{}", self.name),
            Action::Body(_) | Action::Time => format!("%%{}", self.name),
        }
    }

    /// All that it takes: its own, and `--json`.
    pub fn all_parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().chain(std::iter::once(&JSON))
    }

    /// `%errors [SLOT] [-n COUNT] [--machine NAME] [--json]`
    pub fn usage(&self) -> String {
        let mut usage = self.written();
        // The message is the rest of the line, so options are shown before it.
        let (message, others): (Vec<_>, Vec<_>) =
            self.all_parameters().partition(|p| matches!(p.kind, Kind::Message | Kind::Query));
        for parameter in others.into_iter().chain(message) {
            usage.push(' ');
            usage.push_str(&parameter.usage());
        }
        usage
    }
}

pub const JSON: Parameter =
    Parameter { names: &["--json"], value: "", kind: Kind::Json, help: "for programs: application/json" };
pub const MACHINE: Parameter =
    Parameter { names: &["--machine"], value: "NAME", kind: Kind::Machine, help: "another machine than main" };
