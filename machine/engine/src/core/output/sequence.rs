//! Outputs in the order of the messages' arrival, also with several workers.
//!
//! Each worker says of each message that it is finished, also while there is no sink: so the place of a message in
//! the order is known whenever the sinks change. A message whose turn it is goes out at once, from the worker's own
//! frame. One that is early waits in the reorder buffer, its values moved out; the worker that closes the gap hands it
//! out. The lock is held meanwhile, so that the order holds at the sinks. What a sink reads as JSON is written before
//! that, by each worker for its own message.
//!
//! A sink may make the dispatching thread wait. So discarded messages are recorded without that lock: who puts never
//! waits for a sink, and a thread that many machines share does not either.

use super::finished::{Finished, Location};
use super::json::Rendering;
use super::order::Reorder;
use super::{SinkDemand, Sinks, dispatch};
use crate::core::backpressure;
use crate::core::frame::Values;
use crate::core::oid::Oid;
use crate::core::slot_errors::MissingOutput;
use rangemap::RangeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
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
    missing: Vec<MissingOutput>,
    rendering: Option<Rendering>,
    /// The sinks that it is meant for, one bit each: they count it as held until they have it.
    meant: u64,
}

impl Waiting {
    /// Hands it out.
    fn dispatch(&mut self, spare: &mut Rendering) {
        let is_rendered = self.rendering.is_some();
        let mut finished = Finished {
            oid: self.oid,
            place: Location::Values(&mut self.values),
            missing: &self.missing,
            rendering: self.rendering.as_mut().unwrap_or(spare),
            is_rendered,
            is_last: false,
        };
        dispatch(&self.sinks, &mut finished);
        self.let_go();
    }

