//! `%sql`, `%%sql`: queries over what flowed through a machine.

use super::actions::{machine_name, status_of, target};
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::messages::polars;
use super::meter::Meter;
use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use super::tables::{Read, names, no_such_table, tables};
use crate::display::{self, Wanted, grouped};
use crate::output::{Display, Output};
use crate::query::{QueryError, Statement, SyntaxError};
use polars::prelude::{Column, DataFrame};
use serde_json::json;
use std::time::Instant;

const DETAILS: &str = "Tables: input, f0, f1, …, errors, history; %sql alone shows their columns. input and f0 have a \
                       row per retained message: oid, put, and a column per field, or one named after the table. The last 10,000 \
                       messages or 64 MiB are retained, at high rates only a sample: a warning above the result \
                       says so, --scale estimates count and sum for all messages, --exact refuses a sample, and %keep \
                       keeps more.";

/// `--scale`
pub const SCALE: Parameter = Parameter {
    names: &["--scale"],
    value: "",
    kind: Kind::Scale,
    help: "of a sample, multiplies what count and sum give: an estimate for all messages",
};

/// `--exact`
pub const EXACT: Parameter =
    Parameter { names: &["--exact"], value: "", kind: Kind::Exact, help: "refuses to answer from a sample" };

/// `%sql`
pub const SQL: Magic = Magic {
    name: "sql",
    parameters: &[
        MACHINE,
        SCALE,
        EXACT,
        Parameter { names: &[], value: "QUERY", kind: Kind::Query, help: "the rest of the line" },
    ],
    summary: "run SQL over the last outputs of each slot, errors and history",
    details: DETAILS,
    example: "%sql SELECT f1, count(*) AS n FROM f1 GROUP BY f1 ORDER BY n DESC",
    commands: &[],
    action: Action::Live(sql),
};

/// `%%sql`
pub const SQL_CELL: Magic = Magic {
    name: "sql",
    parameters: &[MACHINE, SCALE, EXACT],
    summary: "run SQL over outputs, errors and history, on the lines below",
    details: DETAILS,
    example: "%%sql\nSELECT input.lang, avg(f1.polarity) FROM input JOIN f1 USING (oid) GROUP BY input.lang",
    commands: &[],
    action: Action::Body(sql),
};

/// Columns that an error lists.
const LISTED: usize = 30;

fn sql(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    if arguments.query.is_none_or(|query| query.text.trim().is_empty()) {
        return all_tables(arguments, engine);
    }
    let Answer { frame, note, warnings, share } = answer(arguments, engine, output)?;
    engine.keep_frame(&frame);
    if arguments.json {
        let (columns, rows) = display::rows_of(&frame);
        let machine = machine_name(arguments);
        let (of, messages) = share.unzip();
        return Ok(display::json(json!({
            "machine": machine, "columns": columns, "rows": rows, "note": note, "warnings": warnings,
            "of_messages": of, "messages": messages,
        })));
    }
    Ok(display::warned(display::long_frame(&frame, &note), &warnings))
}

/// What a query gave.
pub struct Answer {
    /// The result.
    pub frame: DataFrame,
    /// What was asked, and how long it took.
    pub note: String,
    /// What of it is not the whole, each a sentence.
    pub warnings: Vec<String>,
    /// Of how many messages it is, of how many.
    pub share: Option<(u64, u64)>,
}

