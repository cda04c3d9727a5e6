//! The arguments of a magic.

use super::words::Word;
use crate::display::PlotKind;
use std::time::Duration;

/// The text of a query, and where it begins in what surrounds it, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// SQL.
    pub text: &'a str,
    /// In its line, or in the lines below the first of a cell.
    pub start: usize,
}

/// The arguments of a magic. What a magic does not take is never set.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are written")]
pub struct Arguments<'a> {
    /// `--json`
    pub json: bool,
    /// `--frame`
    pub frame: bool,
    /// `--help`, or a `?` after the name.
    pub help: bool,
    /// The machine's name.
    pub machine: Option<Word>,
    /// The slot as written; whether the machine has it, only the engine knows.
    pub slot: Option<Word>,
    /// How many at most.
    pub limit: Option<usize>,
    /// How long at most.
    pub timeout: Option<Duration>,
    /// The message, JSON text, checked.
    pub message: Option<&'a str>,
    /// A query.
    pub query: Option<Query<'a>>,
    /// What help is wanted on.
    pub topic: Option<Word>,
    /// A condition as written; the engine gets it [parsed](super::messages::filter).
    pub filter: Option<String>,
    /// How far back.
    pub since: Option<Duration>,
    /// One of so many.
    pub every: Option<u64>,
    /// `--follow`
    pub follow: bool,
    /// Which messages.
    pub which: Option<Word>,
    /// What goes across in a plot.
    pub against: Option<Word>,
    /// What gives a plot its colours.
    pub by: Option<Word>,
    /// What a plot looks like.
    pub plot_kind: Option<PlotKind>,
    /// The rule of an alert, word by word.
    pub rule: Vec<Word>,
    /// A file's path.
    pub file: Option<Word>,
    /// `--clear`
    pub clear: bool,
    /// `--scale`
    pub scale: bool,
    /// `--exact`
    pub exact: bool,
    /// `--empty`
    pub empty: bool,
}
