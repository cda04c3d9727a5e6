//! `DataFrame`s.

use super::parts::{cut_text, number_cell};
use super::text::grouped;
use crate::output::Display;
use chrono::{DateTime, NaiveDateTime};
use machine_protocol::status::{DeadLetter, SlotStatus};
use maud::{Markup, html};
use polars::prelude::{AnyValue, Column, DataFrame, PolarsResult, df};
use serde_json::Value;
use std::path::Path;

/// How many rows are shown of a longer frame.
const ROWS: usize = 20;
/// How many columns are shown of a wider frame.
pub(super) const COLUMNS: usize = 30;
/// How much of a value is shown, in characters.
const VALUE: usize = 100;

/// A `DataFrame`: names and types of its columns, its head and tail. The text is polars' own.
#[must_use]
pub fn frame(frame: &DataFrame) -> Display {
    super::html_and_text(&markup(frame, ROWS), &frame.to_string())
}

/// The head and the tail of a `DataFrame`, and a note below it.
#[must_use]
pub fn long_frame(frame: &DataFrame, note: &str) -> Display {
    let (height, width) = frame.shape();
    let mut shown = Vec::new();
    for (count, most, what) in [(height, ROWS, "rows"), (width, COLUMNS, "columns")] {
        if count > most {
            shown.push(format!("{most} of {} {what}", grouped(count as u64)));
        }
    }
    let shown = if shown.is_empty() { String::new() } else { format!("at most {} shown; ", shown.join(" and ")) };
    let note = format!("{shown}{note}");
    let html = html! { (markup(frame, ROWS)) p { small { (note) } } };
    super::html_and_text(&html, &format!("{frame}\n{note}\n"))
}

/// Names of the columns, and the rows as JSON: numbers, truth values, text, null; all else as text.
#[must_use]
pub fn rows_of(frame: &DataFrame) -> (Vec<&str>, Vec<Vec<Value>>) {
    let columns = frame.columns();
    let value = |column: &Column, row: usize| match column.get(row) {
        Ok(AnyValue::Null) | Err(_) => Value::Null,
        Ok(AnyValue::Boolean(value)) => value.into(),
        Ok(AnyValue::String(text)) => text.into(),
        Ok(AnyValue::StringOwned(text)) => text.as_str().into(),
        Ok(value) if column.dtype().is_integer() => value
            .extract::<i64>()
            .map(Value::from)
            .or_else(|| value.extract::<u64>().map(Value::from))
            .unwrap_or_else(|| value.to_string().into()),
        // What is no number in JSON is null there.
        Ok(value) if column.dtype().is_float() => value.extract::<f64>().map_or(Value::Null, Value::from),
        Ok(value) => value.to_string().into(),
    };
    let rows = (0..frame.height()).map(|row| columns.iter().map(|column| value(column, row)).collect()).collect();
    (columns.iter().map(|column| column.name().as_str()).collect(), rows)
}

/// A file that was written, and how to read it.
#[must_use]
pub fn arrow_file(name: &str, path: &Path, height: usize, width: usize) -> Display {
    // As a literal of Rust and of Python.
    let literal = format!("{:?}", path.display().to_string());
    let text = format!(
        "Wrote {} rows and {} columns to {}\n\n\
         in a cell:  :dep polars = {{ version = \"0.55\", default-features = false, features = [\"ipc\"] }}\n            \
         use polars::prelude::*;\n            \
         let {name} = IpcReader::new(std::fs::File::open({literal})?).finish()?;\n\
         in Python:  {name} = polars.read_ipc({literal})  # or pandas.read_feather\n",
        grouped(height as u64),
        grouped(width as u64),
        path.display()
    );
    super::plain(&text)
}

