//! Questions about messages: what went through, what waits, where one has been.

use crate::closest_match::did_you_mean;
use crate::core::command_error::{failed, no_such_slot};
use crate::core::dead_letters::DeadLetterEntry;
use crate::core::hook::InSlot;
use crate::core::machine::Machine;
use crate::core::oid::{self, Oid};
use crate::core::output::Entry;
use crate::filter::{Found as Value, Lookup, inside, meant};
use crate::inspect::breakpoint::read_filter;
use crate::inspect::page_size::{json_len as told_bytes, take_fitting};
use crate::json::{Json, Number, Scalar};
use machine_protocol::command::Outputs;
use machine_protocol::retained::MessageState;
use machine_protocol::retained::{Explained, ExplainedSlot, Kept, RetainedMessage, RetainedQuery};
use machine_protocol::retention::{Keep, Kept as Keeping};
use machine_protocol::{Error, ErrorKind};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How many names an error lists.
const MOST_NAMES: usize = 40;

/// A kept message as a condition sees it: `in`, `f0` and so on, `oid`, `waited_ms`; any other name is looked for in what
/// the slot gave that is asked for, then in the message.
struct Row<'e> {
    entry: &'e Entry,
    slot: Option<usize>,
}

impl Lookup for Row<'_> {
    fn get(&self, path: &[String]) -> Option<Value<'_>> {
        let (first, rest) = path.split_first()?;
        let entry = self.entry;
        let of_slot = |slot: usize, path: &[String]| entry.has(slot).then(|| inside(entry.part(slot + 1), path))?;
        match (first.as_str(), first.strip_prefix('f').and_then(|n| n.parse::<usize>().ok())) {
            ("in" | "input", _) => inside(entry.part(0), rest),
            ("oid", _) if rest.is_empty() => Some(Value::Own(Scalar::Text(Cow::Owned(entry.oid.to_string())))),
            ("waited_ms", _) if rest.is_empty() => {
                Some(Value::Own(Scalar::Number(Number::from(entry.times.waited_ms()))))
            }
            (_, Some(slot)) if slot < entry.slots() => of_slot(slot, rest),
            _ => self.slot.and_then(|slot| of_slot(slot, path)).or_else(|| inside(entry.part(0), path)),
        }
    }
}

fn json_len(entry: &Entry, slot: Option<usize>) -> RetainedMessage {
    let mut message = RetainedMessage {
        oid: entry.oid.to_string(),
        put_ms: entry.times.put.millis(),
        waited_ms: entry.times.waited_ms(),
        missing: entry.missing,
        ..RetainedMessage::default()
    };
    match slot {
        Some(slot) => message.outputs = vec![entry.part(slot + 1).to_owned()],
        None => {
            entry.part(0).clone_into(&mut message.input);
            message.outputs = (0..entry.slots()).map(|slot| entry.part(slot + 1).to_owned()).collect();
            message.revisions = entry.revisions.to_vec();
            message.nanos.clone_from(&entry.nanos);
        }
    }
    message
}

