//! The bounded queue between whoever puts and the workers.
//!
//! A ring behind a mutex: a worker claims up to 64 messages under one lock, so the lock is all but uncontended.
//! A claimed message still counts as waiting until its worker begins it, so the capacity is exact.

use crate::oid::Oid;
use crate::raw::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most messages that a worker claims at once.
pub(crate) const CLAIM: usize = 64;

/// How long a waiting call sleeps before it looks whether the user has interrupted it.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Whether workers take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    Paused,
    Stopped,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub messages: VecDeque<Message>,
    pub mode: Mode,
    pub capacity: usize,
    /// Messages that were put and not refused.
    pub accepted: u64,
    pub refused: u64,
    pub discarded: u64,
    /// Messages claimed by workers and not returned, in all.
    pub claimed: u64,
    /// Workers that hold claimed messages.
    pub active: usize,
    /// Worker threads that have not ended.
    pub alive: usize,
    /// Workers asleep for want of messages.
    asleep: usize,
    /// Calls asleep for want of room.
    blocked: usize,
}

/// Counts of one worker. Only that worker writes; anyone reads.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Messages that it has begun.
    pub begun: AtomicU64,
    /// Messages that it has finished.
    pub done: AtomicU64,
    /// Of these, the ones with at least one error.
    pub errored: AtomicU64,
    /// The last one: seconds in the upper half, counter in the lower.
    pub last_oid: AtomicU64,
    /// When it finished its last claim, milliseconds since 1970.
    pub last_millis: AtomicU64,
}

