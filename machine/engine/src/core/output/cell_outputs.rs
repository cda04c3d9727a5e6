//! A finished message as a cell holds it: the values themselves, or their JSON text.

use super::json::Rendering;
use crate::core::command_error::no_such_slot;
use crate::core::frame::Values;
use crate::core::hook::InSlot;
use crate::core::oid::Oid;
use crate::core::slot_errors::MissingOutput;
use crate::core::slots::From;
use crate::core::types::TypeInfo;
use serde_json::value::RawValue;

/// Values are numbered as in a call: 0 is the message, *i* + 1 what slot *i* gave.
#[derive(Debug)]
pub(crate) struct Held {
    pub oid: Oid,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Moved out of the frame.
    Values(Option<Values>, Vec<MissingOutput>),
    /// Written, because somebody else got the values; with what stands in place of missing ones.
    Text(Rendering, Vec<Option<String>>),
}

impl Held {
    pub fn values(oid: Oid, values: Values, missing: Vec<MissingOutput>) -> Self {
        Self { oid, content: Content::Values(Some(values), missing) }
    }

    /// `why` says for each value why it is missing, if it is.
    pub fn text(oid: Oid, rendering: Rendering, why: Vec<Option<String>>) -> Self {
        Self { oid, content: Content::Text(rendering, why) }
    }

    /// A pointer to a value, if it is there and of this type.
    pub fn value(&mut self, at: usize, wanted: &TypeInfo) -> Option<*const u8> {
        match &mut self.content {
            Content::Values(Some(values), _) => values.view().value(at, wanted),
            Content::Values(None, _) | Content::Text(..) => None,
        }
    }

    /// A value as JSON text, or why it is missing.
    pub fn json(&mut self, at: usize) -> Result<Vec<u8>, String> {
        let none = |slots: usize| no_such_slot(at.saturating_sub(1), slots, "the machine").to_string();
        match &mut self.content {
            Content::Values(Some(values), missing) => {
                let view = values.view();
                if at >= view.len() {
                    return Err(none(view.len() - 1));
                }
                let mut json = Vec::new();
                match view.write_json(at, &mut json) {
                    Some(written) => written.map(|()| json),
                    None => Err(why(view.from(at), missing)),
                }
            }
            Content::Values(None, _) => Err("it is gone".to_owned()),
            Content::Text(rendering, why) => match why.get(at) {
                None => Err(none(rendering.len().saturating_sub(1))),
                Some(Some(why)) => Err(why.clone()),
                Some(None) => Ok(rendering.part(at).to_vec()),
            },
        }
    }
}

/// One value for people: `in`, `f0`, …; its JSON text; or why it is missing.
pub(crate) type Shown = (String, Option<Box<RawValue>>, Option<String>);

impl Held {
    /// The message, and what each slot with a function made of it.
    pub fn shown(&mut self) -> Vec<Shown> {
        let slots = (1..self.len()).filter(|at| !self.passes_through(*at)).collect::<Vec<_>>();
        std::iter::once(0).chain(slots).map(|at| self.shown_at(at)).collect()
    }

    fn shown_at(&mut self, at: usize) -> Shown {
        let name = at.checked_sub(1).map_or_else(|| "in".to_owned(), |slot| format!("f{slot}"));
        let value = self.json(at).and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()));
        match value {
            Ok(json) => (name, Some(json), None),
            Err(why) => (name, None, Some(why)),
        }
    }

    /// How many values there are, the message one of them.
    fn len(&mut self) -> usize {
        match &mut self.content {
            Content::Values(Some(values), _) => values.view().len(),
            Content::Values(None, _) => 1,
            Content::Text(rendering, _) => rendering.len(),
        }
    }

    /// Whether a slot is empty, as far as that can be seen: it has the output of the one before it.
    fn passes_through(&mut self, at: usize) -> bool {
        match &mut self.content {
            Content::Values(Some(values), _) => values.view().from(at) != From::Slot(at - 1),
            Content::Values(None, _) => false,
            Content::Text(rendering, _) => rendering.part(at) == rendering.part(at - 1),
        }
    }
}

/// Why a value is missing, for people.
pub(crate) fn why(from: From, missing: &[MissingOutput]) -> String {
    let missing = missing.iter().find(|missing| From::Slot(missing.slot) == from);
    missing.map_or_else(|| "it was handed on to another machine".to_owned(), MissingOutput::describe)
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Content::Values(values, _) = &mut self.content {
            // The values' destructors are user code that belongs to the slots.
            let _in_slot = InSlot::enter();
            drop(values.take());
        }
    }
}
