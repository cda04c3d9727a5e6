//! A message that is through its slots, as sinks see it.

use super::Attached;
use super::cell_outputs::{self, Held};
use super::json::Rendering;
use crate::core::frame::{Frame, Values, View};
use crate::core::oid::Oid;
use crate::core::raw::Inlet;
use crate::core::slot_errors::MissingOutput;
use crate::decode::frames::EXCEPTION;
use machine::abi::{Put, PutWait};

/// Where the values of a finished message are.
#[derive(Debug)]
pub(crate) enum Location<'a> {
    /// In the worker's frame.
    Frame(&'a mut Frame),
    /// Moved out, while the message waited for its turn.
    Values(&'a mut Option<Values>),
}

/// One finished message, handed to one sink after the other. Its JSON is written once, when the first one asks.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub oid: Oid,
    pub(crate) place: Location<'a>,
    pub(crate) missing: &'a [MissingOutput],
    pub(crate) rendering: &'a mut Rendering,
    pub(crate) is_rendered: bool,
    /// No other sink comes after this one: it may have the values.
    pub(crate) is_last: bool,
}

impl<'a> Finished<'a> {
    /// A message in the frame that it went through.
    pub fn new(oid: Oid, frame: &'a mut Frame, missing: &'a [MissingOutput], rendering: &'a mut Rendering) -> Self {
        Self { oid, place: Location::Frame(frame), missing, rendering, is_rendered: false, is_last: false }
    }

    /// Writes it if one of the sinks will read it.
    pub fn write_for(&mut self, sinks: &[Attached]) {
        let last = sinks.len().saturating_sub(1);
        if sinks.iter().enumerate().any(|(at, attached)| attached.sink.reads_json(self, at == last)) {
            self.json();
        }
    }

    fn view(&mut self) -> Option<View<'_>> {
        match &mut self.place {
            Location::Frame(frame) => Some(frame.view()),
            Location::Values(values) => values.as_mut().map(Values::view),
        }
    }

    /// Whether it can still be read: no sink wanted one of which nothing is left when it was through.
    pub fn is_there(&self) -> bool {
        self.is_rendered || !matches!(self.place, Location::Values(None))
    }

    /// The message as JSON.
    pub fn json(&mut self) -> &Rendering {
        if !self.is_rendered {
            self.is_rendered = true;
            let view = match &mut self.place {
                Location::Frame(frame) => Some(frame.view()),
                Location::Values(values) => values.as_mut().map(Values::view),
            };
            if let Some(view) = view {
                self.rendering.write(self.oid, &view, self.missing);
            }
        }
        self.rendering
    }

    /// Its JSON, if that was written and not all outputs could be.
    #[inline]
    pub fn take_unwritten(&mut self) -> Option<&mut Rendering> {
        (self.is_rendered && self.rendering.has_unwritten()).then_some(&mut *self.rendering)
    }

    /// The message for a cell: the values themselves for the last sink, their JSON text for others.
    pub fn hold(&mut self) -> Held {
        if self.is_last {
            let values = match &mut self.place {
                Location::Frame(frame) => Some(frame.take()),
                Location::Values(values) => values.take(),
            };
            if let Some(values) = values {
                return Held::values(self.oid, values, self.missing.to_vec());
            }
        }
        let missing = self.missing;
        let why = self.view().map_or_else(Vec::new, |view| {
            let why =
                |at| (!view.is_present(at) && !view.is_none(at)).then(|| cell_outputs::why(view.from(at), missing));
            (0..view.len()).map(why).collect()
        });
        Held::text(self.oid, self.json().clone(), why)
    }

    /// Whether the output of a slot is put on another machine as it is, whatever else needs it; or is missing.
    pub fn is_copied(&mut self, slot: usize) -> bool {
        self.view().is_none_or(|view| !view.is_present(slot + 1) || view.is_copied(slot + 1))
    }

    /// Appends the JSON text of what a slot gave; `None` if that is missing. An error says why it has none.
    pub fn write_output(&mut self, slot: usize, to: &mut Vec<u8>) -> Option<Result<(), String>> {
        let at = slot + 1;
        let is_rendered = self.is_rendered;
        let view = self.view()?;
        if !view.is_present(at) {
            return None;
        }
        if !is_rendered {
            return view.write_json(at, to);
        }
        let part = self.rendering.part(at);
        if part.starts_with(EXCEPTION.as_bytes()) {
            // In place of a value that cannot be written, or a value of the user's that looks like that.
            return self.view()?.write_json(at, to);
        }
        to.extend_from_slice(part);
        Some(Ok(()))
    }

    /// Puts the output of a slot on another machine: the value itself if nobody else needs it or if it is a number,
    /// else its JSON text. `None` if there is no such output; an error says why it has no JSON text.
    pub fn put(
        &mut self,
        slot: usize,
        machine: &impl Inlet,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Option<Result<Put, String>> {
        let keep = !self.is_last;
        let mut view = self.view()?;
        if !view.is_present(slot + 1) {
            return None;
        }
        if let Some(put) = view.put(slot + 1, keep, machine, patience, &cancel) {
            return Some(Ok(put));
        }
        let json = String::from_utf8_lossy(self.json().part(slot + 1)).into_owned();
        // What stands there for others in place of the value is no message; a value of the user's may look like that.
        if json.starts_with(EXCEPTION)
            && let Some(Err(why)) = self.view()?.write_json(slot + 1, &mut Vec::new())
        {
            return Some(Err(why));
        }
        Some(Ok(machine.put_text(json, patience, cancel)))
    }
}
