//! One machine: slots, queue, workers, and what is known of them.

mod call;
mod cancel;
mod change;
mod control;
mod load;
mod put;
mod sinks;
mod status;

pub(crate) use load::Seen;

use crate::core::command_error::{bad_number, failed};
use crate::core::dead_letters::DeadLetterQueue;
use crate::core::held::Hold;
use crate::core::in_flight::InFlightTable;
use crate::core::oid::MachineNumber;
use crate::core::output::{ClosedSinks, Recorder, Sequence};
use crate::core::queue::{MAX_WORKERS, Queue};
use crate::core::slots::Plan;
use crate::core::source::SourceTask;
use load::LoadMeter;
use machine::handle::MAX_SLOTS;
use machine_protocol::command::{Config, SourceLocation};
use machine_protocol::status::SourceStatus;
use machine_protocol::{Error, ErrorKind};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockResult};
use std::time::{Duration, Instant};

/// How far back the rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// More readings of the counters than there are in that time.
const READINGS: usize = 32;

/// One machine. Lives as long as the process.
#[derive(Debug)]
pub(crate) struct Machine {
    config: Config,
    /// Its number in oids.
    number: MachineNumber,
    plan: Mutex<Arc<Plan>>,
    /// The version of `plan`.
    version: AtomicU64,
    queue: Queue,
    flights: InFlightTable,
    /// The order of the outputs, if they are ordered.
    sequence: Option<Sequence>,
    /// Sinks that were taken off.
    ended: ClosedSinks,
    /// What went through last.
    kept: Recorder,
    /// The code that was ever in a slot, by slot and revision.
    codes: Mutex<BTreeMap<(usize, u64), SourceLocation>>,
    /// The message that it holds, and whether it holds one that a slot fails on.
    held: Hold,
    letters: Mutex<DeadLetterQueue>,
    source: Mutex<Option<Arc<SourceTask>>>,
    /// What the source had done that was cleared last.
    cleared_source: Mutex<Option<Arc<SourceTask>>>,
    /// Messages processed, at moments of the last seconds.
    recent: Mutex<VecDeque<(Instant, u64)>>,
    /// What its workers did in the last seconds.
    load: Mutex<LoadMeter>,
    /// One `step` at a time: it writes the counts of all steps.
    stepping: Mutex<()>,
    /// One `retry_dead_letters` at a time: two would try the same letters.
    retrying: Mutex<()>,
    /// Calls so far.
    calls: AtomicU64,
    /// Whether its source waits: no slot has a function, and nothing takes the outputs. Changed under the lock of `plan`.
    waits_for_slot: AtomicBool,
    /// Whether its source runs even so.
    runs_empty: AtomicBool,
    /// How many times it was stopped.
    stops: AtomicU64,
    /// Items of sources that had no place when their source was cleared.
    source_dropped: AtomicU64,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for a few lines of ours only; user code never runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// A stopped machine.
    ///
    /// # Errors
    /// If a number is out of range, or there is not enough memory for the queue.
    pub fn new(config: Config) -> Result<Self, Error> {
        bad_number("slots", config.slots, 1, MAX_SLOTS)?;
        bad_number("queue", config.queue, 1, 1 << 30)?;
        bad_number("workers", config.workers, 1, MAX_WORKERS)?;
        bad_number("in_flight", config.in_flight, 1, 1 << 20)?;
        let queue = Queue::new(config.queue, config.workers, config.policy).ok_or_else(|| {
            let (queue, gib) = (config.queue, Queue::bytes(config.queue).div_ceil(1 << 30));
            let message = format!("cannot allocate a queue of {queue} messages ({gib} GiB); choose a smaller capacity");
            failed(ErrorKind::OutOfRange, message)
        })?;
        Ok(Self {
            number: MachineNumber::next(),
            plan: Mutex::new(Arc::new(Plan::new(config.slots, config.ordered))),
            version: AtomicU64::new(0),
            queue,
            flights: InFlightTable::new(config.in_flight),
            sequence: config.ordered.then(Sequence::default),
            ended: ClosedSinks::default(),
            kept: Recorder::default(),
            codes: Mutex::default(),
            held: Hold::default(),
            letters: Mutex::default(),
            source: Mutex::default(),
            cleared_source: Mutex::default(),
            // Room for what one window has, so that it never grows.
            recent: Mutex::new(VecDeque::with_capacity(READINGS)),
            load: Mutex::default(),
            stepping: Mutex::default(),
            retrying: Mutex::default(),
            calls: AtomicU64::new(0),
            waits_for_slot: AtomicBool::new(true),
            runs_empty: AtomicBool::new(false),
            stops: AtomicU64::new(0),
            source_dropped: AtomicU64::new(0),
            config,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its number in oids.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number.get()
    }

    #[inline]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    #[inline]
    pub fn in_flight(&self) -> &InFlightTable {
        &self.flights
    }

    /// The order of the outputs, if they are ordered.
    #[inline]
    pub fn sequence(&self) -> Option<&Sequence> {
        self.sequence.as_ref()
    }

    /// What went through last.
    pub fn recorder(&self) -> &Recorder {
        &self.kept
    }

    /// The message that it holds, and whether it holds one that a slot fails on.
    pub fn held(&self) -> &Hold {
        &self.held
    }

    /// One retry of dead letters at a time.
    pub fn try_lock_retry(&self) -> TryLockResult<MutexGuard<'_, ()>> {
        self.retrying.try_lock()
    }

    /// How many times it was stopped.
    pub fn stops(&self) -> u64 {
        // Acquire: pairs with the Release of `halt`.
        self.stops.load(Ordering::Acquire)
    }

    /// Counts items of a source that had no place when it was cleared.
    pub fn count_dropped_items(&self, items: usize) {
        self.source_dropped.fetch_add(items as u64, Ordering::Relaxed);
    }

    /// The version of the plan, which is there once this is seen.
    #[inline]
    pub fn plan_version(&self) -> u64 {
        // Acquire: pairs with the Release of the thread that changed it.
        self.version.load(Ordering::Acquire)
    }

    pub fn plan(&self) -> Arc<Plan> {
        guard(&self.plan).clone()
    }

    /// Whether its source waits for a slot: it would run through empty slots, and nobody would see what it gave.
    #[inline]
    pub fn waits_for_slot(&self) -> bool {
        // Acquire: pairs with the Release in `note_use`, so that what is put from here on sees the plan with the slot.
        self.waits_for_slot.load(Ordering::Acquire)
    }

    /// There is another plan, whose version is set: it may be the first one that does something, or no longer do so.
    fn note_use(&self, plan: &Plan) {
        let is_used = !plan.sinks.is_empty() || plan.slots.iter().any(|slot| slot.function.is_some());
        // Relaxed: a thread that sets it makes a plan after that.
        let waits = !is_used && !self.runs_empty.load(Ordering::Relaxed);
        self.waits_for_slot.store(waits, Ordering::Release);
    }

    pub fn letters(&self) -> MutexGuard<'_, DeadLetterQueue> {
        guard(&self.letters)
    }

