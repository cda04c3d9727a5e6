//! The handle of a machine: what cells and programs call.

use crate::abi::{Patience, Put, SlotDesc};
use crate::command::{Command, Config, DEFAULT_MACHINE, Failure, Origin, Policy, Reply, Setting, Target};
use crate::shim::{self, CallHandle, raw};
use crate::slot::Slot;
use crate::source::IntoSource;
use crate::status::{DeadLetter, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Index;
use std::panic::Location;
use std::time::Duration;

/// The machine that every session has from the start: running, 8 slots, a queue of 1,024 messages, one worker.
pub static MACHINE: Machine = Machine::with_id(0);

/// How many slots a machine can have at most.
pub const MAX_SLOTS: usize = 60;

/// A machine: slots, a queue in front of them, workers that take messages through.
///
/// A handle is a number; copies mean the same machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub(crate) id: u32,
    slots: [SlotRef; MAX_SLOTS],
}

/// One slot of a machine: `MACHINE[3]`.
#[derive(Clone, Copy, Debug)]
pub struct SlotRef {
    machine: u32,
    slot: u32,
}

impl Machine {
    const fn with_id(id: u32) -> Self {
        let mut slots = [SlotRef { machine: id, slot: 0 }; MAX_SLOTS];
        let mut rest: &mut [SlotRef] = &mut slots;
        let mut number = 0;
        while let Some((first, tail)) = rest.split_first_mut() {
            first.slot = number;
            number += 1;
            rest = tail;
        }
        Self { id, slots }
    }

    /// Describes another machine.
    pub fn builder(name: &str) -> Builder {
        Builder { config: Config::new(name) }
    }

