//! A message that was taken through the slots on the caller's thread, for `call` and `step`.

use crate::core::command_error::no_such_slot;
use crate::core::frame::Frame;
use crate::core::hook::InSlot;
use crate::core::in_flight::Abandoned;
use crate::core::oid::Oid;
use crate::core::output::Held;
use crate::core::slots::From;
use crate::core::worker::SlotErrors;
use machine::abi::Optionality;
use machine_protocol::command::{Outputs, SlotOutput};

/// Why a slot has no output for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingOutput {
    pub slot: usize,
    /// What kind of error it was; `None` if the slot was skipped.
    pub code: Option<&'static str>,
    /// The slot's own error, or the input that is missing.
    pub text: String,
}

impl MissingOutput {
    /// What a message's slots failed on or skipped.
    pub fn of(frame: &Frame, caught: &SlotErrors) -> Vec<Self> {
        let failed = caught.errors.iter().map(|(slot, kind, text)| Self {
            slot: *slot,
            code: Some(kind.as_str()),
            text: text.clone(),
        });
        let skipped =
            caught.skipped.iter().map(|&slot| Self { slot, code: None, text: missing_dependency(frame, slot) });
        failed.chain(skipped).collect()
    }

    /// For the wire: what kind of error stands in the output's place.
    pub fn exc_type(&self) -> &'static str {
        match self.code {
            None => "UpstreamError",
            Some("panic") => "Panic",
            Some("type") => "TypeError",
            Some("timeout") => "TimeoutError",
            Some("serialize") => "SerializeError",
            Some(_) => "Error",
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self.code {
            None => self.text.clone(),
            Some(code) => format!("f{} failed ({code}): {}", self.slot, self.text),
        }
    }
}

/// Names the input that a skipped slot needs.
fn missing_dependency(frame: &Frame, slot: usize) -> String {
    let plan = frame.plan();
    let missing_dependency = plan.function(slot).and_then(|function| {
        (0..function.params.len())
            // It runs without the others.
            .filter(|&number| function.params.get(number).is_some_and(|param| param.need == Optionality::Required))
            .map(|number| plan.argument(slot, number))
            .find_map(|from| if let From::Slot(f) = from { (!frame.is_present(from)).then_some(f) } else { None })
    });
    match missing_dependency {
        Some(f) if frame.is_none(From::Slot(f)) => format!("f{slot} was skipped: it needs f{f}, which gave None"),
        Some(f) => format!("f{slot} was skipped: it needs f{f}, which is missing"),
        None if frame.is_none(From::Input) => format!("f{slot} was skipped: it needs the message, which is None"),
        None => format!("f{slot} was skipped"),
    }
}

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
