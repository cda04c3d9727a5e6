//! Outputs in the order of the messages' arrival, also with several workers.
//!
//! Each worker says of each message that it is finished, also while there is no sink: so the place of a message in
//! the order is known whenever the sinks change. A message whose turn it is goes out at once, from the worker's own
//! frame. One that is early is written, or its values are moved out, and it waits in the reorder buffer; the worker
//! that closes the gap hands it out. The lock is held meanwhile, so that the order holds at the sinks.

use super::finished::{Finished, Place};
use super::json::Rendering;
use super::order::Reorder;
use super::{Sinks, Want, hand_out};
use crate::blocked;
use crate::frame::Values;
use crate::machine::Machine;
use crate::oid::Oid;
use crate::visit::Missing;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many finished messages wait for their turn before workers wait too.
const MOST: usize = 4096;
/// How long a waiting worker sleeps before it looks whether it is needed elsewhere.
const LOOK_UP: Duration = Duration::from_millis(10);

/// A finished message that waits for its turn.
#[derive(Debug)]
struct Waiting {
    oid: Oid,
    sinks: Sinks,
    values: Option<Values>,
    missing: Vec<Missing>,
    rendering: Option<Rendering>,
}

impl Waiting {
    /// Hands it out.
    fn hand_out(&mut self, spare: &mut Rendering) {
        let is_rendered = self.rendering.is_some();
        let mut finished = Finished {
            oid: self.oid,
            place: Place::Values(&mut self.values),
            missing: &self.missing,
            rendering: self.rendering.as_mut().unwrap_or(spare),
            is_rendered,
            is_last: false,
        };
        hand_out(&self.sinks, &mut finished);
    }
}

#[derive(Debug, Default)]
struct State {
    reorder: Reorder<Waiting>,
    spare: Rendering,
}

/// The order of a machine's outputs.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    state: Mutex<State>,
    room: Condvar,
    /// How many messages have waited for their turn.
    reordered: AtomicU64,
    /// How many wait now.
    waiting: AtomicU64,
}

impl Sequence {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for a worker: who has the lock hands out, and may wait for a sink.
    fn lock_to_finish(&self) -> MutexGuard<'_, State> {
        if let Ok(state) = self.state.try_lock() {
            return state;
        }
        let _waiting = blocked::Waiting::begin();
        self.lock()
    }

    /// How many messages have waited for their turn, and how many do now.
    pub fn counts(&self) -> (u64, u64) {
        // Relaxed: read for display alone.
        (self.reordered.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }

    /// A message is through its slots.
    pub(super) fn finish(&self, machine: &Machine, sinks: &Sinks, mut finished: Finished<'_>, number: u64) {
        let wants = sinks.iter().map(|attached| attached.sink.wants()).max().unwrap_or(Want::Nothing);
        if wants == Want::Json {
            // Written before the lock: several workers write at the same time.
            finished.json();
        }
        let mut done = Vec::new();
        {
            let mut state = self.lock_to_finish();
            // A held queue, messages given back or flights that have landed may be what is waited for, and this worker
            // the one that they wait for: then the bound yields.
            let is_wanted = || machine.queue.wants_workers() || machine.flights.is_waiting();
            while state.reorder.len() >= MOST && state.reorder.next() != number && !is_wanted() {
                let _waiting = blocked::Waiting::begin();
                state = self.room.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
            }
            if state.reorder.next() == number {
                hand_out(sinks, &mut finished);
                state.reorder.pass();
                self.release(&mut state, &mut done);
            } else {
                let waiting = keep(finished, sinks, wants);
                state.reorder.insert(number, waiting);
                self.reordered.fetch_add(1, Ordering::Relaxed);
            }
            self.waiting.store(state.reorder.len() as u64, Ordering::Relaxed);
        }
        // What is left of their values is dropped here: destructors are user code.
        drop(done);
    }

    /// A message will never be finished: it was discarded.
    pub fn gone(&self, numbers: impl Iterator<Item = u64>) {
        let mut done = Vec::new();
        {
            let mut state = self.lock();
            numbers.for_each(|number| state.reorder.gone(number));
            self.release(&mut state, &mut done);
            self.waiting.store(state.reorder.len() as u64, Ordering::Relaxed);
        }
        drop(done);
    }

    fn release(&self, state: &mut State, done: &mut Vec<Waiting>) {
        while let Some(mut waiting) = state.reorder.pop() {
            waiting.hand_out(&mut state.spare);
            if waiting.values.is_some() {
                done.push(waiting);
            }
        }
        self.room.notify_all();
    }
}

/// What the sinks will need of it.
fn keep(mut finished: Finished<'_>, sinks: &Sinks, wants: Want) -> Waiting {
    let values = match &mut finished.place {
        Place::Frame(frame) if wants == Want::Values => Some(frame.take()),
        Place::Frame(_) | Place::Values(_) => None,
    };
    Waiting {
        oid: finished.oid,
        sinks: sinks.clone(),
        values,
        missing: finished.missing.to_vec(),
        rendering: finished.is_rendered.then(|| std::mem::take(finished.rendering)),
    }
}