/// Names, types, and at most `most` rows; the middle is left out.
pub fn markup(frame: &DataFrame, most: usize) -> Markup {
    let (height, width) = frame.shape();
    let columns = frame.columns().get(..COLUMNS).unwrap_or(frame.columns());
    let (head, tail) = if height <= most { (height, 0) } else { (most.div_ceil(2), most / 2) };
    let columns_left_out = width > columns.len();
    html! {
        small { "shape: (" (grouped(height as u64)) ", " (grouped(width as u64)) ")" }
        table border="1" class="dataframe" {
            thead {
                tr {
                    @for column in columns { th { (column.name().as_str()) } }
                    @if columns_left_out { th { "…" } }
                }
                tr {
                    @for column in columns { td { (column.dtype().to_string()) } }
                    @if columns_left_out { td { "…" } }
                }
            }
            tbody {
                @for row in 0..head { (self::row(columns, row, columns_left_out)) }
                @if head + tail < height {
                    tr { @for _ in 0..columns.len() + usize::from(columns_left_out) { td { "…" } } }
                }
                @for row in height - tail..height { (self::row(columns, row, columns_left_out)) }
            }
        }
    }
}

fn row(columns: &[Column], row: usize, columns_left_out: bool) -> Markup {
    html! {
        tr {
            @for column in columns { (value(column, row)) }
            @if columns_left_out { td { "…" } }
        }
    }
}

fn value(column: &Column, row: usize) -> Markup {
    match column.get(row) {
        Ok(AnyValue::Null) => html! { td { em { "null" } } },
        Ok(AnyValue::String(text)) => html! { td style="text-align:left" { (cut_text(text, VALUE)) } },
        Ok(AnyValue::StringOwned(text)) => html! { td style="text-align:left" { (cut_text(&text, VALUE)) } },
        Ok(value) if column.dtype().is_primitive_numeric() => number_cell(&value.to_string()),
        Ok(value) => html! { td style="text-align:left" { (cut_text(&value.to_string(), VALUE)) } },
        // Only rows below the height are asked for.
        Err(_) => html! { td {} },
    }
}

/// One row a slot; times in nanoseconds.
pub fn frame_of_slots(slots: &[SlotStatus]) -> PolarsResult<DataFrame> {
    let strings = |of: fn(&SlotStatus) -> String| slots.iter().map(of).collect::<Vec<String>>();
    let numbers = |of: fn(&SlotStatus) -> u64| slots.iter().map(of).collect::<Vec<u64>>();
    df!(
        "slot" => strings(|slot| slot.slot.clone()),
        "code" => strings(|slot| slot.code.clone()),
        "revision" => numbers(|slot| slot.revision),
        "cell" => slots.iter().map(|slot| slot.cell).collect::<Vec<u32>>(),
        "takes" => strings(|slot| slot.takes.join(", ")),
        "gives" => strings(|slot| slot.gives.clone()),
        "ok" => numbers(|slot| slot.ok),
        "errored" => numbers(|slot| slot.errored),
        "skipped" => numbers(|slot| slot.skipped),
        "p50_ns" => numbers(|slot| slot.p50_ns),
        "p99_ns" => numbers(|slot| slot.p99_ns),
        "mismatch" => strings(|slot| slot.mismatch.clone()),
    )
}

/// One row a dead letter; `time` is UTC, null if it is no RFC 3339.
pub fn frame_of_errors(errors: &[DeadLetter]) -> PolarsResult<DataFrame> {
    let strings = |of: fn(&DeadLetter) -> &str| errors.iter().map(of).collect::<Vec<&str>>();
    let times: Vec<Option<NaiveDateTime>> = errors
        .iter()
        .map(|letter| DateTime::parse_from_rfc3339(&letter.time).ok().map(|time| time.naive_utc()))
        .collect();
    df!(
        "oid" => strings(|letter| &letter.oid),
        "time" => times,
        "slot" => strings(|letter| &letter.slot),
        "revision" => errors.iter().map(|letter| letter.revision).collect::<Vec<u64>>(),
        "error" => strings(|letter| &letter.error),
        "input" => strings(|letter| &letter.input),
        "kind" => strings(|letter| letter.kind.as_str()),
        "outputs" => strings(|letter| &letter.outputs),
        "failed" => strings(|letter| &letter.failed),
        "retries" => errors.iter().map(|letter| letter.retries).collect::<Vec<u32>>(),
    )
}
