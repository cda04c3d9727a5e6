//! A message that was taken through the slots on the caller's thread, for `call` and `step`.

use crate::core::command_error::no_such_slot;
use crate::core::frame::Frame;
use crate::core::hook::InSlot;
use crate::core::in_flight::Abandoned;
use crate::core::oid::Oid;
use crate::core::output::Held;
use crate::core::slot_errors::{MissingOutput, SlotErrors};
use crate::core::slots::From;
use machine_protocol::command::{Outputs, SlotOutput};

/// One message that was taken through the slots outside of the workers, with all that they made of it.
#[derive(Debug)]
pub(crate) struct Execution {
    pub oid: Oid,
    pub frame: Frame,
    pub caught: SlotErrors,
    /// It was cancelled before it was through: it has the message alone, and an error for each slot.
    pub abandoned: Option<Abandoned>,
}

impl Execution {
    pub fn new(oid: Oid, frame: Frame, caught: SlotErrors) -> Self {
        Self { oid, frame, caught, abandoned: None }
    }

    /// The frame, and what was caught in it.
    pub fn into_parts(mut self) -> (Frame, SlotErrors) {
        // A visit is dropped whole: it leaves with an empty frame.
        let empty = Frame::new(self.frame.plan().clone(), self.frame.input);
        (std::mem::replace(&mut self.frame, empty), std::mem::take(&mut self.caught))
    }

    /// The values alone, as a cell holds them.
    pub fn hold(mut self) -> Held {
        let missing = MissingOutput::of(&self.frame, &self.caught);
        Held::values(self.oid, self.frame.take(), missing)
    }

    /// A value as JSON text, or why it is missing: 0 is the message, i + 1 slot i.
    fn json(&self, at: usize, missing: &[MissingOutput]) -> Result<String, String> {
        let plan = self.frame.plan();
        if at > plan.slots.len() {
            return Err(no_such_slot(at - 1, plan.slots.len(), "the machine").to_string());
        }
        let from = at.checked_sub(1).map_or(From::Input, |slot| plan.producer(slot));
        self.frame.json(from).unwrap_or_else(|| {
            let missing = missing.iter().find(|missing| From::Slot(missing.slot) == from);
            Err(missing.map_or_else(|| "it is missing".to_owned(), MissingOutput::describe))
        })
    }

    /// All of it, for display.
    pub fn outputs(&self) -> Outputs {
        let plan = self.frame.plan();
        let missing = MissingOutput::of(&self.frame, &self.caught);
        let slots = (0..plan.slots.len()).map(|slot| {
            let args = plan.function(slot).map(|function| {
                let text = |number| match self.frame.json(plan.argument(slot, number)) {
                    Some(Ok(json)) => json,
                    Some(Err(why)) => format!("({why})"),
                    None => "missing".to_owned(),
                };
                (0..function.params.len()).map(text).collect()
            });
            let output = self.json(slot + 1, &missing);
            SlotOutput {
                slot,
                args: args.unwrap_or_default(),
                error: output.as_ref().err().cloned(),
                output: output.ok(),
                nanos: self.frame.nanos(slot),
                revision: plan.slots.get(slot).map_or(0, |slot| slot.revision),
            }
        });
        let input = self.frame.json(From::Input).unwrap_or_else(|| Ok(String::new())).unwrap_or_else(|why| why);
        Outputs { oid: self.oid.to_string(), input, slots: slots.collect() }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        // The frame's destructors are user code that belongs to the slots.
        let _in_slot = InSlot::enter();
        self.frame.clear();
    }
}
