//! One machine: slots, queue, workers, and what is known of them.

use crate::command_error::{bad_number, failed, no_such_slot};
use crate::debug::Debug;
use crate::flight::{Arrival, Flight, Flights, Home};
use crate::flying;
use crate::frame::{ErrorKind, Events, Frame};
use crate::history::Past;
use crate::hook::InSlot;
use crate::host::interrupted_here;
use crate::letters::Letters;
use crate::oid::{self, Moment, Oid};
use crate::output::{Handover, Recorder, Sequence, Times};
use crate::queue::{Control, MAX_WORKERS, Mode, Progress, Queue, STEPS};
use crate::raw::{self, InPlace, Message};
use crate::retry::letters_of;
use crate::slots::{Function, Plan};
use crate::source::{Feed, Shutdown};
use crate::types;
use crate::visit::Visit;
use crate::worker::{self, Caught};
use machine::abi::{Patience, Put, SlotDesc, TypeDesc};
use machine::command::{Config, Failure, Origin, Outputs, Policy, Reply, Setting};
use machine::handle::MAX_SLOTS;
use machine::status::{Drops, SlotStatus, SourceStatus, State, Status};
use std::collections::{BTreeMap, VecDeque};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long `pause`, `stop` and `workers` wait for a slow slot before they answer all the same.
const PATIENCE: Duration = Duration::from_millis(250);
/// How far back the rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// More readings of the counters than there are in that time.
const READINGS: usize = 32;