/// Answers the query among the arguments.
///
/// # Errors
/// What is wrong with it; that there is none.
pub fn answer(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Answer, MagicError> {
    let Some(query) = arguments.query else {
        return Err(MagicError::usage("there is no query: SELECT … FROM f0", None));
    };
    let began = Instant::now();
    let at = |error: SyntaxError| {
        let offset = query.start + error.offset.unwrap_or(query.text.len());
        MagicError::usage(format!("SQL syntax error: {}", error.message), Some(offset..offset + 1))
    };
    let statement = Statement::read(query.text).map_err(at)?;
    let wanted = Wanted { names: statement.names(), all: statement.wants_all() };
    let Read { tables, columns, mut warnings, notes, share, has_others } = tables(&wanted, arguments, engine)?;
    let is_sample = share.is_some_and(|(there, all)| there < all);
    if arguments.exact && is_sample {
        return Err(MagicError::usage(format!("--exact: {}", warnings.join(" ")), None));
    }
    let sql = match share.filter(|_| arguments.scale && is_sample) {
        None => statement.quoted(columns.iter().map(String::as_str)),
        Some(_) if has_others => {
            let message = "--scale takes tables of messages alone: errors and history are not a sample";
            return Err(MagicError::usage(message, None));
        }
        Some((0, _)) => return Err(MagicError::usage("--scale: no message of the machine is kept", None)),
        Some((there, all)) => {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let factor = all as f64 / there as f64;
            let scaled = statement.scaled(factor).map_err(|why| MagicError::usage(format!("--scale: {why}"), None))?;
            warnings.insert(1.min(warnings.len()), format!("Estimated: count and sum are multiplied by {factor:.4}."));
            scaled.quoted(columns.iter().map(String::as_str))
        }
    };
    let rows: usize = tables.iter().map(|(_, frame)| frame.height()).sum();
    let mut meter = Meter::new(output, format!("query of {} rows:", grouped(rows as u64)));
    let mut keep_going = || {
        meter.at(0, None);
        !engine.interrupted()
    };
    let frame = engine.query((query.text, &sql), tables, &mut keep_going);
    drop(meter);
    let frame = frame.map_err(|error| match error {
        QueryError::Syntax(error) => at(error),
        error => trouble(error, &columns, &warnings, arguments, engine),
    })?;
    let mut note = notes.join("; ");
    if !note.is_empty() {
        note.push_str("; ");
    }
    note.push_str(&format!("took {}", display::duration(began.elapsed())));
    Ok(Answer { frame, note, warnings, share })
}

/// What is wrong with a query, with what there is instead.
fn trouble(
    error: QueryError,
    columns: &[String],
    warnings: &[String],
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
) -> MagicError {
    let text = match error {
        QueryError::Refused(text) => text,
        QueryError::Syntax(error) => return MagicError::usage(format!("SQL syntax error: {}", error.message), None),
        QueryError::Interrupted => return MagicError::Interrupted("the query was ended".to_owned()),
        QueryError::Died(text) => return MagicError::usage(text, None),
    };
    if let Some(name) = quoted(&text, "relation '", "'") {
        return match names(arguments, engine) {
            Ok(names) => MagicError::usage(no_such_table(name, &names), None),
            Err(trouble) => trouble,
        };
    }
    let name = quoted(&text, "unable to find column \"", "\"").or_else(|| quoted(&text, "not found: ", ""));
    let Some(name) = name else {
        // A column of numbers may be text; the warnings say which and why.
        let warnings =
            if text.contains("compare string") { format!(". {}", warnings.join(" ")) } else { String::new() };
        return MagicError::usage(format!("the query failed: {text}{warnings}"), None);
    };
    let meant = closest_match(name, columns.iter().map(String::as_str)).map(str::to_owned);
    let shown = columns.get(..LISTED).unwrap_or(columns);
    let mut list = shown.join(", ");
    if columns.len() > shown.len() {
        list.push_str(&format!(" and {} more", grouped((columns.len() - shown.len()) as u64)));
    }
    MagicError::usage(format!("there is no column {}; there is {list}{}", quote(name), did_you_mean(meant)), None)
}

/// What stands between two texts.
fn quoted<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    if after.is_empty() { Some(rest) } else { rest.split_once(after).map(|(name, _)| name) }
}

/// `%sql` alone: the tables and their columns.
fn all_tables(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let status = status_of(target(arguments), engine)?;
    // An empty slot passes on what the one before it gave.
    let is_empty = |name: &String| status.slots.iter().any(|slot| slot.slot == *name && slot.code.is_empty());
    let (empty, names): (Vec<String>, Vec<String>) = names(arguments, engine)?.into_iter().partition(is_empty);
    let wanted = Wanted { names: names.iter().map(String::as_str).collect(), all: true };
    let Read { tables, notes, warnings, .. } = tables(&wanted, arguments, engine)?;
    let mut note = notes.join("; ");
    if !empty.is_empty() {
        note.push_str(&format!("; empty slots, which have what the one before them has: {}", empty.join(", ")));
    }
    let columns = |frame: &DataFrame| {
        let named: Vec<String> =
            frame.columns().iter().map(|column| format!("{} {}", column.name(), column.dtype())).collect();
        named.join(", ")
    };
    let frame = DataFrame::new(
        tables.len(),
        vec![
            Column::new("table".into(), tables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()),
            Column::new("rows".into(), tables.iter().map(|(_, frame)| frame.height() as u64).collect::<Vec<_>>()),
            Column::new("columns".into(), tables.iter().map(|(_, frame)| columns(frame)).collect::<Vec<_>>()),
        ],
    );
    let frame = frame.map_err(polars)?;
    if arguments.json {
        let (columns, rows) = display::rows_of(&frame);
        return Ok(display::json(
            json!({ "machine": machine_name(arguments), "columns": columns, "rows": rows, "note": note, "warnings": warnings }),
        ));
    }
    Ok(display::warned(display::whole_frame(&frame, &note), &warnings))
}
