//! All machines of the process, and the commands to them.

use crate::core::command_error::failed;
use crate::core::interrupt::interrupted_here;
use crate::core::machine::Machine;
pub(crate) use crate::core::observer::notice;
use crate::core::observer::{self, Observer};
use crate::core::own_thread::waits_for_itself;
use crate::core::queue::Mode;
use crate::core::{cell_thread, hook, oid, raw, types};
use crate::decode::told;
use crate::inspect::debug;
use crate::inspect::history::{self, Past};
use crate::server::queries;
use crate::server::{attach, connectors, host, metrics};
use machine_protocol::command::{Command, Config, DEFAULT_MACHINE, Reply, Target};
use machine_protocol::history::History;
use machine_protocol::status::Status;
use machine_protocol::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The most machines of one process.
const MOST_MACHINES: usize = 1024;
/// How often the rates look at the counters.
const TICK: Duration = Duration::from_millis(500);
/// How often it is looked whether the workers work, while somebody asks for the history.
const LOOK: Duration = Duration::from_millis(25);
/// How long after it was asked for the history it is looked so often, milliseconds.
const WATCH: u64 = 3_000;

/// Until when somebody watches, milliseconds since 1970.
static WATCHED: AtomicU64 = AtomicU64::new(0);
/// Whether the past is kept: from the start in a notebook, elsewhere once somebody has asked for it. It costs
/// allocations, a few a second.
static KEPT: AtomicBool = AtomicBool::new(false);
static MACHINES: [OnceLock<&'static Machine>; MOST_MACHINES] = [const { OnceLock::new() }; MOST_MACHINES];
/// What each machine has done over time, in the order of `MACHINES`.
static PASTS: [OnceLock<Mutex<Past>>; MOST_MACHINES] = [const { OnceLock::new() }; MOST_MACHINES];
static NAMES: RwLock<Vec<&'static Machine>> = RwLock::new(Vec::new());

/// Starts all but what makes sources and sinks. The second call does nothing.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ::machine::abi::register(&host::HOST);
        hook::install();
        // The default machine's numbers are in range.
        let _made = make(Config::new(DEFAULT_MACHINE));
        let mut ticked = Instant::now();
        let clock = move || loop {
            tick(&mut ticked);
        };
        // Without this thread there are no rates, and nothing else is missing.
        let _clock = std::thread::Builder::new().name("machine/clock".to_owned()).spawn(clock);
        metrics::start();
        if let Err(error) = super::remote::listen() {
            notice(&format!("the machines of this process cannot be attached to: {error}"));
        }
    });
}

/// All machines, without a list of its own: nothing is allocated while messages flow.
fn machines() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().map_while(OnceLock::get).copied()
}

/// All machines, each with what it has done over time.
fn pasts() -> impl Iterator<Item = (&'static Machine, MutexGuard<'static, Past>)> {
    let past = |past: &'static OnceLock<Mutex<Past>>| {
        past.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    };
    machines().zip(PASTS.iter().map(past))
}

/// Waits for the next look at the machines, and takes it.
fn tick(ticked: &mut Instant) {
    let now_ms = oid::coarse_millis();
    // Relaxed: it carries nothing but itself.
    let watched = WATCHED.load(Ordering::Relaxed) > now_ms;
    std::thread::sleep(if watched { LOOK } else { TICK });
    machines().for_each(Machine::look);
    if ticked.elapsed() >= TICK {
        *ticked = Instant::now();
        for (machine, mut past) in pasts() {
            machine.tick(*ticked);
            if KEPT.load(Ordering::Relaxed) {
                history::note(machine, &mut past, oid::coarse_millis());
            }
        }
    }
}

