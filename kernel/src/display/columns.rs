//! JSON values as a `DataFrame`: fields of objects become columns, those of objects in them `user.name`.

use super::frame::markup;
use super::text::{Align, cut, grouped, one_line, table};
use crate::output::Display;
use polars::prelude::{AnyValue, Column, DataFrame, PolarsResult};
use serde_json::Value;
use std::collections::HashMap;

/// Columns at most; what an object has beyond them is left out.
const COLUMNS: usize = 100;
/// Objects within objects whose fields become columns; deeper ones stay JSON text.
const DEEPEST: usize = 8;
/// Characters of a value in the text form.
const SHOWN: usize = 40;

/// Collects values column by column.
#[derive(Default)]
struct Columns {
    at: HashMap<String, usize>,
    all: Vec<(String, Vec<Option<Value>>)>,
    height: usize,
}

impl Columns {
    fn put(&mut self, name: String, value: Value) {
        let at = match self.at.get(&name) {
            Some(at) => *at,
            None if self.all.len() == COLUMNS => return,
            None => {
                self.at.insert(name.clone(), self.all.len());
                self.all.push((name, Vec::new()));
                self.all.len() - 1
            }
        };
        if let Some((_, column)) = self.all.get_mut(at) {
            column.resize(self.height, None);
            column.push(Some(value));
        }
    }

    fn flatten(&mut self, name: &str, value: Value, depth: usize) {
        match value {
            Value::Object(fields) if depth < DEEPEST && !fields.is_empty() => {
                for (field, value) in fields {
                    let name = if name.is_empty() { field } else { format!("{name}.{field}") };
                    self.flatten(&name, value, depth + 1);
                }
            }
            Value::Null => {}
            value => self.put(name.to_owned(), value),
        }
    }
}

/// One row a value. An object gives a column a field, anything else the column `name`; null where there is nothing.
/// `fixed` columns stand before them.
///
/// # Errors
/// As polars; there is none known.
pub fn frame_of_values(fixed: Vec<Column>, name: &str, values: Vec<Value>) -> PolarsResult<DataFrame> {
    let mut columns = Columns::default();
    for value in values {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    // A field that is called as one of ours is told apart.
                    let is_taken = fixed.iter().any(|column| column.name().as_str() == field);
                    let column = if is_taken { format!("{name}.{field}") } else { field };
                    columns.flatten(&column, value, 1);
                }
            }
            value => columns.flatten(name, value, 1),
        }
        columns.height += 1;
    }
    let height = columns.height;
    let made = columns.all.into_iter().map(|(name, mut column)| {
        column.resize(height, None);
        typed(&name, column)
    });
    DataFrame::new(height, fixed.into_iter().chain(made).collect())
}

/// Whole numbers, numbers, truth values or text; a column of several kinds is text.
fn typed(name: &str, values: Vec<Option<Value>>) -> Column {
    let all = |is: fn(&Value) -> bool| values.iter().flatten().all(is);
    let name = name.into();
    if all(Value::is_i64) {
        Column::new(name, values.iter().map(|value| value.as_ref()?.as_i64()).collect::<Vec<_>>())
    } else if all(Value::is_number) {
        Column::new(name, values.iter().map(|value| value.as_ref()?.as_f64()).collect::<Vec<_>>())
    } else if all(Value::is_boolean) {
        Column::new(name, values.iter().map(|value| value.as_ref()?.as_bool()).collect::<Vec<_>>())
    } else {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Column::new(name, values.into_iter().map(|value| value.map(text)).collect::<Vec<_>>())
    }
}

/// A `DataFrame` with all rows, in HTML and in text, and a note below it.
#[must_use]
pub fn whole_frame(frame: &DataFrame, note: &str) -> Display {
    let (height, width) = frame.shape();
    let is_number = |column: &Column| column.dtype().is_primitive_numeric();
    let header: Vec<(&str, Align)> = frame
        .columns()
        .iter()
        .map(|column| (column.name().as_str(), if is_number(column) { Align::Right } else { Align::Left }))
        .collect();
    let cell = |column: &Column, row: usize| match column.get(row) {
        Ok(AnyValue::Null) | Err(_) => "null".to_owned(),
        Ok(AnyValue::String(text)) => cut(&one_line(text), SHOWN),
        Ok(AnyValue::StringOwned(text)) => cut(&one_line(&text), SHOWN),
        Ok(value) => value.to_string(),
    };
    let lines: Vec<Vec<String>> =
        (0..height).map(|row| frame.columns().iter().map(|column| cell(column, row)).collect()).collect();
    let (height_text, width_text) = (grouped(height as u64), grouped(width as u64));
    let text = format!("shape: ({height_text}, {width_text})\n{}{note}\n", table(&header, &lines));
    let html = maud::html! {
        (markup(frame, height))
        @if !note.is_empty() { p { small { (note) } } }
    };
    super::html_and_text(&html, &text)
}
