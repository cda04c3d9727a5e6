//! How much a machine keeps of what went through it.

use super::{Machine, ask, failure};
use machine_protocol::command::{Command, Reply};
use machine_protocol::retention::{Keep, Kept};
use machine_protocol::{Error, ErrorKind};
use std::time::Duration;

/// What a machine is to keep, as [`Machine::keep`] takes it.
pub trait IntoKeep {
    /// The same as a [`Keep`].
    ///
    /// # Errors
    /// If a text is none.
    fn into_keep(self) -> Result<Keep, Error>;
}

impl IntoKeep for Keep {
    fn into_keep(self) -> Result<Keep, Error> {
        Ok(self)
    }
}

impl IntoKeep for u64 {
    fn into_keep(self) -> Result<Keep, Error> {
        Ok(Keep::Messages(self))
    }
}

impl IntoKeep for Duration {
    fn into_keep(self) -> Result<Keep, Error> {
        Ok(Keep::Time(self))
    }
}

impl IntoKeep for &str {
    fn into_keep(self) -> Result<Keep, Error> {
        Keep::parse(self).map_err(|message| Error::new(ErrorKind::OutOfRange, message))
    }
}

impl Machine {
    /// Keeps so much of what goes through from here on: `keep("all")`, `keep(1_000_000)`, `keep("1h")`; `keep("sample")`
    /// is as before. All but the last keep every message, however fast the machine is, which costs writing it as JSON.
    /// Memory is bounded: see [`Kept::most_bytes`].
    ///
    /// # Errors
    /// If the text is none of these, or the number is 0.
    pub fn keep(&self, what: impl IntoKeep) -> Result<Kept, Error> {
        let keep = Some(what.into_keep()?);
        match ask(&Command::Keep { machine: self.target(), keep }) {
            Reply::Keeping(kept) => Ok(kept),
            other => Err(failure(other)),
        }
    }
}