    /// Puts a message in the queue; never blocks, unless the machine's policy is [`Policy::Block`].
    ///
    /// # Errors
    /// [`Refused::Full`] gives the message back if the queue is full and the machine's policy is [`Policy::Reject`],
    /// as it is unless told otherwise.
    #[inline]
    pub fn put<T: Serialize + Send + 'static>(&self, message: T) -> Result<(), Refused<T>> {
        refused(raw::put(self.id, message, Patience::POLICY))
    }

    /// Puts a message in the queue and waits for a place in it.
    ///
    /// # Errors
    /// [`Refused::Interrupted`] gives the message back if the user interrupts the cell while it waits.
    #[inline]
    pub fn put_wait<T: Serialize + Send + 'static>(&self, message: T) -> Result<(), Refused<T>> {
        refused(raw::put(self.id, message, Patience::FOREVER))
    }

    /// Puts a message in the queue and waits for a place in it, for at most `timeout`, whatever the policy.
    ///
    /// # Errors
    /// [`Refused::Full`] gives the message back if there was no place in that time, [`Refused::Interrupted`] if the
    /// user interrupts the cell while it waits.
    pub fn put_timeout<T: Serialize + Send + 'static>(&self, message: T, timeout: Duration) -> Result<(), Refused<T>> {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
        refused(raw::put(self.id, message, Patience(nanos)))
    }

    /// Puts messages from the front of `batch`, as many as there is room for; never blocks. What was not put stays in
    /// `batch`, in order. Much faster than one `put` each. The policies that drop messages apply.
    ///
    /// Returns how many were taken out of `batch`; with [`Policy::DropNewest`] that is all of them.
    ///
    /// # Errors
    /// If the machine is gone.
    ///
    /// ```no_run
    /// # use machine::prelude::*;
    /// # fn main() -> Result<(), machine::command::Failure> {
    /// let mut batch: Vec<f64> = (0..10_000).map(f64::from).collect();
    /// while !batch.is_empty() {
    ///     MACHINE.try_put_batch(&mut batch)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_put_batch<T: Serialize + Send + 'static>(&self, batch: &mut Vec<T>) -> Result<usize, Failure> {
        let gone = || Failure::new("no_such_machine", format!("there is no machine number {}", self.id));
        raw::put_batch(self.id, batch).ok_or_else(gone)
    }

    /// Lets the machine take its messages by itself, on a thread of the source's own: from an iterator, a function
    /// that makes one, or what is built in (see [`source`](crate::source)). Waits while the queue is full.
    ///
    /// After `stop` and `start` an iterator and what is built in go on where they were; a function is called again,
    /// also if its iterator had come to an end.
    ///
    /// # Errors
    /// If it has a source already: clear that one first. If what is built in cannot be opened.
    pub fn source<M>(&self, source: impl IntoSource<M>) -> Result<(), Failure> {
        done(decode(&source.into_source().set(self.id)))
    }

    /// Takes the source away. What it has put stays in the queue; an item that it had given and that had no place yet
    /// is dropped, and counted ([`SourceStatus::dropped`](crate::status::SourceStatus::dropped)).
    pub fn clear_source(&self) -> &Self {
        self.tell(&Command::ClearSource { machine: self.target() })
    }

    /// Takes messages, and items from the source. Does nothing if it does already.
    pub fn start(&self) -> &Self {
        self.tell(&Command::Start { machine: self.target() })
    }

    /// Holds between two messages.
    pub fn pause(&self) -> &Self {
        self.tell(&Command::Pause { machine: self.target() })
    }

    /// Ends the workers and keeps the queue.
    pub fn stop(&self) -> &Self {
        self.tell(&Command::Stop { machine: self.target() })
    }

    /// Changes how many threads take messages through the slots, at once, running or not. No message is lost or runs
    /// twice.
    ///
    /// # Errors
    /// If `workers` is not 1 to 256.
    pub fn workers(&self, workers: usize) -> Result<&Self, Failure> {
        done(ask(&Command::Workers { machine: self.target(), workers })).map(|()| self)
    }

    /// Changes what becomes of a message for which there is no room.
    pub fn policy(&self, policy: Policy) -> &Self {
        self.tell(&Command::Policy { machine: self.target(), policy })
    }

    /// Discards what waits in the queue; returns how many messages that were.
    pub fn clear(&self) -> u64 {
        match ask(&Command::ClearQueue { machine: self.target() }) {
            Reply::Count(n) => n,
            _ => 0,
        }
    }

    /// Waits until no message waits or is in the slots, and the source has come to its end. A machine that does not
    /// run is not waited for, nor is a source that has no end (an endpoint, a socket, a clock, a followed file).
    pub fn drain(&self) -> &Self {
        self.tell(&Command::Drain { machine: self.target(), timeout: None })
    }

    /// Like [`drain`](Self::drain), for at most `timeout`. Returns how many messages are left.
    pub fn drain_timeout(&self, timeout: Duration) -> u64 {
        match ask(&Command::Drain { machine: self.target(), timeout: Some(timeout) }) {
            Reply::Count(n) => n,
            _ => 0,
        }
    }

    /// Takes a value through the slots, here and now: it is not queued, not counted, not published.
    ///
    /// # Errors
    /// If the machine is gone. What a slot fails on is told by [`Call::get`].
    pub fn call<T: Serialize + Send + 'static>(&self, value: T) -> Result<Call, Failure> {
        CallHandle::new(self.id, value).map(Call).map_err(|reply| failure(decode(&reply)))
    }

    /// The machine's state now. As the last expression of a cell it is shown as a table.
    ///
    /// # Panics
    /// If the engine answers anything else: a bug of ours.
    #[must_use]
    #[expect(clippy::panic, reason = "the engine answers each command with its reply; anything else is a bug")]
    pub fn status(&self) -> Status {
        match ask(&Command::Status { machine: self.target() }) {
            Reply::Status(status) => *status,
            other => panic!("the engine answers a status with {other:?}"),
        }
    }

    /// How many slots it has.
    #[expect(clippy::len_without_is_empty, reason = "a machine without slots cannot be made")]
    pub fn len(&self) -> usize {
        self.status().slots.len()
    }

    /// The messages that slots failed on, newest first, as many as are kept.
    #[must_use]
    pub fn errors(&self) -> Errors {
        match ask(&Command::Errors { machine: self.target(), slot: None, limit: usize::MAX }) {
            Reply::Errors(letters) => Errors(letters),
            _ => Errors(Vec::new()),
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Id(self.id)
    }

    pub(crate) fn tell(&self, command: &Command) -> &Self {
        ask(command);
        self
    }
}

impl Index<usize> for Machine {
    type Output = SlotRef;

    /// The slot with this number. Whether the machine has it is told when it is used.
    fn index(&self, slot: usize) -> &SlotRef {
        match self.slots.get(slot) {
            Some(slot) => slot,
            // A reference is due, and nothing holds one for a number that no machine has: 8 bytes for each mistake.
            None => Box::leak(Box::new(SlotRef { machine: self.id, slot: u32::try_from(slot).unwrap_or(u32::MAX) })),
        }
    }
}

impl SlotRef {
    /// Puts a function in the slot, at once, between two messages.
    ///
    /// If types do not fit (`f3 takes &Tweet, but f2 gives f64`), that is told on standard error and in
    /// [`SlotStatus::mismatch`](crate::status::SlotStatus::mismatch), and messages fail there until one of the two
    /// slots changes.
    ///
    /// # Errors
    /// If the machine has no such slot, or the function takes more arguments than there are outputs before it.
    #[track_caller]
    pub fn set<S, F: Slot<S>>(&self, function: F) -> Result<(), Failure> {
        let place = Location::caller();
        let origin = Origin { code: String::new(), cell: 0, place: format!("{}:{}", place.file(), place.line()) };
        self.set_from(function, &origin).map(|warning| {
            if let Some(warning) = warning {
                warn(&warning);
            }
        })
    }

