//! Why a magic did not run, and how that is told: one line, and the user's line with a caret under the place.

use super::line::Line;
pub use crate::input::quote;
use crate::output::CellError;
pub use machine_engine::closest_match::{closest_match, did_you_mean};
use machine_protocol::{Error, ErrorKind};
use std::ops::Range;

/// Why a magic did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MagicError {
    /// The user's line is at fault.
    Usage {
        /// One line: what was given, what there is instead.
        message: String,
        /// The place in the line, bytes.
        span: Option<Range<usize>>,
    },
    /// The engine refused.
    Failure(Error),
    /// The user interrupted it.
    Interrupted(String),
}

impl From<Error> for MagicError {
    fn from(failure: Error) -> Self {
        if failure.kind() == ErrorKind::Interrupted {
            Self::Interrupted(failure.to_string())
        } else {
            Self::Failure(failure)
        }
    }
}

impl MagicError {
    /// A mistake of the user's.
    pub fn usage(message: impl Into<String>, span: Option<Range<usize>>) -> Self {
        Self::Usage { message: message.into(), span }
    }

    /// As the cell's error; the traceback points at the line.
    pub fn into_cell_error(self, line: &Line<'_>) -> CellError {
        let (ename, evalue, span) = match self {
            Self::Usage { message, span } => ("UsageError".to_owned(), message, span),
            Self::Failure(failure) => (camel_case(failure.kind().as_str()), failure.to_string(), None),
            Self::Interrupted(message) => ("KeyboardInterrupt".to_owned(), message, None),
        };
        let mut traceback = pointed(line, span);
        traceback.push(format!("{ename}: {evalue}"));
        CellError { ename, evalue, traceback }
    }
}

/// How much of a line is shown on each side of the place that is pointed at, in characters.
const AROUND: usize = 60;

/// The line, and a line of carets under `span`. A long line is cut on both sides.
fn pointed(line: &Line<'_>, span: Option<Range<usize>>) -> Vec<String> {
    let span = span.unwrap_or(0..0);
    let chars_before = |byte: usize| line.text.char_indices().take_while(|(at, _)| *at < byte).count();
    let (from, to) = (chars_before(span.start), chars_before(span.end));
    let first = from.saturating_sub(AROUND);
    let mut shown: String =
        line.text.chars().skip(first).take(2 * AROUND).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut indent = from - first;
    if first > 0 {
        shown.insert(0, '…');
        indent += 1;
    }
    if line.text.chars().nth(first + 2 * AROUND).is_some() {
        shown.push('…');
    }
    let gutter = format!("{:>3} | ", line.number);
    let mut lines = vec![format!("{gutter}{shown}")];
    if !span.is_empty() || span.start > 0 {
        let carets = (to - from).clamp(1, AROUND);
        lines.push(format!("{}{}", " ".repeat(gutter.chars().count() + indent), "^".repeat(carets)));
    }
    lines
}

/// `no_such_slot` → `NoSuchSlot`; `EngineError` if there is nothing to make a name of.
fn camel_case(code: &str) -> String {
    let mut name = String::new();
    for part in code.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut chars = part.chars();
        name.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        name.extend(chars);
    }
    if name.is_empty() { "EngineError".to_owned() } else { name }
}
