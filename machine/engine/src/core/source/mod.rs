//! What feeds a machine by itself: an iterator of the user's, a function that makes one, or what is built in.
//!
//! Each source has a separate thread. It waits while the machine does not run, until an item is due and while the
//! queue is full, and `clear_source` wakes it from each of these. Only an endpoint puts from elsewhere, and refuses
//! instead of waiting.

pub(crate) mod context;
pub(crate) mod pace;

use crate::core::command_error::failed;
use crate::core::dead_letters::{DeadLetterEntry, SOURCE};
use crate::core::frame::SlotErrorKind;
use crate::core::machine::Machine;
use crate::core::oid::{self, Oid};
use crate::core::{hook, own_thread};
use crate::decode;
pub(crate) use context::Shutdown;
use context::{SourceContext, Stop};
use machine_protocol::source::Pacing;
use machine_protocol::status::SourceState;
use machine_protocol::status::SourceStatus;
use machine_protocol::{Error, ErrorKind};
use pace::Pacer;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long `clear_source` waits until what is built in has given back its file or port.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What gives items, on the source's thread.
pub(crate) trait SourceDriver: Debug + Send {
    /// Gives items until there are no more, or until it is told to stop.
    fn run(&mut self, intake: &mut SourceContext<'_>) -> Result<(), Stop>;

    /// Whether it would begin anew if it were run once more after a `stop` of the machine.
    fn restarts(&self) -> bool {
        false
    }

    /// Whether it would begin anew if it were run now: the machine has been stopped since it last did so, `stops`
    /// times in all.
    fn wants_anew(&self, _stops: u64) -> bool {
        false
    }
}

/// What feeds a machine.
#[derive(Debug)]
pub(crate) struct SourceTask {
    /// With its thread while that runs.
    work: Mutex<Option<(Box<dyn SourceDriver>, Pacer)>>,
    description: String,
    built_in: bool,
    endless: bool,
    pub shutdown: Shutdown,
    /// Whether its thread runs. Not changed without looking at `Machine::stops` under the same lock.
    running: Mutex<bool>,
    over: Condvar,
    pub errors: AtomicU64,
    pub reconnects: AtomicU64,
    pub texts: Mutex<Texts>,
}

#[derive(Debug, Default)]
pub(crate) struct Texts {
    state: SourceState,
    error: String,
    note: String,
    pub address: String,
}

pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SourceTask {
    /// A source that goes at the pace given, and how people call it.
    pub fn new(driver: Box<dyn SourceDriver>, pacer: Pacer, description: &str, pacing: &Pacing) -> Self {
        Self {
            work: Mutex::new(Some((driver, pacer))),
            description: format!("{description}{}", pace_in_words(pacing)),
            built_in: false,
            endless: false,
            shutdown: Shutdown::default(),
            running: Mutex::new(true),
            over: Condvar::new(),
            errors: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            texts: Mutex::new(Texts { state: SourceState::Running, ..Texts::default() }),
        }
    }

    /// A source that is built in: `clear_source` waits until it has given back what it had open. One that is endless is
    /// not waited for, and the address is shown.
    pub fn built_in(mut self, endless: bool, address: String) -> Self {
        self.built_in = true;
        self.endless = endless;
        guard(&self.texts).address = address;
        self
    }

    /// Whether items may still come.
    pub fn is_running(&self) -> bool {
        *guard(&self.running)
    }

    /// Whether it comes to an end by itself and has not done so.
    pub fn is_awaited(&self) -> bool {
        !self.endless && self.is_running()
    }

    /// Puts no further item.
    pub fn end(&self) {
        self.shutdown.end();
    }

    /// If it has ended, lets `next` begin, and never begins anew itself.
    ///
    /// # Errors
    /// `refuse`'s if it has not ended; `next`'s, and then it may begin anew as before.
    pub fn replace_with(
        &self,
        refuse: impl FnOnce() -> Error,
        next: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Held all the while: `resume` looks under the same lock.
        let running = guard(&self.running);
        if *running {
            return Err(refuse());
        }
        next()?;
        self.shutdown.forbid();
        Ok(())
    }

    /// After [`end`](Self::end): waits until what is built in has given back what it had open.
    pub fn wait_over(&self) {
        if self.built_in {
            let running = guard(&self.running);
            let _over = self.over.wait_timeout_while(running, CLOSE_TIMEOUT, |running| *running);
        }
    }

    /// Drops what gives the items, if its thread does not run and never will again. What runs drops it at its end.
    pub fn discard(&self) {
        let running = guard(&self.running);
        let work = if *running || !self.shutdown.is_ended() { None } else { guard(&self.work).take() };
        drop(running);
        // Its destructor is user code.
        let _in_slot = hook::InSlot::enter();
        drop(work);
    }

    /// How many items it has put: after a look at what was processed, never less than that.
    pub fn taken(&self) -> u64 {
        self.shutdown.taken()
    }

    /// What is known of it now.
    pub fn status(&self) -> SourceStatus {
        let texts = guard(&self.texts);
        SourceStatus {
            state: texts.state,
            description: self.description.clone(),
            taken: self.shutdown.taken(),
            // Relaxed, here and below: read for display alone.
            errors: self.errors.load(Ordering::Relaxed),
            error: texts.error.clone(),
            note: texts.note.clone(),
            address: texts.address.clone(),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            dropped: 0,
        }
    }

    /// Gives the source a thread.
    ///
    /// # Errors
    /// If the system has none.
    pub fn spawn(self: &Arc<Self>, machine: &'static Machine) -> Result<(), Error> {
        let name = format!("{}/source", machine.config().name);
        let feed = self.clone();
        std::thread::Builder::new()
            .name(name)
            .spawn(move || feed.run(machine))
            .map(drop)
            .map_err(|error| failed(ErrorKind::NoThread, format!("no thread for the source: {error}")))
    }

    /// The machine was stopped and started: what begins anew does so if it had come to an end.
    pub fn resume(self: &Arc<Self>, machine: &'static Machine) {
        let mut running = guard(&self.running);
        // Acquire: pairs with the Release of `halt`.
        let stops = machine.stops();
        let anew = guard(&self.work).as_ref().is_some_and(|(origin, _)| origin.wants_anew(stops));
        if *running || !anew || self.shutdown.is_ended() {
            return;
        }
        match self.spawn(machine) {
            Ok(()) => {
                self.set_running();
                *running = true;
            }
            Err(failure) => self.set_failed(failure.to_string()),
        }
    }

    fn run(self: &Arc<Self>, machine: &'static Machine) {
        let Some((mut origin, mut pacer)) = guard(&self.work).take() else { return };
        own_thread::set_source_of(machine.number());
        loop {
            let mut intake = SourceContext::new(machine, self, pacer);
            let result = origin.run(&mut intake);
            pacer = intake.into_pacer();
            if let Err(Stop::Failed(error)) = &result {
                keep(machine, error.clone(), &[]);
            }
            if origin.restarts() && !matches!(result, Err(Stop::Ended)) {
                let running = guard(&self.running);
                // Acquire: pairs with the Release of `halt`. A stop that it has begun anew after does not count.
                if !origin.wants_anew(machine.stops()) {
                    *guard(&self.work) = Some((origin, pacer));
                    return self.stop_running(running, machine, result);
                }
                self.set_running();
            } else {
                // What it has open is closed first.
                let in_slot = hook::InSlot::enter();
                drop(origin);
                drop(in_slot);
                return self.stop_running(guard(&self.running), machine, result);
            }
        }
    }

    /// A caller that sees the end in the status finds that nothing runs any more: the lock is held until both are so.
    fn stop_running(&self, mut running: MutexGuard<'_, bool>, machine: &Machine, result: Result<(), Stop>) {
        match result {
            Ok(()) => self.set_state(SourceState::Exhausted),
            Err(Stop::Failed(error)) => self.set_failed(error),
            Err(Stop::Ended) => {}
        }
        *running = false;
        drop(running);
        self.tell_over(machine);
    }

    pub fn tell_over(&self, machine: &Machine) {
        self.over.notify_all();
        machine.queue().wake_all();
    }

    pub fn set_state(&self, state: SourceState) {
        guard(&self.texts).state = state;
    }

    pub fn set_note(&self, note: impl Into<String>) {
        guard(&self.texts).note = note.into();
    }

    pub fn set_running(&self) {
        let mut texts = guard(&self.texts);
        texts.state = SourceState::Running;
        texts.error.clear();
    }

    pub fn set_failed(&self, error: String) {
        let mut texts = guard(&self.texts);
        texts.state = SourceState::Failed;
        texts.error = error;
    }

    /// What was given is no message: counted, and kept as a dead letter.
    pub fn bad(&self, machine: &Machine, place: &str, why: &str, bytes: &[u8]) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        keep(machine, format!("{place}: {why}"), bytes);
    }
}

/// Keeps what a source has to tell as a dead letter.
fn keep(machine: &Machine, error: String, bytes: &[u8]) {
    let now = oid::coarse_now();
    let oid = Oid { seconds: now.seconds, ..Oid::default() };
    let input = decode::excerpt(bytes);
    machine.letters().add(DeadLetterEntry {
        oid,
        slot: SOURCE,
        revision: 0,
        kind: SlotErrorKind::Source,
        error,
        input: input.into(),
        outputs: "{}".into(),
        failed_ms: now.millis(),
        retries: 0,
    });
}

fn pace_in_words(pacing: &Pacing) -> String {
    let mut words = String::new();
    if let Some(rate) = pacing.rate {
        words.push_str(&format!(", at most {rate}/s"));
    }
    if let Some(replay) = &pacing.replay {
        if replay.speed > 0.0 {
            words.push_str(&format!(", replayed by {} at {} ×", replay.field, replay.speed));
        } else {
            words.push_str(", replayed as fast as possible");
        }
    }
    words
}