    /// Its sinks do not count it as held any more.
    fn let_go(&mut self) {
        for (at, attached) in self.sinks.iter().enumerate() {
            if self.meant & bit(at) != 0 {
                // Relaxed: read for display alone.
                attached.held.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.meant = 0;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The bit of a sink; those beyond the last bit are not counted.
fn bit(sink: usize) -> u64 {
    u32::try_from(sink).ok().and_then(|sink| 1_u64.checked_shl(sink)).unwrap_or_default()
}

#[derive(Debug, Default)]
struct SequenceState {
    reorder: Reorder<Waiting>,
    spare: Rendering,
}

/// The order of a machine's outputs.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    state: Mutex<SequenceState>,
    room: Condvar,
    /// Numbers that will never come and have not been told to `state`; whether there are any.
    withdraw: Mutex<RangeSet<u64>>,
    has_gone: AtomicBool,
    /// How many messages have waited for their turn.
    reordered: AtomicU64,
    /// How many wait now.
    waiting: AtomicU64,
}

impl Sequence {
    fn try_lock(&self) -> Option<MutexGuard<'_, SequenceState>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The lock for a worker: who has it hands out, and may wait for a sink.
    fn lock_to_finish(&self) -> MutexGuard<'_, SequenceState> {
        self.try_lock().unwrap_or_else(|| {
            let _waiting = backpressure::BackpressureGuard::begin();
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// Whether no message is to be begun, since more wait for their turn than may: flights that become ready go on all the same.
    pub fn is_full(&self) -> bool {
        // Relaxed: a message sooner or later makes no difference.
        self.waiting.load(Ordering::Relaxed) > MOST as u64
    }

    /// How many messages have waited for their turn, and how many do now.
    pub fn counts(&self) -> (u64, u64) {
        // Relaxed: read for display alone.
        (self.reordered.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }

    /// A message is through its slots, and is written if a sink will read that. `is_wanted` says whether this worker is
    /// needed elsewhere.
    pub(crate) fn finish(&self, sinks: &Sinks, mut finished: Finished<'_>, number: u64, is_wanted: impl Fn() -> bool) {
        let mut done = Vec::new();
        {
            let mut state = self.lock_to_finish();
            // A held queue, messages given back or flights that are ready may be what is waited for, and this worker
            // the one that they wait for: then the bound yields.
            self.release_gone(&mut state, &mut done);
            while state.reorder.len() >= MOST && state.reorder.next() != number && !is_wanted() {
                let _waiting = backpressure::BackpressureGuard::begin();
                state = self.room.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
                self.release_gone(&mut state, &mut done);
            }
            if state.reorder.next() == number {
                dispatch(sinks, &mut finished);
                state.reorder.pass();
                self.release(&mut state, &mut done);
            } else {
                let waiting = keep(finished, sinks);
                state.reorder.insert(number, waiting);
                self.reordered.fetch_add(1, Ordering::Relaxed);
            }
            self.waiting.store(state.reorder.len() as u64, Ordering::Relaxed);
        }
        // What is left of their values is dropped here: destructors are user code.
        drop(done);
        self.flush_withdrawn();
    }

    /// Messages will never be finished: they were discarded. Never waits for a sink: what waited for them goes out with
    /// the next message that is through, or by `flush_withdrawn`.
    pub fn withdraw(&self, numbers: impl Iterator<Item = u64>) {
        let mut withdraw = self.withdraw.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.for_each(|number| withdraw.insert(number..number + 1));
        self.has_gone.store(true, Ordering::Relaxed);
    }

    /// Whether numbers are withdrawn, and nobody hands out who will hear of them.
    pub fn has_gone(&self) -> bool {
        // As in `flush_withdrawn`.
        fence(Ordering::SeqCst);
        self.has_gone.load(Ordering::Relaxed) && self.try_lock().is_some()
    }

    /// Hands out what waited for withdrawn messages, unless somebody is handing out, who then does that.
    pub fn flush_withdrawn(&self) {
        loop {
            // Pairs with itself: either this one sees what is withdrawn, or the thread that recorded it finds the lock free.
            fence(Ordering::SeqCst);
            if !self.has_gone.load(Ordering::Relaxed) {
                return;
            }
            let Some(mut state) = self.try_lock() else { return };
            let mut done = Vec::new();
            self.release(&mut state, &mut done);
            self.waiting.store(state.reorder.len() as u64, Ordering::Relaxed);
            drop(state);
            drop(done);
        }
    }

    /// What waited for withdrawn messages goes out.
    fn release_gone(&self, state: &mut SequenceState, done: &mut Vec<Waiting>) {
        if self.has_gone.load(Ordering::Relaxed) {
            self.release(state, done);
        }
    }

    fn release(&self, state: &mut SequenceState, done: &mut Vec<Waiting>) {
        loop {
            if self.has_gone.swap(false, Ordering::Relaxed) {
                let withdraw = std::mem::take(&mut *self.withdraw.lock().unwrap_or_else(PoisonError::into_inner));
                state.reorder.withdraw(withdraw);
            }
            let Some(mut waiting) = state.reorder.pop() else { break };
            waiting.dispatch(&mut state.spare);
            if waiting.values.is_some() {
                done.push(waiting);
            }
        }
        self.room.notify_all();
    }
}

/// What the sinks will need of it.
fn keep(mut finished: Finished<'_>, sinks: &Sinks) -> Waiting {
    let (mut takes_values, mut meant) = (false, 0);
    for (at, attached) in sinks.iter().enumerate() {
        let wants = attached.sink.wants();
        takes_values |= wants == SinkDemand::Values;
        if wants != SinkDemand::Nothing {
            meant |= bit(at);
            // Relaxed: as in `let_go`.
            attached.held.fetch_add(u64::from(bit(at) != 0), Ordering::Relaxed);
        }
    }
    let values = match &mut finished.place {
        Location::Frame(frame) if takes_values => Some(frame.take()),
        Location::Frame(_) | Location::Values(_) => None,
    };
    Waiting {
        oid: finished.oid,
        sinks: sinks.clone(),
        values,
        missing: finished.missing.to_vec(),
        rendering: finished.is_rendered.then(|| std::mem::take(finished.rendering)),
        meant,
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    /// `drain` looks again and again while the dispatching thread is with a sink that takes nothing.
    #[test]
    fn nobody_is_sent_to_hand_out_while_somebody_does() {
        let sequence = Sequence::default();
        assert!(!sequence.has_gone());
        let handing_out = sequence.lock_to_finish();
        sequence.withdraw(0..3);
        assert!(!sequence.has_gone());
        drop(handing_out);
        assert!(sequence.has_gone());
        sequence.flush_withdrawn();
        assert!(!sequence.has_gone());
    }
}
