//! The handle of a machine: what cells and programs call.

mod builder;
mod call;
mod dead_letters;
mod keep;
mod refused;
mod shown;
mod slot_ref;

pub use builder::Builder;
pub use call::Call;
pub use keep::IntoKeep;
use machine_protocol::{Error, ErrorKind};
pub use refused::Refused;
pub use shown::Errors;
pub(crate) use shown::status_of;
pub use slot_ref::SlotRef;
pub(crate) use slot_ref::warn;

use crate::abi::PutWait;
use crate::shim::{CallHandle, raw};
use crate::source::IntoSource;
use machine_protocol::command::{Command, Config, DEFAULT_MACHINE, Policy, Reply, Target, Undrained};
use machine_protocol::retained::DeadLetterQuery;
use machine_protocol::status::Status;
use machine_protocol::{decode, encode};
use refused::refused;
use serde::Serialize;
use std::ops::Index;
use std::time::Duration;

/// The machine that every session has from the start: running, 8 slots, a queue of 1,024 messages, one worker.
pub static MACHINE: Machine = Machine::with_id(0);

/// How many slots a machine can have at most.
pub const MAX_SLOTS: usize = 60;

/// A machine: slots, a queue in front of them, workers that take messages through.
///
/// A handle is a number; copies mean the same machine.
#[derive(Clone, Copy)]
pub struct Machine {
    pub(crate) id: u32,
    slots: [SlotRef; MAX_SLOTS],
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

    /// Makes another machine, running, with 8 slots, a queue of 1,024 messages and one worker, under the first of the names
    /// `machine1`, `machine2`, … that is free. [`builder`](Self::builder) chooses name and numbers.
    ///
    /// # Errors
    /// If there are 1,024 machines already.
    pub fn new() -> Result<Self, Error> {
        let taken: Vec<String> = machines().into_iter().map(|status| status.machine).collect();
        let free = (1..=u32::MAX).map(|number| format!("machine{number}")).find(|name| !taken.contains(name));
        Self::builder(&free.unwrap_or_default()).start()
    }

    /// Describes another machine.
    pub fn builder(name: &str) -> Builder {
        Builder { config: Config::new(name) }
    }