    /// Like [`set`](Self::set), and tells where the code comes from. Returns a warning, if there is one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_from<S, F: Slot<S>>(&self, function: F, origin: &Origin) -> Result<Option<String>, Failure> {
        self.set_erased(function.erase(), origin)
    }

    /// Not generic, so that cells do not compile it again.
    pub(crate) fn set_erased(self, function: SlotDesc, origin: &Origin) -> Result<Option<String>, Failure> {
        let origin = serde_json::to_string(origin).unwrap_or_default();
        match decode(&raw::assign(self.machine, self.slot, function, &origin)) {
            Reply::Warned(warning) => Ok(Some(warning)),
            reply => done(reply).map(|()| None),
        }
    }

    /// How long a call may take; zero for as long as it likes. Stays when the function changes.
    ///
    /// A future that takes longer is dropped. A plain function cannot be stopped: it counts as failed once it has
    /// returned, and what it gave is dropped.
    pub fn timeout(&self, timeout: Duration) -> &Self {
        self.tell(Setting::Timeout(timeout))
    }

    /// How often the slot is called again, with the same arguments, after an `Err`, a panic or a timeout, before that
    /// counts as its error; 0 for not at all. Stays when the function changes.
    ///
    /// It waits `backoff` before the first call again, twice as long before each following one, at most 30 seconds.
    /// Other messages go on meanwhile.
    pub fn retry(&self, times: u32, backoff: Duration) -> &Self {
        self.tell(Setting::Retry { times, backoff })
    }

    /// How many messages may be in the slot at once, over all workers and futures; 0 for as many as like. Others wait
    /// before the slot, in order. Stays when the function changes.
    pub fn concurrency(&self, messages: usize) -> &Self {
        self.tell(Setting::Concurrency(messages))
    }

    /// A setting that cannot be is told as a warning, so that settings can be chained.
    fn tell(&self, setting: Setting) -> &Self {
        let reply = ask(&Command::Set { machine: Target::Id(self.machine), slot: self.slot, setting });
        if let Reply::Failed(failure) = reply {
            warn(&failure.message);
        }
        self
    }

    /// Empties the slot: it passes the previous output through.
    pub fn clear(&self) {
        ask(&Command::ClearSlot { machine: Target::Id(self.machine), slot: self.slot });
    }
}

#[expect(clippy::print_stderr, reason = "the only place for a warning that is no error")]
pub(crate) fn warn(warning: &str) {
    eprintln!("warning: {warning}");
}

/// A new machine, described step by step.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `start`"]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// How many slots, 1 to [`MAX_SLOTS`]; 8 unless told otherwise.
    pub fn slots(mut self, slots: usize) -> Self {
        self.config.slots = slots;
        self
    }

    /// How many messages wait at most; 1,024 unless told otherwise.
    pub fn queue(mut self, messages: usize) -> Self {
        self.config.queue = messages;
        self
    }

    /// How many threads take messages through the slots; 1 unless told otherwise.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// What becomes of a message for which there is no room; [`Policy::Reject`] unless told otherwise.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// How many messages may be in async slots, or in slots with a timeout, retries or a concurrency, at once; 1,024
    /// unless told otherwise.
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.config.in_flight = messages;
        self
    }

    /// Whether outputs leave the machine in the order in which the messages arrived, also with several workers;
    /// otherwise they leave as they are completed.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.config.ordered = ordered;
        self
    }

    /// Makes the machine and starts it. The same description again gives the same machine.
    ///
    /// # Panics
    /// If there is another machine of this name, or a number is out of range. See [`try_start`](Self::try_start).
    #[must_use]
    #[expect(clippy::panic, reason = "documented; `try_start` is the other way")]
    pub fn start(self) -> Machine {
        self.try_start().unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Makes the machine and starts it. The same description again gives the same machine.
    ///
    /// # Errors
    /// If there is another machine of this name, or a number is out of range.
    pub fn try_start(self) -> Result<Machine, Failure> {
        match ask(&Command::New(self.config)) {
            Reply::Made(id) => Ok(Machine::with_id(id)),
            other => Err(failure(other)),
        }
    }
}

/// A message that was not put; it is given back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<T> {
    /// The queue is full.
    Full(T),
    /// The user interrupted while the call waited.
    Interrupted(T),
    /// The machine is gone.
    NoMachine(T),
}

