//! Magics about single messages: those that failed, that went through, that wait.

use super::actions::{SOURCE, letter_slot, machine_name, outputs, slot_number, target, to_json, unexpected};
use super::arguments::Arguments;
use super::engine::Engine;
use super::magic_error::{MagicError, quote};
use super::meter::Meter;
use super::spec::{Action, Kind, MACHINE, Magic, Parameter};
use super::tables::sample;
use crate::display::{self, Wanted, grouped};
use crate::output::{Display, Output};
use machine_protocol::command::{Command, Reply};
use machine_protocol::filter::Filter;
use machine_protocol::retained::{DeadLetterQuery, Kept, RetainedQuery, Retried};
use polars::prelude::Column;
use serde_json::{Value, json};
use std::time::Duration;

/// How many messages `%tap` and `%peek` show unless they are told otherwise.
const SHOWN: usize = 20;
/// The messages themselves, in place of a slot.
const INPUT: &str = "in";
/// How often `%tap --follow` looks for new messages.
const LOOK: Duration = Duration::from_millis(200);

pub const SLOT: Parameter = Parameter {
    names: &["--slot"],
    value: "SLOT",
    kind: Kind::Origin,
    help: "only those of this slot: f3, 3, or source",
};
pub const LIMIT: Parameter =
    Parameter { names: &["-n", "--limit"], value: "COUNT", kind: Kind::Limit, help: "how many at most (default: 20)" };
pub const SINCE: Parameter = Parameter {
    names: &["--since"],
    value: "TIME",
    kind: Kind::Since,
    help: "only what failed in the last 10m, 30s, 2h",
};
pub const WHERE: Parameter = Parameter {
    names: &["--where"],
    value: "CONDITION",
    kind: Kind::Where,
    help: "in quotes: \"error like '%utf%' and in.lang = 'en'\"; and, or, not, like, in, between, is null",
};

/// `%retry`
pub const RETRY: Magic = Magic {
    name: "retry",
    parameters: &[
        Parameter { names: &[], value: "WHICH", kind: Kind::Which, help: "a slot, an oid, or all (default: all)" },
        SINCE,
        WHERE,
        MACHINE,
    ],
    summary: "reprocess dead letters with the current slots; those that pass leave the list",
    details: "Each message keeps its oid and goes to the outputs. Retries are counted separately from processed messages.",
    example: "%retry f3",
    commands: &["machine retry main", "machine retry main f3 --since 10m"],
    action: Action::Live(retry),
};

/// `%tap`
pub const TAP: Magic = Magic {
    name: "tap",
    parameters: &[
        Parameter {
            names: &[],
            value: "SLOT",
            kind: Kind::Slot,
            help: "whose output: f1 or 1, or in for the messages themselves (default: in)",
        },
        LIMIT,
        WHERE,
        Parameter { names: &["--every"], value: "COUNT", kind: Kind::Every, help: "every Nth match" },
        Parameter {
            names: &["--follow"],
            value: "",
            kind: Kind::Follow,
            help: "keeps showing the newest until interrupted",
        },
        MACHINE,
    ],
    summary: "show the last outputs of a slot, or the last messages; fields become columns",
    details: "The last 10,000 messages or 64 MiB are retained; at high rates, only a sample. What is not shown is counted.",
    example: "%tap f1 -n 5 --where \"f1 is not null\"",
    commands: &[
        "machine tap f1",
        "machine tap main f1 -n 5 --where \"f1 > 0.5 and in.lang = 'en'\"",
        "machine tap main f1 --follow --json | jq .messages[].value",
    ],
    action: Action::Live(tap),
};

/// `%peek`
pub const PEEK: Magic = Magic {
    name: "peek",
    parameters: &[LIMIT, MACHINE],
    summary: "show the messages in the queue, oldest first; they stay there",
    details: "A running machine pauses between two messages for that moment.",
    example: "%peek -n 5",
    commands: &["machine peek main -n 3"],
    action: Action::Line(peek),
};

/// `%explain`
pub const EXPLAIN: Magic = Magic {
    name: "explain",
    parameters: &[
        Parameter {
            names: &[],
            value: "OID",
            kind: Kind::Which,
            help: "24 hex digits, as %tap and %errors show them; default: the newest that is kept",
        },
        MACHINE,
    ],
    summary: "show the history of one message: when it was put, how long it waited, what each slot returned, with which code",
    details: "Times between slots are measured; waiting is known to some milliseconds.",
    example: "%explain 65f0c0de0123456789abcdef",
    commands: &["machine explain main", "machine explain main 65f0c0de0123456789abcdef"],
    action: Action::Line(explain),
};

