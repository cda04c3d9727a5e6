//! Commands and replies as JSON text.
//!
//! Compiled here, once and without generics: callers link the code that writes and reads JSON instead of compiling it.

use crate::command::{Command, Reply, SourceLocation};
use crate::source::Pacing;
use crate::{Error, ErrorKind};

/// A command as JSON text.
#[must_use]
pub fn encode(command: &Command) -> String {
    serde_json::to_string(command).unwrap_or_default()
}

/// The reply that JSON text holds; text that is none is a failure (`bad_reply`).
#[must_use]
pub fn decode(reply: &[u8]) -> Reply {
    serde_json::from_slice(reply).unwrap_or_else(|error| {
        Reply::Failed(Error::new(ErrorKind::BadReply, format!("the engine's reply is unreadable: {error}")))
    })
}

impl Pacing {
    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl SourceLocation {
    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
