//! What went wrong with one message: the slots that failed on it, and those that have no output because of that.

use crate::core::frame::{Events, Frame, SlotErrorKind};
use crate::core::slots::From;
use machine::abi::Optionality;

/// The errors of one message.
#[derive(Debug, Default)]
pub(crate) struct SlotErrors {
    pub errors: Vec<(usize, SlotErrorKind, String)>,
    pub skipped: Vec<usize>,
    /// Slots that were called again, and how often.
    pub retried: Vec<(usize, u64)>,
}

impl SlotErrors {
    pub fn clear(&mut self) {
        self.errors.clear();
        self.skipped.clear();
        self.retried.clear();
    }

    /// A slot is called again.
    pub fn retry(&mut self, slot: usize) {
        match self.retried.last_mut() {
            Some((last, count)) if *last == slot => *count += 1,
            _ => self.retried.push((slot, 1)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.skipped.is_empty() && self.retried.is_empty()
    }
}

impl Events for SlotErrors {
    #[cold]
    fn error(&mut self, slot: usize, kind: SlotErrorKind, text: String) {
        // Several slots after it may need what a slot gave, and cannot be written.
        let is_known =
            |(known, kind, _): &(usize, SlotErrorKind, String)| *known == slot && *kind == SlotErrorKind::Serialize;
        if kind != SlotErrorKind::Serialize || !self.errors.iter().any(is_known) {
            self.errors.push((slot, kind, text));
        }
    }

    #[cold]
    fn skipped(&mut self, slot: usize) {
        self.skipped.push(slot);
    }
}

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
        Some(f) if frame.is_none(From::Slot(f)) => format!("f{slot} was skipped: it needs f{f}, which returned None"),
        Some(f) => format!("f{slot} was skipped because f{f} produced no output"),
        None if frame.is_none(From::Input) => format!("f{slot} was skipped: it needs the message, which is None"),
        None => format!("f{slot} was skipped"),
    }
}
