//! Values as JSON text, and from it.
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::digits::{MOST_DIGITS, write_number};
use super::{drop_value, layout};
use crate::core::types::TypeInfo;
use crate::decode::told;
use machine::abi::{ByteWriter, Text, TypeDesc, Wrapper};

fn is_result(desc: &TypeDesc) -> bool {
    matches!(desc.wrapper, Wrapper::OfResult | Wrapper::OfResultOfOption)
}

/// Writes a value as JSON text; of a `Result` what is in `Ok`.
///
/// # Safety
/// `at` points at a live value of this type.
pub(crate) unsafe fn json(desc: &TypeDesc, at: *const u8) -> Result<String, String> {
    let mut bytes = Vec::new();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut ByteWriter::new(&mut bytes)) };
    let text = String::from_utf8(bytes).map_err(|_| "its JSON is not UTF-8".to_owned())?;
    if !ok {
        return Err(text);
    }
    if is_result(desc) {
        let inside = text.strip_prefix("{\"Ok\":").and_then(|rest| rest.strip_suffix('}'));
        return inside.map(str::to_owned).ok_or(text);
    }
    Ok(text)
}

/// Appends a value as JSON text; of a `Result` what is in `Ok`. If it cannot be written, says why and appends nothing.
///
/// Numbers are written here, without a call into the value's own library.
///
/// # Safety
/// `at` points at a live value of this type.
pub(crate) unsafe fn write_json(info: &TypeInfo, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    if !info.kind.is_number() {
        // SAFETY: the caller's.
        return unsafe { write_other(info.desc, at, to) };
    }
    to.reserve(MOST_DIGITS);
    // SAFETY: the kind says the type, of the value or of what is inside a wrapper, which holds no `Err` and no `None`: that
    // would be no output. There is room behind the last byte.
    unsafe {
        let number = info.desc.payload.map_or(at, |payload| payload(at).at);
        let length = write_number(info.kind, number, to.as_mut_ptr().add(to.len()));
        to.set_len(to.len() + length);
    }
    Ok(())
}

/// # Safety
/// As `write_json`.
unsafe fn write_other(desc: &TypeDesc, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    let start = to.len();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut ByteWriter::new(to)) };
    let text = to.get(start..).unwrap_or_default();
    let inside = match (ok, is_result(desc)) {
        (true, false) => return Ok(()),
        (true, true) => text.strip_prefix(b"{\"Ok\":").and_then(|rest| rest.strip_suffix(b"}")).map(<[u8]>::len),
        (false, _) => None,
    };
    let Some(inside) = inside else {
        let why = String::from_utf8_lossy(text).into_owned();
        to.truncate(start);
        return Err(why);
    };
    let after = to.len() - 1 - inside;
    to.copy_within(after..after + inside, start);
    to.truncate(start + inside);
    Ok(())
}

/// Makes a value from JSON text.
///
/// # Safety
/// `to` has room for a value of this type, aligned, and holds none.
pub(crate) unsafe fn from_json(desc: &TypeDesc, json: &str, to: *mut u8) -> Result<(), String> {
    let Some(from_json) = desc.from_json else { return Err("it does not deserialise".to_owned()) };
    let mut bytes = Vec::new();
    // SAFETY: as above; text and sink live for the call.
    if unsafe { from_json(Text::new(json), to, &mut ByteWriter::new(&mut bytes)) } {
        return Ok(());
    }
    Err(told(&String::from_utf8_lossy(&bytes)))
}

/// Whether JSON text makes a value of this type.
pub(crate) fn parse_check(desc: &'static TypeDesc, json: &str) -> Result<(), String> {
    // SAFETY: the memory has the type's layout, which is not empty.
    unsafe {
        let layout = layout(desc);
        let memory = std::alloc::alloc(layout);
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        let result = from_json(desc, json, memory);
        if result.is_ok() {
            drop_value(desc, memory);
        }
        std::alloc::dealloc(memory, layout);
        result
    }
}
