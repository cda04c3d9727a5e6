//! The thread that looks at all machines from time to time: for rates, load, and the past.

use crate::core::machine::Machine;
use crate::core::oid;
use crate::inspect::history as past;
use crate::server::registry::{machines, pasts};
use machine_protocol::history::History;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
/// Starts it. Without this thread there are no rates, and nothing else is missing.
pub(crate) fn start() {
    let mut ticked = Instant::now();
    let clock = move || loop {
        tick(&mut ticked);
    };
    let _clock = std::thread::Builder::new().name("machine/clock".to_owned()).spawn(clock);
}

/// Keeps the past from here on.
pub(crate) fn keep_past() {
    // Relaxed: it carries nothing but itself.
    KEPT.store(true, Ordering::Relaxed);
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
                past::note(machine, &mut past, oid::coarse_millis());
            }
        }
    }
}

/// What a machine has done over time: what ended later than `since_ms`. For a while it is looked more often.
pub(crate) fn history(machine: &'static Machine, since_ms: u64) -> History {
    keep_past();
    WATCHED.fetch_max(oid::coarse_millis() + WATCH, Ordering::Relaxed);
    let past = pasts().find(|(of, _)| std::ptr::eq(*of, machine));
    let points = past.map(|(_, past)| past.since(since_ms)).unwrap_or_default();
    History { machine: machine.config().name.clone(), points }
}
