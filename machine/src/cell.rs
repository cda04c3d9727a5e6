//! What a notebook's cells are rewritten to call. Not for people.
//!
//! The kernel turns `MACHINE[1] = |x: f64| x;` into [`assign`], a cell's own `?` into [`tried`], and puts [`check`]
//! at the head of its loops, so that errors point at the user's line and an interrupt stops a loop.

use crate::abi::host;
use crate::command::Origin;
use crate::handle::SlotRef;
use crate::shim::{raw, short};
use crate::slot::Slot;
use serde::Serialize;
use std::any::type_name;
use std::fmt::Debug;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;

/// What the error of a failed `?` prints; the kernel removes it, the error itself has been told already.
pub const STOP_MARK: &str = "\u{1}machine-stop";

/// The first statement of every cell: binds the cell's library to what the session defines, and sets the panic
/// hook of the standard library that all cells share.
pub fn enter() {
    raw::enter();
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without a message");
        let (file, line, column) = info.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        if !raw::panicked(message, file, line, column) {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            std::eprintln!("thread '{name}' panicked: {message}");
        }
    }));
}

/// Ends the cell without a word: what has to be said has been said.
struct Stop;

impl Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(STOP_MARK)
    }
}

/// At the head of each loop of a cell: stops the cell if the user has interrupted it.
#[inline]
pub fn check() {
    // Relaxed: the flag carries nothing but itself; a turn later is soon enough.
    if host().interrupt.load(Ordering::Relaxed) {
        stop_if_cell();
    }
}

#[cold]
fn stop_if_cell() {
    if (host().on_cell_thread)() {
        // Not a panic: no hook, no message. The kernel knows that it asked.
        resume_unwind(Box::new(Stop));
    }
}

/// The error of a cell's `?`.
pub struct Tried(());

impl Debug for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(STOP_MARK)
    }
}

/// `value?` in a cell's own statements: tells the kernel what failed, and on which line of the cell.
///
/// # Errors
/// If `value` is an error.
pub fn tried<T, E: Debug>(value: Result<T, E>, line: u32) -> Result<T, Tried> {
    value.map_err(|error| {
        let name = short(type_name::<E>());
        let name = name.split('<').next().unwrap_or(&name);
        raw::fail(name, &format!("{error:?}"), line);
        Tried(())
    })
}

/// `MACHINE[1] = function;`
///
/// If it cannot be done, the cell ends here.
pub fn assign<S, F: Slot<S>>(slot: &SlotRef, function: F, code: &str, cell: u32, line: u32) {
    let origin = Origin { code: code.to_owned(), cell, place: String::new() };
    match slot.set_from(function, &origin) {
        Ok(None) => {}
        Ok(Some(warning)) => std::eprintln!("warning: {warning}"),
        Err(failure) => {
            raw::fail("AssignError", &failure.to_string(), line);
            resume_unwind(Box::new(Stop));
        }
    }
}

/// Shows a value as JSON of a type that the kernel renders.
pub(crate) fn show_json<T: Serialize>(mime: &str, value: &T) {
    if let Ok(json) = serde_json::to_string(value) {
        raw::show(mime, &json);
    }
}

/// Gives every `Debug` type the method that evcxr shows a cell's last expression with. A type's own method of that
/// name goes first.
pub trait Show {
    /// Shows the value in the notebook.
    fn evcxr_display(&self);
}

impl<T: Debug> Show for T {
    fn evcxr_display(&self) {
        let text = format!("{self:?}");
        if text != "()" {
            raw::show("text/plain", &text);
        }
    }
}