    /// Sets the source, in the place of one that has ended. It is made only if none is running.
    pub fn set_source(&'static self, make: impl FnOnce() -> Result<SourceTask, Error>) -> Result<(), Error> {
        if let Some(feed) = guard(&self.source).as_ref().filter(|feed| feed.is_running()) {
            return Err(self.is_fed(feed));
        }
        // Files and sockets are opened here, so not under the lock.
        let feed = Arc::new(make()?);
        let mut source = guard(&self.source);
        // Somebody else may have set one meanwhile.
        match source.as_ref() {
            Some(last) => last.replace_with(|| self.is_fed(last), || feed.spawn(self))?,
            None => feed.spawn(self)?,
        }
        let last = source.replace(feed);
        drop(source);
        if let Some(last) = last {
            // Here, not with the last share in it: its thread has ended as far as anybody can see, and may yet have one.
            last.discard();
        }
        Ok(())
    }

    fn is_fed(&self, feed: &SourceTask) -> Error {
        let (name, state) = (&self.config.name, feed.status().state);
        let message = format!("{name} already has a source ({state}); call `clear_source()` first");
        failed(ErrorKind::SourceIsSet, message)
    }

    /// Takes the source away. Waits until what is built in has given back its file or port, or a second has gone by.
    pub fn clear_source(&self) {
        let mut source = guard(&self.source);
        let feed = source.take();
        // Under the lock of the source: what looks for both finds one of them at any time.
        let before = feed.as_ref().and_then(|feed| guard(&self.cleared_source).replace(feed.clone()));
        drop(source);
        drop(before);
        if let Some(feed) = &feed {
            feed.end();
        }
        self.queue.wake_all();
        if let Some(feed) = feed {
            feed.wait_over();
            feed.discard();
        }
    }

    /// What the source had done that was cleared last.
    pub fn cleared_source(&self) -> Option<SourceStatus> {
        guard(&self.cleared_source).as_ref().map(|feed| feed.status())
    }

    /// From now on the outputs of these slots, as bits, are written for each message, whether or not anybody reads them.
    pub fn watch_outputs(&self, slots: u64) {
        if slots & !guard(&self.plan).unwritten != 0 {
            self.edit_plan(|plan| plan.unwritten |= slots);
        }
    }
}
