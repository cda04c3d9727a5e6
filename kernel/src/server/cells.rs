//! What the server needs from what runs cells.

use crate::output::{CellError, Display, Output};

/// Runs cells and knows about code. `execute` is called from one thread; all else from any, also meanwhile.
pub trait Cells: Send + Sync {
    /// Runs a cell: Rust, perhaps after magic lines. What these show goes to `output`; the session's own output goes to
    /// the output that the session has. The value of a final expression comes back.
    ///
    /// # Errors
    /// If it does not compile, panics, is interrupted, or the process that runs it is lost; or as `magic`.
    fn execute(&self, cell: &Cell<'_>, output: &dyn Output) -> Result<Option<Display>, CellError>;

    /// Runs a cell of magic lines only. What the last one shows comes back.
    ///
    /// # Errors
    /// If one of them is unknown, wrongly used, or cannot be done.
    fn magic(&self, code: &str, output: &dyn Output) -> Result<Option<Display>, CellError>;

    /// Completions at a byte offset. With `running`, only what can be known while a cell runs.
    fn complete(&self, code: &str, offset: usize, running: bool) -> Completions;

    /// What stands at a byte offset. With `running`, only what can be known while a cell runs.
    fn inspect(&self, code: &str, offset: usize, running: bool) -> Option<Display>;

    /// Help on a magic or a name of Rust. With `running`, only what can be known while a cell runs.
    fn help(&self, name: &str, running: bool) -> Option<Display>;

    /// Asks the running cell to stop; returns at once.
    fn interrupt(&self);

    /// Ends all processes.
    fn shutdown(&self, restart: bool);
}

/// What could stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// Byte offset where the replaced text starts.
    pub start: usize,
    /// Byte offset where it ends.
    pub end: usize,
    /// The replacements, and what each of them is: `function`, `magic`, …
    pub items: Vec<(String, String)>,
}

/// A cell to run.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Its execution count.
    pub number: u32,
    /// Its source.
    pub code: &'a str,
    /// Whether it is to leave no trace.
    pub silent: bool,
}
