//! Errors that several commands share, each in one line: the thing, what was given, what is expected.

use machine_protocol::{Error, ErrorKind};

pub(crate) fn failed(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message)
}

pub(crate) fn no_such_slot(slot: usize, slots: usize, machine: &str) -> Error {
    failed(ErrorKind::NoSuchSlot, format!("there is no f{slot}: {machine} has the slots f0 to f{}", slots - 1))
}

pub(crate) fn bad_number(what: &str, given: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(failed(ErrorKind::OutOfRange, format!("{what} must be between {least} and {most} (got {given})")))
}
