//! Breakpoints: the machine holds before a slot, with the message in hand.
//!
//! A breakpoint is part of the plan, so a machine without one looks for none. It holds messages that go straight through,
//! and those that have to wait on their way (async slots, slots with settings): it stays when these change.

use crate::core::command_error::{failed, no_such_slot};
use crate::core::machine::Machine;
use crate::core::slots::{From, HoldBefore, Plan, ReadJson};
use crate::filter::{Filter, Found, Lookup, inside_own, parser};
use machine_protocol::filter as protocol;
use machine_protocol::{Error, ErrorKind};
use std::sync::Arc;

/// Before which slot, and for which messages.
#[derive(Debug)]
pub(crate) struct Breakpoint {
    slot: usize,
    filter: Option<Filter>,
}

impl HoldBefore for Breakpoint {
    fn slot(&self) -> usize {
        self.slot
    }

    fn holds(&self, plan: &Plan, read: &ReadJson<'_>) -> bool {
        let row = OnItsWay { plan, read, slot: self.slot };
        self.filter.as_ref().is_none_or(|filter| filter.holds(&row))
    }
}

/// A message on its way, as a condition sees it: `in`, `f0` and so on; any other name is looked for in what the slot
/// before gave.
struct OnItsWay<'f> {
    plan: &'f Plan,
    read: &'f ReadJson<'f>,
    slot: usize,
}

impl Lookup for OnItsWay<'_> {
    fn get(&self, path: &[String]) -> Option<Found<'_>> {
        let (first, rest) = path.split_first()?;
        let plan = self.plan;
        let before = |slot: usize| slot.checked_sub(1).map_or(From::Input, |before| plan.producer(before));
        let (from, rest) = match (first.as_str(), first.strip_prefix('f').and_then(|n| n.parse::<usize>().ok())) {
            ("in" | "input", _) => (From::Input, rest),
            (_, Some(slot)) if slot < plan.slots.len() => (plan.producer(slot), rest),
            _ => (before(self.slot), path),
        };
        let json = (self.read)(from)?.ok()?;
        inside_own(&json, rest)
    }
}

/// Sets the breakpoint, in place of the one before; or takes it away.
///
/// # Errors
/// If there is no such slot, or the condition cannot be read.
pub(crate) fn set_breakpoint(machine: &Machine, slot: Option<usize>, filter: &protocol::Filter) -> Result<(), Error> {
    let breakpoint = match slot {
        None => None,
        Some(slot) if slot >= machine.config().slots => {
            return Err(no_such_slot(slot, machine.config().slots, &machine.config().name));
        }
        Some(slot) => {
            let hold: Arc<dyn HoldBefore> = Arc::new(Breakpoint { slot, filter: read_filter(filter)? });
            Some(hold)
        }
    };
    machine.edit_plan(|plan| plan.hold_before = breakpoint);
    Ok(())
}

/// Takes the message that is held before a slot on from there, and starts the machine.
///
/// # Errors
/// If no message is held.
pub(crate) fn resume(machine: &'static Machine) -> Result<(), Error> {
    if !machine.held().is_before_slot() {
        let name = &machine.config().name;
        let message = format!("{name} holds no message: %break SLOT holds the next that comes there");
        return Err(failed(ErrorKind::NothingHeld, message));
    }
    machine.start();
    Ok(())
}

/// A condition; `None` if there is none.
///
/// # Errors
/// If it cannot be read, or is a text that this program has no parser for.
pub(crate) fn read_filter(filter: &protocol::Filter) -> Result<Option<Filter>, Error> {
    let bad = |why| failed(ErrorKind::BadCondition, why);
    let tree = match filter {
        empty if empty.is_empty() => return Ok(None),
        protocol::Filter::Tree(tree) => tree.clone(),
        protocol::Filter::Text(text) => {
            let parse = parser().ok_or_else(|| {
                let message = "conditions are not compiled in: the crate machine-engine was built without its feature \
                               `filter`; add `features = [\"filter\"]` to the dependency";
                failed(ErrorKind::NotBuilt, message.to_owned())
            })?;
            parse(text).map_err(bad)?
        }
        other => return Err(bad(format!("this engine does not know {other:?}"))),
    };
    Filter::new(tree).map(Some).map_err(bad)
}
