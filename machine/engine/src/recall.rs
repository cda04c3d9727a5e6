//! Questions about messages: what went through, what waits, where one has been.

use crate::breakpoint::read_filter;
use crate::budget::{fitting, told as told_bytes};
use crate::command_error::{failed, no_such_slot};
use crate::filter::{Lookup, inside, meant};
use crate::hook::InSlot;
use crate::letters::{Found, Letter};
use crate::machine::Machine;
use crate::nearest::did_you_mean;
use crate::oid::{self, Oid};
use crate::output::Entry;
use crate::registry::find;
use machine::command::{Command, Failure, Origin, Outputs, Reply};
use machine::kept::{Explained, ExplainedSlot, Kept, KeptMessage, KeptQuery};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::PoisonError;
use std::time::Instant;

/// How many revisions of code are known of a machine: of older ones only the number is.
const MOST_CODES: usize = 1_000;

/// A kept message as a condition sees it: `in`, `f0` and so on, `oid`, `waited_ms`; any other name is looked for in what
/// the slot gave that is asked for, then in the message.
struct Row<'e> {
    entry: &'e Entry,
    slot: Option<usize>,
}

impl Lookup for Row<'_> {
    fn get(&self, path: &[String]) -> Option<Cow<'_, Value>> {
        let (first, rest) = path.split_first()?;
        let of_slot = |slot: usize, path: &[String]| {
            if self.entry.has(slot) { part(self.entry.part(slot + 1), path) } else { None }
        };
        match (first.as_str(), first.strip_prefix('f').and_then(|n| n.parse::<usize>().ok())) {
            ("in" | "input", _) => part(self.entry.part(0), rest),
            ("oid", _) if rest.is_empty() => Some(Cow::Owned(self.entry.oid.to_string().into())),
            ("waited_ms", _) if rest.is_empty() => Some(Cow::Owned(self.entry.times.waited_ms().into())),
            (_, Some(slot)) if slot < self.entry.slots() => of_slot(slot, rest),
            _ => self.slot.and_then(|slot| of_slot(slot, path)).or_else(|| part(self.entry.part(0), path)),
        }
    }
}

fn part(json: &str, path: &[String]) -> Option<Cow<'static, Value>> {
    let value: Value = serde_json::from_str(json).ok()?;
    inside(&value, path).cloned().map(Cow::Owned)
}