    /// Puts a message in the queue; never blocks, unless the machine's policy is [`Policy::Block`].
    ///
    /// # Errors
    /// [`Refused::Full`] gives the message back if the queue is full and the machine's policy is [`Policy::Reject`],
    /// as it is by default.
    #[inline]
    pub fn put<T: Serialize + Send + 'static>(&self, message: T) -> Result<(), Refused<T>> {
        refused(raw::put(self.id, message, PutWait::POLICY))
    }

    /// Puts a message in the queue and waits for a place in it.
    ///
    /// # Errors
    /// [`Refused::Interrupted`] gives the message back if the user interrupts the cell while it waits.
    #[inline]
    pub fn put_wait<T: Serialize + Send + 'static>(&self, message: T) -> Result<(), Refused<T>> {
        refused(raw::put(self.id, message, PutWait::FOREVER))
    }

    /// Puts a message in the queue and waits for a place in it, for at most `timeout`, whatever the policy.
    ///
    /// # Errors
    /// [`Refused::Full`] gives the message back if there was no place in that time, [`Refused::Interrupted`] if the
    /// user interrupts the cell while it waits.
    pub fn put_timeout<T: Serialize + Send + 'static>(&self, message: T, timeout: Duration) -> Result<(), Refused<T>> {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
        refused(raw::put(self.id, message, PutWait(nanos)))
    }

    /// Puts messages from the front of `batch`, as many as there is room for; never blocks. What was not put stays in
    /// `batch`, in order. The policies that drop messages apply. To wait for room call
    /// [`put_batch_wait`](Self::put_batch_wait): a loop that tries again and again slows down the workers that it waits for.
    ///
    /// Returns how many were taken out of `batch`; with [`Policy::DropNewest`] that is all of them. What stays does not
    /// count as [`refused`](Status::refused).
    ///
    /// # Errors
    /// If the machine is gone.
    pub fn try_put_batch<T: Serialize + Send + 'static>(&self, batch: &mut Vec<T>) -> Result<usize, Error> {
        let gone = || Error::new(ErrorKind::NoSuchMachine, format!("there is no machine number {}", self.id));
        raw::put_batch(self.id, batch, PutWait::POLICY).ok_or_else(gone)
    }

    /// Puts all messages of `batch` and waits for their places in the queue, whatever the policy.
    ///
    /// # Errors
    /// `interrupted`: the user interrupts the cell while it waits; what was not put stays in `batch`, in order. If the
    /// machine is gone.
    ///
    /// ```no_run
    /// # use machine::prelude::*;
    /// # fn main() -> Result<(), machine::Error> {
    /// let mut batch: Vec<f64> = (0..10_000).map(f64::from).collect();
    /// MACHINE.put_batch_wait(&mut batch)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_batch_wait<T: Serialize + Send + 'static>(&self, batch: &mut Vec<T>) -> Result<(), Error> {
        let gone = || Error::new(ErrorKind::NoSuchMachine, format!("there is no machine number {}", self.id));
        raw::put_batch(self.id, batch, PutWait::FOREVER).ok_or_else(gone)?;
        let left = batch.len();
        let interrupted = || Error::new(ErrorKind::Interrupted, format!("interrupted: {left} messages were not put"));
        if left == 0 { Ok(()) } else { Err(interrupted()) }
    }

    /// Lets the machine take its messages by itself, on a thread of the source's own: from an iterator, a function
    /// that makes one, or what is built in (see [`source`](crate::source)). Waits while the queue is full.
    ///
    /// A source waits for the first function in a slot, or the first output (also an iterator over
    /// [`outputs`](Self::outputs)): without any it would run to its end and nobody would see it.
    /// [`start_empty`](Self::start_empty) lets it run even so.
    ///
    /// After `stop` and `start` an iterator and what is built in go on where they were; a function is called again,
    /// also if its iterator had come to an end.
    ///
    /// A source that has ended ([`exhausted` or `failed`](machine_protocol::status::SourceStatus::state)) makes way for the next
    /// one, also a function, which is then never called again. Its status goes with it: what it put is counted as
    /// accepted, and its errors stay in [`errors`](Self::errors).
    ///
    /// # Errors
    /// If it has a source that has not ended: clear that one first. If what is built in cannot be opened; what was
    /// there before then stays.
    pub fn source<M>(&self, source: impl IntoSource<M>) -> Result<(), Error> {
        done(decode(&source.into_source().set(self.id)))?;
        crate::idle_sources::note(self.id);
        Ok(())
    }

    /// Takes the source away. What it has put stays in the queue; an item that it had given and that had no place yet
    /// is dropped, and counted ([`SourceStatus::dropped`](machine_protocol::status::SourceStatus::dropped)).
    pub fn clear_source(&self) -> &Self {
        self.tell(&Command::ClearSource { machine: self.target() })
    }

    /// Takes messages, and items from the source. Does nothing if it does already.
    pub fn start(&self) -> &Self {
        self.tell(&Command::Start { machine: self.target() })
    }

    /// Like [`start`](Self::start), and lets a source run although no slot has a function and nothing takes the outputs:
    /// now, and whenever that is so later.
    pub fn start_empty(&self) -> &Self {
        self.tell(&Command::StartEmpty { machine: self.target() })
    }

    /// Holds between two messages. Waits until each worker has finished the one that it has, for at most a quarter of
    /// a second: a slot that takes longer goes on to the end of its call. Of a machine that is paused or stopped it
    /// changes nothing, and returns at once.
    pub fn pause(&self) -> &Self {
        self.tell(&Command::Pause { machine: self.target() })
    }

    /// Ends the workers and keeps the queue. Waits as [`pause`](Self::pause) does, and then, for at most a second, until
    /// files and subscribers have what was published: one that takes nothing keeps it so long. Of a machine that is
    /// stopped it changes nothing, and returns at once.
    pub fn stop(&self) -> &Self {
        self.tell(&Command::Stop { machine: self.target() })
    }

    /// Changes how many threads take messages through the slots, at once, running or not. No message is lost or runs
    /// twice.
    ///
    /// # Errors
    /// If `workers` is not 1 to 256.
    pub fn workers(&self, workers: usize) -> Result<&Self, Error> {
        done(ask(&Command::Workers { machine: self.target(), workers })).map(|()| self)
    }

    /// Changes what becomes of a message for which there is no room.
    pub fn policy(&self, policy: Policy) -> &Self {
        self.tell(&Command::Policy { machine: self.target(), policy })
    }

    /// Discards what waits in the queue; returns how many messages that were. What a worker has claimed behind a slow
    /// message waits, too; then it may take up to a quarter of a second.
    ///
    /// Of a machine that is stopped it also gives up what is in flight: messages that wait for the future of an async
    /// slot, for a place in a slot, or before a call again. They count as discarded
    /// ([`Drops::in_flight`](machine_protocol::status::Drops::in_flight)), their futures are dropped, and their places are free:
    /// `stop().clear()` is the way out for futures that never end. A message that a worker has in a slot that is not
    /// async goes on to the end of that call.
    pub fn clear(&self) -> u64 {
        match ask(&Command::ClearQueue { machine: self.target() }) {
            Reply::Count(n) => n,
            _ => 0,
        }
    }

    /// Waits until no message waits or is in the slots, the source has come to its end, and outputs in order have gone to
    /// their sinks, also to one that is full. A machine that does not run is not waited for, nor is a source that has no
    /// end (an endpoint, a socket, a clock, a followed file) or that waits for a slot.
    ///
    /// # Panics
    /// In a slot or in the source of the machine itself, where it would never end.
    #[track_caller]
    #[expect(clippy::panic, reason = "documented: a bug of the caller, and the error of the slot that has it")]
    pub fn drain(&self) -> &Self {
        match ask(&Command::Drain { machine: self.target(), timeout: None }) {
            Reply::Failed(failure) if failure.kind() == ErrorKind::DrainInSlot => panic!("{failure}"),
            _ => self,
        }
    }

    /// Like [`drain`](Self::drain), for at most `timeout`.
    ///
    /// # Errors
    /// What is left: messages, or outputs in order that have yet to leave, and whether the source has not come to its
    /// end. Also, at once, of a machine that does not run.
    pub fn drain_timeout(&self, timeout: Duration) -> Result<(), Undrained> {
        match ask(&Command::Drain { machine: self.target(), timeout: Some(timeout) }) {
            Reply::Undrained(left) => Err(left),
            _ => Ok(()),
        }
    }

    /// Takes a value through the slots, here and now: it is not queued, not counted, not published.
    ///
    /// # Errors
    /// If the machine is gone. What a slot fails on is told by [`Call::get`].
    pub fn call<T: Serialize + Send + 'static>(&self, value: T) -> Result<Call, Error> {
        CallHandle::new(self.id, value).map(Call).map_err(|reply| failure(decode(&reply)))
    }

    /// The machine's state now. As the last expression of a cell it is shown as a table, as the machine itself is.
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

    /// Whether it takes messages.
    pub fn running(&self) -> bool {
        self.status().running
    }

    /// Shows its status in the notebook, wherever it stands in a cell.
    pub fn display_status(&self) {
        crate::show::ShowAs::evcxr_display(&self.status());
    }

    /// How many slots it has.
    #[expect(clippy::len_without_is_empty, reason = "a machine without slots cannot be made")]
    pub fn len(&self) -> usize {
        self.status().slots.len()
    }

    /// The messages that slots failed on, newest first, as many as are kept.
    #[must_use]
    pub fn errors(&self) -> Errors {
        Errors::all(&self.target(), DeadLetterQuery::default(), &mut |command| Ok(ask(&command))).unwrap_or_default()
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
    decode(&raw::command(&encode(command)))
}

pub(crate) fn failure(reply: Reply) -> Error {
    reply.into_error()
}

fn done(reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Done | Reply::Warned(_) => Ok(()),
        other => Err(failure(other)),
    }
}

const _: () = assert!(!DEFAULT_MACHINE.is_empty());