/// What went through, as far as it is kept.
///
/// # Errors
/// If there is no such slot, or the condition cannot be read or names what no message has.
pub(crate) fn recall(machine: &Machine, query: &RetainedQuery) -> Result<Kept, Error> {
    let slot = query.slot.map(|slot| usize::try_from(slot).unwrap_or(usize::MAX));
    if let Some(slot) = slot.filter(|slot| *slot >= machine.config().slots) {
        return Err(no_such_slot(slot, machine.config().slots, &machine.config().name));
    }
    let filter = read_filter(&query.filter)?;
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let every = usize::try_from(query.every.max(1)).unwrap_or(usize::MAX);
    // Workers wait for as long as it takes to copy some pointers; all else is done beside them.
    let kept = machine.recorder().snapshot();
    let count = kept.len();
    // A message is kept before it counts as processed, so this one may be in flight.
    let processed = (machine.queue().done() + machine.letters().passed).max(kept.evicted() + count);
    let first = query.since.saturating_sub(kept.evicted()).min(count);
    let last = query.before.map_or(count, |before| before.saturating_sub(kept.evicted()).min(count)).max(first);
    let asked = usize::try_from(last - first).unwrap_or(usize::MAX);
    let before = kept.evicted() + last;
    let entries = || {
        let newest = usize::try_from(count - last).unwrap_or(usize::MAX);
        kept.newest().skip(newest).take(asked).filter(|entry| slot.is_none_or(|slot| entry.has(slot)))
    };
    let mut unread = 0;
    let mut is_meant = |entry: &Entry| {
        let Some(filter) = &filter else { return true };
        let verdict = filter.judge(&Row { entry, slot });
        unread += verdict.unread;
        verdict.holds
    };
    // The newest first, each with its number.
    let meant: Vec<(u64, &Entry)> = kept
        .newest()
        .zip((0..kept.evicted() + count).rev())
        .skip_while(|(_, number)| *number >= before)
        .take(asked)
        .filter(|(entry, _)| slot.is_none_or(|slot| entry.has(slot)) && is_meant(entry))
        .map(|(entry, number)| (number, entry))
        .collect();
    if let Some(filter) = filter.as_ref().filter(|_| meant.is_empty() && query.before.is_none()) {
        let mut unknown = filter.names();
        for entry in entries() {
            unknown.retain(|name| Row { entry, slot }.get(name).is_none());
            if unknown.is_empty() {
                break;
            }
        }
        if let (Some(name), Some(newest)) = (unknown.first(), entries().next()) {
            return Err(no_such_column(name, slot, Some(newest)));
        }
    }
    let matching = meant.len() as u64;
    let size = |entry: &Entry| match slot {
        Some(slot) => told_bytes(entry.part(slot + 1)),
        None => (0..=entry.slots()).map(|at| told_bytes(entry.part(at))).sum(),
    };
    let newest = || meant.iter().step_by(every).take(limit);
    let chosen: Vec<&(u64, &Entry)> = take_fitting(newest().map(|one| (one, size(one.1)))).collect();
    // What is too long for any answer is passed over, so the last that was looked at may be older than this.
    let oldest = chosen.last().map(|(number, _)| *number);
    let older = oldest.filter(|oldest| newest().next_back().is_some_and(|(last, _)| last < oldest));
    Ok(Kept {
        processed,
        evicted: kept.evicted(),
        not_kept: processed - kept.evicted() - count,
        matching,
        next: kept.evicted() + count,
        older,
        unread,
        messages: chosen.into_iter().rev().map(|(_, entry)| json_len(entry, slot)).collect(),
    })
}

/// Keeps so much of what goes through from here on; returns what is kept.
///
/// # Errors
/// If that is nothing.
pub(crate) fn keep(machine: &Machine, keep: Option<Keep>) -> Result<Keeping, Error> {
    match keep {
        Some(Keep::Messages(0) | Keep::Time(Duration::ZERO)) => {
            return Err(failed(ErrorKind::OutOfRange, "cannot keep 0 messages: expected at least 1".to_owned()));
        }
        Some(keep) => {
            machine.recorder().limit(keep);
            machine.edit_plan(|plan| plan.keep = keep);
        }
        None => {}
    }
    Ok(machine.recorder().keeping())
}

/// How many messages wait, and the first of them, oldest first, as oid and JSON text. A machine that runs is held
/// between two messages for that moment.
///
/// # Errors
/// If a step, or what is like it, is running.
pub(crate) fn peek(machine: &'static Machine, limit: usize) -> Result<(u64, Vec<(String, String)>), Error> {
    // Their destructors, and how they are written, are user code.
    let _in_slot = InSlot::enter();
    let _one = machine.one_step()?;
    let lent = machine.queue().peek_take(limit);
    let shown = lent.messages.iter().map(|message| {
        let json = message.json().unwrap_or_else(|why| format!("({why})"));
        (message.oid(machine.number()).to_string(), json)
    });
    let with_size = |(oid, json): (String, String)| {
        let size = told_bytes(&json);
        ((oid, json), size)
    };
    let shown: Vec<_> = take_fitting(shown.map(with_size)).collect();
    let gone = machine.queue().return_first(lent);
    if !gone.is_empty() {
        machine.withdraw(gone.iter().map(|message| message.number));
        // Nobody here waits for a sink.
        machine.flush_withdrawn(Some(Instant::now()), || false);
    }
    Ok((machine.queue().size(), shown))
}

