//! Whether workers take messages, how many of them there are, and how they are held.

use super::super::raw::Message;
use super::super::sync::{MutexGuard, Ordering};
use super::{Queue, STEPS};
use std::collections::VecDeque;
use std::sync::PoisonError;

/// Whether workers take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    Paused,
    Stopped,
}

/// What the mutex protects.
#[derive(Debug)]
pub(crate) struct Control {
    pub mode: Mode,
    /// How many workers there are to be while the machine does not stand.
    pub wanted: usize,
    /// Worker threads that have not ended.
    pub alive: usize,
    /// Numbers of workers that have ended, to be given to the next ones.
    pub(super) free: Vec<usize>,
    /// Of these, the ones that hold no message because of the mode.
    pub resting: usize,
    /// Workers that were told to wake and have not yet woken.
    pub(super) woken: usize,
    /// Messages that workers gave back, in order.
    pub(super) returned: VecDeque<Message>,
    /// How many look at what waits, or take it out.
    pub(super) looks: usize,
    /// How many messages that wait are lent to those, and have not been discarded.
    pub(super) lent: u64,
    /// How many times what waits was discarded.
    pub(super) clears: u64,
}

impl Queue {
    /// No user code runs under this lock.
    pub fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether workers should give back what they have claimed.
    #[inline]
    pub fn is_paused(&self) -> bool {
        // Relaxed: seen at the next message at the latest; the lock in `give_back` orders the rest.
        self.hold.load(Ordering::Relaxed)
    }

    /// Whether a worker that waits for other messages to finish should go on all the same: the queue is held, or
    /// messages were given back, and what it waits for may be among those.
    pub fn wants_workers(&self) -> bool {
        self.is_paused() || self.returned.load(Ordering::Acquire) > 0
    }

    /// How many workers there are to be.
    pub fn workers(&self) -> usize {
        // Relaxed: it carries nothing but itself.
        self.workers.load(Ordering::Relaxed)
    }

    /// Changes the mode.
    pub fn set_mode(&self, control: &mut Control, mode: Mode) {
        control.mode = mode;
        self.hold_if_due(control);
    }

    /// Changes how many workers there are to be; those that are too many end.
    pub fn set_workers(&self, control: &mut Control, workers: usize) {
        control.wanted = workers;
        self.workers.store(workers, Ordering::Relaxed);
        self.hold_if_due(control);
    }

    /// While the queue is held, each worker parks after its message.
    fn hold_if_due(&self, control: &Control) {
        let due = control.mode != Mode::Running || control.alive > control.wanted || control.looks > 0;
        self.hold.store(due, Ordering::Relaxed);
    }

    /// No worker takes a message until `end_look`.
    pub fn begin_peek(&self) {
        let mut control = self.control();
        control.looks += 1;
        self.hold_if_due(&control);
    }

    /// Workers go on.
    pub fn end_look(&self) {
        let mut control = self.control();
        control.looks -= 1;
        self.hold_if_due(&control);
        drop(control);
        self.wake_all();
    }

    /// A number for one more worker, if one is wanted.
    pub fn spawn_worker(&self, control: &mut Control) -> Option<usize> {
        if control.mode == Mode::Stopped || control.alive >= control.wanted {
            return None;
        }
        // Workers that have not ended have the numbers below, but for the free ones.
        let index = control.free.pop().unwrap_or(STEPS + 1 + control.alive);
        control.alive += 1;
        // Release: pairs with the Acquire in `progress`.
        self.used.fetch_max(index + 1, Ordering::Release);
        Some(index)
    }

    /// A worker has ended, or never began.
    pub fn retire_worker(&self, control: &mut Control, index: usize) {
        control.alive -= 1;
        control.free.push(index);
        self.hold_if_due(control);
        self.idle.notify_all();
    }

    /// A worker holds until the machine runs and nobody looks (true), or until it is stopped or has too many workers
    /// (false: its thread ends).
    pub fn park(&self, index: usize) -> bool {
        let mut control = self.control();
        control.resting += 1;
        self.idle.notify_all();
        let waits = |control: &Control| match control.mode {
            Mode::Running => control.looks > 0,
            Mode::Paused => true,
            Mode::Stopped => false,
        };
        while waits(&control) && control.alive <= control.wanted {
            control = self.not_empty.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        control.resting -= 1;
        let ends = control.mode == Mode::Stopped || control.alive > control.wanted;
        if ends {
            self.retire_worker(&mut control, index);
        }
        !ends
    }
}
