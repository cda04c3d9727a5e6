//! Panics in slots: recorded, not printed.
//!
//! The thread that runs a slot says so; the panic hook, of whichever standard library the panic happens in, then
//! hands message and place over instead of printing them (a printed backtrace costs milliseconds).

use crate::core::columns;
use crate::core::observer::observer;
use crate::core::stdout;
use std::cell::{Cell, RefCell};
use std::fmt::Write;

thread_local! {
    static IN_SLOT: Cell<u32> = const { Cell::new(0) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// While it lives, panics of this thread belong to a slot.
#[derive(Debug)]
pub(crate) struct InSlot(());

impl InSlot {
    pub fn enter() -> Self {
        IN_SLOT.with(|depth| depth.set(depth.get() + 1));
        Self(())
    }

    /// From here on panics of this thread belong to slots.
    pub fn forever() {
        std::mem::forget(Self::enter());
    }
}

impl Drop for InSlot {
    fn drop(&mut self) {
        IN_SLOT.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Whether the calling thread runs code of a slot.
pub fn is_in_slot() -> bool {
    // While the thread ends it runs no slot any more.
    IN_SLOT.try_with(|depth| depth.get() > 0).unwrap_or(false)
}

/// Called by the panic hook; returns whether the panic is recorded: it belongs to a slot, or a `println!` has lost its
/// reader. `file` is as the compiler names it.
pub(crate) fn record(message: &str, file: &str, line: u32, column: u32) -> bool {
    let is_closed_pipe = stdout::note_panic(message);
    let in_slot = is_in_slot();
    if in_slot {
        let _ = PANIC.try_with(|panic| {
            if let Ok(mut text) = panic.try_borrow_mut() {
                text.clear();
                let place = observer().map_or_else(String::new, |observer| observer.place(file, line, column));
                let place = if place.is_empty() { place_in_program(file, line, column) } else { place };
                // Text can always be added to.
                let _ = write!(text, "{message} ({place})");
            }
        });
    }
    in_slot || is_closed_pipe
}

/// The message of the panic that has just ended a slot.
pub(crate) fn take_panic() -> String {
    // While the thread ends there may be nothing left that it could have been recorded in.
    let text = PANIC.try_with(|panic| panic.try_borrow_mut().map(|mut text| std::mem::take(&mut *text)));
    let text = text.ok().and_then(Result::ok).unwrap_or_default();
    if text.is_empty() { "a panic without a message".to_owned() } else { text }
}

/// The place of a panic in a program that was compiled as it is, or by `machine run`.
pub(crate) fn place_in_program(file: &str, line: u32, column: u32) -> String {
    format!("{file}:{line}:{}", columns::column(file, line, column))
}

/// Sets the hook of the standard library that the engine itself uses, which in a plain program is the program's.
pub(crate) fn install() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let (file, line, column) = info.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        if !record(message, file, line, column) {
            before(info);
        }
    }));
}