/// `%break`
pub const BREAK: Magic = Magic {
    name: "break",
    parameters: &[
        Parameter {
            names: &[],
            value: "SLOT",
            kind: Kind::Slot,
            help: "before which slot; without it, removes the breakpoint",
        },
        WHERE,
        MACHINE,
    ],
    summary: "pause the machine before a slot and hold the message",
    details: "The condition sees in, f0, f1, …; other names are fields of the previous output. %continue resumes.",
    example: "%break f3 --where \"polarity < -0.5\"",
    commands: &[],
    action: Action::Line(set_break),
};

/// `%continue`
pub const CONTINUE: Magic = Magic {
    name: "continue",
    parameters: &[MACHINE],
    summary: "resume the message that %break holds, and the machine",
    details: "The breakpoint stays: the machine pauses again at the next message that matches.",
    example: "%continue",
    commands: &[],
    action: Action::Line(resume),
};

/// `%held`
pub const HELD: Magic = Magic {
    name: "held",
    parameters: &[MACHINE],
    summary: "show the message that a breakpoint or debug mode holds, with what each slot made of it",
    details: "%continue resumes after a breakpoint; %start makes a failed message a dead letter.",
    example: "%held",
    commands: &[],
    action: Action::Line(held),
};

/// The dead letters that `%errors` asks for.
pub fn find_errors(arguments: &Arguments<'_>, engine: &dyn Engine, limit: usize) -> Result<Reply, MagicError> {
    let query = DeadLetterQuery { limit, ..letter_query(arguments, engine)? };
    Ok(engine.command(Command::FindErrors { machine: target(arguments), query })?)
}

fn letter_query(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<DeadLetterQuery, MagicError> {
    Ok(DeadLetterQuery {
        slot: letter_slot(arguments, engine)?,
        since: arguments.since,
        filter: filter(arguments)?,
        ..DeadLetterQuery::default()
    })
}

fn retry(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    let mut query = letter_query(arguments, engine)?;
    match &arguments.which {
        Some(word) if word.text == "all" => {}
        Some(word) if word.text == SOURCE => {
            let why = "what a source gave that is no message cannot be tried again: %errors source shows it";
            return Err(MagicError::usage(why, Some(word.span.clone())));
        }
        Some(word) if word.text.len() == 24 => query.oid = Some(word.text.clone()),
        Some(word) => {
            let of_slot =
                Arguments { slot: Some(word.clone()), machine: arguments.machine.clone(), ..Arguments::default() };
            query.slot = slot_number(&of_slot, engine)?;
        }
        None => {}
    }
    let mut meter = Meter::new(output, "retry:");
    let mut interrupted = false;
    let all = Retried::all(&target(arguments), &query, &mut |command| engine.command(command), &mut |so_far| {
        interrupted = engine.interrupted();
        if !interrupted {
            meter.at(so_far.tried, Some(so_far.tried + so_far.left));
        }
        !interrupted
    })?;
    if interrupted {
        return Err(MagicError::Interrupted(display::retried(&all)));
    }
    drop(meter);
    if arguments.json {
        return Ok(display::json(json!({
            "machine": machine_name(arguments), "tried": all.tried, "passed": all.passed, "failed": all.tried - all.passed,
        })));
    }
    Ok(display::line(&display::retried(&all)))
}

fn tap(arguments: &Arguments<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    let is_input = arguments.slot.as_ref().is_some_and(|word| word.text == INPUT);
    let slot = if is_input { None } else { slot_number(arguments, engine)? };
    let query = RetainedQuery {
        slot,
        filter: filter(arguments)?,
        every: arguments.every.unwrap_or(1),
        limit: arguments.limit.unwrap_or(SHOWN),
        ..RetainedQuery::default()
    };
    let mut kept = kept(engine, arguments, &query)?;
    if !arguments.follow {
        return shown(&kept, arguments, slot, engine);
    }
    output.display(shown(&kept, arguments, slot, engine)?);
    loop {
        std::thread::sleep(LOOK);
        // A program has been given what came before.
        let since = if arguments.json { kept.next } else { 0 };
        let newer = self::kept(engine, arguments, &RetainedQuery { since, ..query.clone() })?;
        let is_interrupted = engine.interrupted();
        if !is_interrupted && newer.next == kept.next {
            continue;
        }
        kept = newer;
        output.clear(true);
        let display = shown(&kept, arguments, slot, engine)?;
        if is_interrupted {
            return Ok(display);
        }
        output.display(display);
    }
}

/// The condition among the arguments, parsed: what evaluates it needs no parser.
pub fn filter(arguments: &Arguments<'_>) -> Result<Filter, MagicError> {
    let text = arguments.filter.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Filter::default());
    }
    let bad = |error: machine_filter::Unreadable| {
        MagicError::usage(format!("{} is no condition: {error}", quote(text)), None)
    };
    machine_filter::parse(text).map(Filter::Tree).map_err(bad)
}

