//! What flowed through a machine, as tables: `input`, `f0` and so on, `errors`, `history`.

use super::actions::{slot_names, target, unexpected};
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::messages::{kept, polars};
use crate::display::{self, Columns, Wanted, grouped};
use crate::query::Tables;
use chrono::DateTime;
use machine::Errors;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::history::{History, Point, SlotPoint};
use machine_protocol::retained::{DeadLetterQuery, Kept, RetainedMessage, RetainedQuery};
use polars::prelude::{Column, DataFrame};
use std::collections::HashSet;

const INPUT: &str = "input";
const ERRORS: &str = "errors";
const HISTORY: &str = "history";

/// The names of a machine's tables.
pub fn names(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Vec<String>, MagicError> {
    let machine = match target(arguments) {
        Target::Name(name) => Some(name),
        Target::Id(_) => None,
    };
    let slots = slot_names(machine.as_deref(), engine)?;
    let own = |name: &str| name.to_owned();
    Ok([own(INPUT)].into_iter().chain(slots).chain([own(ERRORS), own(HISTORY)]).collect())
}

/// Tables, and how they differ from what went through the machine.
#[derive(Default)]
pub struct Read {
    /// Those that were wanted.
    pub tables: Tables,
    /// All columns that there are, also those that were not wanted.
    pub columns: Vec<String>,
    /// What is not the whole or not as it was, each a sentence.
    pub warnings: Vec<String>,
    /// What else is to be known of them.
    pub notes: Vec<String>,
    /// The messages that they are about: how many of them they have, of how many.
    pub share: Option<(u64, u64)>,
    /// Whether any of them is about something else than messages.
    pub has_others: bool,
}

impl Read {
    fn add(&mut self, name: &str, columns: Columns) {
        self.tables.push((name.to_owned(), columns.frame));
        self.warnings.extend(columns.warnings.into_iter().map(|warning| format!("{name}: {warning}")));
        for column in columns.names {
            if !self.columns.contains(&column) {
                self.columns.push(column);
            }
        }
    }

    fn add_other(&mut self, name: &str, frame: DataFrame) {
        self.has_others = true;
        let names = frame.get_column_names().into_iter().map(ToString::to_string).collect();
        self.add(name, Columns { frame, names, warnings: Vec::new() });
    }
}

/// The tables that are named in `wanted`, with the columns that it says.
///
/// # Errors
/// The engine's failures.
pub fn tables(wanted: &Wanted<'_>, arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Read, MagicError> {
    let names = names(arguments, engine)?;
    let named: Vec<&str> = names.iter().map(String::as_str).filter(|name| wanted.names.contains(name)).collect();
    let mut read = Read::default();
    let of_messages: Vec<(&str, Part)> = named.iter().filter_map(|name| Some((*name, Part::of(name)?))).collect();
    if !of_messages.is_empty() {
        // One slot's outputs alone are less to send. Of several tables, all are of the same messages: they can be joined.
        let slot = match of_messages.as_slice() {
            [(_, Part::Slot(slot))] => Some(*slot),
            _ => None,
        };
        let kept = all_kept(engine, arguments, &RetainedQuery { slot, ..RetainedQuery::default() })?;
        let messages = last_passes(&kept);
        for (name, part) in &of_messages {
            let rows = messages.iter().filter_map(|it| {
                let text = if slot.is_some() { it.outputs.first().map(String::as_str) } else { part.text(it) };
                Some((*it, text?))
            });
            read.add(name, table(name, rows.collect(), wanted)?);
        }
        let names: Vec<&str> = of_messages.iter().map(|(name, _)| *name).collect();
        read.warnings.splice(0..0, sample(&kept));
        read.notes.push(note(&names.join(", "), &kept, messages.len()));
        read.share = Some(share(&kept));
    }
    if named.contains(&ERRORS) {
        let errors =
            Errors::all(&target(arguments), DeadLetterQuery::default(), &mut |command| engine.command(command))?;
        if errors.left_out > 0 {
            let left_out = grouped(errors.left_out);
            read.warnings.push(format!("{ERRORS}: {left_out} dead letters are left out: each is too long to be sent."));
        }
        let dropped = super::actions::status_of(target(arguments), engine)?.dead_letters_dropped;
        if dropped > 0 {
            read.warnings.push(format!("{ERRORS}: {} older dead letters were dropped.", grouped(dropped)));
        }
        read.add_other(ERRORS, display::frame_of_errors(&errors).map_err(polars)?);
    }
    if named.contains(&HISTORY) {
        let history = engine.command(Command::History { machine: target(arguments), since_ms: 0 })?;
        let Reply::History(history) = history else { return Err(unexpected(history)) };
        read.add_other(HISTORY, history_table(&history)?);
    }
    Ok(read)
}

/// All kept messages that a query means, in as many answers as they take.
///
/// # Errors
/// The engine's failures.
pub fn all_kept(engine: &dyn Engine, arguments: &Arguments<'_>, query: &RetainedQuery) -> Result<Kept, MagicError> {
    let mut all = kept(engine, arguments, query)?;
    while let Some(before) = all.older {
        let older = kept(engine, arguments, &RetainedQuery { before: Some(before), ..query.clone() })?;
        all.messages.splice(0..0, older.messages);
        all.older = older.older.filter(|older| *older < before);
        all.unread += older.unread;
    }
    Ok(all)
}

/// How many of the messages an answer is about, of how many.
fn share(kept: &Kept) -> (u64, u64) {
    // Of a query with a condition those that match are in the answer: what they are among is the share.
    let too_long = kept.matching.saturating_sub(kept.messages.len() as u64);
    let all = kept.processed;
    (all.saturating_sub(kept.evicted + kept.not_kept + too_long), all)
}

/// That an answer is about a sample, if it is.
pub fn sample(kept: &Kept) -> Option<String> {
    let (there, all) = share(kept);
    if there >= all {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let percent = there as f64 / all as f64 * 100.0;
    let percent = if percent >= 9.5 { format!("{percent:.0}") } else { format!("{percent:.2}") };
    let mut text = format!("A sample: {percent} % of {} messages ({}).", grouped(all), grouped(there));
    for (count, why) in [
        (kept.evicted, "older ones fell out"),
        (kept.not_kept, "were never kept, because the machine was too fast"),
        (all.saturating_sub(there + kept.evicted + kept.not_kept), "are too long to be sent"),
    ] {
        if count > 0 {
            text.push_str(&format!(" {} {why}.", grouped(count)));
        }
    }
    text.push_str(" %keep all keeps every message from then on.");
    Some(text)
}

/// The columns of a table, as the newest message has them.
///
/// # Errors
/// The engine's failures.
pub fn columns(name: &str, arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Vec<String>, MagicError> {
    if let Some(part) = Part::of(name) {
        let newest = kept(engine, arguments, &RetainedQuery { limit: 1, ..RetainedQuery::default() })?;
        let rows = newest.messages.iter().filter_map(|it| Some((it, part.text(it)?))).collect();
        return Ok(table(name, rows, &Wanted::all())?.names);
    }
    Ok(tables(&Wanted { names: [name].into(), all: true }, arguments, engine)?.columns)
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
    fn text(self, message: &RetainedMessage) -> Option<&str> {
        match self {
            Self::Input => Some(&message.input),
            Self::Slot(slot) if message.missing & (1 << slot) != 0 => None,
            Self::Slot(slot) => message.outputs.get(slot as usize).map(String::as_str),
        }
    }
}

/// A name that is no table's: what there is instead.
pub fn no_such_table(name: &str, names: &[String]) -> String {
    let meant = closest_match(name, names.iter().map(String::as_str)).map(str::to_owned);
    format!("there is no table {}; there is {}{}", quote(name), names.join(", "), did_you_mean(meant))
}

/// One entry a message: a dead letter that was retried has been kept twice, and the last time is what it has become.
fn last_passes(kept: &Kept) -> Vec<&RetainedMessage> {
    let mut seen = HashSet::new();
    let mut messages: Vec<&RetainedMessage> =
        kept.messages.iter().rev().filter(|it| seen.insert(it.oid.as_str())).collect();
    messages.reverse();
    messages
}

/// `oid`, `put`, and a column a field; a value that is no object is the column `name`. Oldest first.
fn table(name: &str, rows: Vec<(&RetainedMessage, &str)>, wanted: &Wanted<'_>) -> Result<Columns, MagicError> {
    let oids: Vec<&str> = rows.iter().map(|(message, _)| message.oid.as_str()).collect();
    let put: Vec<_> = rows.iter().map(|(message, _)| time(message.put_ms)).collect();
    let fixed = vec![Column::new("oid".into(), oids), Column::new("put".into(), put)];
    display::frame_of_messages(fixed, name, rows.iter().map(|(_, text)| *text), wanted).map_err(polars)
}

/// UTC.
fn time(ms: u64) -> Option<chrono::NaiveDateTime> {
    DateTime::from_timestamp_millis(i64::try_from(ms).ok()?).map(|time| time.naive_utc())
}

/// `time`, `seconds`, counts of the machine, the shares of its workers that were `busy` and `blocked`, 0 to 1, and of
/// each slot that has done anything `f0_ok`, `f0_errored`, `f0_p50_ns`, `f0_p99_ns`. Oldest first.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn history_table(history: &History) -> Result<DataFrame, MagicError> {
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

/// How many of the messages a table has. `there` are those that it has.
fn note(name: &str, kept: &Kept, there: usize) -> String {
    let (there, sent) = (there as u64, kept.messages.len() as u64);
    let mut note = format!("{name}: {} of {} messages", grouped(there), grouped(kept.processed));
    if sent > there {
        note.push_str(&format!(", {} are counted there that were retried", grouped(sent - there)));
    }
    note
}