/// Sets who listens. The first call counts.
pub fn observe(observer: Box<dyn Observer>) {
    observer::set(observer);
    KEPT.store(true, Ordering::Relaxed);
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

fn make(config: Config) -> Result<u32, Error> {
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
        let message =
            format!("{:?} is no name of a machine: letters, digits and signs without spaces and slashes", config.name);
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

/// Carries out a command. `Drain`, `Pause`, `Stop`, `Workers`, `ClearQueue`, `ClearSource` and `RemoveSinks` wait, and
/// those that take messages through slots on this thread; nothing else does.
pub fn command(command: Command) -> Reply {
    carry_out(command).unwrap_or_else(Reply::Failed)
}

fn carry_out(command: Command) -> Result<Reply, Error> {
    let interrupted = interrupted_here;
    Ok(match command {
        Command::Status { machine } => Reply::Status(Box::new(find(&machine)?.status())),
        Command::Machines => Reply::Machines(statuses()),
        Command::Directory => directory()?,
        Command::New(config) => Reply::Made(make(config)?),
        Command::Start { machine } => {
            find(&machine)?.start();
            Reply::Done
        }
        Command::StartEmpty { machine } => {
            find(&machine)?.start_empty();
            Reply::Done
        }
        Command::Pause { machine } => {
            find(&machine)?.halt(Mode::Paused, interrupted);
            Reply::Done
        }
        Command::Stop { machine } => {
            let machine = find(&machine)?;
            if machine.halt(Mode::Stopped, interrupted) {
                machine.flush_sinks(None);
            }
            Reply::Done
        }
        Command::Workers { machine, workers } => {
            find(&machine)?.set_workers(workers, interrupted)?;
            Reply::Done
        }
        Command::Policy { machine, policy } => {
            find(&machine)?.queue().set_policy(policy);
            Reply::Done
        }
        Command::Drain { machine, timeout } => {
            let machine = find(&machine)?;
            if timeout.is_none()
                && let Some(why) = waits_for_itself(machine.number(), machine.queue(), &machine.plan())
            {
                let message = format!("drain() of {} would never end: {why}", machine.config().name);
                return Err(failed(ErrorKind::DrainInSlot, message));
            }
            let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let drained = machine.drain(timeout, interrupted);
            machine.flush_sinks(deadline);
            drained.map_or_else(Reply::Undrained, |()| Reply::Done)
        }
        Command::Step { machine } => Reply::Outputs(find(&machine)?.step()?),
        Command::ClearQueue { machine } => Reply::Count(find(&machine)?.clear_queue()),
        Command::Put { machine, json } => {
            let machine = find(&machine)?;
            check_json(&json)?;
            Reply::Oid(machine.put_json(json)?.to_string())
        }
        Command::Call { machine, json } => {
            let machine = find(&machine)?;
            check_json(&json)?;
            Reply::Outputs(machine.call(|number, put| raw::json_message(number, put, json)).outputs())
        }
        Command::ClearSlot { machine, slot } => {
            let slot = usize::try_from(slot).unwrap_or(usize::MAX);
            find(&machine)?.change(slot, None)?.map_or(Reply::Done, Reply::Warned)
        }
        Command::SetSource { machine, source, pacing } => {
            find(&machine)?.set_source(|| connectors::get()?.source(source, &pacing))?;
            Reply::Done
        }
        Command::Set { machine, slot, setting } => {
            find(&machine)?.set(usize::try_from(slot).unwrap_or(usize::MAX), setting)?;
            Reply::Done
        }
        Command::ClearSource { machine } => {
            find(&machine)?.clear_source();
            Reply::Done
        }
        Command::AddSink { machine, sink } => Reply::Sink(Box::new(attach::sink(find(&machine)?, sink)?)),
        Command::ConfigureSink { machine, id, sink } => {
            Reply::Sink(Box::new(find(&machine)?.configure_sink(id, &sink)?))
        }
        Command::Sink { machine, id } => Reply::Sink(Box::new(find(&machine)?.sink(id)?)),
        Command::RemoveSinks { machine, id } => Reply::Count(find(&machine)?.remove_sinks(id)),
        Command::Debug { machine, on } => {
            find(&machine)?.held().set_at_errors(on);
            Reply::Done
        }
        Command::HeldMessage { machine } => Reply::Outputs(debug::in_hand(find(&machine)?)?),
        Command::Retry { machine } => Reply::Outputs(debug::retry(find(&machine)?)?),
        Command::GiveUp { machine } => Reply::Count(u64::from(debug::give_up_in_hand(find(&machine)?)?)),
        Command::LastOutputs { machine } => Reply::LastOutputs(find(&machine)?.recorder().last()),
        Command::History { machine, since_ms } => past_of(&machine, since_ms)?,
        Command::Enter(cell) => {
            types::announce(cell);
            Reply::Done
        }
        Command::Interrupt { on } => {
            cell_thread::interrupt(on);
            Reply::Done
        }
        other => return queries::answer(other),
    })
}

fn directory() -> Result<Reply, Error> {
    let directory = std::env::current_dir();
    let gone = |error| failed(ErrorKind::NoDirectory, format!("the process has no working directory: {error}"));
    directory.map(|directory| Reply::Directory(directory.display().to_string())).map_err(gone)
}

fn past_of(machine: &Target, since_ms: u64) -> Result<Reply, Error> {
    // Relaxed: both carry nothing but themselves.
    KEPT.store(true, Ordering::Relaxed);
    WATCHED.fetch_max(oid::coarse_millis() + WATCH, Ordering::Relaxed);
    let machine = find(machine)?;
    let past = pasts().find(|(of, _)| std::ptr::eq(*of, machine));
    let points = past.map(|(_, past)| past.since(since_ms)).unwrap_or_default();
    Ok(Reply::History(History { machine: machine.config().name.clone(), points }))
}

/// As sources do: it is JSON, whatever is in it.
fn check_json(json: &str) -> Result<(), Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(json).map(drop).map_err(|error| {
        failed(ErrorKind::BadJson, format!("this cannot be read as JSON: {}", told(&error.to_string())))
    })
}