/// Asks for kept messages.
pub fn kept(engine: &dyn Engine, arguments: &Arguments<'_>, query: &RetainedQuery) -> Result<Kept, MagicError> {
    match engine.command(Command::Kept { machine: target(arguments), query: query.clone() })? {
        Reply::Kept(kept) => Ok(*kept),
        reply => Err(unexpected(reply)),
    }
}

fn shown(
    kept: &Kept,
    arguments: &Arguments<'_>,
    slot: Option<u32>,
    engine: &dyn Engine,
) -> Result<Display, MagicError> {
    let texts: Vec<&str> = kept.messages.iter().rev().map(|message| text_of(message, slot)).collect();
    let shown = texts.len() as u64;
    let unseen = kept.processed.saturating_sub(shown);
    if arguments.json {
        let messages: Vec<Value> = kept
            .messages
            .iter()
            .rev()
            .zip(&texts)
            .map(|(message, text)| json!({ "oid": message.oid, "value": value(text) }))
            .collect();
        return Ok(display::json(json!({
            "machine": machine_name(arguments), "messages": messages, "processed": kept.processed, "not_shown": unseen,
            "matching": kept.matching, "not_kept": kept.not_kept, "evicted": kept.evicted,
            "unread": kept.unread,
        })));
    }
    let mut note = note(kept, shown);
    let asked = kept.matching.div_ceil(arguments.every.unwrap_or(1).max(1)).min(wanted(arguments));
    if shown < asked {
        note.push_str("; more are too long for one answer");
    }
    // Who asks for those that match is not to take the sample for all of them.
    let mut warnings: Vec<String> = if arguments.filter.is_some() { sample_of(kept) } else { Vec::new() };
    if kept.unread > 0 {
        warnings.push(format!(
            "The condition met {} values that no type has: half a surrogate pair counts as \u{fffd}, a number beyond about \
             1.8e308 as null.",
            grouped(kept.unread)
        ));
    }
    if texts.is_empty() {
        return Ok(display::warned(display::line(&note), &warnings));
    }
    let columns = frame_of(kept, slot).map_err(polars)?;
    engine.keep_frame(&columns.frame);
    warnings.extend(columns.warnings);
    Ok(display::warned(display::whole_frame(&columns.frame, &note), &warnings))
}

/// That what was looked through is a sample, if it is.
fn sample_of(kept: &Kept) -> Vec<String> {
    // Those that match were counted, whether or not they are shown.
    let Kept { processed, evicted, not_kept, .. } = *kept;
    sample(&Kept { processed, evicted, not_kept, ..Kept::default() }).into_iter().collect()
}

/// How many messages were asked for; 0 means all.
fn wanted(arguments: &Arguments<'_>) -> u64 {
    match arguments.limit.unwrap_or(SHOWN) {
        0 => u64::MAX,
        limit => limit as u64,
    }
}

/// What is shown, and what is not: of so many processed, so many matched, so many are not kept.
fn note(kept: &Kept, shown: u64) -> String {
    let mut note = format!(
        "{} of {} messages shown; {} kept ones match",
        grouped(shown),
        grouped(kept.processed),
        grouped(kept.matching)
    );
    for (count, why) in
        [(kept.evicted, "older ones fell out"), (kept.not_kept, "were not kept: the machine was too fast")]
    {
        if count > 0 {
            note.push_str(&format!(", {} {why}", grouped(count)));
        }
    }
    note
}