/// Where a message has been.
///
/// # Errors
/// If nothing is known of it: why.
pub(crate) fn explain(
    machine: &Machine,
    oid_text: &str,
    name_of: impl FnOnce(Oid) -> Option<String>,
) -> Result<Explained, Error> {
    let name = &machine.config().name;
    let Some(oid) = Oid::parse(oid_text) else {
        let message =
            format!("{oid_text} is no message of this session: an oid is 24 hex digits, as %tap and %errors show them");
        return Err(failed(ErrorKind::NoSuchMessage, message));
    };
    if oid.machine != machine.number() {
        let message = match name_of(oid) {
            Some(other) => format!("{oid_text} is a message of {other}, not of {name}"),
            None => format!("{oid_text} is not a message of this process: another one put it, or an earlier run"),
        };
        return Err(failed(ErrorKind::NoSuchMessage, message));
    }
    let letters = machine.letters().of(oid);
    if let Some(entry) = machine.recorder().snapshot().newest().find(|entry| entry.oid == oid) {
        return Ok(explained(machine, entry, &letters));
    }
    if machine.held().oid() == Some(oid)
        && let Some(outputs) = machine.held().outputs()
    {
        return Ok(explained_in_hand(machine, &outputs));
    }
    if let Some(letter) = letters.last() {
        return Ok(explain_dead_letter(machine, letter, &letters));
    }
    let number = u64::from(oid.counter);
    let status = machine.status();
    let began = status.accepted - status.queue_size;
    if number >= began && number < status.accepted {
        let before = number - began;
        return Ok(Explained {
            oid: oid_text.to_owned(),
            state: MessageState::Waits,
            put: oid::time(oid),
            input: format!("(it waits behind {before} others; %peek shows the first)"),
            ..Explained::default()
        });
    }
    let message = if number < status.accepted {
        format!("{oid_text} went through {name} or was discarded, and was not kept: %tap tells how many are")
    } else {
        format!("{name} never had a message {oid_text}; it has had {}", status.accepted)
    };
    Err(failed(ErrorKind::NoSuchMessage, message))
}

fn explained(machine: &Machine, entry: &Entry, letters: &[DeadLetterEntry]) -> Explained {
    let slots = (0..entry.slots()).map(|slot| {
        let revision = entry.revisions.get(slot).copied().unwrap_or(0);
        let json = entry.part(slot + 1);
        let output = match (entry.is_own(slot), entry.has(slot)) {
            // It is told of the slot that gave it.
            (false, _) => Ok(String::new()),
            (true, true) => Ok(json.to_owned()),
            (true, false) => Err(why(json, slot, letters)),
        };
        explained_slot(machine, slot, revision, output, entry.nanos.get(slot).copied().unwrap_or(0))
    });
    Explained {
        oid: entry.oid.to_string(),
        state: if letters.is_empty() { MessageState::WentThrough } else { MessageState::DeadLetter },
        put: oid::rfc3339(entry.times.put.millis(), chrono::SecondsFormat::Millis),
        waited_ms: Some(entry.times.waited_ms()),
        input: entry.part(0).to_owned(),
        slots: slots.collect(),
    }
}