fn told(entry: &Entry, slot: Option<usize>) -> KeptMessage {
    let mut message = KeptMessage {
        oid: entry.oid.to_string(),
        put_ms: entry.times.put.millis(),
        waited_ms: entry.times.waited_ms(),
        missing: entry.missing,
        ..KeptMessage::default()
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

/// Carries out a command about messages.
///
/// # Errors
/// As the command's own; or that there is no such command.
pub(crate) fn answer(command: Command) -> Result<Reply, Failure> {
    Ok(match command {
        Command::FindErrors { machine, query } => {
            let Found { letters, matching, too_long, next } = find(&machine)?.find_letters(&query)?;
            Reply::FoundErrors { letters, matching, too_long, next }
        }
        Command::RetryErrors { machine, query, from } => Reply::Retried(find(&machine)?.retry_letters(&query, from)?),
        Command::Kept { machine, query } => Reply::Kept(Box::new(find(&machine)?.recall(&query)?)),
        Command::Peek { machine, limit } => {
            let (waiting, first) = find(&machine)?.peek(limit)?;
            Reply::Waiting(waiting, first)
        }
        Command::Explain { machine, oid } => Reply::Explained(Box::new(find(&machine)?.explain(&oid)?)),
        Command::Break { machine, slot, filter } => {
            let slot = slot.map(|slot| usize::try_from(slot).unwrap_or(usize::MAX));
            find(&machine)?.set_breakpoint(slot, &filter)?;
            Reply::Done
        }
        Command::Continue { machine } => {
            find(&machine)?.go_on()?;
            Reply::Done
        }
        other => return Err(failed("unknown_command", format!("this engine does not know {other:?}"))),
    })
}

impl Machine {
    /// What went through, as far as it is kept.
    ///
    /// # Errors
    /// If there is no such slot, or the condition cannot be read or names what no message has.
    pub fn recall(&self, query: &KeptQuery) -> Result<Kept, Failure> {
        let slot = query.slot.map(|slot| usize::try_from(slot).unwrap_or(usize::MAX));
        if let Some(slot) = slot.filter(|slot| *slot >= self.config.slots) {
            return Err(no_such_slot(slot, self.config.slots, &self.config.name));
        }
        let filter = read_filter(&query.filter)?;
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let every = usize::try_from(query.every.max(1)).unwrap_or(usize::MAX);
        let ring = self.kept.ring();
        let count = ring.entries.len() as u64;
        // A message is kept before it counts as processed, so this one may be in flight.
        let processed = (self.queue.done() + self.letters().passed).max(ring.fallen_out + count);
        let start = query.since.saturating_sub(ring.fallen_out).min(count);
        let entries = || ring.entries.iter().skip(usize::try_from(start).unwrap_or(usize::MAX));
        let is_meant = |entry: &&Entry| {
            slot.is_none_or(|slot| entry.has(slot))
                && filter.as_ref().is_none_or(|filter| filter.holds(&Row { entry, slot }))
        };
        let meant: Vec<&Entry> = entries().filter(is_meant).collect();
        if let Some(filter) = filter.as_ref().filter(|_| meant.is_empty()) {
            let unknown = |path: &[String]| {
                let mut rows = entries().filter(|entry| slot.is_none_or(|slot| entry.has(slot))).peekable();
                rows.peek().is_some() && !rows.any(|entry| Row { entry, slot }.get(path).is_some())
            };
            if let Some(name) = filter.names().into_iter().find(|name| unknown(name)) {
                let newest = entries().rfind(|entry| slot.is_none_or(|slot| entry.has(slot)));
                return Err(no_such_column(name, slot, newest));
            }
        }
        let matching = meant.len() as u64;
        let size = |entry: &Entry| match slot {
            Some(slot) => told_bytes(entry.part(slot + 1)),
            None => (0..=entry.slots()).map(|at| told_bytes(entry.part(at))).sum(),
        };
        let newest = meant.into_iter().rev().step_by(every).take(limit);
        let chosen: Vec<&Entry> = fitting(newest.map(|entry| (entry, size(entry)))).collect();
        Ok(Kept {
            processed,
            fallen_out: ring.fallen_out,
            not_kept: processed - ring.fallen_out - count,
            matching,
            next: ring.fallen_out + count,
            messages: chosen.into_iter().rev().map(|entry| told(entry, slot)).collect(),
        })
    }

    /// How many messages wait, and the first of them, oldest first, as oid and JSON text. A machine that runs is held
    /// between two messages for that moment.
    ///
    /// # Errors
    /// If a step, or what is like it, is running.
    pub fn peek(&'static self, limit: usize) -> Result<(u64, Vec<(String, String)>), Failure> {
        // Their destructors, and how they are written, are user code.
        let _in_slot = InSlot::enter();
        let _one = self.one_step()?;
        let lent = self.queue.lend_first(limit);
        let shown = lent.messages.iter().map(|message| {
            let json = message.json().unwrap_or_else(|why| format!("({why})"));
            (message.oid(self.number.get()).to_string(), json)
        });
        let with_size = |(oid, json): (String, String)| {
            let size = told_bytes(&json);
            ((oid, json), size)
        };
        let shown: Vec<_> = fitting(shown.map(with_size)).collect();
        let gone = self.queue.return_first(lent);
        if !gone.is_empty() {
            self.gone(gone.iter().map(|message| message.number));
            // Nobody here waits for a sink.
            self.pass_gone(Some(Instant::now()), || false);
        }
        Ok((self.queue.size(), shown))
    }

    /// Where a message has been.
    ///
    /// # Errors
    /// If nothing is known of it: why.
    pub fn explain(&self, oid_text: &str) -> Result<Explained, Failure> {
        let name = &self.config.name;
        let Some(oid) = Oid::parse(oid_text) else {
            let message = format!(
                "{oid_text} is no message of this session: an oid is 24 hex digits, as %tap and %errors show them"
            );
            return Err(failed("no_such_message", message));
        };
        if oid.machine != self.number.get() {
            let message = match crate::registry::machine_of(oid) {
                Some(other) => format!("{oid_text} is a message of {}, not of {name}", other.config.name),
                None => format!("{oid_text} is not a message of this process: another one put it, or an earlier run"),
            };
            return Err(failed("no_such_message", message));
        }
        let letters = self.letters().of(oid);
        let ring = self.kept.ring();
        if let Some(entry) = ring.entries.iter().rev().find(|entry| entry.oid == oid) {
            return Ok(self.explained(entry, &letters));
        }
        drop(ring);
        if self.oid_in_hand() == Some(oid)
            && let Ok(outputs) = self.in_hand()
        {
            return Ok(self.explained_in_hand(&outputs));
        }
        if let Some(letter) = letters.last() {
            return Ok(self.explained_letter(letter, &letters));
        }
        let number = u64::from(oid.counter);
        let status = self.status();
        let began = status.accepted - status.queue_size;
        if number >= began && number < status.accepted {
            let before = number - began;
            return Ok(Explained {
                oid: oid_text.to_owned(),
                state: "waits".to_owned(),
                put: oid.time(),
                input: format!("(it waits behind {before} others; %peek shows the first)"),
                ..Explained::default()
            });
        }
        let message = if number < status.accepted {
            format!("{oid_text} went through {name} or was discarded, and was not kept: %tap tells how many are")
        } else {
            format!("{name} never had a message {oid_text}; it has had {}", status.accepted)
        };
        Err(failed("no_such_message", message))
    }

    fn explained(&self, entry: &Entry, letters: &[Letter]) -> Explained {
        let slots = (0..entry.slots()).map(|slot| {
            let revision = entry.revisions.get(slot).copied().unwrap_or(0);
            let json = entry.part(slot + 1);
            let output = match (entry.is_own(slot), entry.has(slot)) {
                // It is told of the slot that gave it.
                (false, _) => Ok(String::new()),
                (true, true) => Ok(json.to_owned()),
                (true, false) => Err(why(json, slot, letters)),
            };
            self.explained_slot(slot, revision, output, entry.nanos.get(slot).copied().unwrap_or(0))
        });
        Explained {
            oid: entry.oid.to_string(),
            state: if letters.is_empty() { "went through" } else { "dead letter" }.to_owned(),
            put: oid::rfc3339(entry.times.put.millis(), chrono::SecondsFormat::Millis),
            waited_ms: Some(entry.times.waited_ms()),
            input: entry.part(0).to_owned(),
            slots: slots.collect(),
        }
    }

    fn explained_in_hand(&self, outputs: &Outputs) -> Explained {
        let slots = outputs.slots.iter().map(|slot| {
            let output = slot.output.clone().ok_or_else(|| slot.error.clone().unwrap_or_default());
            self.explained_slot(slot.slot, slot.revision, output, slot.nanos)
        });
        Explained {
            oid: outputs.oid.clone(),
            state: "in hand".to_owned(),
            put: Oid::parse(&outputs.oid).unwrap_or_default().time(),
            input: outputs.input.clone(),
            slots: slots.collect(),
            ..Explained::default()
        }
    }

    fn explained_letter(&self, letter: &Letter, letters: &[Letter]) -> Explained {
        let outputs: Value = serde_json::from_str(&letter.outputs).unwrap_or_default();
        let slots = (0..self.config.slots).filter_map(|slot| {
            let failed = letters.iter().find(|letter| letter.slot == slot);
            let output = match (failed, outputs.get(format!("f{slot}"))) {
                (Some(letter), _) => Err(letter.error.clone()),
                (None, output) => Ok(output?.to_string()),
            };
            Some(self.explained_slot(slot, failed.map_or(0, |letter| letter.revision), output, 0))
        });
        Explained {
            oid: letter.oid.to_string(),
            state: "dead letter".to_owned(),
            put: letter.oid.time(),
            waited_ms: None,
            input: letter.input.to_string(),
            slots: slots.collect(),
        }
    }

    fn explained_slot(&self, slot: usize, revision: u64, output: Result<String, String>, nanos: u64) -> ExplainedSlot {
        let codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = codes.get(&(slot, revision)).cloned().unwrap_or_default();
        drop(codes);
        let now = self.plan().slots.get(slot).map_or(0, |slot| slot.revision);
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

    /// Keeps the code of a revision.
    pub fn note_code(&self, slot: usize, revision: u64, origin: &Origin) {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.insert((slot, revision), origin.clone());
        while codes.len() > MOST_CODES {
            // The oldest of the slot that was assigned most often.
            let oldest = codes.keys().find(|(of, _)| *of == slot).copied();
            let Some(oldest) = oldest else { return };
            codes.remove(&oldest);
        }
    }
}

/// Why a slot gave nothing: from its letter, or from what is published in its place.
fn why(json: &str, slot: usize, letters: &[Letter]) -> String {
    if let Some(letter) = letters.iter().find(|letter| letter.slot == slot) {
        return letter.error.clone();
    }
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let text = value.pointer("/_exception/exc_value").and_then(Value::as_str);
    text.unwrap_or("it is missing").to_owned()
}

/// Told with the names that there are, and the one that was probably meant.
fn no_such_column(name: &[String], slot: Option<usize>, entry: Option<&Entry>) -> Failure {
    let value = |at: usize| entry.and_then(|entry| serde_json::from_str::<Value>(entry.part(at)).ok());
    let fields = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut there: Vec<String> = fields(slot.and_then(|slot| value(slot + 1)));
    there.extend(fields(value(0)).into_iter().map(|field| format!("in.{field}")));
    there.extend(["in".to_owned(), "oid".to_owned(), "waited_ms".to_owned()]);
    there.extend((0..entry.map_or(0, Entry::slots)).map(|slot| format!("f{slot}")));
    // What is in the message can also be named without `in`.
    let mut names = there.clone();
    names.extend(there.iter().filter_map(|name| name.strip_prefix("in.").map(str::to_owned)));
    let nearest = entry.and_then(|entry| meant(name, &Row { entry, slot }, &names));
    let (name, of) = (name.join("."), slot.map_or_else(String::new, |slot| format!(" of f{slot}")));
    let there = there.join(", ");
    failed("no_such_column", format!("no message{of} has {name}: there is {there}{}", did_you_mean(nearest)))
}
