//! Messages that are JSON text.
#![expect(clippy::cast_ptr_alignment, reason = "every place is laid out for the type that it is used as")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::Message;
use crate::core::oid::Moment;
use machine::abi::{ByteWriter, Text, TypeDesc, Wrapper};
use std::mem::ManuallyDrop;

/// A message that is JSON text. The engine never makes a `Value` of a cell's: their layouts need not agree.
pub(crate) static JSON_TEXT: TypeDesc = TypeDesc {
    size: size_of::<String>(),
    align: align_of::<String>(),
    kind: json_text_kind,
    id: json_text_id,
    name: json_text_name,
    drop: Some(json_text_drop),
    to_json: json_text_write,
    from_json: None,
    wrapper: Wrapper::Unwrapped,
    payload: None,
};

extern "C" fn json_text_id() -> u64 {
    0
}

extern "C" fn json_text_name() -> Text {
    Text::new("JSON")
}

extern "C" fn json_text_kind() -> machine::abi::Kind {
    machine::abi::Kind::Json
}

unsafe extern "C" fn json_text_drop(value: *mut u8) -> bool {
    // SAFETY: the engine's own `String`.
    unsafe { std::ptr::drop_in_place(value.cast::<String>()) };
    false
}

unsafe extern "C" fn json_text_write(value: *const u8, sink: *mut ByteWriter) -> bool {
    use std::io::Write;
    // SAFETY: the engine's own `String`, and a live sink.
    unsafe { (*sink).write_all((*value.cast::<String>()).as_bytes()).is_ok() }
}

/// A message of JSON text.
pub(crate) fn json_message(number: u64, put: Moment, json: String) -> Message {
    let json = ManuallyDrop::new(json);
    // SAFETY: the string is moved.
    unsafe { Message::take(number, put, &JSON_TEXT, std::ptr::from_ref::<String>(&json).cast()) }
}
