//! Messages as whole values, for programs.

use super::{Content, Json, Scalar};
use serde_json::{Map, Value};

/// Arrays and objects within each other that become values; what is deeper stays JSON text. Programs that read it have
/// a limit of 128.
const DEEPEST: usize = 100;

/// A message as one value, whatever is in it: what [`Field`](super::Field) says of a value holds for each one in it.
/// Numbers that a [`Value`] has no place for are text as they are written.
#[must_use]
pub fn value(json: &str) -> Value {
    of(Json::new(json), DEEPEST)
}

fn of(json: Json<'_>, depth: usize) -> Value {
    match json.content() {
        Some(Content::Array(_) | Content::Object(_)) if depth == 0 => json.raw().into(),
        Some(Content::Array(items)) => items.map(|item| of(item, depth - 1)).collect(),
        Some(Content::Object(fields)) => {
            let fields = fields.map(|(name, value)| (name.decode().0.into_owned(), of(value, depth - 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => match json.field().value {
            // A number beyond every type is null in a table, but here its text can be shown.
            Scalar::Null if json.raw() != "null" => json.raw().into(),
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => value.into(),
            Scalar::Number(number) => match number.as_i128() {
                Some(whole) => i64::try_from(whole)
                    .map(Value::from)
                    .or_else(|_| u64::try_from(whole).map(Value::from))
                    .unwrap_or_else(|_| number.written().into()),
                None if number.is_whole() => number.written().into(),
                None => number.as_f64().into(),
            },
            Scalar::Text(text) | Scalar::Nested(text) => text.into_owned().into(),
        },
    }
}
