//! Runs a script: the statements of a notebook's cells as a program of its own.
//!
//! `machine run` makes the program, with the edits that a cell gets ([`machine::cell`]). So a `?` that fails tells its
//! line, loops look for Ctrl-C, and what a final expression shows is printed.

use crate::core::cell_thread;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the script has told why it ends early.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Whether it ends early because it was asked to.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The exit code of a script that panics, as Rust's own.
const PANICKED: u8 = 101;

/// Runs a script as [`run`](crate::run) runs a `main`. `file` is how it is called when it fails.
pub fn run(file: &'static str, script: impl FnOnce()) -> ExitCode {
    crate::observe(Box::new(Printer { file }));
    crate::run(|| match catch_unwind(AssertUnwindSafe(script)) {
        Ok(()) => ExitCode::SUCCESS,
        // Relaxed, here and below: told by this same thread.
        Err(_) if INTERRUPTED.load(Ordering::Relaxed) => ExitCode::SUCCESS,
        Err(_) if FAILED.load(Ordering::Relaxed) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(PANICKED),
    })
}

/// Which columns of a script's file are the user's: the file as the compiler names it, and the table.
static COLUMNS: OnceLock<(&str, &str)> = OnceLock::new();

/// Says which columns of the user's the columns of a rewritten script are, in the file that the compiler names so. The
/// table has a row for each stretch of a line, ordered: `line,column,users,kept`. The stretch begins at `column`; it is
/// the user's text from column `users` on, or (`kept` is 0) stands for what is there. Columns count from 1, in
/// characters.
pub fn columns(file: &'static str, table: &'static str) {
    // There is one script in a program.
    let _ = COLUMNS.set((file, table));
}

/// The user's column for one that the compiler gives.
pub(crate) fn column(file: &str, line: u32, column: u32) -> u32 {
    let Some((_, table)) = COLUMNS.get().filter(|(of, _)| *of == file) else { return column };
    let rows = table.split_ascii_whitespace().filter_map(|row| {
        let mut numbers = row.split(',').map(|number| number.parse::<u32>().ok());
        let mut next = || numbers.next().flatten();
        Some((next()?, next()?, next()?, next()?))
    });
    let mut before = rows.filter(|(of, start, ..)| *of == line && *start <= column);
    match before.next_back() {
        Some((_, start, users, kept)) => users + if kept == 0 { 0 } else { column - start },
        None => column,
    }
}

/// Prints what a notebook would show. Whoever closed a stream does not want to read it.
struct Printer {
    file: &'static str,
}

impl crate::Observer for Printer {
    fn fail(&self, ename: &str, evalue: &str, line: u32) {
        if cell_thread::has_to_stop() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            return;
        }
        FAILED.store(true, Ordering::Relaxed);
        let _ = writeln!(std::io::stderr(), "Error: {}:{line}: {ename}: {evalue}", self.file);
    }

    fn show(&self, _: &str, content: &str) {
        // What marks a cell's course has no content.
        if !content.is_empty() {
            let _ = writeln!(std::io::stdout(), "{content}");
        }
    }

    fn cell_panicked(&self, message: &str, file: &str, line: u32, column: u32) {
        let place = crate::core::hook::place_in_program(file, line, column);
        let _ = writeln!(std::io::stderr(), "panicked at {place}: {message}");
    }

    fn notice(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_the_rewritten_script_is_one_of_the_users() {
        columns("p.rs", "2,1,1,0 2,26,1,1 2,37,13,0 2,38,13,1");
        let users = |at| column("p.rs", 2, at);
        assert_eq!([1, 25, 26, 36, 37, 38, 50].map(users), [1, 1, 1, 11, 13, 13, 25]);
        assert_eq!((column("p.rs", 1, 30), column("other.rs", 2, 30)), (30, 30));
    }
}