impl<T> Refused<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Interrupted(message) | Self::NoMachine(message) => message,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => "the queue is full: put_wait waits, or try again later (the message is given back)",
            Self::Interrupted(_) => "interrupted while waiting for a place in the queue",
            Self::NoMachine(_) => "there is no such machine",
        }
    }
}

impl<T> std::fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::error::Error for Refused<T> {}

/// What each slot made of one value.
#[derive(Debug)]
pub struct Call(pub(crate) CallHandle);

impl Call {
    /// The message's oid, 24 hex digits.
    #[must_use]
    pub fn oid(&self) -> String {
        String::from_utf8(self.0.oid()).unwrap_or_default()
    }

    /// The input.
    ///
    /// # Errors
    /// If it is no `T` and does not convert into one.
    pub fn input<T: Serialize + DeserializeOwned + Clone + 'static>(&self) -> Result<T, Failure> {
        self.value(0)
    }

    /// What slot `slot` gave.
    ///
    /// # Errors
    /// If the output is missing (then it says why), or no `T`.
    pub fn get<T: Serialize + DeserializeOwned + Clone + 'static>(&self, slot: usize) -> Result<T, Failure> {
        self.value(slot.saturating_add(1))
    }

    /// What slot `slot` gave, as JSON text.
    ///
    /// # Errors
    /// If the output is missing, or does not serialise.
    pub fn json(&self, slot: usize) -> Result<String, Failure> {
        self.text(slot.saturating_add(1))
    }

    pub(crate) fn value<T: Serialize + DeserializeOwned + Clone + 'static>(&self, at: usize) -> Result<T, Failure> {
        if let Some(value) = self.0.value::<T>(at) {
            return Ok(value.clone());
        }
        let json = self.text(at)?;
        serde_json::from_str(&json).map_err(|error| {
            let what = if at == 0 { "the input".to_owned() } else { format!("the output of f{}", at - 1) };
            let wanted = shim::short(std::any::type_name::<T>());
            Failure::new("type_mismatch", format!("{what} is {json}, which is no {wanted}: {error}"))
        })
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, Failure> {
        let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
        self.0.json(at).map(text).map_err(|why| Failure::new("no_output", text(why)))
    }
}

/// Dead letters, newest first. As the last expression of a cell they are shown as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<DeadLetter>);

impl std::ops::Deref for Errors {
    type Target = [DeadLetter];
    fn deref(&self) -> &[DeadLetter] {
        &self.0
    }
}

impl Errors {
    /// Shows them in the notebook.
    pub fn evcxr_display(&self) {
        crate::cell::show_json("application/vnd.machine.errors+json", &self.0);
    }
}

impl Status {
    /// Shows it in the notebook.
    pub fn evcxr_display(&self) {
        crate::cell::show_json("application/vnd.machine.status+json", self);
    }
}

/// The state of all machines, in the order of their making.
#[must_use]
pub fn machines() -> Vec<Status> {
    match ask(&Command::Machines) {
        Reply::Machines(all) => all,
        _ => Vec::new(),
    }
}

/// The handle of the machine of this name.
#[must_use]
pub fn machine(name: &str) -> Option<Machine> {
    machines()
        .iter()
        .position(|status| status.machine == name)
        .and_then(|id| u32::try_from(id).ok())
        .map(Machine::with_id)
}

/// Carries out a command, as magics and the command line do.
pub fn ask(command: &Command) -> Reply {
    let json = serde_json::to_string(command).unwrap_or_default();
    decode(&raw::command(&json))
}

pub(crate) fn decode(reply: &[u8]) -> Reply {
    serde_json::from_slice(reply).unwrap_or_else(|error| {
        Reply::Failed(Failure::new("bad_reply", format!("the engine's reply is unreadable: {error}")))
    })
}

pub(crate) fn failure(reply: Reply) -> Failure {
    match reply {
        Reply::Failed(failure) => failure,
        other => Failure::new("bad_reply", format!("the engine answers {other:?}")),
    }
}

fn done(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Done | Reply::Warned(_) => Ok(()),
        other => Err(failure(other)),
    }
}

#[inline]
fn refused<T>((back, put): (Option<T>, Put)) -> Result<(), Refused<T>> {
    match (back, put) {
        (None, _) => Ok(()),
        (Some(message), Put::Interrupted) => Err(Refused::Interrupted(message)),
        (Some(message), Put::NoMachine) => Err(Refused::NoMachine(message)),
        (Some(message), _) => Err(Refused::Full(message)),
    }
}

const _: () = assert!(!DEFAULT_MACHINE.is_empty());
