//! Debug mode: the machine pauses at the first error, with the message in hand.
//!
//! The message is neither recorded as errored nor finished: it counts as in flight, and can be looked at with all
//! that the slots have made of it. Then it is taken through the slots again, as they are by then, or given up, which
//! is what would have happened to it otherwise: on the thread that asks, whose end of it is counted where steps are
//! counted, or, when the machine is started, by a worker, as a flight that lands.
//!
//! A machine does not run with a message in hand: it is paused, or started, with the lock of that place.

use crate::core::command_error::failed;
use crate::core::execution::Execution;
use crate::core::frame::Frame;
use crate::core::held::HeldMessage;
use crate::core::hook::InSlot;
use crate::core::machine::Machine;
use crate::core::output::Times;
use crate::core::queue::STEPS;
use machine_protocol::command::Outputs;
use machine_protocol::{Error, ErrorKind};
use std::sync::atomic::Ordering;

/// What the slots have made of the message in hand.
///
/// # Errors
/// If there is none.
pub(crate) fn in_hand(machine: &Machine) -> Result<Outputs, Error> {
    let outputs = machine.held().outputs();
    outputs.ok_or_else(|| nothing_in_hand(machine))
}

/// Takes the message in hand through the slots as they are now. If one fails on it, it stays in hand.
///
/// # Errors
/// If there is none, or a step or something like it is running.
pub(crate) fn retry(machine: &'static Machine) -> Result<Outputs, Error> {
    // Looked for first: without one, that is what is to be told.
    if machine.held().lock().is_none() {
        return Err(nothing_in_hand(machine));
    }
    let _in_slot = InSlot::enter();
    let _one = machine.one_step()?;
    let Some(HeldMessage { mut visit, number, times, .. }) = machine.held().lock().take() else {
        return Err(nothing_in_hand(machine));
    };
    let mut frame = Frame::new(machine.plan(), visit.frame.input);
    visit.frame.move_input(&mut frame);
    let again = machine.through(frame, visit.oid, None);
    drop(visit);
    let outputs = again.outputs();
    // The next one that failed may have come into its place.
    let over = if machine.held().stops_at(&again.caught) {
        machine.held().hold(machine.queue(), again, number, times, None)
    } else {
        Some(again)
    };
    if let Some(over) = over {
        settle(machine, over, number, times);
    }
    Ok(outputs)
}

/// Gives up the message in hand: it is recorded as errored, and its outputs leave the machine. One that is held
/// before a slot goes on from there. Returns whether there was one.
///
/// # Errors
/// If there is one, and a step or something like it is running.
pub(crate) fn give_up_in_hand(machine: &'static Machine) -> Result<bool, Error> {
    // As in `retry`.
    if machine.held().lock().is_none() {
        return Ok(false);
    }
    let _in_slot = InSlot::enter();
    let _one = machine.one_step()?;
    let Some(HeldMessage { mut visit, number, times, before, .. }) = machine.held().lock().take() else {
        return Ok(false);
    };
    if let Some(step) = before {
        if visit.frame.plan().has_async_slots {
            let oid = visit.oid;
            let (frame, caught) = visit.into_parts();
            visit = machine.fly(frame, oid, caught, Some(step), None);
        } else {
            visit.frame.advance(step, None, &mut visit.caught);
        }
    }
    settle(machine, visit, number, times);
    Ok(true)
}

/// A message that was kept is through. Its end counts among the steps.
fn settle(machine: &'static Machine, visit: Execution, number: u64, times: Times) {
    let Some(progress) = machine.queue().progress_of(STEPS) else { return };
    let plan = visit.frame.plan().clone();
    plan.adopt(STEPS, progress.done.load(Ordering::Relaxed));
    machine.complete(visit, &plan, number, times);
}

fn nothing_in_hand(machine: &Machine) -> Error {
    let name = &machine.config().name;
    failed(ErrorKind::NothingInHand, format!("{name} has no message in hand: debug(true) keeps the next that fails"))
}
