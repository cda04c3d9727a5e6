//! Who listens to what engine and cells have to say.

use std::io::Write;
use std::sync::OnceLock;

/// What engine and cells tell their surroundings. Called on the thread that has something to tell; must not block.
pub trait Observer: Send + Sync {
    /// A cell's `?` or assignment failed: name of the error, its text, 1-based line in the cell (0: unknown).
    fn fail(&self, ename: &str, evalue: &str, line: u32);
    /// A cell shows something: MIME type and content.
    fn show(&self, mime: &str, content: &str);
    /// The thread that runs the cell panicked.
    fn cell_panicked(&self, message: &str, file: &str, line: u32, column: u32);
    /// Where a panic of user code happened, for people; `file` is as the compiler names it. Empty: there.
    fn place(&self, _file: &str, _line: u32, _column: u32) -> String {
        String::new()
    }
    /// A warning, one line.
    fn notice(&self, text: &str);
}

static OBSERVER: OnceLock<Box<dyn Observer>> = OnceLock::new();

/// Sets who listens. The first call counts.
pub(crate) fn set(observer: Box<dyn Observer>) {
    let _first = OBSERVER.set(observer);
}

pub(crate) fn observer() -> Option<&'static dyn Observer> {
    OBSERVER.get().map(|observer| &**observer)
}

/// Reports a warning to the observer, or on standard error.
pub(crate) fn notice(text: &str) {
    match observer() {
        Some(observer) => observer.notice(text),
        // A reader that closed standard error does not want to read it.
        None => drop(writeln!(std::io::stderr(), "warning: {text}")),
    }
}
