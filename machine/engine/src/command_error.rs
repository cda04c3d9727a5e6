//! Failures that several commands share, each in one line: the thing, what was given, what is expected.

use machine_protocol::command::Failure;

pub(crate) fn failed(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(code, message)
}

pub(crate) fn no_such_slot(slot: usize, slots: usize, machine: &str) -> Failure {
    failed("no_such_slot", format!("there is no f{slot}: {machine} has the slots f0 to f{}", slots - 1))
}

pub(crate) fn bad_number(what: &str, given: usize, least: usize, most: usize) -> Result<(), Failure> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(failed("out_of_range", format!("{what} is {given}: it goes from {least} to {most}")))
}
