//! Breakpoints: the machine holds before a slot, with the message in hand.
//!
//! A breakpoint is part of the plan, so a machine without one looks for none. It holds messages that go straight through,
//! and those that have to wait on their way (async slots, slots with settings): it stays when these change.

use crate::core::command_error::{failed, no_such_slot};
use crate::core::frame::Frame;
use crate::core::machine::Machine;
use crate::core::oid;
use crate::core::output::Times;
use crate::core::slots::From;
use crate::core::worker::Worker;
use crate::filter::{Filter, Found, Lookup, inside_own};
use machine_protocol::{Error, ErrorKind};
use std::sync::Arc;

/// Before which slot, and for which messages.
#[derive(Debug)]
pub(crate) struct Breakpoint {
    pub slot: usize,
    filter: Option<Filter>,
}

impl Breakpoint {
    /// Whether it holds a message that has come to its slot.
    pub fn holds(&self, frame: &Frame) -> bool {
        let row = OnItsWay { frame, slot: self.slot };
        self.filter.as_ref().is_none_or(|filter| filter.holds(&row))
    }
}

/// A message on its way, as a condition sees it: `in`, `f0` and so on; any other name is looked for in what the slot
/// before gave.
struct OnItsWay<'f> {
    frame: &'f Frame,
    slot: usize,
}

impl Lookup for OnItsWay<'_> {
    fn get(&self, path: &[String]) -> Option<Found<'_>> {
        let (first, rest) = path.split_first()?;
        let plan = self.frame.plan();
        let before = |slot: usize| slot.checked_sub(1).map_or(From::Input, |before| plan.producer(before));
        let (from, rest) = match (first.as_str(), first.strip_prefix('f').and_then(|n| n.parse::<usize>().ok())) {
            ("in" | "input", _) => (From::Input, rest),
            (_, Some(slot)) if slot < plan.slots.len() => (plan.producer(slot), rest),
            _ => (before(self.slot), path),
        };
        let json = self.frame.json(from)?.ok()?;
        inside_own(&json, rest)
    }
}

impl Machine {
    /// Sets the breakpoint, in place of the one before; or takes it away.
    ///
    /// # Errors
    /// If there is no such slot, or the condition cannot be read.
    pub fn set_breakpoint(&self, slot: Option<usize>, filter: &str) -> Result<(), Error> {
        let breakpoint = match slot {
            None => None,
            Some(slot) if slot >= self.config.slots => {
                return Err(no_such_slot(slot, self.config.slots, &self.config.name));
            }
            Some(slot) => Some(Arc::new(Breakpoint { slot, filter: read_filter(filter)? })),
        };
        self.edit_plan(|plan| plan.breakpoint = breakpoint);
        Ok(())
    }

    /// Takes the message that is held before a slot on from there, and starts the machine.
    ///
    /// # Errors
    /// If no message is held.
    pub fn resume(&'static self) -> Result<(), Error> {
        if !self.is_held_before() {
            let name = &self.config.name;
            let message = format!("{name} holds no message: %break SLOT holds the next that comes there");
            return Err(failed(ErrorKind::NothingHeld, message));
        }
        self.start();
        Ok(())
    }
}

/// A condition; `None` if there is none.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_filter(text: &str) -> Result<Option<Filter>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Filter::parse(text).map(Some).map_err(|error| failed(ErrorKind::BadCondition, error.why))
}

impl Worker {
    /// Takes a message through the slots, unless the breakpoint holds it.
    #[cold]
    pub(crate) fn run_to_breakpoint(&mut self, at: usize) {
        let (Some(breakpoint), Some(frame)) = (self.plan.breakpoint.clone(), self.frames.get_mut(at)) else { return };
        let begun_ms = oid::coarse_millis();
        let step = frame.advance(0, Some(breakpoint.slot), &mut self.caught);
        if breakpoint.holds(frame) {
            return self.stop_with(at, begun_ms, Some(step));
        }
        frame.advance(step, None, &mut self.caught);
        if self.machine.stops_at(&self.caught) {
            return self.stop_with(at, begun_ms, None);
        }
        let mut frame = self.frames.remove(at);
        let caught = std::mem::take(&mut self.caught);
        let oid = self.oid();
        self.end(&mut frame, oid, &caught, Times { put: self.put, begun_ms, is_timed: true });
        self.frames.insert(at, frame);
    }
}
