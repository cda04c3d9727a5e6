//! The bounded queue between producers and workers.
//!
//! Messages go through a ring without a lock. A worker claims up to 64 at once; a claimed message still counts as
//! waiting until its worker begins it, so the capacity is exact. A worker that has to stop gives back what it has
//! not begun; that goes before everything in the ring. The mutex is for those who sleep, and for changes of mode.

mod claim;
mod mode;
mod progress;
mod wait;

pub(crate) use claim::{Claim, Span};
pub(crate) use mode::{Control, Mode};
pub(crate) use progress::{STEPS, WorkerStats};

use super::raw::Message;
use super::ring::{Alone, Ring};
use super::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, register_fences};
use machine_protocol::command::Policy;
use std::collections::VecDeque;

/// The most messages that a worker claims at once.
pub(crate) const CLAIM: usize = 64;

/// The most workers of one machine.
pub(crate) const MAX_WORKERS: usize = 256;

/// Cells of the ring beyond the capacity, so that claims that are not read yet take no place from those who put. All
/// workers together claim no more than this ahead.
const SPARE: usize = MAX_WORKERS;

#[derive(Debug)]
pub(crate) struct Queue {
    ring: Ring<Message>,
    capacity: u64,
    /// How many messages may have been put in all, as far as somebody has looked: what has been begun or discarded,
    /// and the capacity. Only grows. Written by those who put, beside what workers read for each message.
    limit: Alone,
    /// `STEPS`, and one for each worker that there can be.
    all_progress: Box<[WorkerStats]>,
    /// How many of them have ever been used.
    used: AtomicUsize,
    /// How many workers there are to be, for the thread that claims.
    workers: AtomicUsize,
    policy: AtomicU8,
    pub refused: AtomicU64,
    /// Taken out unprocessed, for whatever reason.
    pub discarded: AtomicU64,
    /// Of these, the ones that made room for newer ones.
    pub dropped_oldest: AtomicU64,
    /// Begun, and given up before they were through.
    pub given_up: AtomicU64,
    /// Dropped instead of being accepted.
    pub dropped_newest: AtomicU64,
    control: Mutex<Control>,
    /// How many messages were given back and not claimed again.
    returned: AtomicUsize,
    /// Set while workers should give back what they have claimed.
    hold: AtomicBool,
    /// Workers asleep that nobody has told to wake, calls asleep for want of room, calls that wait for the end.
    asleep: AtomicUsize,
    blocked: AtomicUsize,
    awaited: AtomicUsize,
    not_empty: Condvar,
    not_full: Condvar,
    idle: Condvar,
    /// Workers that take no message before a flight is ready.
    stalled: AtomicUsize,
    ready: Condvar,
}

impl Queue {
    /// How much memory a queue of this capacity has once it was full, without what its messages allocate.
    pub const fn bytes(capacity: usize) -> usize {
        Ring::<Message>::bytes(capacity + SPARE)
    }

    /// `None` if there is not enough memory.
    pub fn new(capacity: usize, workers: usize, policy: Policy) -> Option<Self> {
        register_fences();
        Some(Self {
            ring: Ring::new(capacity + SPARE)?,
            capacity: capacity as u64,
            limit: Alone(AtomicU64::new(capacity as u64)),
            all_progress: std::iter::repeat_with(WorkerStats::default).take(MAX_WORKERS + 1).collect(),
            used: AtomicUsize::new(STEPS + 1),
            workers: AtomicUsize::new(workers),
            policy: AtomicU8::new(policy as u8),
            refused: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            dropped_oldest: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            dropped_newest: AtomicU64::new(0),
            control: Mutex::new(Control {
                mode: Mode::Stopped,
                wanted: workers,
                alive: 0,
                free: Vec::new(),
                resting: 0,
                woken: 0,
                returned: VecDeque::new(),
                looks: 0,
                lent: 0,
                clears: 0,
            }),
            returned: AtomicUsize::new(0),
            hold: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            idle: Condvar::new(),
            stalled: AtomicUsize::new(0),
            ready: Condvar::new(),
        })
    }

    /// What becomes of a message for which there is no room.
    pub fn policy(&self) -> Policy {
        // Relaxed: it carries nothing but itself.
        match self.policy.load(Ordering::Relaxed) {
            policy if policy == Policy::Block as u8 => Policy::Block,
            policy if policy == Policy::DropOldest as u8 => Policy::DropOldest,
            policy if policy == Policy::DropNewest as u8 => Policy::DropNewest,
            _ => Policy::Reject,
        }
    }

    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u8, Ordering::Relaxed);
        // Producers that wait for room check the policy again.
        self.wake_all();
    }

    /// Messages put and not refused.
    pub fn accepted(&self) -> u64 {
        self.ring.put()
    }

    /// How many messages were put after one, by its number.
    pub fn behind(&self, number: u64) -> u64 {
        self.accepted().saturating_sub(number + 1)
    }

    /// Messages that wait.
    pub fn size(&self) -> u64 {
        let gone = self.begun() + self.discarded.load(Ordering::Acquire);
        self.accepted().saturating_sub(gone)
    }

    /// How many more may be put after `put` messages in all.
    #[inline]
    fn room(&self, put: u64) -> u64 {
        // Relaxed: it only grows, so a stale value is only too careful, and then everything is counted anew.
        let limit = self.limit.0.load(Ordering::Relaxed);
        if put < limit {
            return limit - put;
        }
        let limit = self.begun() + self.discarded.load(Ordering::Acquire) + self.capacity;
        self.limit.0.fetch_max(limit, Ordering::Relaxed);
        limit.saturating_sub(put)
    }

    /// Puts up to `most` messages, as many as there is room for; `make` makes each of its number. Returns how many.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Machine::put_some`")]
    pub fn try_put(&self, most: u64, make: impl FnMut(u64) -> Message) -> u64 {
        let put = self.ring.push(most, |put| self.room(put), make);
        // SeqCst: the push before it and this load pair with the store and load in `sleep`: either the worker sees
        // the message, or this sees the worker asleep.
        if put > 0 && self.asleep.load(Ordering::SeqCst) > 0 {
            self.wake(put);
        }
        put
    }
}
