//! Messages that were not put.

use crate::abi::Put;

/// A message that was not put; it is given back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<T> {
    /// The queue is full.
    Full(T),
    /// The user interrupted while the call waited.
    Interrupted(T),
    /// The machine is gone.
    NoMachine(T),
}

impl<T> Refused<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Interrupted(message) | Self::NoMachine(message) => message,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => "the queue is full: put_wait waits, or try again later (the message is given back)",
            Self::Interrupted(_) => "interrupted while waiting for a place in the queue",
            Self::NoMachine(_) => "there is no such machine",
        }
    }
}

impl<T> std::fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::error::Error for Refused<T> {}

#[inline]
pub(super) fn refused<T>((back, put): (Option<T>, Put)) -> Result<(), Refused<T>> {
    match (back, put) {
        (None, _) => Ok(()),
        (Some(message), Put::Interrupted) => Err(Refused::Interrupted(message)),
        (Some(message), Put::NoMachine) => Err(Refused::NoMachine(message)),
        (Some(message), _) => Err(Refused::Full(message)),
    }
}
