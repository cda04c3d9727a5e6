//! One slot of a machine.

use super::{ask, decode, done};
use crate::abi::SlotDesc;
use crate::shim::raw;
use crate::slot::Slot;
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply, Setting, SourceLocation, Target};
use std::panic::Location;
use std::time::Duration;

/// One slot of a machine: `MACHINE[3]`.
#[derive(Clone, Copy)]
pub struct SlotRef {
    pub(super) machine: u32,
    pub(super) slot: u32,
}

impl SlotRef {
    /// Puts a function in the slot, at once, between two messages.
    ///
    /// If types do not fit (`f3 takes &Tweet, but f2 gives f64`), that is told on standard error and in
    /// [`SlotStatus::mismatch`](machine_protocol::status::SlotStatus::mismatch), and messages fail there until one of the two
    /// slots changes.
    ///
    /// # Errors
    /// If the machine has no such slot, or the function takes more arguments than there are outputs before it.
    #[track_caller]
    pub fn set<S, F: Slot<S>>(&self, function: F) -> Result<(), Error> {
        let place = Location::caller();
        let origin =
            SourceLocation { code: String::new(), cell: 0, place: format!("{}:{}", place.file(), place.line()) };
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
    pub fn set_from<S, F: Slot<S>>(&self, function: F, origin: &SourceLocation) -> Result<Option<String>, Error> {
        self.set_erased(function.erase(), origin)
    }

    /// Not generic, so that cells do not compile it again.
    pub(crate) fn set_erased(self, function: SlotDesc, origin: &SourceLocation) -> Result<Option<String>, Error> {
        let origin = origin.to_json();
        match decode(&raw::assign(self.machine, self.slot, function, &origin)) {
            Reply::Warned(warning) => Ok(Some(warning)),
            reply => done(reply).map(|()| None),
        }
    }

    /// How long a call may take, from its beginning; zero for as long as it likes. Stays when the function changes, and
    /// also holds for calls that run.
    ///
    /// A future that takes longer is dropped. A plain function cannot be stopped: it counts as failed once it has
    /// returned, and what it gave is dropped.
    ///
    /// # Errors
    /// If the machine has no such slot.
    pub fn timeout(&self, timeout: Duration) -> Result<&Self, Error> {
        self.apply(Setting::Timeout(timeout))
    }

    /// How often the slot is called again, with the same arguments, after an `Err`, a panic or a timeout, before that
    /// counts as its error; 0 for not at all. Stays when the function changes.
    ///
    /// It waits `backoff` before the first call again, twice as long before each following one, at most 30 seconds.
    /// Other messages go on meanwhile.
    ///
    /// # Errors
    /// If the machine has no such slot.
    pub fn retry(&self, times: u32, backoff: Duration) -> Result<&Self, Error> {
        self.apply(Setting::Retry { times, backoff })
    }

    /// How many messages may be in the slot at once, over all workers and futures; 0 for as many as like. Others wait
    /// before the slot, in order. Stays when the function changes.
    ///
    /// # Errors
    /// If the machine has no such slot.
    pub fn concurrency(&self, messages: usize) -> Result<&Self, Error> {
        self.apply(Setting::Concurrency(messages))
    }

    fn apply(&self, setting: Setting) -> Result<&Self, Error> {
        done(ask(&Command::Set { machine: Target::Id(self.machine), slot: self.slot, setting })).map(|()| self)
    }

    /// Empties the slot: it passes the previous output through.
    ///
    /// # Errors
    /// If the machine has no such slot.
    pub fn clear(&self) -> Result<(), Error> {
        match ask(&Command::ClearSlot { machine: Target::Id(self.machine), slot: self.slot }) {
            Reply::Warned(warning) => warn(&warning),
            reply => return done(reply),
        }
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "the only place for a warning that is no error")]
pub(crate) fn warn(warning: &str) {
    eprintln!("warning: {warning}");
}
