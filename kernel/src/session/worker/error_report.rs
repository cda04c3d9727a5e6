//! What a cell's failure looks like: on the lines that the user wrote.

use super::super::edits::Edited;
use super::super::errors;
use super::super::events::{CellFailure, CellOutcome};
use super::super::ignored;
use super::Worker;
use super::damage::explained;
use crate::output::CellError;
use evcxr::Error;

impl Worker {
    /// The error that the cell told of by itself.
    pub(super) fn said(&self, happened: &CellOutcome, source: &str, name: &str) -> Option<CellError> {
        Some(match happened.said.as_ref()? {
            CellFailure::Failed(ename, evalue, line) => {
                errors::at_line(ename, evalue, source, name, Some((*line, 0)), &self.renderer)
            }
            CellFailure::Panicked(message, file, line, column) => {
                let place = file.ends_with("lib.rs").then(|| self.compiled()).flatten();
                let place = place.as_deref().and_then(|compiled| self.past.place_of(compiled, *line, *column));
                if let Some((past, line, column)) = place {
                    errors::at_line(
                        "Panic",
                        message,
                        &past.edited.source,
                        &past.name,
                        Some((line, column)),
                        &self.renderer,
                    )
                } else {
                    let mut error = errors::at_line("Panic", message, source, name, None, &self.renderer);
                    error.traceback.push(format!(" --> {file}:{line}:{column}"));
                    error
                }
            }
        })
    }

    /// Why evcxr refused the cell.
    pub(super) fn refused(&self, error: &Error, edited: &Edited, name: &str) -> CellError {
        match error {
            Error::CompilationErrors(list) => {
                let error = errors::compile_error(list, edited, name, &self.renderer);
                let unexplained = (error.evalue == errors::UNEXPLAINED).then(|| self.unexplained()).flatten();
                unexplained.unwrap_or(error)
            }
            Error::TypeRedefinedVariablesLost(names) => {
                errors::plain("CompileError", &format!("variables of a redefined type are lost: {}", names.join(", ")))
            }
            Error::Message(text) | Error::SubprocessTerminated(text) => errors::plain("CompileError", &explained(text)),
        }
    }

    /// A `?` that is not ours has ended the cell; evcxr has printed the error.
    pub(super) fn ended_unseen(&self, source: &str, name: &str, line: u32) -> CellError {
        let evalue = "the error printed above ended the cell at a `?` inside of a macro";
        errors::at_line("Error", evalue, source, name, Some((line, 0)), &self.renderer)
    }

    /// Warns of what the cell did not use, on its own lines.
    pub(super) fn warn_of_unused(&self, name: &str) {
        let found = ignored::take(self.config.directory.path());
        let Some(compiled) = self.compiled().filter(|_| !found.is_empty()) else { return };
        for unused in found {
            if let Some((past, line, _)) = self.past.place_of(&compiled, unused.line, unused.column)
                && past.name == name
            {
                self.events.warn(&format!("{name}, line {line}: {}", unused.text));
            }
        }
    }

    /// What was compiled last.
    fn compiled(&self) -> Option<String> {
        self.context.as_ref()?.last_source().ok()
    }
}
