//! Rows of a cell, which come as JSON, as a `DataFrame`.

use super::frame::frame;
use super::plain;
use crate::output::Display;
use chrono::{DateTime, NaiveDateTime};
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// One row: its fields in the order in which they were written.
pub struct Row(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;

            fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                text.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Row(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Rows as a data frame: a column for each field that occurs, null where a row has none of that name.
pub fn rows(rows: &[Row]) -> Display {
    frame_of(rows).map_or_else(|error| plain(&error.to_string()), |it| frame(&it))
}

fn frame_of(rows: &[Row]) -> PolarsResult<DataFrame> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.0) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let value = |row: &Row, name: &str| {
        row.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).filter(|value| !value.is_null())
    };
    let column = |name: &&str| column(name, &rows.iter().map(|row| value(row, name)).collect::<Vec<_>>());
    DataFrame::new(rows.len(), names.iter().map(column).collect())
}

/// A column of the narrowest type that all values fit in.
fn column(name: &str, values: &[Option<Value>]) -> Column {
    let found = all(values, Value::as_i64)
        .map(|them| Series::new(name.into(), them))
        .or_else(|| all(values, Value::as_u64).map(|them| Series::new(name.into(), them)))
        .or_else(|| all(values, float).map(|them| Series::new(name.into(), them)))
        .or_else(|| all(values, Value::as_bool).map(|them| Series::new(name.into(), them)))
        .or_else(|| all(values, time).map(|them| Series::new(name.into(), them)));
    found.unwrap_or_else(|| Series::new(name.into(), all(values, text).unwrap_or_default())).into()
}

/// All values as one type; `None` if one is something else.
fn all<T>(values: &[Option<Value>], of: impl Fn(&Value) -> Option<T>) -> Option<Vec<Option<T>>> {
    let all = values.iter().map(|value| value.as_ref().map(&of).map_or(Some(None), |it| it.map(Some)));
    all.collect()
}

/// A number, unless it is a whole one that no `f64` has exactly.
fn float(value: &Value) -> Option<f64> {
    let is_exact = |size: u64| size < 1 << 53;
    let size = value.as_u64().or_else(|| value.as_i64().map(i64::unsigned_abs));
    value.as_f64().filter(|_| size.is_none_or(is_exact))
}

fn time(value: &Value) -> Option<NaiveDateTime> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.naive_utc())
}

#[expect(clippy::unnecessary_wraps, reason = "one of the readers of a value, and every value has a text")]
fn text(value: &Value) -> Option<String> {
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}
