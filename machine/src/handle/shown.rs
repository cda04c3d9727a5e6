//! What a cell shows when it is its last expression.

use crate::status::{DeadLetter, Status};

/// Dead letters, newest first. As the last expression of a cell they are shown as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<DeadLetter>);

impl std::ops::Deref for Errors {
    type Target = [DeadLetter];
    fn deref(&self) -> &[DeadLetter] {
        &self.0
    }
}

impl Errors {
    /// Shows them in the notebook.
    pub fn evcxr_display(&self) {
        crate::cell::show_json("application/vnd.machine.errors+json", &self.0);
    }
}

impl Status {
    /// Shows it in the notebook.
    pub fn evcxr_display(&self) {
        crate::cell::show_json("application/vnd.machine.status+json", self);
    }
}
