//! What a cell shows when it is its last expression.

use crate::status::{DeadLetter, Status};
use serde::{Deserialize, Serialize};

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
        crate::cell::show_json("application/vnd.machine.errors+json", self);
    }
}

impl Status {
    /// Shows it in the notebook.
    pub fn evcxr_display(&self) {
        crate::cell::show_json("application/vnd.machine.status+json", self);
    }
}
