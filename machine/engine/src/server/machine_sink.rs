//! The output of a slot becomes a message of another machine.

use crate::core::command_error::failed;
use crate::core::interrupt::interrupted_here;
use crate::core::machine::Machine;
use crate::core::output::{Finished, Sink, SinkDemand};
use machine::abi::{Put, PutWait};
use machine_protocol::command::{Policy, SinkConfig, WhenFull};
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A chain to another machine.
#[derive(Debug)]
pub(crate) struct Chain {
    to: &'static Machine,
    slot: usize,
    /// What does not fit is lost instead of waited for.
    drops: AtomicBool,
    sent: AtomicU64,
    lost: AtomicU64,
    is_closed: AtomicBool,
    /// What went wrong last.
    error: Mutex<String>,
}

impl Chain {
    pub fn new(to: &'static Machine, slot: usize, when_full: WhenFull) -> Self {
        Self {
            to,
            slot,
            drops: AtomicBool::new(when_full == WhenFull::Lose),
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            error: Mutex::default(),
        }
    }

    fn error(&self) -> MutexGuard<'_, String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Chain {
    fn wants(&self) -> SinkDemand {
        SinkDemand::Values
    }

    fn reads_json(&self, message: &mut Finished<'_>, is_last: bool) -> bool {
        !is_last && !message.is_copied(self.slot)
    }

    fn accept(&self, message: &mut Finished<'_>) {
        // What a machine does with what it has no room for is its policy; one that would let us wait is not asked long.
        let patience = match (self.drops.load(Ordering::Relaxed), self.to.queue().policy()) {
            (false, _) => PutWait::FOREVER,
            (true, Policy::Block) => PutWait(1),
            (true, _) => PutWait::POLICY,
        };
        // A cell hands on what it steps or tries again; interrupted, it waits no longer.
        let cancel =
            || self.is_closed.load(Ordering::Relaxed) || self.drops.load(Ordering::Relaxed) || interrupted_here();
        let count = match message.put(self.slot, self.to, patience, cancel) {
            // The slot gave nothing for this message; its error is told where it happened.
            None => return,
            Some(Ok(Put::Accepted)) => &self.sent,
            Some(Ok(_)) => &self.lost,
            Some(Err(why)) => {
                *self.error() = format!("what f{} gave cannot be written: {why}", self.slot);
                &self.lost
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn status(&self) -> SinkStatus {
        SinkStatus {
            kind: SinkKind::To,
            endpoint: format!("f{} to {}", self.slot, self.to.config().name),
            sent: self.sent.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            error: self.error().clone(),
            ..SinkStatus::default()
        }
    }

    fn configure(&self, config: &SinkConfig) -> Result<(), Error> {
        let SinkConfig::To { when_full, .. } = config else {
            return Err(failed(ErrorKind::WrongSink, "this output goes to another machine"));
        };
        self.drops.store(*when_full == WhenFull::Lose, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&self, _deadline: Instant) {}

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn reaches(&self, machine: u32) -> bool {
        self.to.number() == machine || self.to.feeds(machine)
    }
}
