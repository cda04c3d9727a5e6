//! What flowed through a machine, as tables: `input`, `f0` and so on, `errors`, `history`.

use super::Engine;
use super::actions::{slot_names, target, unexpected};
use super::arguments::Arguments;
use super::messages::{kept, polars};
use super::trouble::{Trouble, did_you_mean, given, nearest};
use crate::display::{self, grouped};
use crate::query::Tables;
use chrono::DateTime;
use machine::Errors;
use machine::command::{Command, Reply, Target};
use machine::history::{History, Point, SlotPoint};
use machine::kept::{Kept, KeptMessage, KeptQuery, LetterQuery};
use polars::prelude::{Column, DataFrame};
use std::collections::{BTreeSet, HashSet};

const INPUT: &str = "input";
const ERRORS: &str = "errors";
const HISTORY: &str = "history";

/// The names of a machine's tables.
pub fn names(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Vec<String>, Trouble> {
    let machine = match target(arguments) {
        Target::Name(name) => Some(name),
        Target::Id(_) => None,
    };
    let slots = slot_names(machine.as_deref(), engine)?;
    let own = |name: &str| name.to_owned();
    Ok([own(INPUT)].into_iter().chain(slots).chain([own(ERRORS), own(HISTORY)]).collect())
}

/// The tables among `wanted`, and what of the messages is not in them, in a line.
///
/// # Errors
/// The engine's failures.
pub fn tables(
    wanted: &BTreeSet<&str>,
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
) -> Result<(Tables, String), Trouble> {
    let names = names(arguments, engine)?;
    let named: Vec<&str> = names.iter().map(String::as_str).filter(|name| wanted.contains(name)).collect();
    let mut tables = Tables::new();
    let mut notes = Vec::new();
    let of_messages: Vec<(&str, Part)> = named.iter().filter_map(|name| Some((*name, Part::of(name)?))).collect();
    match of_messages.as_slice() {
        [] => {}
        // One slot's outputs alone are less to tell.
        [(name, Part::Slot(slot))] => {
            let kept = kept(engine, arguments, &KeptQuery { slot: Some(*slot), ..KeptQuery::default() })?;
            let messages = last_passes(&kept);
            let rows = messages.iter().filter_map(|it| Some((*it, it.outputs.first()?.as_str()))).collect();
            tables.push(((*name).to_owned(), table(name, rows)?));
            notes.push(note(name, &kept, messages.len()));
        }
        // Of several, all of the same messages: they can be joined.
        several => {
            let kept = kept(engine, arguments, &KeptQuery::default())?;
            let messages = last_passes(&kept);
            for (name, part) in several {
                let rows = messages.iter().filter_map(|it| Some((*it, part.text(it)?))).collect();
                tables.push(((*name).to_owned(), table(name, rows)?));
            }
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            notes.push(note(&names.join(", "), &kept, messages.len()));
        }
    }
    if named.contains(&ERRORS) {
        let errors = Errors::all(&target(arguments), LetterQuery::default(), &mut |command| engine.command(command))?;
        if errors.left_out > 0 {
            notes.push(format!("{ERRORS}: {} are too long to be looked at", grouped(errors.left_out)));
        }
        tables.push((ERRORS.to_owned(), display::frame_of_errors(&errors).map_err(polars)?));
    }
    if named.contains(&HISTORY) {
        let history = engine.command(Command::History { machine: target(arguments), since_ms: 0 })?;
        let Reply::History(history) = history else { return Err(unexpected(history)) };
        tables.push((HISTORY.to_owned(), history_table(&history)?));
    }
    Ok((tables, notes.join("; ")))
}

/// The columns of a table, as the newest message has them.
///
/// # Errors
/// The engine's failures.
pub fn columns(name: &str, arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Vec<String>, Trouble> {
    let frame = match Part::of(name) {
        Some(part) => {
            let newest = kept(engine, arguments, &KeptQuery { limit: 1, ..KeptQuery::default() })?;
            table(name, newest.messages.iter().filter_map(|it| Some((it, part.text(it)?))).collect())?
        }
        None => match tables(&BTreeSet::from([name]), arguments, engine)?.0.pop() {
            Some((_, frame)) => frame,
            None => return Ok(Vec::new()),
        },
    };
    Ok(frame.get_column_names().into_iter().map(ToString::to_string).collect())
}

/// What a table of messages is about.
#[derive(Clone, Copy)]
enum Part {
    Input,
    Slot(u32),
}

impl Part {
    /// Of the table of this name; nothing if it is about something else.
    fn of(name: &str) -> Option<Self> {
        match name {
            INPUT => Some(Self::Input),
            ERRORS | HISTORY => None,
            slot => slot.strip_prefix('f').and_then(|number| number.parse().ok()).map(Self::Slot),
        }
    }

    /// What the slot gave, or the message itself; nothing where it is missing.
    fn text(self, message: &KeptMessage) -> Option<&str> {
        match self {
            Self::Input => Some(&message.input),
            Self::Slot(slot) if message.missing & (1 << slot) != 0 => None,
            Self::Slot(slot) => message.outputs.get(slot as usize).map(String::as_str),
        }
    }
}

/// A name that is no table's: what there is instead.
pub fn no_such_table(name: &str, names: &[String]) -> String {
    let meant = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    format!("there is no table {}; there is {}{}", given(name), names.join(", "), did_you_mean(meant))
}

/// One entry a message: a dead letter that was retried has been kept twice, and the last time is what it has become.
fn last_passes(kept: &Kept) -> Vec<&KeptMessage> {
    let mut seen = HashSet::new();
    let mut messages: Vec<&KeptMessage> =
        kept.messages.iter().rev().filter(|it| seen.insert(it.oid.as_str())).collect();
    messages.reverse();
    messages
}

/// `oid`, `put`, and a column a field; a value that is no object is the column `name`. Oldest first.
fn table(name: &str, rows: Vec<(&KeptMessage, &str)>) -> Result<DataFrame, Trouble> {
    let oids: Vec<&str> = rows.iter().map(|(message, _)| message.oid.as_str()).collect();
    let put: Vec<_> = rows.iter().map(|(message, _)| time(message.put_ms)).collect();
    let values = rows.iter().map(|(_, text)| serde_json::from_str(text).unwrap_or_default()).collect();
    let fixed = vec![Column::new("oid".into(), oids), Column::new("put".into(), put)];
    display::frame_of_values(fixed, name, values).map_err(polars)
}

/// UTC.
fn time(ms: u64) -> Option<chrono::NaiveDateTime> {
    DateTime::from_timestamp_millis(i64::try_from(ms).ok()?).map(|time| time.naive_utc())
}

/// `time`, `seconds`, counts of the machine, the shares of its workers that were `busy` and `blocked`, 0 to 1, and of
/// each slot that has done anything `f0_ok`, `f0_errored`, `f0_p50_ns`, `f0_p99_ns`. Oldest first.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn history_table(history: &History) -> Result<DataFrame, Trouble> {
    let points = &history.points;
    let counts = |of: fn(&Point) -> u64| points.iter().map(of).collect::<Vec<u64>>();
    let mut columns = vec![
        Column::new("time".into(), points.iter().map(|point| time(point.time_ms)).collect::<Vec<_>>()),
        Column::new("seconds".into(), points.iter().map(|point| point.span_ms as f64 / 1e3).collect::<Vec<_>>()),
        Column::new("rate".into(), points.iter().map(Point::rate).collect::<Vec<_>>()),
        Column::new("accepted".into(), counts(|point| point.accepted)),
        Column::new("processed".into(), counts(|point| point.processed)),
        Column::new("errored".into(), counts(|point| point.errored)),
        Column::new("discarded".into(), counts(|point| point.discarded)),
        Column::new("queue".into(), counts(|point| point.queue)),
        Column::new("busy".into(), points.iter().map(Point::busy_ratio).collect::<Vec<_>>()),
        Column::new("blocked".into(), points.iter().map(Point::blocked_ratio).collect::<Vec<_>>()),
    ];
    let slots = points.iter().map(|point| point.slots.len()).max().unwrap_or(0);
    for slot in 0..slots {
        let of_slot = || points.iter().map(move |point| point.slots.get(slot).copied().unwrap_or_default());
        if of_slot().all(|point| point == SlotPoint::default()) {
            continue;
        }
        let mut column = |name: &str, of: fn(SlotPoint) -> u64| {
            columns.push(Column::new(format!("f{slot}_{name}").into(), of_slot().map(of).collect::<Vec<u64>>()));
        };
        column("ok", |point| point.ok);
        column("errored", |point| point.errored);
        column("p50_ns", |point| point.p50_ns);
        column("p99_ns", |point| point.p99_ns);
    }
    DataFrame::new(points.len(), columns).map_err(polars)
}

/// How many of the messages a table has, and where the others are. `there` are those that it has.
fn note(name: &str, kept: &Kept, there: usize) -> String {
    let (there, told) = (there as u64, kept.messages.len() as u64);
    let mut note = format!("{name}: {} of {} messages", grouped(there), grouped(kept.processed));
    for (count, why) in [
        (told - there, "are counted there that were retried"),
        (kept.fallen_out, "older ones fell out"),
        (kept.not_kept, "were not kept: the machine was too fast"),
        (kept.matching.saturating_sub(told), "are too long to be looked at together"),
    ] {
        if count > 0 {
            note.push_str(&format!(", {} {why}", grouped(count)));
        }
    }
    note
}