impl Progress {
    /// A message is through.
    #[inline]
    pub fn finish(&self, oid: Oid) {
        // Relaxed: read for display alone.
        self.last_oid.store((u64::from(oid.seconds) << 32) | u64::from(oid.counter), Ordering::Relaxed);
        // Release: whoever sees this message done sees its errors counted.
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// How many messages wait, for those who only want to know whether to look.
    len: AtomicUsize,
    /// Set while workers shall give back what they have claimed.
    pub hold: std::sync::atomic::AtomicBool,
    not_empty: Condvar,
    not_full: Condvar,
    idle: Condvar,
}

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                messages: VecDeque::new(),
                mode: Mode::Stopped,
                capacity,
                accepted: 0,
                refused: 0,
                discarded: 0,
                claimed: 0,
                active: 0,
                alive: 0,
                asleep: 0,
                blocked: 0,
            }),
            len: AtomicUsize::new(0),
            hold: std::sync::atomic::AtomicBool::new(false),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            idle: Condvar::new(),
        }
    }

    /// No user code runs under this lock, so it is never poisoned by it.
    pub fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for one message; returns `None` if `give_up` says so.
    pub fn wait_for_room<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        progress: &[Progress],
        give_up: impl Fn() -> bool,
    ) -> Option<MutexGuard<'a, Waiting>> {
        while !waiting.has_room(progress) {
            if give_up() {
                return None;
            }
            waiting.blocked += 1;
            waiting = self.not_full.wait_timeout(waiting, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
            waiting.blocked -= 1;
        }
        Some(waiting)
    }

    /// Adds a message; the caller has made sure that there is room. `wake` afterwards, without the lock.
    #[inline]
    pub fn push(&self, waiting: &mut Waiting, message: Message) {
        waiting.accepted += 1;
        waiting.messages.push_back(message);
        self.note(waiting);
    }

    #[inline]
    fn note(&self, waiting: &Waiting) {
        // Relaxed: a hint; who acts on it takes the lock.
        self.len.store(waiting.messages.len(), Ordering::Relaxed);
    }

    /// Unlocks, and wakes a worker if one sleeps.
    #[inline]
    pub fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let asleep = waiting.asleep > 0;
        drop(waiting);
        if asleep {
            self.not_empty.notify_one();
        }
    }

    /// Lets everyone look again: workers, blocked calls, those who wait for the end.
    pub fn wake_all(&self) {
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.idle.notify_all();
    }

    /// A worker takes up to `most` messages; it returns with none when the mode is no longer `Running`.
    pub fn claim(&self, into: &mut Vec<Message>, most: usize, workers: usize, progress: &[Progress]) {
        let mut waiting = self.lock();
        waiting.active = waiting.active.saturating_sub(1);
        if waiting.active == 0 {
            self.idle.notify_all();
        }
        let mut spun = false;
        while waiting.mode == Mode::Running && waiting.messages.is_empty() {
            self.unblock(&waiting, progress);
            if !spun {
                drop(waiting);
                self.spin();
                spun = true;
                waiting = self.lock();
                continue;
            }
            waiting.asleep += 1;
            waiting = self.not_empty.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.asleep -= 1;
        }
        // Also a worker that finds itself held counts as active until it says `rest`, so that one rule serves both.
        waiting.active += 1;
        if waiting.mode == Mode::Running {
            let share = waiting.messages.len().div_ceil(workers.max(1));
            let count = share.min(most).max(1).min(waiting.messages.len());
            into.extend(waiting.messages.drain(..count));
            waiting.claimed += count as u64;
            self.note(&waiting);
            self.unblock(&waiting, progress);
        }
    }

    /// A worker gives back what it has not begun, in order.
    pub fn give_back(&self, messages: impl DoubleEndedIterator<Item = Message>) {
        let mut waiting = self.lock();
        for message in messages.rev() {
            waiting.messages.push_front(message);
            waiting.claimed -= 1;
        }
        self.note(&waiting);
        self.wake(waiting);
    }

    /// A worker holds until the mode is `Running` again (true) or `Stopped` (false: its thread ends).
    pub fn rest(&self) -> bool {
        let mut waiting = self.lock();
        waiting.active = waiting.active.saturating_sub(1);
        self.idle.notify_all();
        while waiting.mode == Mode::Paused {
            waiting = self.not_empty.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.mode == Mode::Stopped {
            waiting.alive -= 1;
            self.idle.notify_all();
            return false;
        }
        waiting.active += 1;
        true
    }

    /// Waits until `until` holds, looking again whenever a worker becomes idle. Returns whether it holds.
    pub fn wait_idle(
        &self,
        deadline: Option<std::time::Instant>,
        give_up: impl Fn() -> bool,
        until: impl Fn(&Waiting) -> bool,
    ) -> bool {
        let mut waiting = self.lock();
        while !until(&waiting) {
            let now = std::time::Instant::now();
            let left = deadline.map_or(LOOK_UP, |deadline| deadline.saturating_duration_since(now).min(LOOK_UP));
            if left.is_zero() || give_up() {
                return false;
            }
            waiting = self.idle.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Wakes blocked producers once there is a good stretch of room, so that they do not wake for each message.
    fn unblock(&self, waiting: &Waiting, progress: &[Progress]) {
        if waiting.blocked > 0 && waiting.size(progress) <= waiting.capacity / 2 {
            self.not_full.notify_all();
        }
    }

    /// Looks for a message for some microseconds before the thread goes to sleep: waking it costs more.
    fn spin(&self) {
        for _ in 0..SPINS {
            if self.len.load(Ordering::Relaxed) > 0 {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

/// Turns of the spin before sleep: some 10–20 µs.
const SPINS: u32 = 500;

impl Waiting {
    /// Messages that wait: in the ring, and claimed but not begun.
    pub fn size(&self, progress: &[Progress]) -> usize {
        let begun: u64 = progress.iter().map(|worker| worker.begun.load(Ordering::Acquire)).sum();
        self.messages.len() + usize::try_from(self.claimed.saturating_sub(begun)).unwrap_or(0)
    }

    #[inline]
    fn has_room(&self, progress: &[Progress]) -> bool {
        self.messages.len() + self.active * CLAIM < self.capacity || self.size(progress) < self.capacity
    }

    /// Whether there is room for one more message.
    #[inline]
    pub fn room(&self, progress: &[Progress]) -> bool {
        self.has_room(progress)
    }
}
