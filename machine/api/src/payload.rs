//! What is inside a `Result` or an `Option` whose types are not known: serde says, without writing anything.
//!
//! `Result<T, String>` is serialisable as a whole, so the compiler cannot tell it from any other output. Its
//! `Serialize` hands the value in `Ok` to the serializer by reference; a serializer that only notes the address
//! costs nothing. The same holds for the value in `Some`.

use crate::abi::{OkPayload, Wrapper};
use crate::type_id::id;
use serde::ser::{Error as _, Impossible, Serialize, Serializer};

/// What is in a wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A value.
    Value(OkPayload),
    /// `None`.
    Nothing,
}

/// What is in a value that is wrapped so; `None` for an `Err`, or for what is not wrapped so.
#[inline]
pub(crate) fn content<R: Serialize>(value: &R, wrapper: Wrapper) -> Option<Content> {
    value.serialize(Address(wrapper)).ok()
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

/// Notes the address of what is in this wrapper.
struct Address(Wrapper);

type Never = serde::de::value::Error;

#[inline]
fn at<T: ?Sized>(value: &T) -> Content {
    Content::Value(OkPayload { at: std::ptr::from_ref(value).cast(), id: id::<T>() })
}

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
    type Ok = Content;
    type Error = Never;
    type SerializeSeq = Impossible<Content, Never>;
    type SerializeTuple = Impossible<Content, Never>;
    type SerializeTupleStruct = Impossible<Content, Never>;
    type SerializeTupleVariant = Impossible<Content, Never>;
    type SerializeMap = Impossible<Content, Never>;
    type SerializeStruct = Impossible<Content, Never>;
    type SerializeStructVariant = Impossible<Content, Never>;

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Content, Never> {
        match self.0 {
            Wrapper::OfResult if name == "Result" && index == 0 => Ok(at(value)),
            Wrapper::OfResultOfOption if name == "Result" && index == 0 => value.serialize(Self(Wrapper::OfOption)),
            _ => Err(Never::custom("an error")),
        }
    }

    #[inline]
    fn serialize_none(self) -> Result<Content, Never> {
        if self.0 == Wrapper::OfOption { Ok(Content::Nothing) } else { Err(Never::custom("not an Option")) }
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Content, Never> {
        if self.0 == Wrapper::OfOption { Ok(at(value)) } else { Err(Never::custom("not an Option")) }
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
        serialize_unit(),
        serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    );

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
    use super::{Content, content, error, id};
    use crate::abi::{OkPayload, Wrapper};

    fn at<T>(value: &T) -> Content {
        Content::Value(OkPayload { at: std::ptr::from_ref(value).cast(), id: id::<T>() })
    }

    #[test]
    fn finds_the_value_in_ok_and_the_text_in_err() {
        let fine: Result<f64, String> = Ok(1.5);
        assert_eq!(content(&fine, Wrapper::OfResult), fine.as_ref().ok().map(at));
        assert_ne!(id::<f64>(), id::<u64>());
        let failed: Result<f64, String> = Err("no".to_owned());
        assert_eq!(content(&failed, Wrapper::OfResult), None);
        assert_eq!(error(br#"{"Err":"no"}"#), "no");
        assert_eq!(error(br#"{"Err":[1,"a"]}"#), r#"[1,"a"]"#);
        assert_eq!(content(&"not a result", Wrapper::OfResult), None);
    }

    #[test]
    fn finds_the_value_in_some_and_that_there_is_none() {
        let (some, none) = (Some("x".to_owned()), None::<String>);
        assert_eq!(content(&some, Wrapper::OfOption), some.as_ref().map(at));
        assert_eq!(content(&none, Wrapper::OfOption), Some(Content::Nothing));
        let (some, none) = (Ok::<_, String>(some), Ok::<_, String>(none));
        assert_eq!(content(&some, Wrapper::OfResultOfOption), some.iter().flatten().next().map(at));
        assert_eq!(content(&none, Wrapper::OfResultOfOption), Some(Content::Nothing));
        assert_eq!(content(&Err::<Option<u8>, _>("no"), Wrapper::OfResultOfOption), None);
        assert_eq!(content(&Some(1_u8), Wrapper::OfResult), None);
    }
}
