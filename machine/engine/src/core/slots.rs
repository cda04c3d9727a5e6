//! What is in the slots: one function a slot, and the plan that all of them make together.

use crate::core::histogram::Histogram;
use crate::core::output::Sinks;
use crate::core::queue::MAX_WORKERS;
use crate::core::raw;
use crate::core::semaphore::Semaphore;
use crate::core::types::{self, TypeInfo};
use machine::abi::{Optionality, ParamDesc, Run, SlotDesc};
use machine::shim::short;
use machine_protocol::command::SourceLocation;
use machine_protocol::retention::Keep;
use machine_protocol::status::Settings;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};

/// Who counts: the workers, and `step`.
const COUNTERS: usize = MAX_WORKERS + 1;

/// One parameter of a slot's function.
#[derive(Debug)]
pub(crate) struct Param {
    pub info: &'static TypeInfo,
    pub need: Optionality,
    /// As it is written: `&Tweet`.
    pub name: String,
}

impl Param {
    fn new(desc: &ParamDesc) -> Self {
        Self { info: types::info(desc.ty), need: desc.need, name: short(raw::param_name(desc)) }
    }
}

/// Counts of one worker for one function. Only that worker writes.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Tally {
    /// What the worker had processed when it first saw the function; `u64::MAX` before.
    pub since: AtomicU64,
    pub errored: AtomicU64,
    pub skipped: AtomicU64,
    /// Messages for which it returned `None`.
    pub none: AtomicU64,
    /// Messages in flight that the worker has ended: they are not in what it has processed since.
    pub flown: AtomicU64,
    /// Calls again after one that failed.
    pub retried: AtomicU64,
}

/// One assignment to a slot.
#[derive(Debug)]
pub(crate) struct Function {
    pub desc: SlotDesc,
    pub params: Vec<Param>,
    pub output: &'static TypeInfo,
    pub origin: SourceLocation,
    pub tallies: Box<[Tally]>,
    pub times: Histogram,
}

impl Function {
    pub fn new(desc: SlotDesc, origin: SourceLocation) -> Self {
        let params = desc.params.iter().take(desc.arity).map(Param::new).collect();
        let output = types::info(desc.output);
        let tally = || Tally {
            since: AtomicU64::new(u64::MAX),
            errored: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            none: AtomicU64::new(0),
            flown: AtomicU64::new(0),
            retried: AtomicU64::new(0),
        };
        let tallies = std::iter::repeat_with(tally).take(COUNTERS).collect();
        Self { desc, params, output, origin, tallies, times: Histogram::default() }
    }

    /// The first of its types that is an `Option` in an `Option`.
    pub fn nested_option(&self) -> Option<String> {
        let params = self.desc.params.iter().take(self.desc.arity).map(raw::param_name);
        let output = raw::type_name(self.output.desc);
        params.chain([output]).find(|name| types::is_nested_option(name)).map(short)
    }

    /// Whether a call of it gives a future.
    pub fn is_async(&self) -> bool {
        self.look().is_some()
    }

    /// Tells the library of an async function that limits of flights have changed.
    pub fn look(&self) -> Option<extern "C" fn()> {
        if let Run::Begin(_, look) = self.desc.run { Some(look) } else { None }
    }

    /// Messages that it failed on, that it could not run on, and that it returned `None` for, by the first `counters` who
    /// count.
    pub fn missed(&self, counters: usize) -> [u64; 3] {
        let tallies = || self.tallies.iter().take(counters);
        let sum = |count: fn(&Tally) -> &AtomicU64| tallies().map(|tally| count(tally).load(Acquire)).sum();
        [sum(|tally| &tally.errored), sum(|tally| &tally.skipped), sum(|tally| &tally.none)]
    }

    /// Messages in flight that reached it, and calls again after one that failed, by the first `counters` who count.
    pub fn flown(&self, counters: usize) -> (u64, u64) {
        let tallies = || self.tallies.iter().take(counters);
        let sum = |count: fn(&Tally) -> &AtomicU64| tallies().map(|tally| count(tally).load(Acquire)).sum();
        (sum(|tally| &tally.flown), sum(|tally| &tally.retried))
    }

    /// Messages that reached it otherwise than by a flight; `done` is what each worker has processed of these.
    pub fn reached(&self, done: &[u64]) -> u64 {
        let since = self.tallies.iter().map(|tally| tally.since.load(Relaxed));
        since.zip(done).filter(|(since, _)| *since != u64::MAX).map(|(since, done)| done.saturating_sub(since)).sum()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        raw::free(&self.desc);
    }
}

/// One slot: its revision, its function if it has one, and how functions are run in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub revision: u64,
    pub function: Option<Arc<Function>>,
    pub settings: Settings,
    /// The timeout of calls that begin, nanoseconds: messages that saw another plan at their beginning have it too.
    pub timeout: Arc<AtomicU64>,
    /// How many messages may be in it at once; `None` as long as nobody has said.
    pub gate: Option<Arc<Semaphore>>,
}

