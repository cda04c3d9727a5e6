//! A message that was taken through the slots on the caller's thread, for `call` and `step`.

use crate::command_error::no_such_slot;
use crate::frame::Frame;
use crate::hook::InSlot;
use crate::oid::Oid;
use crate::slots::From;
use crate::worker::Caught;
use machine::command::{Outputs, SlotOutput};

/// One message that was taken through the slots outside of the workers, with all that they made of it.
#[derive(Debug)]
pub(crate) struct Visit {
    pub oid: Oid,
    pub frame: Frame,
    pub caught: Caught,
}

impl Visit {
    pub fn new(oid: Oid, frame: Frame, caught: Caught) -> Self {
        Self { oid, frame, caught }
    }

    /// What the parameter `at` of `call_value` means: 0 is the message, i + 1 slot i, empty slots pass through.
    pub fn from(&self, at: usize) -> From {
        at.checked_sub(1).map_or(From::Input, |slot| self.frame.plan().producer(slot))
    }

    /// A value as JSON text, or why it is missing.
    pub fn json(&self, at: usize) -> Result<String, String> {
        if at > self.frame.plan().slots.len() {
            return Err(no_such_slot(at - 1, self.frame.plan().slots.len(), "the machine").message);
        }
        let from = self.from(at);
        self.frame.json(from).unwrap_or_else(|| {
            let From::Slot(slot) = from else { return Err("no message".to_owned()) };
            Err(self.why_missing(slot))
        })
    }

    fn why_missing(&self, slot: usize) -> String {
        if let Some((_, kind, text)) = self.caught.errors.iter().find(|(at, ..)| *at == slot) {
            return format!("f{slot} failed ({}): {text}", kind.code());
        }
        let plan = self.frame.plan();
        let missing = plan.function(slot).and_then(|function| {
            (0..function.params.len()).map(|number| plan.argument(slot, number)).find_map(|from| {
                if let From::Slot(f) = from { self.frame.json(from).is_none().then_some(f) } else { None }
            })
        });
        missing.map_or_else(
            || format!("f{slot} was skipped"),
            |f| format!("f{slot} was skipped: it needs f{f}, which is missing"),
        )
    }

    /// All of it, for display.
    pub fn outputs(&self) -> Outputs {
        let plan = self.frame.plan();
        let slots = (0..plan.slots.len()).map(|slot| {
            let args = plan.function(slot).map(|function| {
                let text = |number| match self.frame.json(plan.argument(slot, number)) {
                    Some(Ok(json)) => json,
                    Some(Err(why)) => format!("({why})"),
                    None => "missing".to_owned(),
                };
                (0..function.params.len()).map(text).collect()
            });
            let output = self.json(slot + 1);
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

impl Drop for Visit {
    fn drop(&mut self) {
        // The frame's destructors are user code that belongs to the slots.
        let _in_slot = InSlot::enter();
        self.frame.clear();
    }
}