/// One machine. Lives as long as the process.
#[derive(Debug)]
pub(crate) struct Machine {
    pub config: Config,
    plan: Mutex<Arc<Plan>>,
    /// The version of `plan`.
    pub version: AtomicU64,
    pub queue: Queue,
    pub flights: Flights,
    /// The order of the outputs, if they are ordered.
    pub sequence: Option<Sequence>,
    /// What went through last.
    pub kept: Recorder,
    /// The code that was ever in a slot, by slot and revision.
    pub codes: Mutex<BTreeMap<(usize, u64), Origin>>,
    /// Whether it stops at errors.
    pub debug: Debug,
    letters: Mutex<Letters>,
    source: Mutex<Option<Arc<Feed>>>,
    /// Messages processed, at moments of the last seconds.
    recent: Mutex<VecDeque<(Instant, u64)>>,
    /// What it has done over time.
    pub past: Mutex<Past>,
    /// One `step` at a time: it writes the counts of all steps.
    stepping: Mutex<()>,
    /// One `retry_letters` at a time: two would try the same letters.
    pub retrying: Mutex<()>,
    /// Calls so far.
    calls: AtomicU64,
    /// How many times it was stopped.
    pub stops: AtomicU64,
    /// Items of sources that had no place when their source was cleared.
    pub source_dropped: AtomicU64,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for a few lines of ours only; user code never runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// A stopped machine.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn new(config: Config) -> Result<Self, Failure> {
        bad_number("slots", config.slots, 1, MAX_SLOTS)?;
        bad_number("queue", config.queue, 1, 1 << 30)?;
        bad_number("workers", config.workers, 1, MAX_WORKERS)?;
        bad_number("in_flight", config.in_flight, 1, 1 << 20)?;
        Ok(Self {
            plan: Mutex::new(Arc::new(Plan::new(config.slots))),
            version: AtomicU64::new(0),
            queue: Queue::new(config.queue, config.workers, config.policy),
            flights: Flights::new(config.in_flight),
            sequence: config.ordered.then(Sequence::default),
            kept: Recorder::default(),
            codes: Mutex::default(),
            debug: Debug::default(),
            letters: Mutex::default(),
            source: Mutex::default(),
            // Room for what one window has, so that it never grows.
            recent: Mutex::new(VecDeque::with_capacity(READINGS)),
            past: Mutex::default(),
            stepping: Mutex::default(),
            retrying: Mutex::default(),
            calls: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            source_dropped: AtomicU64::new(0),
            config,
        })
    }

    pub fn plan(&self) -> Arc<Plan> {
        guard(&self.plan).clone()
    }

    pub fn letters(&self) -> MutexGuard<'_, Letters> {
        guard(&self.letters)
    }

    /// Puts a message; moves the value only if it is accepted.
    ///
    /// # Safety
    /// `value` points at a value of the type that `desc` describes.
    #[inline]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> Put {
        // SAFETY: the caller's.
        if unsafe { self.put_some(desc, value, 1) } == 1 {
            return Put::Accepted;
        }
        // SAFETY: the caller's; the value was not moved.
        unsafe { self.put_full(desc, value, patience, give_up) }
    }

    /// Puts a message for which there was no room just now.
    ///
    /// # Safety
    /// As `put`.
    #[cold]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn put_full(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> Put {
        let deadline = match patience {
            Patience::POLICY | Patience::FOREVER => None,
            Patience(nanos) => Instant::now().checked_add(Duration::from_nanos(nanos)),
        };
        loop {
            if patience == Patience::POLICY {
                // Asked anew each time: it may be changed while a call waits.
                match self.queue.policy() {
                    Policy::Block => {}
                    Policy::Reject => {
                        self.queue.refused.fetch_add(1, Ordering::Relaxed);
                        return Put::Full;
                    }
                    // SAFETY: the caller's; the value is moved by being dropped.
                    Policy::DropNewest => unsafe {
                        self.drop_newest(desc, value, 1);
                        return Put::Accepted;
                    },
                    Policy::DropOldest => self.drop_oldest(),
                }
            }
            if patience != Patience::POLICY || self.queue.policy() == Policy::Block {
                let policy = self.queue.policy();
                let changed = || patience == Patience::POLICY && self.queue.policy() != policy;
                if !self.queue.wait_for_room(deadline, || give_up() || changed()) {
                    if give_up() {
                        return Put::Interrupted;
                    }
                    if !changed() {
                        self.queue.refused.fetch_add(1, Ordering::Relaxed);
                        return Put::Full;
                    }
                }
            }
            // SAFETY: the caller's; the value was not moved.
            if unsafe { self.put_some(desc, value, 1) } == 1 {
                return Put::Accepted;
            }
        }
    }

    /// Puts values that lie next to each other, as many from the first on as there is room for; moves those, and
    /// returns how many.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes.
    #[inline]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn put_some(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) -> usize {
        let now = oid::coarse_now();
        let mut next = values;
        let put = self.queue.try_put(count as u64, |number| {
            // SAFETY: the caller's; each message is made once there is a place for it, from the next value.
            unsafe {
                let message = Message::take(number, now, desc, next);
                next = next.add(desc.size);
                message
            }
        });
        usize::try_from(put).unwrap_or(count)
    }

    /// Puts values that lie next to each other, without waiting; moves the first ones, and returns how many.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put_batch(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) -> usize {
        let mut put = 0;
        while put < count {
            // SAFETY: the caller's: the values from `put` on have not been moved.
            unsafe {
                let rest = values.add(put * desc.size);
                let some = self.put_some(desc, rest, count - put);
                put += some;
                if some > 0 {
                    continue;
                }
                match self.queue.policy() {
                    Policy::Reject | Policy::Block => break,
                    Policy::DropOldest => self.drop_oldest(),
                    Policy::DropNewest => {
                        self.drop_newest(desc, rest, count - put);
                        put = count;
                    }
                }
            }
        }
        self.queue.refused.fetch_add((count - put) as u64, Ordering::Relaxed);
        put
    }

    /// Like [`put_batch`](Self::put_batch), and waits until all are put, or the source ends; then those that were not
    /// put are dropped. Returns how many were put. None is put after the end.
    ///
    /// # Safety
    /// As `put_batch`.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put_all(&self, desc: &'static TypeDesc, values: *mut u8, count: usize, shutdown: &Shutdown) -> usize {
        let mut put = 0;
        while put < count {
            // SAFETY: the caller's: the values from `put` on have not been moved.
            unsafe {
                let rest = values.add(put * desc.size);
                let some = shutdown.unless_ended(|| self.put_some(desc, rest, count - put));
                put += some;
                if some == 0 && !self.queue.wait_for_room(None, || shutdown.is_ended()) {
                    let _in_slot = InSlot::enter();
                    for value in put..count {
                        raw::drop_value(desc, values.add(value * desc.size));
                    }
                    return put;
                }
            }
        }
        put
    }

    /// Drops the message that has waited longest, to make room.
    fn drop_oldest(&self) {
        // The destructor is user code.
        let _in_slot = InSlot::enter();
        match self.queue.take_oldest() {
            Some(oldest) => self.gone(std::iter::once(oldest.number)),
            // All that waits is claimed; a worker that claims knows the policy and begins at once.
            None => std::thread::yield_now(),
        }
    }

    /// Drops values instead of putting them.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes, which are moved.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn drop_newest(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) {
        let _in_slot = InSlot::enter();
        for value in 0..count {
            // SAFETY: the caller's.
            unsafe { raw::drop_value(desc, values.add(value * desc.size)) };
        }
        self.queue.dropped_newest.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Puts a message of JSON text; never waits.
    pub fn put_json(&self, json: String) -> Result<Oid, Failure> {
        let now = oid::coarse_now();
        let (mut oid, mut json) = (None, Some(json));
        while json.is_some() {
            self.queue.try_put(1, |number| {
                // Asked for one message at most, once it has a place.
                let message = raw::json_message(number, now, json.take().unwrap_or_default());
                oid = Some(message.oid());
                message
            });
            if json.is_none() {
                break;
            }
            match self.queue.policy() {
                Policy::Reject | Policy::Block => break,
                Policy::DropOldest => self.drop_oldest(),
                Policy::DropNewest => {
                    self.queue.dropped_newest.fetch_add(1, Ordering::Relaxed);
                    let (name, most) = (&self.config.name, self.config.queue);
                    let message = format!("dropped: the queue of {name} is full: {most} messages wait");
                    return Err(failed("dropped", message));
                }
            }
        }
        oid.ok_or_else(|| {
            self.queue.refused.fetch_add(1, Ordering::Relaxed);
            let (name, most) = (&self.config.name, self.config.queue);
            failed("queue_full", format!("the queue of {name} is full: {most} messages wait"))
        })
    }

    /// Puts a function in a slot.
    pub fn assign(&self, slot: usize, desc: SlotDesc, origin: Origin) -> Reply {
        // Made first: whatever happens next, the closure has an owner.
        let function = Arc::new(Function::new(desc, origin));
        match self.change(slot, Some(function)) {
            Ok(None) => Reply::Done,
            Ok(Some(warning)) => Reply::Warned(warning),
            Err(failure) => Reply::Failed(failure),
        }
    }

    /// Changes a slot between two messages; returns what the user should know.
    pub fn change(&self, slot: usize, function: Option<Arc<Function>>) -> Result<Option<String>, Failure> {
        let old;
        let warning;
        {
            let mut current = guard(&self.plan);
            let mut next = Plan::clone(&current);
            let Some(place) = next.slots.get_mut(slot) else {
                return Err(no_such_slot(slot, self.config.slots, &self.config.name));
            };
            if let Some(function) = &function
                && function.params.len() > slot + 1
            {
                let (takes, there) = (function.params.len(), slot + 1);
                let mut names: Vec<String> = (0..slot).rev().map(|f| format!("f{f}")).collect();
                names.push("and the message itself".to_owned());
                let message =
                    format!("f{slot} takes {takes} arguments, but there are only {there}: {}", names.join(", "));
                return Err(failed("too_many_arguments", message));
            }
            let clears = function.is_none() && place.function.is_none();
            if clears {
                return Ok(None);
            }
            if let Some(function) = &function {
                self.note_code(slot, place.revision + 1, &function.origin);
            }
            place.function = function;
            place.revision += 1;
            next.changed();
            // Told, not refused: whoever changes two slots that belong together has to begin with one of them.
            let unfit: Vec<String> = (slot..next.slots.len()).filter_map(|slot| next.mismatch(slot)).collect();
            warning =
                (!unfit.is_empty()).then(|| format!("{}: messages fail there until one changes", unfit.join("; ")));
            let version = next.version;
            old = std::mem::replace(&mut *current, Arc::new(next));
            // Release: pairs with the Acquire of the workers.
            self.version.store(version, Ordering::Release);
        }
        // Workers that sleep let go of the old slots too.
        self.queue.wake_all();
        // The old closure may be dropped here: user code, so not under the lock.
        let _in_slot = InSlot::enter();
        drop(old);
        Ok(warning)
    }

    /// Changes how functions are run in a slot.
    pub fn set(&self, slot: usize, setting: Setting) -> Result<(), Failure> {
        let (old, gate, most);
        {
            let mut current = guard(&self.plan);
            let mut next = Plan::clone(&current);
            let Some(place) = next.slots.get_mut(slot) else {
                return Err(no_such_slot(slot, self.config.slots, &self.config.name));
            };
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            match setting {
                Setting::Timeout(timeout) => place.settings.timeout_ns = nanos(timeout),
                Setting::Retry { times, backoff } => {
                    place.settings.retries = times;
                    place.settings.backoff_ns = if times == 0 { 0 } else { nanos(backoff) };
                }
                Setting::Concurrency(most) => {
                    place.settings.concurrency = most as u64;
                    place.gate.get_or_insert_default();
                }
                other => return Err(failed("unknown_setting", format!("this engine does not know {other:?}"))),
            }
            (gate, most) = (place.gate.clone(), place.settings.concurrency);
            next.changed();
            let version = next.version;
            old = std::mem::replace(&mut *current, Arc::new(next));
            // Release: as in `change`.
            self.version.store(version, Ordering::Release);
        }
        if let Some(gate) = gate {
            gate.set_limit(most);
        }
        self.queue.wake_all();
        let _in_slot = InSlot::enter();
        drop(old);
        Ok(())
    }

    /// Changes who gets the outputs, between two messages.
    pub fn edit_plan(&self, edit: impl FnOnce(&mut Plan)) {
        let mut current = guard(&self.plan);
        let mut next = Plan::clone(&current);
        edit(&mut next);
        next.changed();
        let version = next.version;
        let old = std::mem::replace(&mut *current, Arc::new(next));
        // Release: pairs with the Acquire of the workers.
        self.version.store(version, Ordering::Release);
        drop(current);
        self.queue.wake_all();
        // As in `change`.
        let _in_slot = InSlot::enter();
        drop(old);
    }

    /// Takes messages, and items from the source.
    pub fn start(&'static self) {
        let mut control = self.queue.control();
        let was = control.mode;
        self.queue.set_mode(&mut control, Mode::Running);
        // Workers that a slow slot keeps from ending count too: they go on.
        self.hire(&mut control);
        drop(control);
        self.queue.wake_all();
        let source = guard(&self.source).clone();
        if let Some(feed) = source.filter(|_| was == Mode::Stopped) {
            feed.resume(self);
        }
    }

    /// Starts the workers that are wanted and not there.
    fn hire(&'static self, control: &mut Control) {
        while let Some(index) = self.queue.hire(control) {
            let name = format!("{}/{index}", self.config.name);
            let thread = std::thread::Builder::new().name(name).stack_size(8 << 20);
            if thread.spawn(move || worker::run(self, index)).is_err() {
                // As many as the system gives.
                self.queue.dismiss(control, index);
                return;
            }
        }
    }

    /// Changes how many workers there are.
    pub fn set_workers(&'static self, workers: usize, give_up: impl Fn() -> bool) -> Result<(), Failure> {
        bad_number("workers", workers, 1, MAX_WORKERS)?;
        let mut control = self.queue.control();
        self.queue.set_workers(&mut control, workers);
        self.hire(&mut control);
        drop(control);
        self.queue.wake_all();
        let deadline = Instant::now() + PATIENCE;
        self.queue.wait_idle(Some(deadline), give_up, |control| control.alive <= control.wanted);
        Ok(())
    }

    /// Holds between two messages, or ends the workers. Returns once none holds a message, or after a second.
    pub fn halt(&self, mode: Mode, give_up: impl Fn() -> bool) {
        let mut control = self.queue.control();
        if control.mode != Mode::Stopped {
            if mode == Mode::Stopped {
                // Release: pairs with the Acquire of the source, which begins anew after it.
                self.stops.fetch_add(1, Ordering::Release);
            }
            self.queue.set_mode(&mut control, mode);
        }
        drop(control);
        self.queue.wake_all();
        let deadline = Instant::now() + PATIENCE;
        self.queue.wait_idle(Some(deadline), give_up, |control| match control.mode {
            Mode::Stopped => control.alive == 0,
            Mode::Running | Mode::Paused => control.resting == control.alive,
        });
    }

    /// Waits until nothing waits, nothing is in the slots and a source that has an end has come to it. Returns what is
    /// left.
    pub fn drain(&self, timeout: Option<Duration>, give_up: impl Fn() -> bool) -> u64 {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || {
            let gone = self.queue.done() + self.queue.discarded.load(Ordering::Acquire);
            self.queue.accepted().saturating_sub(gone)
        };
        self.queue.wait_idle(deadline, give_up, |control| {
            let fed = guard(&self.source).as_ref().is_none_or(|feed| !feed.is_awaited());
            control.mode != Mode::Running || (fed && left() == 0)
        });
        left()
    }

    /// Whether no output can come any more until it is started again: it is stopped, and no worker has a message.
    pub fn is_over(&self) -> bool {
        let control = self.queue.control();
        control.mode == Mode::Stopped && control.alive == 0
    }

    /// Discards what waits; returns how many messages that were.
    pub fn clear_queue(&self) -> u64 {
        // The destructors are user code.
        let _in_slot = InSlot::enter();
        let discarded = self.queue.take_all();
        self.gone(discarded.iter().map(|message| message.number));
        discarded.len() as u64
    }

    /// Sets the source, which is made only if there is none.
    pub fn set_source(&'static self, make: impl FnOnce() -> Result<Feed, Failure>) -> Result<(), Failure> {
        self.without_source(guard(&self.source).as_ref())?;
        // Files and sockets are opened here, so not under the lock.
        let feed = Arc::new(make()?);
        let mut source = guard(&self.source);
        self.without_source(source.as_ref())?;
        feed.spawn(self)?;
        *source = Some(feed);
        Ok(())
    }

    fn without_source(&self, source: Option<&Arc<Feed>>) -> Result<(), Failure> {
        let Some(feed) = source else { return Ok(()) };
        let (name, state) = (&self.config.name, feed.status().state);
        let message = format!("{name} has a source already ({state}): clear it first, with clear_source()");
        Err(failed("source_is_set", message))
    }

    /// Takes the source away. Waits until what is built in has given back its file or port, or a second has gone by.
    pub fn clear_source(&self) {
        let feed = guard(&self.source).take();
        if let Some(feed) = &feed {
            feed.end();
        }
        self.queue.wake_all();
        if let Some(feed) = feed {
            feed.wait_over();
        }
    }

    /// Notes how many messages are processed, for the rate.
    pub fn tick(&self, now: Instant) {
        let done = self.queue.done();
        let mut recent = guard(&self.recent);
        while recent.front().is_some_and(|(then, _)| now.duration_since(*then) > RATE_WINDOW) {
            recent.pop_front();
        }
        recent.push_back((now, done));
    }

    /// The state now.
    pub fn status(&self) -> Status {
        let plan = self.plan();
        let (reordered, out_of_order) = self.sequence.as_ref().map_or((0, 0), Sequence::counts);
        // Downstream first: what failed is done, what is done was begun, what was begun was accepted; each Acquire
        // pairs with a Release of the worker, so a later reading is never smaller than it was then.
        let progress = self.queue.progress();
        let errored = progress.iter().map(|p| p.errored.load(Ordering::Acquire)).sum();
        let missed: Vec<_> =
            (0..plan.slots.len()).map(|slot| plan.function(slot).map(|f| f.missed(progress.len()))).collect();
        let flown: Vec<_> =
            (0..plan.slots.len()).map(|slot| plan.function(slot).map(|f| f.flown(progress.len()))).collect();
        let straight: Vec<u64> = progress.iter().map(Progress::straight).collect();
        let processed = self.queue.done();
        let begun = self.queue.begun();
        let discarded = self.queue.discarded.load(Ordering::Acquire);
        // What was accepted while the others were read may have taken places that they do not know to be free: as many
        // were accepted a moment ago as there were places.
        let accepted = self.queue.accepted().min(begun + discarded + self.config.queue as u64);
        let refused = self.queue.refused.load(Ordering::Relaxed);
        let (mode, workers) = {
            let control = self.queue.control();
            (control.mode, control.wanted as u64)
        };
        let oldest = self.queue.dropped_oldest.load(Ordering::Relaxed).min(discarded);
        let newest = self.queue.dropped_newest.load(Ordering::Relaxed);
        let last = progress.iter().map(|p| (p.last_millis.load(Ordering::Relaxed), p.last_oid.load(Ordering::Relaxed)));
        let (last_millis, last_oid) = last.max().unwrap_or_default();
        let letters = self.letters();
        let (lines, kept, dropped) = (letters.lines(10), letters.len() as u64, letters.dropped);
        let (retried, retried_passed) = (letters.retried, letters.passed);
        drop(letters);
        let slots = missed.into_iter().zip(flown).enumerate();
        let slots = slots
            .map(|(slot, (missed, flown))| {
                slot_status(&plan, slot, missed.unwrap_or_default(), flown.unwrap_or_default(), &straight)
            })
            .collect();
        let source = guard(&self.source)
            .as_ref()
            .map_or_else(|| SourceStatus { state: "none".to_owned(), ..SourceStatus::default() }, |feed| feed.status());
        let source = SourceStatus { dropped: self.source_dropped.load(Ordering::Relaxed), ..source };
        Status {
            machine: self.config.name.clone(),
            running: mode == Mode::Running,
            state: match mode {
                Mode::Running => State::Running,
                Mode::Paused => State::Paused,
                Mode::Stopped => State::Stopped,
            },
            last_oid: if last_oid == 0 { String::new() } else { unpack(last_oid).to_string() },
            last_processed_time: if last_millis == 0 {
                String::new()
            } else {
                oid::rfc3339(last_millis, chrono::SecondsFormat::Millis)
            },
            processed,
            errored,
            queue_size: accepted.saturating_sub(discarded + begun),
            queue_capacity: self.config.queue as u64,
            accepted,
            refused,
            discarded,
            drops: Drops { cleared: discarded - oldest, oldest, newest },
            policy: self.queue.policy(),
            in_flight: begun.saturating_sub(processed),
            rate: self.rate(processed),
            workers,
            source,
            slots,
            errors: lines,
            outputs: self.sinks(),
            in_hand: self.in_hand_line(),
            dead_letters: kept,
            dead_letters_dropped: dropped,
            retried,
            retried_passed,
            reordered,
            out_of_order,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    fn rate(&self, processed: u64) -> f64 {
        let recent = guard(&self.recent);
        let now = Instant::now();
        let first = recent.iter().find(|(then, _)| now.duration_since(*then) <= RATE_WINDOW);
        first.map_or(0.0, |(then, before)| {
            let seconds = now.duration_since(*then).as_secs_f64();
            if seconds < 0.05 { 0.0 } else { processed.saturating_sub(*before) as f64 / seconds }
        })
    }

    /// Takes a message through the slots on the caller's thread, and keeps what each made of it.
    pub fn call(&self, make: impl FnOnce(u64, Moment) -> Message) -> Visit {
        // Counted down from the top, so that their oids differ from those of messages.
        let number = u64::from(u32::MAX) - (self.calls.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff);
        self.visit(make(number, oid::coarse_now()))
    }

    pub fn visit(&self, message: Message) -> Visit {
        let _in_slot = InSlot::enter();
        let oid = message.oid();
        let mut frame = Frame::new(self.plan(), types::info(message.desc()));
        frame.load(InPlace::new(&ManuallyDrop::new(message)));
        Self::through(frame, oid)
    }

    /// Takes a message that is loaded through the slots, on the caller's thread.
    pub fn through(mut frame: Frame, oid: Oid) -> Visit {
        if frame.plan().flies {
            return Self::fly(frame, oid);
        }
        let mut caught = Caught::default();
        frame.run::<true>(&mut caught);
        Visit::new(oid, frame, caught)
    }

    /// Takes a message through slots in which it may have to wait, on the caller's thread.
    fn fly(frame: Frame, oid: Oid) -> Visit {
        let (plan, input) = (frame.plan().clone(), frame.input);
        let arrival = Arc::new(Arrival::default());
        let mut flight = Box::new(Flight::new(frame, oid, Home::Caller(arrival.clone())));
        loop {
            if let Some(through) = flight.go() {
                let Flight { frame, caught, .. } = *through;
                return Visit::new(oid, frame, caught);
            }
            let Some(landed) = arrival.wait(interrupted_here) else {
                // The flight ends by itself, unseen.
                let mut caught = Caught::default();
                let slots = (0..plan.slots.len()).filter(|slot| plan.function(*slot).is_some());
                slots.for_each(|slot| caught.error(slot, ErrorKind::Error, "interrupted".to_owned()));
                return Visit::new(oid, Frame::new(plan, input), caught);
            };
            flight = landed;
        }
    }

    /// One `step` at a time.
    pub fn one_step(&self) -> MutexGuard<'_, ()> {
        guard(&self.stepping)
    }

    /// Takes the first message that waits through the slots, on the caller's thread.
    pub fn step(&self) -> Result<Outputs, Failure> {
        let _one = guard(&self.stepping);
        let index = STEPS;
        let Some(progress) = self.queue.progress_of(index) else {
            return Err(failed("no_place", "the machine keeps no tally for steps"));
        };
        let mut control = self.queue.control();
        if control.mode == Mode::Running {
            return Err(failed("running", format!("{} is running: pause it first", self.config.name)));
        }
        let Some(message) = self.queue.take_first(&mut control) else {
            return Err(failed("queue_empty", format!("no message waits in {}", self.config.name)));
        };
        drop(control);
        let done = progress.done.load(Ordering::Relaxed);
        // Messages that were in hand have ended here without having begun here.
        progress.begun.store(progress.begun.load(Ordering::Relaxed) + 1, Ordering::Release);
        let number = message.number;
        let times = Times { put: message.put, begun_ms: oid::coarse_millis(), is_timed: true };
        let mut visit = self.visit(message);
        let plan = visit.frame.plan().clone();
        plan.adopt(index, done);
        self.record(index, &visit.frame, visit.oid, &visit.caught);
        let outputs = visit.outputs();
        let _in_slot = InSlot::enter();
        Handover::default().hand_over(self, &plan, &mut visit.frame, (visit.oid, number), &visit.caught, Some(times));
        progress.finish();
        progress.note_last(visit.oid, oid::coarse_millis());
        Ok(outputs)
    }

    /// Counts what a message's slots failed on or skipped, and keeps the errors.
    pub fn record(&self, index: usize, frame: &Frame, oid: Oid, caught: &Caught) {
        let plan = frame.plan();
        let tally = |slot: usize| plan.function(slot).and_then(|function| function.tallies.get(index));
        flying::count_retries(index, frame, &caught.retried);
        for slot in &caught.skipped {
            if let Some(tally) = tally(*slot) {
                tally.skipped.store(tally.skipped.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
        if caught.errors.is_empty() {
            return;
        }
        if let Some(progress) = self.queue.progress_of(index) {
            progress.errored.store(progress.errored.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        let new = letters_of(frame, oid, caught, 0);
        for (slot, _, _) in &caught.errors {
            if let Some(tally) = tally(*slot) {
                tally.errored.store(tally.errored.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
        let mut letters = self.letters();
        for letter in new {
            letters.add(letter);
        }
    }
}

fn unpack(oid: u64) -> Oid {
    let half = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap_or_default();
    Oid { seconds: half(oid >> 32), counter: half(oid) }
}

fn slot_status(
    plan: &Plan,
    slot: usize,
    (errored, skipped): (u64, u64),
    (flown, retried): (u64, u64),
    straight: &[u64],
) -> SlotStatus {
    let (revision, settings) = plan.slots.get(slot).map(|slot| (slot.revision, slot.settings)).unwrap_or_default();
    let name = format!("f{slot}");
    let Some(function) = plan.function(slot) else {
        return SlotStatus { slot: name, revision, settings, ..SlotStatus::default() };
    };
    let ok = (function.reached(straight) + flown).saturating_sub(errored + skipped);
    let [p50_ns, p99_ns] = function.times.percentiles([0.5, 0.99]);
    let code = if function.origin.code.is_empty() { &function.origin.place } else { &function.origin.code };
    SlotStatus {
        slot: name,
        revision,
        code: code.clone(),
        cell: function.origin.cell,
        takes: function.params.iter().map(|param| param.name.clone()).collect(),
        gives: function.output.name.clone(),
        ok,
        errored,
        skipped,
        p50_ns,
        p99_ns,
        max_ns: function.times.max(),
        mismatch: plan.mismatch(slot).unwrap_or_default(),
        is_async: function.is_async(),
        settings,
        retried,
    }
}
