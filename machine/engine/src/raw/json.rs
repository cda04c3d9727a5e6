//! Values as JSON text, and from it.
#![expect(clippy::cast_ptr_alignment, reason = "the caller passes an address that is aligned for its type")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::drop_value;
use crate::decode::told;
use crate::types::TypeInfo;
use machine::abi::{Kind, Sink, Text, TypeDesc};
use std::alloc::Layout;

/// Writes a value as JSON text; of a `Result` what is in `Ok`.
///
/// # Safety
/// `at` points at a live value of this type.
pub(crate) unsafe fn json(desc: &TypeDesc, at: *const u8) -> Result<String, String> {
    let mut bytes = Vec::new();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut Sink::new(&mut bytes)) };
    let text = String::from_utf8(bytes).map_err(|_| "its JSON is not UTF-8".to_owned())?;
    if !ok {
        return Err(text);
    }
    if desc.payload.is_some() {
        let inside = text.strip_prefix("{\"Ok\":").and_then(|rest| rest.strip_suffix('}'));
        return inside.map(str::to_owned).ok_or(text);
    }
    Ok(text)
}

/// Appends a value as JSON text; of a `Result` what is in `Ok`. If it cannot be written, says why and appends nothing.
///
/// Numbers are written here, without a call into the value's own library; `NaN` and infinities are `null`, as in
/// `serde_json`.
///
/// # Safety
/// `at` points at a live value of this type.
#[inline]
pub(crate) unsafe fn write_json(info: &TypeInfo, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    if info.kind == Kind::F64 && info.desc.payload.is_none() {
        // SAFETY: the kind says the type.
        write_float(unsafe { at.cast::<f64>().read() }, to);
        return Ok(());
    }
    // SAFETY: the caller's.
    unsafe { write_any(info, at, to) }
}

/// Appends a finite number in the digits of `serde_json`, which are those of `zmij`, and `null` for others. The digits are
/// written where they stay: to copy so few bytes is a call, and one for each number.
#[inline]
fn write_float(number: f64, to: &mut Vec<u8>) {
    if !number.is_finite() {
        to.extend_from_slice(b"null");
        return;
    }
    const { assert!(align_of::<zmij::Buffer>() == 1, "it lies at any address") };
    to.reserve(size_of::<zmij::Buffer>());
    // SAFETY: there is room for the buffer behind the last byte, and it is written before it is used.
    let digits = unsafe {
        let end = to.as_mut_ptr().add(to.len()).cast::<zmij::Buffer>();
        end.write(zmij::Buffer::new());
        &mut *end
    };
    let begin = (&raw const *digits).cast::<u8>();
    let text = digits.format_finite(number);
    if std::ptr::eq(text.as_ptr(), begin) {
        let length = text.len();
        // SAFETY: the text lies behind the last byte, within the room.
        unsafe { to.set_len(to.len() + length) };
    } else {
        to.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    }
}

/// As `write_json`, of any type.
///
/// # Safety
/// As `write_json`.
#[inline(never)]
unsafe fn write_any(info: &TypeInfo, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    let desc = info.desc;
    macro_rules! number {
        ($ty:ty) => {{
            // SAFETY: the kind says the type, of the value or of what is inside the `Result`, which holds no `Err`:
            // that would be no output.
            let number = unsafe { desc.payload.map_or(at, |payload| payload(at)).cast::<$ty>().read() };
            serde_json::to_writer(to, &number).map_err(|error| error.to_string())
        }};
    }
    match info.kind {
        Kind::F64 => number!(f64),
        Kind::F32 => number!(f32),
        Kind::I64 => number!(i64),
        Kind::U64 => number!(u64),
        Kind::I32 => number!(i32),
        Kind::U32 => number!(u32),
        Kind::Isize => number!(isize),
        Kind::Usize => number!(usize),
        Kind::I16 => number!(i16),
        Kind::U16 => number!(u16),
        Kind::I8 => number!(i8),
        Kind::U8 => number!(u8),
        Kind::Bool => number!(bool),
        // SAFETY: the caller's.
        Kind::String | Kind::Json | Kind::Other => unsafe { write_other(desc, at, to) },
    }
}

/// # Safety
/// As `write_json`.
unsafe fn write_other(desc: &TypeDesc, at: *const u8, to: &mut Vec<u8>) -> Result<(), String> {
    let start = to.len();
    // SAFETY: as above; the sink lives for the call.
    let ok = unsafe { (desc.to_json)(at, &mut Sink::new(to)) };
    let text = to.get(start..).unwrap_or_default();
    let inside = match (ok, desc.payload) {
        (true, None) => return Ok(()),
        (true, Some(_)) => text.strip_prefix(b"{\"Ok\":").and_then(|rest| rest.strip_suffix(b"}")).map(<[u8]>::len),
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
    if unsafe { from_json(Text::new(json), to, &mut Sink::new(&mut bytes)) } {
        return Ok(());
    }
    Err(told(&String::from_utf8_lossy(&bytes)))
}

/// Whether JSON text makes a value of this type.
pub(crate) fn parse_check(desc: &'static TypeDesc, json: &str) -> Result<(), String> {
    // SAFETY: the memory has the type's layout (at least one byte, so that it is memory at all).
    unsafe {
        let layout = Layout::from_size_align(desc.size.max(1), desc.align).unwrap_or(Layout::new::<u8>());
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