fn text_of(message: &machine_protocol::retained::RetainedMessage, slot: Option<u32>) -> &str {
    if slot.is_some() { message.outputs.first().map_or("", String::as_str) } else { &message.input }
}

fn value(json: &str) -> Value {
    machine_engine::json::value(json)
}

/// Kept messages, newest first: the oid, and what the slot gave or the message itself, in columns.
pub fn frame_of(kept: &Kept, slot: Option<u32>) -> polars::prelude::PolarsResult<display::Columns> {
    let newest = || kept.messages.iter().rev();
    let oids: Vec<&str> = newest().map(|message| message.oid.as_str()).collect();
    let name = slot.map_or_else(|| "in".to_owned(), |slot| format!("f{slot}"));
    let texts = newest().map(|message| text_of(message, slot));
    display::frame_of_messages(vec![Column::new("oid".into(), oids)], &name, texts, &Wanted::all())
}

/// What polars refuses.
pub fn polars(error: polars::prelude::PolarsError) -> MagicError {
    MagicError::usage(display::one_line(&error.to_string()), None)
}

fn peek(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let limit = arguments.limit.unwrap_or(SHOWN);
    let (waiting, first) = match engine.command(Command::Peek { machine: target(arguments), limit })? {
        Reply::Waiting(waiting, first) => (waiting, first),
        reply => return Err(unexpected(reply)),
    };
    if arguments.json {
        let first: Vec<Value> = first.iter().map(|(oid, json)| json!({ "oid": oid, "value": value(json) })).collect();
        return Ok(display::json(json!({ "machine": machine_name(arguments), "waiting": waiting, "first": first })));
    }
    if first.is_empty() {
        return Ok(display::line(&format!("{} messages wait in {}", grouped(waiting), machine_name(arguments))));
    }
    let oids: Vec<&str> = first.iter().map(|(oid, _)| oid.as_str()).collect();
    let texts = first.iter().map(|(_, json)| json.as_str());
    let fixed = vec![Column::new("oid".into(), oids)];
    let columns = display::frame_of_messages(fixed, "in", texts, &Wanted::all()).map_err(polars)?;
    let more = waiting.saturating_sub(first.len() as u64);
    let note = format!("{} messages wait; {} more than are shown", grouped(waiting), grouped(more));
    Ok(display::warned(display::whole_frame(&columns.frame, &note), &columns.warnings))
}

fn explain(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let oid = match &arguments.which {
        Some(word) => word.text.clone(),
        None => {
            let newest =
                kept(engine, arguments, &RetainedQuery { limit: 1, ..RetainedQuery::default() })?.messages.pop();
            let none = || MagicError::usage("no message has gone through yet: there is nothing to explain", None);
            newest.ok_or_else(none)?.oid
        }
    };
    match engine.command(Command::Explain { machine: target(arguments), oid })? {
        Reply::Explained(explained) if arguments.json => Ok(display::json(to_json(&explained))),
        Reply::Explained(explained) => Ok(display::explained(&explained)),
        reply => Err(unexpected(reply)),
    }
}

fn set_break(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    let slot = slot_number(arguments, engine)?;
    let filter = arguments.filter.clone().unwrap_or_default();
    if slot.is_none() && !filter.is_empty() {
        return Err(MagicError::usage("%break needs a slot for its condition: %break f3 --where …", None));
    }
    match engine.command(Command::Break { machine: target(arguments), slot, filter: self::filter(arguments)? })? {
        Reply::Done => {}
        reply => return Err(unexpected(reply)),
    }
    let name = machine_name(arguments);
    if arguments.json {
        return Ok(display::json(
            json!({ "machine": name, "slot": slot.map(|slot| format!("f{slot}")), "where": filter }),
        ));
    }
    let condition = if filter.is_empty() { String::new() } else { format!(" when {}", quote(&filter)) };
    Ok(display::line(&match slot {
        Some(slot) => {
            format!("Breakpoint set on {name} before f{slot}{condition}; %held inspects the message, %continue resumes")
        }
        None => format!("Breakpoint removed from {name}"),
    }))
}

fn resume(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    super::actions::control(Command::Continue { machine: target(arguments) }, arguments, engine)
}

fn held(arguments: &Arguments<'_>, engine: &dyn Engine) -> Result<Display, MagicError> {
    outputs(engine.command(Command::HeldMessage { machine: target(arguments) })?, arguments)
}
