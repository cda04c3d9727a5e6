//! A finished message as JSON: the wire format.
//!
//! `[in,f0,…,f7]`. An empty slot gives what the slot before it gave. In place of an output that is missing stands
//! `{"_exception":{"exc_value":"…","exc_type":"…","task":"f3"}}`: the slot's own error, or `UpstreamError` for a
//! slot that was skipped because an output that it needs is missing.

use crate::frame::View;
use crate::slots::From;
use crate::visit::Missing;

/// A buffer that one unusually large message has stretched beyond this is given back.
const MOST_KEPT: usize = 1 << 20;

/// The JSON text of one message, in a buffer that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    text: Vec<u8>,
    /// Where each value is: the message, then each slot's output.
    parts: Vec<(usize, usize)>,
}

impl Clone for Rendering {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), parts: self.parts.clone() }
    }

    /// Into the buffers that are there.
    fn clone_from(&mut self, other: &Self) {
        self.text.clone_from(&other.text);
        self.parts.clone_from(&other.parts);
    }
}

impl Rendering {
    /// Writes a message, in place of the one before.
    pub fn write(&mut self, view: &View<'_>, missing: &[Missing]) {
        if self.text.capacity() > MOST_KEPT {
            self.text = Vec::new();
        }
        self.text.clear();
        self.parts.clear();
        self.text.push(b'[');
        let mut before = None;
        let mut only_numbers = true;
        for at in 0..view.len() {
            if at > 0 {
                self.text.push(b',');
            }
            let from = view.from(at);
            let start = self.text.len();
            match self.parts.last() {
                Some(&(first, end)) if before == Some(from) => self.text.extend_from_within(first..end),
                _ => {
                    only_numbers &= view.is_number(at);
                    match view.write_json(at, &mut self.text) {
                        Some(Ok(())) => {}
                        Some(Err(why)) => exception(&mut self.text, from, "SerializeError", &why),
                        None => {
                            let missing = missing.iter().find(|missing| From::Slot(missing.slot) == from);
                            match missing {
                                Some(missing) => exception(&mut self.text, from, missing.exc_type(), &missing.text),
                                // A value that was moved on before the message was written.
                                None => self.text.extend_from_slice(b"null"),
                            }
                        }
                    }
                }
            }
            before = Some(from);
            self.parts.push((start, self.text.len()));
        }
        self.text.push(b']');
        // JSON that was put as text, or that a type keeps as text, may go over several lines; in valid JSON a line
        // ends between two tokens alone, so a space says the same.
        if !only_numbers && self.text.contains(&b'\n') {
            for byte in &mut self.text {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
    }

    /// `[in,f0,…,f7]`, on one line.
    pub fn array(&self) -> &[u8] {
        &self.text
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// One of the values: 0 is the message, *i* + 1 the output of slot *i*.
    pub fn part(&self, at: usize) -> &[u8] {
        self.parts.get(at).and_then(|&(start, end)| self.text.get(start..end)).unwrap_or_default()
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
