//! Why a command was not carried out.

use serde::{Deserialize, Serialize};

/// Why a command was not carried out. `Display` and `Debug` are one line that says what to do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure, for programs: `no_such_slot`, `type_mismatch`, …
    pub code: String,
    /// For people: the thing, what was given, what was expected.
    pub message: String,
}

impl Failure {
    /// A failure with its code and its text.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
