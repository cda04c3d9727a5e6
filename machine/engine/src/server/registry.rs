//! All machines of the process.

use crate::core::command_error::failed;
use crate::core::machine::Machine;
use crate::core::oid;
use crate::inspect::history::Past;
use machine_protocol::command::{Config, Target};
use machine_protocol::status::Status;
use machine_protocol::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

/// The most machines of one process.
const MOST_MACHINES: usize = 1024;
static MACHINES: [OnceLock<&'static Machine>; MOST_MACHINES] = [const { OnceLock::new() }; MOST_MACHINES];
/// What each machine has done over time, in the order of `MACHINES`.
static PASTS: [OnceLock<Mutex<Past>>; MOST_MACHINES] = [const { OnceLock::new() }; MOST_MACHINES];
static NAMES: RwLock<Vec<&'static Machine>> = RwLock::new(Vec::new());

/// All machines, without a separate list: nothing is allocated while messages flow.
pub(crate) fn machines() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().map_while(OnceLock::get).copied()
}

/// All machines, each with what it has done over time.
pub(crate) fn pasts() -> impl Iterator<Item = (&'static Machine, MutexGuard<'static, Past>)> {
    let past = |past: &'static OnceLock<Mutex<Past>>| {
        past.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    };
    machines().zip(PASTS.iter().map(past))
}

fn all() -> Vec<&'static Machine> {
    NAMES.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The state of all machines.
pub(crate) fn statuses() -> Vec<Status> {
    all().into_iter().map(Machine::status).collect()
}

/// The machine with this number.
#[inline]
pub(crate) fn machine(id: u32) -> Option<&'static Machine> {
    MACHINES.get(usize::try_from(id).ok()?)?.get().copied()
}

/// The machine that a message was put on, by its oid.
pub(crate) fn machine_of(oid: oid::Oid) -> Option<&'static Machine> {
    machines().find(|machine| machine.number() == oid.machine)
}

/// In what a machine that is there is not what was asked for.
fn differences(there: &Config, asked: &Config) -> String {
    let numbers = [
        ("slots", there.slots, asked.slots),
        ("queue", there.queue, asked.queue),
        ("workers", there.workers, asked.workers),
        ("in_flight", there.in_flight, asked.in_flight),
    ];
    let mut all: Vec<String> = numbers
        .into_iter()
        .filter(|(_, there, asked)| there != asked)
        .map(|(name, there, asked)| format!("{name} {there} instead of {asked}"))
        .collect();
    if there.policy != asked.policy {
        all.push(format!("policy {:?} instead of {:?}", there.policy, asked.policy));
    }
    if there.ordered != asked.ordered {
        all.push(format!("ordered {} instead of {}", there.ordered, asked.ordered));
    }
    all.join(", ")
}

/// Makes a machine and starts it; returns its number, also if there is one like it.
///
/// # Errors
/// If there is another one of this name, or it cannot be made.
pub(crate) fn make(config: Config) -> Result<u32, Error> {
    let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(id) = names.iter().position(|machine| machine.config().name == config.name) {
        let old = names.get(id).map(|machine| machine.config());
        if old == Some(&config) {
            return Ok(u32::try_from(id).unwrap_or(u32::MAX));
        }
        let differs = old.map(|old| differences(old, &config)).unwrap_or_default();
        let message = format!("there is a machine named {} already, with {differs}: choose another name", config.name);
        return Err(failed(ErrorKind::NameTaken, message));
    }
    if config.name.is_empty() || config.name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        let message = format!(
            "invalid machine name {:?}: use letters, digits and punctuation, without spaces or slashes",
            config.name
        );
        return Err(failed(ErrorKind::BadName, message));
    }
    let id = names.len();
    let Some(place) = MACHINES.get(id) else {
        return Err(failed(ErrorKind::TooManyMachines, format!("there are {MOST_MACHINES} machines already")));
    };
    let machine: &'static Machine = Box::leak(Box::new(Machine::new(config)?));
    machine.start();
    machine.tick(Instant::now());
    // Set once: `names` is locked, and `id` is new.
    let _first = place.set(machine);
    names.push(machine);
    Ok(u32::try_from(id).unwrap_or(u32::MAX))
}

pub(crate) fn find(target: &Target) -> Result<&'static Machine, Error> {
    let found = match target {
        Target::Id(id) => machine(*id),
        Target::Name(name) => all().into_iter().find(|machine| machine.config().name == *name),
    };
    found.ok_or_else(|| {
        let given = match target {
            Target::Id(id) => format!("number {id}"),
            Target::Name(name) => name.clone(),
        };
        let names: Vec<_> = all().iter().map(|machine| machine.config().name.clone()).collect();
        failed(ErrorKind::NoSuchMachine, format!("there is no machine {given}: there is {}", names.join(", ")))
    })
}
