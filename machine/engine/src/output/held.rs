//! A finished message as a cell holds it: the values themselves, or their JSON text.

use super::json::Rendering;
use crate::command_error::no_such_slot;
use crate::frame::Values;
use crate::hook::InSlot;
use crate::oid::Oid;
use crate::slots::From;
use crate::types::TypeInfo;
use crate::visit::Missing;

/// Values are numbered as in a call: 0 is the message, *i* + 1 what slot *i* gave.
#[derive(Debug)]
pub(crate) struct Held {
    pub oid: Oid,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Moved out of the frame.
    Values(Option<Values>, Vec<Missing>),
    /// Written, because somebody else got the values; with what stands in place of missing ones.
    Text(Rendering, Vec<Option<String>>),
}

impl Held {
    pub fn values(oid: Oid, values: Values, missing: Vec<Missing>) -> Self {
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
        let none = |slots: usize| no_such_slot(at.saturating_sub(1), slots, "the machine").message;
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

/// Why a value is missing, for people.
pub(super) fn why(from: From, missing: &[Missing]) -> String {
    let missing = missing.iter().find(|missing| From::Slot(missing.slot) == from);
    missing.map_or_else(|| "it was handed on to another machine".to_owned(), Missing::told)
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
