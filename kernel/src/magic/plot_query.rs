//! `%%plot`: what a query gives, drawn.

use super::actions::machine_name;
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::plot::KIND;
use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use super::sql::{Answer, EXACT, SCALE, answer};
use super::words::Word;
use crate::display::{self, Across, Plot, PlotKind, grouped};
use crate::output::{Display, Output};
use polars::prelude::{AnyValue, Column, DataFrame, TimeUnit};
use serde_json::{Value, json};

/// `%%plot`
pub const PLOT_CELL: Magic = Magic {
    name: "plot",
    parameters: &[
        Parameter {
            names: &[],
            value: "COLUMN",
            kind: Kind::Which,
            help: "the y values (default: the second column, or the only one)",
        },
        Parameter {
            names: &["--against"],
            value: "COLUMN",
            kind: Kind::Against,
            help: "the x values: numbers, times or text (default: the first of several columns)",
        },
        Parameter { names: &["--by"], value: "COLUMN", kind: Kind::By, help: "a colour for each value of this" },
        KIND,
        MACHINE,
        SCALE,
        EXACT,
    ],
    summary: "plot the result of the query on the lines below",
    details: "The tables are those of %sql. Text goes across as bars.",
    example: "%%plot\nSELECT time, rate FROM history",
    commands: &[],
    action: Action::Body(plot),
};

fn plot(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    let Answer { frame, note, warnings, .. } = answer(arguments, engine, output)?;
    let plot = drawn(&frame, arguments)?;
    let left_out = frame.height() - plot.points.len();
    let note = if left_out == 0 {
        note
    } else {
        format!("{} rows without a number left out; {note}", grouped(left_out as u64))
    };
    if arguments.json {
        let points: Vec<Value> = plot.points.iter().map(|(x, y, by)| json!({ "x": x, "y": y, "by": by })).collect();
        return Ok(display::json(json!({
            "machine": machine_name(arguments), "points": points, "note": note, "warnings": warnings,
        })));
    }
    Ok(display::warned(display::plot(&plot, &note), &warnings))
}

fn drawn(frame: &DataFrame, arguments: &Arguments<'_>) -> Result<Plot, MagicError> {
    let columns = frame.columns();
    let (up, across) = match (&arguments.which, &arguments.against, columns) {
        (Some(up), across, _) => (column(frame, up)?, across.as_ref().map(|word| column(frame, word)).transpose()?),
        (None, Some(across), _) => {
            let across = column(frame, across)?;
            let other = columns.iter().find(|other| other.name() != across.name());
            (other.unwrap_or(across), Some(across))
        }
        (None, None, [first, second, ..]) if arguments.plot_kind != Some(PlotKind::Histogram) => (second, Some(first)),
        (None, None, [only, ..]) => (only, None),
        (None, None, []) => return Err(MagicError::usage("the query gives no column to draw", None)),
    };
    let by = arguments.by.as_ref().map(|word| column(frame, word)).transpose()?;
    let scale = across.map_or(Across::Numbers, scale);
    let kind = arguments.plot_kind.unwrap_or(match scale {
        Across::Names(_) => PlotKind::Bars,
        Across::Numbers | Across::Times => PlotKind::Line,
    });
    check(kind, up, across, &scale)?;
    let mut points = Vec::new();
    for (row, at) in (0..frame.height()).zip(0_u32..) {
        let Some(y) = number(up, row) else { continue };
        let x = match (across, &scale) {
            (Some(across), Across::Names(names)) => {
                let name = text(across, row);
                names.iter().zip(0_u32..).find(|(it, _)| **it == name).map(|(_, at)| f64::from(at))
            }
            (Some(across), _) => number(across, row),
            (None, _) if kind == PlotKind::Histogram => Some(y),
            (None, _) => Some(f64::from(at)),
        };
        points.extend(x.map(|x| (x, y, by.map_or_else(String::new, |by| text(by, row)))));
    }
    let name = |column: &Column| column.name().to_string();
    let rows = if kind == PlotKind::Histogram { name(up) } else { "row".to_owned() };
    Ok(Plot {
        kind,
        x: across.map_or(rows, name),
        y: name(up),
        by: by.map_or_else(String::new, name),
        across: scale,
        points,
    })
}

/// Whether that can be drawn so.
fn check(kind: PlotKind, up: &Column, across: Option<&Column>, scale: &Across) -> Result<(), MagicError> {
    let refused = |message: String| Err(MagicError::usage(message, None));
    if up.is_empty() {
        return refused("the query gives no row to draw".to_owned());
    }
    if (0..up.len()).all(|row| number(up, row).is_none()) {
        return refused(format!("{} is no number: {}; count it, or take it for --by", up.name(), up.dtype()));
    }
    match (kind, across, scale) {
        (PlotKind::Scatter, None, _) => {
            refused(format!("a scatter plot needs what goes across: SELECT x, {}", up.name()))
        }
        (PlotKind::Bars, None, _) => refused(format!("bars need what goes across: SELECT name, {}", up.name())),
        (PlotKind::Histogram, Some(_), Across::Names(_)) => refused(format!(
            "a histogram takes numbers, and {} is text; --kind bar draws it",
            across.map_or("it", |it| it.name())
        )),
        _ => Ok(()),
    }
}

fn column<'a>(frame: &'a DataFrame, word: &Word) -> Result<&'a Column, MagicError> {
    let names: Vec<&str> = frame.columns().iter().map(|column| column.name().as_str()).collect();
    frame.columns().iter().find(|column| column.name().as_str() == word.text).ok_or_else(|| {
        let meant = closest_match(&word.text, names.iter().copied()).map(str::to_owned);
        let message =
            format!("the query gives no {}; it gives {}{}", quote(&word.text), names.join(", "), did_you_mean(meant));
        MagicError::usage(message, None)
    })
}

/// How a column is laid on the horizontal axis: text in the order of its rows.
fn scale(column: &Column) -> Across {
    if column.dtype().is_temporal() {
        return Across::Times;
    }
    if column.dtype().is_primitive_numeric() || column.dtype().is_bool() {
        return Across::Numbers;
    }
    let mut names: Vec<String> = Vec::new();
    for row in 0..column.len() {
        let name = text(column, row);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Across::Names(names)
}

/// A number; times are milliseconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "a place in a drawing")]
fn number(column: &Column, row: usize) -> Option<f64> {
    match column.get(row).ok()? {
        AnyValue::Null => None,
        AnyValue::Boolean(value) => Some(f64::from(value)),
        AnyValue::Datetime(value, unit, _) => Some(match unit {
            TimeUnit::Nanoseconds => value as f64 / 1e6,
            TimeUnit::Microseconds => value as f64 / 1e3,
            TimeUnit::Milliseconds => value as f64,
        }),
        AnyValue::Date(days) => Some(f64::from(days) * 86_400_000.0),
        value => value.extract::<f64>().filter(|value| value.is_finite()),
    }
}

fn text(column: &Column, row: usize) -> String {
    match column.get(row) {
        Ok(AnyValue::String(text)) => text.to_owned(),
        Ok(AnyValue::StringOwned(text)) => text.to_string(),
        Ok(AnyValue::Null) | Err(_) => "(none)".to_owned(),
        Ok(value) => value.to_string(),
    }
}
