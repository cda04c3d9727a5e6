//! A finished message as JSON: the wire format, and the line of a file around it.
//!
//! `[in,f0,…,f7]`. An empty slot gives what the slot before it gave. In place of an output that is missing stands
//! `{"_exception":{"exc_value":"…","exc_type":"…","task":"f3"}}`: the slot's own error, or `UpstreamError` for a
//! slot that was skipped because an output that it needs is missing.

use crate::core::frame::View;
use crate::core::oid::{self, Oid};
use crate::core::slot_errors::MissingOutput;
use crate::core::slots::From;
use std::ops::Range;

/// A buffer that one unusually large message has stretched beyond this is given back.
const MOST_KEPT: usize = 1 << 20;

/// What comes before the array in a line.
const HEAD: [u8; 44] = *b"{\"oid\":\"000000000000000000000000\",\"outputs\":";
/// Where the name of the message stands in it.
const OID: Range<usize> = 8..32;
/// What comes after it.
const TAIL: [u8; 2] = *b"}\n";

/// The JSON text of one message, as a line, in a buffer that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    /// `HEAD`, the array, `TAIL`.
    line: Vec<u8>,
    /// Where each value is in it: the message, then each slot's output.
    parts: Vec<(usize, usize)>,
    /// The slots whose outputs cannot be written, and why.
    unwritten: Vec<(usize, String)>,
}

impl Clone for Rendering {
    fn clone(&self) -> Self {
        Self { line: self.line.clone(), parts: self.parts.clone(), unwritten: Vec::new() }
    }

    /// Into the buffers that are there.
    fn clone_from(&mut self, other: &Self) {
        self.line.clone_from(&other.line);
        self.parts.clone_from(&other.parts);
    }
}

impl Rendering {
    /// Writes a message, in place of the one before.
    pub fn write(&mut self, oid: Oid, view: &View<'_>, missing: &[MissingOutput]) {
        if self.line.capacity() > MOST_KEPT {
            self.line = Vec::new();
        }
        let mut head = HEAD;
        if let Some(name) = head.get_mut(OID) {
            name.copy_from_slice(&oid::hex(oid));
        }
        self.line.clear();
        self.unwritten.clear();
        self.line.extend_from_slice(&head);
        self.line.push(b'[');
        self.parts.resize(view.len(), (0, 0));
        let mut only_numbers = true;
        let mut at = 0;
        while at < view.len() {
            at += view.write_numbers(at, &mut self.line, &mut self.parts);
            if at < view.len() {
                only_numbers &= view.is_number(at);
                self.write_value(at, view, missing);
                at += 1;
            }
        }
        // In place of the comma after the last value.
        self.line.pop();
        self.line.push(b']');
        // JSON that was put as text, or that a type keeps as text, may go over several lines; in valid JSON a line
        // ends between two tokens alone, so a space says the same.
        if !only_numbers && self.line.contains(&b'\n') {
            for byte in &mut self.line {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        self.line.extend_from_slice(&TAIL);
    }

    /// Appends one value, or what stands in its place, with a comma after it.
    fn write_value(&mut self, at: usize, view: &View<'_>, missing: &[MissingOutput]) {
        let start = self.line.len();
        if view.repeats(at)
            && let Some(&(first, end)) = at.checked_sub(1).and_then(|before| self.parts.get(before))
        {
            self.line.extend_from_within(first..end);
        } else {
            let from = view.from(at);
            match view.write_json(at, &mut self.line) {
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    exception(&mut self.line, from, "SerializeError", &why);
                    // One that was found out before is among the errors of the message already.
                    if let From::Slot(slot) = from
                        && !missing.iter().any(|missing| missing.slot == slot)
                    {
                        self.unwritten.push((slot, why));
                    }
                }
                None => match missing.iter().find(|missing| From::Slot(missing.slot) == from) {
                    Some(missing) => exception(&mut self.line, from, missing.exc_type(), &missing.text),
                    // A value that was moved on before the message was written.
                    None => self.line.extend_from_slice(b"null"),
                },
            }
        }
        if let Some(part) = self.parts.get_mut(at) {
            *part = (start, self.line.len());
        }
        self.line.push(b',');
    }

    /// Whether outputs of slots could not be written.
    #[inline]
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// The slots whose outputs could not be written, and why; once.
    pub fn take_unwritten(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.unwritten)
    }

    /// `{"oid":"…","outputs":[in,f0,…,f7]}`, and the end of the line.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// `[in,f0,…,f7]`, on one line.
    pub fn array(&self) -> &[u8] {
        let end = self.line.len().saturating_sub(TAIL.len());
        self.line.get(HEAD.len()..end).unwrap_or_default()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// One of the values: 0 is the message, *i* + 1 the output of slot *i*.
    pub fn part(&self, at: usize) -> &[u8] {
        self.parts.get(at).and_then(|&(start, end)| self.line.get(start..end)).unwrap_or_default()
    }
}

#[cold]
fn exception(to: &mut Vec<u8>, from: From, exc_type: &str, exc_value: &str) {
    let task = match from {
        From::Input => "in".to_owned(),
        From::Slot(slot) => format!("f{slot}"),
    };
    // Text always serialises.
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let (exc_value, exc_type) = (text(exc_value), text(exc_type));
    let json = format!("{{\"_exception\":{{\"exc_value\":{exc_value},\"exc_type\":{exc_type},\"task\":\"{task}\"}}}}");
    to.extend_from_slice(json.as_bytes());
}