/// What was given for one message, as JSON text: an error says why it has none, and `None` that it is missing.
pub(crate) type ReadJson<'f> = dyn Fn(From) -> Option<Result<String, String>> + 'f;

/// Holds messages before a slot.
pub(crate) trait HoldBefore: Debug + Send + Sync {
    /// The slot.
    fn slot(&self) -> usize;
    /// Whether it holds a message that has come there.
    fn holds(&self, plan: &Plan, read: &ReadJson<'_>) -> bool;
}

/// All slots and sinks as one message sees them. Never changed: an assignment makes the next plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Grows with each change.
    pub version: u64,
    pub slots: Vec<Slot>,
    /// Whether messages go through as flights: a function is async, or run with settings.
    pub has_async_slots: bool,
    /// Where messages go when they are through.
    pub sinks: Sinks,
    /// Where messages are held.
    pub hold_before: Option<Arc<dyn HoldBefore>>,
    /// What is kept of the messages.
    pub keep: Keep,
    /// Whether outputs are in the order of the messages' arrival.
    is_ordered: bool,
    /// Whether messages are handed over once they are through: there are sinks, an order that outputs are in, or outputs
    /// of which it has to be found out whether they can be written.
    pub hands_over: bool,
    /// The slots of which an output could not be written as JSON when somebody read it, as bits: from then on each is
    /// tried, so that all that fail are counted. Until a slot is changed.
    pub unwritten: u64,
    /// The revision of each slot.
    pub revisions: Arc<[u64]>,
}

/// What a parameter is given: the message itself, or what a slot gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Input,
    Slot(usize),
}

impl Plan {
    pub fn new(slots: usize, is_ordered: bool) -> Self {
        Self {
            version: 0,
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            has_async_slots: false,
            sinks: Sinks::default(),
            hold_before: None,
            keep: Keep::default(),
            is_ordered,
            hands_over: is_ordered,
            unwritten: 0,
            revisions: vec![0; slots].into(),
        }
    }

    /// The plan after a change.
    pub fn changed(&mut self) {
        self.version += 1;
        self.has_async_slots = self
            .slots
            .iter()
            .any(|slot| slot.function.as_ref().is_some_and(|f| f.is_async() || slot.settings != Settings::default()));
        self.hands_over = self.is_ordered || !self.sinks.is_empty() || self.unwritten != 0;
        self.revisions = self.slots.iter().map(|slot| slot.revision).collect();
    }

    /// The slots that give what `slot` gives, as bits: itself, and the empty ones after it.
    pub fn passed_on(&self, slot: usize) -> u64 {
        let empty = (slot + 1..self.slots.len()).take_while(|&after| self.function(after).is_none());
        empty.fold(1 << slot, |bits, after| bits | 1 << after)
    }

    /// What the output of `slot` really is: an empty slot passes the previous output through.
    pub fn producer(&self, slot: usize) -> From {
        (0..=slot)
            .rev()
            .find(|&at| self.slots.get(at).is_some_and(|slot| slot.function.is_some()))
            .map_or(From::Input, From::Slot)
    }

    /// What parameter `number` of `slot` is given: nearest output first, the message last.
    pub fn argument(&self, slot: usize, number: usize) -> From {
        match slot.checked_sub(number + 1) {
            Some(earlier) => self.producer(earlier),
            None => From::Input,
        }
    }

    /// From here on worker `index`, which has processed `done` messages, counts for these functions.
    pub fn adopt(&self, index: usize, done: u64) {
        for slot in 0..self.slots.len() {
            let tally = self.function(slot).and_then(|function| function.tallies.get(index));
            if let Some(tally) = tally
                && tally.since.load(Relaxed) == u64::MAX
            {
                tally.since.store(done, Relaxed);
            }
        }
    }

    pub fn function(&self, slot: usize) -> Option<&Arc<Function>> {
        self.slots.get(slot).and_then(|slot| slot.function.as_ref())
    }

    /// What does not fit in `slot`: `f3 takes &Tweet, but f2 gives f64`.
    pub fn mismatch(&self, slot: usize) -> Option<String> {
        let function = self.function(slot)?;
        function.params.iter().enumerate().find_map(|(number, param)| {
            let From::Slot(producer) = self.argument(slot, number) else { return None };
            let gives = self.function(producer)?.output;
            let fits = param.need == Optionality::Ignored || gives.becomes(param.info).is_some();
            (!fits).then(|| {
                let redefined = if param.info.name == gives.name {
                    ", which is another type of that name: it was redefined since"
                } else {
                    ""
                };
                format!("f{slot} takes {}, but f{producer} gives {}{redefined}", param.name, gives.name)
            })
        })
    }
}
