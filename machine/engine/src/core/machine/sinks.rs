//! Sinks on and off a machine.

use super::Machine;
use crate::core::command_error::failed;
use crate::core::hook::InSlot;
use crate::core::output::{Attached, Sink, next_id};
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long `stop` and the end of a sink wait until what is buffered is handed on.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a call that waits sleeps before it looks whether it should give up.
const LOOK_UP: Duration = Duration::from_millis(50);

fn state(attached: &Attached) -> SinkStatus {
    let held = attached.held.load(Ordering::Relaxed);
    let status = attached.sink.status();
    SinkStatus { id: attached.id, waiting: status.waiting + held, held, ..status }
}

impl Machine {
    /// Puts a sink on the machine; returns its number and state.
    pub fn attach(&self, sink: Arc<dyn Sink>) -> SinkStatus {
        let attached = Attached { id: next_id(), sink, held: Arc::default() };
        let added = attached.clone();
        self.edit_plan(|plan| {
            let mut all = plan.sinks.to_vec();
            all.push(added);
            // Stable: sinks of one kind stay in the order of their making.
            all.sort_by_key(|attached| (attached.sink.takes_values(), attached.sink.comes_last()));
            plan.sinks = all.into();
        });
        state(&attached)
    }

    /// Whether its outputs go to another machine, straight or by way of others.
    pub fn feeds(&self, machine: u32) -> bool {
        self.plan().sinks.iter().any(|next| next.sink.reaches(machine))
    }

    /// Changes how a sink works.
    ///
    /// # Errors
    /// If there is none of this number, or it cannot do that.
    pub fn configure_sink(&self, id: u64, config: &SinkConfig) -> Result<SinkStatus, Error> {
        let plan = self.plan();
        let Some(attached) = plan.sinks.iter().find(|attached| attached.id == id) else {
            let message = format!("{} has no output number {id}: it was taken off", self.config.name);
            return Err(failed(ErrorKind::NoSuchOutput, message));
        };
        attached.sink.configure(config)?;
        Ok(state(attached))
    }

    /// Takes one sink off the machine, or all; returns how many that were. What they have buffered is handed on.
    pub fn remove_sinks(&self, id: Option<u64>) -> u64 {
        let mut removed = Vec::new();
        self.edit_plan(|plan| {
            let goes = |attached: &Attached| id.map_or_else(|| attached.sink.is_cleared(), |id| attached.id == id);
            let (off, on): (Vec<_>, Vec<_>) = plan.sinks.iter().cloned().partition(goes);
            removed = off;
            plan.sinks = on.into();
        });
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        // All before the first one is waited for.
        for attached in &removed {
            attached.sink.close();
        }
        for attached in &removed {
            attached.sink.flush(deadline);
        }
        let count = removed.len() as u64;
        // A cell's own iterator goes with its handle: nobody asks any more.
        removed.into_iter().filter(|attached| attached.sink.is_cleared()).for_each(|attached| self.ended.add(attached));
        count
    }

    /// The state of one sink, also of one that was taken off.
    ///
    /// # Errors
    /// If there is none of this number among those on the machine and the last that were taken off.
    pub fn sink(&self, id: u64) -> Result<SinkStatus, Error> {
        let found = self.plan().sinks.iter().find(|attached| attached.id == id).cloned();
        found.or_else(|| self.ended.find(id)).as_ref().map(state).ok_or_else(|| {
            failed(
                ErrorKind::NoSuchOutput,
                format!("{} has no output number {id}, and had none of late", self.config.name),
            )
        })
    }

    /// The state of each sink.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.plan().sinks.iter().map(state).collect()
    }

    /// The state of each sink that was taken off, as far as they are remembered.
    pub fn ended_sinks(&self) -> Vec<SinkStatus> {
        self.ended.all().iter().map(state).collect()
    }

    /// Hands on what the sinks have buffered; returns when that is done, or at the deadline.
    pub fn flush_sinks(&self, deadline: Option<Instant>) {
        let deadline = deadline.unwrap_or_else(|| Instant::now() + CLOSE_TIMEOUT);
        for attached in self.plan().sinks.iter() {
            attached.sink.flush(deadline);
        }
    }

    /// Messages that were accepted will never be finished: they were discarded. Outputs in order do not wait for them:
    /// they go out with the next message that is through, or by `flush_withdrawn`.
    pub fn withdraw(&self, numbers: impl Iterator<Item = u64>) {
        if let Some(sequence) = &self.sequence {
            sequence.withdraw(numbers);
        }
    }

    /// Hands out what waited in order for withdrawn messages: on a separate thread, since that may wait for a sink.
    /// Returns when that is done, at the deadline, or when `cancel` says so.
    pub fn flush_withdrawn(&'static self, deadline: Option<Instant>, cancel: impl Fn() -> bool) {
        let Some(sequence) = self.sequence.as_ref().filter(|sequence| sequence.has_gone()) else { return };
        let (passes, passed) = mpsc::channel::<()>();
        let pass = move || {
            // What is left of their values is dropped there: destructors are user code.
            let _in_slot = InSlot::enter();
            sequence.flush_withdrawn();
            drop(passes);
        };
        // Without a thread it goes out with the next message that is through.
        let Ok(_) = std::thread::Builder::new().name(format!("{}/order", self.config.name)).spawn(pass) else { return };
        loop {
            let left =
                deadline.map_or(LOOK_UP, |deadline| deadline.saturating_duration_since(Instant::now()).min(LOOK_UP));
            let is_over = passed.recv_timeout(left) != Err(RecvTimeoutError::Timeout);
            if is_over || cancel() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return;
            }
        }
    }
}
