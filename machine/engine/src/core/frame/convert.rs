//! Arguments that are made from values of other types.
#![expect(clippy::cast_ptr_alignment, reason = "every place is laid out for the type that it is used as")]
#![allow(unsafe_code, reason = "the boundary: values of types that the engine does not know")]

use super::Location;
use crate::core::number::Number;
use crate::core::raw;
use crate::core::types::Conversion;
use machine::abi::Kind;
use machine::exact;

/// Why there is no argument.
#[derive(Debug)]
pub(super) enum Unmade {
    /// The value that it is made from cannot be written.
    Unwritten(String),
    /// It is the JSON `null`, of which no value of the type can be made.
    Null(String),
    /// It does not convert.
    Unfit(String),
}

/// Makes an argument from a value of another type, at `to`; or returns where one is already.
///
/// # Safety
/// `from` holds a live value, `to` holds none.
pub(super) unsafe fn convert(
    from: Location,
    to: Location,
    conversion: Conversion,
) -> Result<Option<*const u8>, Unmade> {
    // SAFETY: as above, for all that follows; a payload pointer is null for an `Err` and for `None`, which are never there.
    unsafe {
        let inside = || from.info.desc.payload.map(|payload| payload(from.at));
        match conversion {
            Conversion::Same => return Ok(Some(from.at)),
            Conversion::Inside => {
                if let Some(inside) = inside().filter(|inside| inside.id == to.info.id) {
                    return Ok(Some(inside.at));
                }
            }
            Conversion::Number => {
                let number = read_number(inside().map_or(from.at.cast_const(), |inside| inside.at), from.info.kind);
                return write_number(number, to.at, to.info.kind).map(|()| None).map_err(Unmade::Unfit);
            }
            Conversion::Json => {}
        }
        let json = raw::json(from.info.desc, from.at).map_err(Unmade::Unwritten)?;
        if to.info.kind == Kind::Json
            && from.info.kind != Kind::Json
            && let Some(number) = exact::wide_integer(&json)
        {
            return Err(Unmade::Unfit(format!("{number} needs more than the 64 bits of an integer in a JSON value")));
        }
        read(&json, to).map(|()| None)
    }
}

/// Makes an argument from JSON text.
///
/// # Safety
/// `to` holds no value.
pub(super) unsafe fn read(json: &str, to: Location) -> Result<(), Unmade> {
    let read = exact::check_float(json, to.info.kind);
    // SAFETY: the caller's.
    let read = read.and_then(|()| unsafe { raw::from_json(to.info.desc, json, to.at) });
    read.map_err(|why| {
        let short: String = json.chars().take(80).collect();
        let why = format!("{why} (in {short})");
        if json.trim() == "null" { Unmade::Null(why) } else { Unmade::Unfit(why) }
    })
}

/// # Safety
/// `at` points at a number of this kind.
unsafe fn read_number(at: *const u8, kind: Kind) -> Number {
    macro_rules! read {
        ($($kind:ident: $ty:ty => $as:ident),*) => {
            // SAFETY: the kind says the type.
            match kind { $(Kind::$kind => Number::$as(unsafe { at.cast::<$ty>().read() }.into()),)*
                // SAFETY: the kind says the type.
                Kind::Isize => Number::Int(unsafe { at.cast::<isize>().read() } as i128),
                // SAFETY: the kind says the type.
                Kind::Usize => Number::Int(unsafe { at.cast::<usize>().read() } as i128),
                // SAFETY: the kind says the type.
                Kind::U128 => Number::from(unsafe { at.cast::<u128>().read() }),
                Kind::Other | Kind::Bool | Kind::String | Kind::Json => Number::Float(f64::NAN) }
        };
    }
    read!(I8: i8 => Int, I16: i16 => Int, I32: i32 => Int, I64: i64 => Int, U8: u8 => Int, U16: u16 => Int, U32: u32 => Int,
        U64: u64 => Int, I128: i128 => Int, F32: f32 => Float, F64: f64 => Float)
}

/// # Safety
/// `to` has room for a number of this kind.
unsafe fn write_number(number: Number, to: *mut u8, kind: Kind) -> Result<(), String> {
    macro_rules! write {
        ($($kind:ident: $ty:ty),*) => {
            match kind {
                // SAFETY: the kind says the type.
                $(Kind::$kind => unsafe { to.cast::<$ty>().write(number.to_int::<$ty>()?) },)*
                // SAFETY: the kind says the type.
                Kind::F32 => unsafe { to.cast::<f32>().write(number.to_f32()?) },
                // SAFETY: the kind says the type.
                Kind::F64 => unsafe { to.cast::<f64>().write(number.to_f64()?) },
                Kind::Other | Kind::Bool | Kind::String | Kind::Json => return Err("it is no number".to_owned()),
            }
        };
    }
    write!(I8: i8, I16: i16, I32: i32, I64: i64, Isize: isize, U8: u8, U16: u16, U32: u32, U64: u64, Usize: usize,
        I128: i128, U128: u128);
    Ok(())
}
