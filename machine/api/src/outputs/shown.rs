//! What outputs and their places look like: in one line, for `{:?}`, and as the value of a cell.

use super::{Output, Outputs, SinkHandle};
use crate::frame::FRAME;
use crate::handle::status_of;
use crate::show;
use machine_protocol::status::{LastOutput, SinkKind, SinkStatus};
use serde_json::value::RawValue;
use std::fmt::{Debug, Formatter, Result, Write};

/// The last outputs of a machine, newest first: a slice of them. As the last expression of a cell they are shown as a
/// data frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastOutputs {
    /// The outputs.
    pub outputs: Vec<LastOutput>,
}

impl std::ops::Deref for LastOutputs {
    type Target = [LastOutput];
    fn deref(&self) -> &[LastOutput] {
        &self.outputs
    }
}

impl IntoIterator for LastOutputs {
    type Item = LastOutput;
    type IntoIter = std::vec::IntoIter<LastOutput>;
    fn into_iter(self) -> Self::IntoIter {
        self.outputs.into_iter()
    }
}

impl<'a> IntoIterator for &'a LastOutputs {
    type Item = &'a LastOutput;
    type IntoIter = std::slice::Iter<'a, LastOutput>;
    fn into_iter(self) -> Self::IntoIter {
        self.outputs.iter()
    }
}

impl LastOutputs {
    /// Shows them in the notebook: a row each, a column for each slot that changes something.
    pub fn evcxr_display(&self) {
        if self.is_empty() {
            return show::text("no message went through yet");
        }
        let slots = self.iter().map(|output| output.outputs.len()).max().unwrap_or(0);
        let slots: Vec<usize> = (0..slots).filter(|slot| self.iter().any(|output| changes(output, *slot))).collect();
        let rows: Vec<Box<RawValue>> = self.iter().filter_map(|output| row(output, &slots)).collect();
        show::json(FRAME, &rows);
    }
}

/// Whether a slot gave something else than what came before it: an empty one does not. Where an output is missing, its
/// error says which slot it is of, also if that one is empty.
fn changes(output: &LastOutput, slot: usize) -> bool {
    let before = slot.checked_sub(1).map_or(Some(&output.input), |before| output.outputs.get(before));
    let value = output.outputs.get(slot);
    let is_missing = |value: Option<&String>| value.is_some_and(|json| json.starts_with(r#"{"_exception":"#));
    value != before && !(is_missing(value) && is_missing(before))
}

/// A row of the data frame. The texts are JSON already.
fn row(output: &LastOutput, slots: &[usize]) -> Option<Box<RawValue>> {
    let mut json = format!(r#"{{"oid":"{}","in":{}"#, output.oid, output.input);
    for slot in slots {
        let value = output.outputs.get(*slot).map_or("null", String::as_str);
        // Writing to a string cannot fail.
        let _ = write!(json, r#","f{slot}":{value}"#);
    }
    json.push('}');
    RawValue::from_string(json).ok()
}

impl Debug for Output {
    /// `Output("66f0…", in: 3.0, f0: 9.0)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "Output({:?}, {})", self.oid, self.call.line())
    }
}

impl Output {
    /// Shows its values in the notebook, a line each.
    pub fn evcxr_display(&self) {
        self.call.evcxr_display();
    }
}

impl Debug for Outputs {
    /// `Outputs("main", 3 waiting, 0 lost)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let status = status_of(self.machine);
        let name = status.as_ref().map_or("", |status| &status.machine);
        let id = self.handle.id();
        let sink = status.iter().flat_map(|status| &status.outputs).find(|sink| sink.id == id);
        let waiting = sink.map_or(0, |sink| sink.waiting);
        write!(f, "Outputs({name:?}, {waiting} waiting, {} lost)", self.lost())
    }
}

impl Debug for SinkHandle {
    /// `SinkHandle("main", publish, "tcp://127.0.0.1:5555", 10 sent, 0 waiting, 0 lost, 1 subscribed)`
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let status = status_of(self.machine.id);
        let name = status.as_ref().map_or("", |status| &status.machine);
        write!(f, "SinkHandle({name:?}")?;
        let sink = status.iter().flat_map(|status| &status.outputs).find(|sink| sink.id == self.id);
        let Some(SinkStatus { kind, endpoint, sent, waiting, lost, subscribers, error, .. }) = sink else {
            return f.write_str(", ended)");
        };
        write!(f, ", {kind}")?;
        if !endpoint.is_empty() {
            write!(f, ", {endpoint:?}")?;
        }
        write!(f, ", {sent} sent, {waiting} waiting, {lost} lost")?;
        if *kind == SinkKind::Publish {
            write!(f, ", {subscribers} subscribed")?;
        }
        if !error.is_empty() {
            write!(f, ", {error}")?;
        }
        f.write_char(')')
    }
}
