//! How dead letters are tried again.
//!
//! A message that is tried again keeps its oid and goes through the slots as they are now, on the thread that asks. It
//! is counted apart (`retried`, `retried_passed`) and not processed a second time, so all other counters stay as they
//! are. If no slot fails on it, its letters leave the list, and it goes where outputs go.

use crate::core::command_error::{failed, no_such_slot};
use crate::core::dead_letters::{self, DeadLetterEntry, SOURCE};
use crate::core::deliver::deliver_late;
use crate::core::failed::of_frame;
use crate::core::frame::{Events, SlotErrorKind};
use crate::core::hook::InSlot;
use crate::core::interrupt;
use crate::core::machine::Machine;
use crate::core::oid::{self, Moment, Oid};
use crate::core::output::Times;
use crate::core::queue::Mode;
use crate::core::raw;
use crate::core::slots::From;
use crate::inspect::breakpoint::read_filter;
use crate::inspect::dead_letter_query::{self as letters_query, Found, Selection};
use machine_protocol::retained::{DeadLetterQuery, Retried};
use machine_protocol::{Error, ErrorKind};
use std::sync::TryLockError;
use std::time::{Duration, Instant};

/// How long one command tries at most: then the caller can show how far it is, or stop.
const TURN: Duration = Duration::from_millis(250);

fn selection(machine: &Machine, query: &DeadLetterQuery) -> Result<Selection, Error> {
    let slot = query.slot.map(|slot| match slot {
        DeadLetterQuery::SOURCE => SOURCE,
        slot => usize::try_from(slot).unwrap_or(usize::MAX),
    });
    if let Some(slot) = slot.filter(|slot| *slot >= machine.config().slots && *slot != SOURCE) {
        return Err(no_such_slot(slot, machine.config().slots, &machine.config().name));
    }
    let oid = query.oid.as_ref().map(|oid| {
        let found = Oid::parse(oid).filter(|oid| !machine.letters().of(*oid).is_empty());
        found.ok_or_else(|| {
            let kept = machine.letters().len();
            let message = format!("no dead letter is of message {oid}; there are {kept}: %errors shows them");
            failed(ErrorKind::NoSuchDeadLetter, message)
        })
    });
    let filter = read_filter(&query.filter)?;
    // Asked for what is older than an answer, there may be no letter left that has it.
    if let Some(filter) = filter.as_ref().filter(|_| query.before.is_none()) {
        let letters = machine.letters().clone();
        if let Some(name) = filter.names().into_iter().find(|name| !letters_query::knows(&letters, name)) {
            return Err(failed(ErrorKind::NoSuchColumn, letters_query::instead_of(&letters, name)));
        }
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let since_ms = query.since.map_or(0, |since| oid::coarse_millis().saturating_sub(millis(since)));
    Ok(Selection { slot, oid: oid.transpose()?, since_ms, filter })
}

/// Dead letters, newest first, as many as fit in an answer.
///
/// # Errors
/// If the query cannot be read, or names what there is not.
pub(crate) fn find_dead_letters(machine: &Machine, query: &DeadLetterQuery) -> Result<Found, Error> {
    let selection = selection(machine, query)?;
    let most = if query.limit == 0 { usize::MAX } else { query.limit };
    let letters = machine.letters().clone();
    Ok(letters_query::find(&letters, &selection, most, query.before.unwrap_or(u64::MAX)))
}

/// Tries dead letters again, from number `from` on, oldest first, for a while.
///
/// # Errors
/// If the machine is stopped, if dead letters of it are being tried at this moment, or as `find_dead_letters`.
pub(crate) fn retry_dead_letters(machine: &Machine, query: &DeadLetterQuery, from: u64) -> Result<Retried, Error> {
    if machine.queue().control().mode == Mode::Stopped {
        let name = &machine.config().name;
        return Err(failed(ErrorKind::Stopped, format!("{name} is stopped: start it, then retry")));
    }
    // Not waited for: a slot that retries would wait for itself. What a panic leaves behind is in order.
    let _one = match machine.try_lock_retry() {
        Ok(one) => one,
        Err(TryLockError::Poisoned(one)) => one.into_inner(),
        Err(TryLockError::WouldBlock) => {
            let name = &machine.config().name;
            let message = format!("a retry of {name} is already running: wait until it has ended, then retry");
            return Err(failed(ErrorKind::RetryRunning, message));
        }
    };
    let selection = selection(machine, query)?;
    let began = Instant::now();
    let mut done = Retried { next: from, ..Retried::default() };
    let _in_slot = InSlot::enter();
    // What fails meanwhile is for the next turn.
    let letters = machine.letters().clone();
    while began.elapsed() < TURN && !interrupt::interrupted_here() {
        let Some((number, letter)) = letters_query::first(&letters, &selection, done.next) else { break };
        let Some(passed) = try_again(machine, &letter) else { break };
        done.next = dead_letters::after(number);
        done.tried += 1;
        done.passed += u64::from(passed);
    }
    done.left =
        if query.oid.is_some() { 0 } else { letters_query::count(&machine.letters().clone(), &selection, done.next) };
    Ok(done)
}

/// Takes the message of a letter through the slots as they are now; returns whether it passed, or `None` if that was
/// interrupted: then the letter is as it was.
fn try_again(machine: &Machine, letter: &DeadLetterEntry) -> Option<bool> {
    let put = Moment { seconds: letter.oid.seconds, nanos: 0 };
    let message = raw::json_message(u64::from(letter.oid.counter), put, letter.input.to_string());
    let times = Times { put, begun_ms: oid::coarse_millis(), is_timed: true };
    let mut visit = machine.visit(message);
    if visit.abandoned.is_some() {
        return None;
    }
    // Where outputs go they are read as JSON, most likely: what cannot be written has not passed.
    for slot in 0..machine.config().slots {
        let own = visit.frame.plan().function(slot).and_then(|_| visit.frame.json(From::Slot(slot)));
        if let Some(Err(why)) = own {
            visit.caught.error(slot, SlotErrorKind::Serialize, why);
        }
    }
    let new = if visit.caught.errors.is_empty() {
        let plan = visit.frame.plan().clone();
        deliver_late(machine, &plan, &mut visit.frame, letter.oid, times);
        Vec::new()
    } else {
        of_frame(&visit.frame, letter.oid, &visit.caught, letter.retries.saturating_add(1))
    };
    let passed = new.is_empty();
    machine.letters().replace(letter.oid, new);
    Some(passed)
}
