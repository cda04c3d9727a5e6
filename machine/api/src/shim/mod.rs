//! The typed shims: for each type, closure and iterator the functions that its descriptor points at.
//!
//! They are compiled into the library of the cell, a few lines each, and run user code under `catch_unwind`.
#![allow(unsafe_code, reason = "the boundary: with `abi.rs` and `slot.rs` all that this crate has of unsafe code")]

mod call;
mod handles;
pub(crate) mod raw;
mod source;
mod types;
mod writer;

pub use call::{Arg, describe};
pub(crate) use call::{Call, Returned, erase, param_name};
pub(crate) use handles::{CallHandle, OutputsHandle};
pub(crate) use source::{source, source_again};
pub(crate) use types::kind;
pub use types::{Judged, given, is_nothing, judge, returned, short, taken};
pub(crate) use writer::writer;

use crate::abi::ByteWriter;
use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f` and tells whether it panicked. Not generic, so that cells do not compile it again.
pub fn panics(f: &mut dyn FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).map_err(drop_payload).is_err()
}

/// What a panic says: the text in its payload, if there is one.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Drops the payload of a panic. One whose own destructor panics is leaked: it had its chance.
#[cold]
pub fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn say(sink: *mut ByteWriter, text: std::fmt::Arguments<'_>) {
    // SAFETY: every caller passes the sink that the engine gave it for the call.
    let sink = unsafe { &mut *sink };
    // Writing to a `ByteWriter` cannot fail; a `Display` that panics loses the rest of its text.
    panics(&mut || drop(sink.write_fmt(text)));
}
