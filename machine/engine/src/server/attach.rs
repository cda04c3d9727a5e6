//! Puts sinks on a machine, as cells and commands describe them.

use crate::core::command_error::{failed, no_such_slot};
use crate::core::hook::InSlot;
use crate::core::machine::Machine;
use crate::core::output::Sink;
use crate::core::raw::Writer;
use crate::server::connectors;
use crate::server::machine_sink::Chain;
use crate::server::registry;
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

/// One chain at a time is made in all machines, so that two of them cannot close a circle.
static CHAINING: Mutex<()> = Mutex::new(());

/// Puts a sink on the machine; returns its number and state.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn sink(machine: &'static Machine, config: SinkConfig) -> Result<SinkStatus, Error> {
    let SinkConfig::To { machine: target, slot, when_full } = config else {
        return Ok(machine.attach(connectors::get()?.sink(&machine.config().name, config)?));
    };
    let to = registry::find(&target)?;
    check_slot(machine, slot)?;
    let _one = CHAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let chain = Chain::new(to, slot, when_full);
    if chain.reaches(machine.number()) {
        let (from, to) = (&machine.config().name, &to.config().name);
        let message = format!("outputs of {to} come back to {from}: a chain must not be a circle");
        return Err(failed(ErrorKind::Circle, message));
    }
    Ok(machine.attach(Arc::new(chain)))
}

/// Begins to write what a slot gives as lines.
///
/// # Errors
/// If there is no such slot, or no thread for it.
pub(crate) fn lines(machine: &Machine, slot: usize, writer: Writer, is_stdout: bool) -> Result<SinkStatus, Error> {
    if let Err(failure) = check_slot(machine, slot) {
        // Its destructor is user code.
        let _in_slot = InSlot::enter();
        drop(writer);
        return Err(failure);
    }
    Ok(machine.attach(connectors::get()?.lines(&machine.config().name, slot, writer, is_stdout)?))
}

fn check_slot(machine: &Machine, slot: usize) -> Result<(), Error> {
    let (slots, name) = (machine.config().slots, &machine.config().name);
    if slot < slots { Ok(()) } else { Err(no_such_slot(slot, slots, name)) }
}
