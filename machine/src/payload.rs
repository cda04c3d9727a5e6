//! What is inside a `Result` whose types are not known: serde says, without writing anything.
//!
//! `Result<T, String>` is serialisable as a whole, so the compiler cannot tell it from any other output. Its
//! `Serialize` hands the value in `Ok` to the serializer by reference; a serializer that only notes the address
//! costs nothing.

use crate::abi::Inside;
use crate::shim::id;
use serde::ser::{Error as _, Impossible, Serialize, Serializer};

/// The value in `Ok`, or `None` for an `Err` or anything that is no `Result`.
#[inline]
pub(crate) fn ok<R: Serialize>(result: &R) -> Option<Inside> {
    result.serialize(Address).ok()
}

/// The text of the error in a `Result` that was written as JSON: a string as it is, anything else as JSON.
pub(crate) fn error(json: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    match json.get("Err") {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "an error that does not serialise".to_owned(),
    }
}

struct Address;

type Never = serde::de::value::Error;

macro_rules! refuse {
    ($($method:ident($($ty:ty),*)),* $(,)?) => {
        $(fn $method(self $(, _: $ty)*) -> Result<Self::Ok, Never> { Err(Never::custom("not a Result")) })*
    };
}

macro_rules! refuse_compound {
    ($($method:ident($($ty:ty),*) -> $compound:ident),* $(,)?) => {
        $(fn $method(self $(, _: $ty)*) -> Result<Self::$compound, Never> { Err(Never::custom("not a Result")) })*
    };
}

impl Serializer for Address {
    type Ok = Inside;
    type Error = Never;
    type SerializeSeq = Impossible<Inside, Never>;
    type SerializeTuple = Impossible<Inside, Never>;
    type SerializeTupleStruct = Impossible<Inside, Never>;
    type SerializeTupleVariant = Impossible<Inside, Never>;
    type SerializeMap = Impossible<Inside, Never>;
    type SerializeStruct = Impossible<Inside, Never>;
    type SerializeStructVariant = Impossible<Inside, Never>;

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Inside, Never> {
        if name == "Result" && index == 0 {
            Ok(Inside { at: std::ptr::from_ref(value).cast(), id: id::<T>() })
        } else {
            Err(Never::custom("an error"))
        }
    }

    refuse!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
        serialize_none(),
        serialize_unit(),
        serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    );

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, Never> {
        Err(Never::custom("not a Result"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Self::Ok, Never> {
        Err(Never::custom("not a Result"))
    }

    refuse_compound!(
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct(&'static str, usize) -> SerializeStruct,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    );
}

#[cfg(test)]
mod tests {
    use super::{Inside, error, id, ok};

    #[test]
    fn finds_the_value_in_ok_and_the_text_in_err() {
        let fine: Result<f64, String> = Ok(1.5);
        let inside = fine.as_ref().map(|v| Inside { at: std::ptr::from_ref(v).cast(), id: id::<f64>() }).ok();
        assert_eq!(ok(&fine), inside);
        assert_ne!(id::<f64>(), id::<u64>());
        let failed: Result<f64, String> = Err("no".to_owned());
        assert_eq!(ok(&failed), None);
        assert_eq!(error(br#"{"Err":"no"}"#), "no");
        assert_eq!(error(br#"{"Err":[1,"a"]}"#), r#"[1,"a"]"#);
        assert_eq!(ok(&"not a result"), None);
    }
}
