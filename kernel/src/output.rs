//! What the execution of a cell or magic gives to the notebook.

use serde_json::{Map, Value};
use std::time::Instant;

/// One thing to show, in all its forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Display {
    /// MIME type → content. JSON types hold objects, all others strings. `text/plain` is always there.
    pub data: Map<String, Value>,
    /// Metadata by MIME type.
    pub metadata: Map<String, Value>,
}

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The kind: `CompileError`, `Panic`, the name of the error's type, `KeyboardInterrupt`, `RuntimeLost`, `UsageError`.
    pub ename: String,
    /// One line.
    pub evalue: String,
    /// Lines to print; they point at what the user wrote.
    pub traceback: Vec<String>,
}

/// What came of a cell of Rust.
#[derive(Debug)]
pub struct Executed {
    /// The value of its final expression, or why it failed.
    pub result: Result<Option<Display>, CellError>,
    /// When its own code began to run; nothing if none of it ran. All time before that is the compiler's.
    pub began: Option<Instant>,
}

/// Of what is not compiled.
impl From<Result<Option<Display>, CellError>> for Executed {
    fn from(result: Result<Option<Display>, CellError>) -> Self {
        Self { result, began: None }
    }
}

/// Which standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where output goes while it happens. The server implements it on iopub, with the parent of the request that is
/// being executed (or of the last one, between cells).
pub trait Output: Send + Sync {
    /// Text of a standard stream, in pieces as they come.
    fn stream(&self, stream: Stream, text: &str);
    /// Something to show, in order with the streams.
    fn display(&self, display: Display);
    /// Shows something under a name. What is new is shown at the end, in order; else it takes the place of what was shown
    /// under that name, where a front end can do that.
    fn display_as(&self, _name: &str, is_new: bool, display: Display) {
        if is_new {
            self.display(display);
        }
    }
    /// Clears the output of the cell; with `wait` only when something new comes.
    fn clear(&self, wait: bool);
}

/// Drops everything: for callers that want only the result.
pub struct Silent;

impl Output for Silent {
    fn stream(&self, _stream: Stream, _text: &str) {}

    fn display(&self, _display: Display) {}

    fn clear(&self, _wait: bool) {}
}
