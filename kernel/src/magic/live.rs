//! `%watch`, `%alert`, `%alerts` and `%report`.

use super::actions::{status_of, target, to_json, unexpected};
use super::arguments::Arguments;
use super::engine::Engine;
use super::file::Location;
use super::magic_error::MagicError;
use crate::display;
use crate::output::Display;
use crate::watch::{Watches, parse_rule};
use machine_protocol::command::{Command, Reply};
use machine_protocol::retained::DeadLetterQuery;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// How many dead letters a report has.
const LETTERS: usize = 100;
/// Where a report is written unless it is told otherwise.
const FILE: &str = "report.html";

/// The live display; where there are no widgets, the state as it is.
pub fn watch(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let status = status_of(target(arguments), engine)?;
    if arguments.json {
        return Ok(display::json(to_json(&status)));
    }
    let still = display::status(&status);
    Ok(match engine.watches() {
        Some(watches) => display::live(still, &watches.open(&status)),
        None => still,
    })
}

/// Adds an alert, or takes it away.
pub fn alert(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let watches = watches(engine)?;
    let words: Vec<&str> = arguments.rule.iter().map(|word| word.text.as_str()).collect();
    let (text, span) = (words.join(" "), span(arguments));
    let status = status_of(target(arguments), engine)?;
    if arguments.clear && words.is_empty() {
        let count = watches.forget(&status.machine, None);
        return shown(arguments, engine, &format!("{count} alerts of {} are gone", status.machine));
    }
    let rule = parse_rule(&text).map_err(|message| MagicError::usage(message, span.clone()))?;
    if let Some(slot) = rule.slot().filter(|slot| *slot >= status.slots.len()) {
        let (first, last) = (status.slots.first(), status.slots.last());
        let name = |slot: Option<&machine_protocol::status::SlotStatus>| slot.map_or("", |slot| &slot.slot).to_owned();
        let message = format!("{} has no slot f{slot}; it has {} to {}", status.machine, name(first), name(last));
        return Err(MagicError::usage(message, span));
    }
    if arguments.clear {
        if watches.forget(&status.machine, Some(&rule.text)) == 0 {
            let message = format!("{} has no alert {}; %alerts shows all", status.machine, rule.text);
            return Err(MagicError::usage(message, span));
        }
        return shown(arguments, engine, &format!("{} is gone", rule.text));
    }
    let text = rule.text.clone();
    watches.alert(&status.machine, rule);
    shown(arguments, engine, &format!("Alert set on {}: {text}", status.machine))
}

/// All alerts of a machine.
pub fn alerts(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let machine = status_of(target(arguments), engine)?.machine;
    let alerts = watches(engine)?.alerts(&machine);
    let lines: Vec<String> = alerts
        .as_array()
        .into_iter()
        .flatten()
        .map(|alert| {
            let rule = alert.get("rule").and_then(Value::as_str).unwrap_or_default();
            let holds = alert.get("holds").and_then(Value::as_bool).unwrap_or_default();
            format!("{rule}{}", if holds { " – holds now" } else { "" })
        })
        .collect();
    if arguments.json {
        return Ok(display::json(json!({ "machine": machine, "alerts": alerts })));
    }
    Ok(if lines.is_empty() {
        display::line(&format!("{machine} has no alerts; %alert queue > 0.8 for 10s makes one"))
    } else {
        display::lines(&lines)
    })
}

/// Writes a page.
pub fn report(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let machine = || target(arguments);
    let status = status_of(machine(), engine)?;
    let history = match engine.command(Command::History { machine: machine(), since_ms: 0 })? {
        Reply::History(history) => history,
        reply => return Err(unexpected(reply)),
    };
    let query = DeadLetterQuery { limit: LETTERS, ..DeadLetterQuery::default() };
    let letters = match engine.command(Command::FindErrors { machine: machine(), query })? {
        Reply::FoundErrors { letters, .. } => letters,
        reply => return Err(unexpected(reply)),
    };
    let file = arguments.file.as_ref().map_or(FILE, |word| &word.text);
    let page = display::report(&status, &history, &letters);
    let place = Location::find(Path::new(file), arguments.file.as_ref(), engine, display::is_report)?;
    place.write(|to| to.write_all(page.as_bytes()))?;
    let bytes = page.len() as u64;
    if arguments.json {
        return Ok(display::json(json!({ "file": file, "bytes": bytes })));
    }
    Ok(display::line(&format!("Wrote a report on {} to {file} ({} bytes)", status.machine, display::grouped(bytes))))
}

fn watches(engine: &dyn Engine) -> Result<&Watches, MagicError> {
    engine.watches().ok_or_else(|| MagicError::usage("alerts are shown in notebooks only".to_owned(), None))
}

/// Where the rule stands.
fn span(arguments: &Arguments<'_>) -> Option<std::ops::Range<usize>> {
    let (first, last) = (arguments.rule.first()?, arguments.rule.last()?);
    Some(first.span.start..last.span.end)
}

fn shown(arguments: &Arguments<'_>, engine: &dyn Engine, text: &str) -> Result<Display, MagicError> {
    if arguments.json { alerts(arguments, engine) } else { Ok(display::line(text)) }
}
