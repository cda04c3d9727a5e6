//! What a cell shows, handed to the kernel.

use crate::shim::raw;
use machine_protocol::command::Outputs;
use machine_protocol::status::Status;
use serde::Serialize;
use std::fmt::Debug;
use std::io::Write;

/// Hands on what the cell has printed, also the beginning of a line.
pub(crate) fn flush() {
    // A standard output that is closed has no reader to miss it.
    let _ = std::io::stdout().flush();
}

/// Shows a value as JSON of a type that the kernel renders.
pub(crate) fn json<T: Serialize>(mime: &str, value: &T) {
    flush();
    if let Ok(document) = serde_json::to_string(value) {
        raw::show(mime, &document);
    }
}

/// Shows text.
pub(crate) fn text(text: &str) {
    flush();
    raw::show("text/plain", text);
}

/// Gives every `Debug` type the method that evcxr shows a cell's last expression with.
///
/// Implemented for references, so that the compiler finds a type's own method of that name, or that of [`ShowAs`], first.
pub trait Show {
    /// Shows the value in the notebook.
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> Show for &T {
    fn evcxr_display(&self) {
        let text = format!("{self:?}");
        if text == "()" {
            flush();
        } else {
            self::text(&text);
        }
    }
}

/// Shows values of plain-data types, which cannot have a method for it, as what the kernel renders.
pub trait ShowAs {
    /// Shows the value in the notebook.
    fn evcxr_display(&self);
}

impl ShowAs for Status {
    fn evcxr_display(&self) {
        json("application/vnd.machine.status+json", self);
    }
}

impl ShowAs for Outputs {
    fn evcxr_display(&self) {
        json("application/vnd.machine.outputs+json", self);
    }
}