fn explained_in_hand(machine: &Machine, outputs: &Outputs) -> Explained {
    let slots = outputs.slots.iter().map(|slot| {
        let output = slot.output.clone().ok_or_else(|| slot.error.clone().unwrap_or_default());
        explained_slot(machine, slot.slot, slot.revision, output, slot.nanos)
    });
    Explained {
        oid: outputs.oid.clone(),
        state: MessageState::InHand,
        put: oid::time(Oid::parse(&outputs.oid).unwrap_or_default()),
        input: outputs.input.clone(),
        slots: slots.collect(),
        ..Explained::default()
    }
}

fn explain_dead_letter(machine: &Machine, letter: &DeadLetterEntry, letters: &[DeadLetterEntry]) -> Explained {
    let outputs = Json::new(&letter.outputs);
    let slots = (0..machine.config().slots).filter_map(|slot| {
        let failed = letters.iter().find(|letter| letter.slot == slot);
        let output = match (failed, outputs.at(&[format!("f{slot}")])) {
            (Some(letter), _) => Err(letter.error.clone()),
            (None, output) => Ok(output?.raw().to_owned()),
        };
        Some(explained_slot(machine, slot, failed.map_or(0, |letter| letter.revision), output, 0))
    });
    Explained {
        oid: letter.oid.to_string(),
        state: MessageState::DeadLetter,
        put: oid::time(letter.oid),
        waited_ms: None,
        input: letter.input.to_string(),
        slots: slots.collect(),
    }
}

fn explained_slot(
    machine: &Machine,
    slot: usize,
    revision: u64,
    output: Result<String, String>,
    nanos: u64,
) -> ExplainedSlot {
    let origin = machine.code_of(slot, revision);
    let now = machine.plan().slots.get(slot).map_or(0, |slot| slot.revision);
    ExplainedSlot {
        slot: format!("f{slot}"),
        revision,
        code: if origin.code.is_empty() { origin.place } else { origin.code },
        cell: origin.cell,
        error: output.as_ref().err().cloned(),
        output: output.ok().filter(|output| !output.is_empty()),
        nanos,
        is_changed: revision > 0 && now != revision,
    }
}

/// Why a slot gave nothing: from its letter, or from what is published in its place.
fn why(json: &str, slot: usize, letters: &[DeadLetterEntry]) -> String {
    if let Some(letter) = letters.iter().find(|letter| letter.slot == slot) {
        return letter.error.clone();
    }
    let field = Json::new(json).at(&["_exception", "exc_value"]).map(Json::field);
    match field.map(|field| field.value) {
        Some(Scalar::Text(text)) => text.into_owned(),
        _ => "it is missing".to_owned(),
    }
}

/// Told with the names that there are, and the one that was probably meant.
fn no_such_column(name: &[String], slot: Option<usize>, entry: Option<&Entry>) -> Error {
    let fields = |at: usize| {
        let names = entry.map_or_else(Vec::new, |entry| Json::new(entry.part(at)).names());
        let mut names: Vec<String> = names.into_iter().map(Cow::into_owned).collect();
        names.sort();
        names.dedup();
        names
    };
    let mut there: Vec<String> = slot.map_or_else(Vec::new, |slot| fields(slot + 1));
    there.extend(fields(0).into_iter().map(|field| format!("in.{field}")));
    there.extend(["in".to_owned(), "oid".to_owned(), "waited_ms".to_owned()]);
    there.extend((0..entry.map_or(0, Entry::slots)).map(|slot| format!("f{slot}")));
    // What is in the message can also be named without `in`.
    let mut names = there.clone();
    names.extend(there.iter().filter_map(|name| name.strip_prefix("in.").map(str::to_owned)));
    let nearest = entry.and_then(|entry| meant(name, &Row { entry, slot }, &names));
    let (name, of) = (name.join("."), slot.map_or_else(String::new, |slot| format!(" of f{slot}")));
    let left_out = there.len().saturating_sub(MOST_NAMES);
    there.truncate(MOST_NAMES);
    let mut there = there.join(", ");
    if left_out > 0 {
        there.push_str(&format!(" and {left_out} more"));
    }
    failed(ErrorKind::NoSuchColumn, format!("no message{of} has {name}: there is {there}{}", did_you_mean(nearest)))
}
