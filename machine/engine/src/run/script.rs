//! Runs a script: the statements of a notebook's cells as its own program.
//!
//! `machine run` makes the program, with the edits that a cell gets ([`machine::cell`]). So a `?` that fails tells its
//! line, loops look for Ctrl-C, and what a final expression shows is printed.

pub use crate::core::columns::columns;
use crate::core::observer::Observer;
use crate::core::{cell_thread, hook};
use crate::server::start::observe;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the script has told why it ends early.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Whether it ends early because it was asked to.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The exit code of a script that panics, as Rust's own.
const PANICKED: u8 = 101;

/// Runs a script as [`run()`](crate::run()) runs a `main`. `file` is how it is called when it fails.
pub fn run(file: &'static str, script: impl FnOnce()) -> ExitCode {
    observe(Box::new(Printer { file }));
    super::run(|| match catch_unwind(AssertUnwindSafe(script)) {
        Ok(()) => ExitCode::SUCCESS,
        // Relaxed, here and below: told by this same thread.
        Err(_) if INTERRUPTED.load(Ordering::Relaxed) => ExitCode::SUCCESS,
        Err(_) if FAILED.load(Ordering::Relaxed) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(PANICKED),
    })
}

/// Prints what a notebook would show. A reader that closed a stream does not want to read it.
struct Printer {
    file: &'static str,
}

impl Observer for Printer {
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
        let place = hook::place_in_program(file, line, column);
        let _ = writeln!(std::io::stderr(), "panicked at {place}: {message}");
    }

    fn notice(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }
}
