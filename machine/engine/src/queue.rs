//! The bounded queue between whoever puts and the workers.
//!
//! Messages go through a ring without a lock. A worker claims up to 64 at once; a claimed message still counts as
//! waiting until its worker begins it, so the capacity is exact. A worker that has to stop gives back what it has
//! not begun; that goes before everything in the ring. The mutex is for those who sleep, and for changes of mode.

use crate::oid::Oid;
use crate::raw::{InPlace, Message};
use crate::ring::{Claimed, Ring};
use crate::sync::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Condvar, LOOKS, Mutex, MutexGuard, Ordering, TURNS, fence, spin,
};
use machine::command::Policy;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The most messages that a worker claims at once.
pub(crate) const CLAIM: usize = 64;
/// The most workers of one machine.
pub(crate) const MAX_WORKERS: usize = 256;
/// Cells of the ring beyond the capacity, so that claims that are not read yet take no place from those who put. All
/// workers together claim no more than this ahead.
const SPARE: usize = MAX_WORKERS;
/// Whose counts `step` adds to; workers have the numbers after it.
pub(crate) const STEPS: usize = 0;
/// How long a waiting call sleeps before it looks whether it shall give up.
const LOOK_UP: Duration = Duration::from_millis(50);
fn wait_a_little() {
    for _ in 0..TURNS {
        spin();
    }
}

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
    free: Vec<usize>,
    /// Of these, the ones that hold no message because of the mode.
    pub resting: usize,
    /// Workers that were told to wake and have not yet woken.
    woken: usize,
    /// Messages that workers gave back, in order.
    returned: VecDeque<Message>,
    /// Somebody looks at what waits.
    looked_at: bool,
}

/// Counts of one worker. Only that worker writes; anyone reads.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Messages that it has begun.
    pub begun: AtomicU64,
    /// Messages that it has finished.
    pub done: AtomicU64,
    /// Of these, the ones that were flights.
    pub flown: AtomicU64,
    /// Of these, the ones with at least one error.
    pub errored: AtomicU64,
    /// The last one of the last claim: seconds in the upper half, counter in the lower.
    pub last_oid: AtomicU64,
    /// When it finished its last claim, milliseconds since 1970.
    pub last_millis: AtomicU64,
}

impl Progress {
    /// The last message of a claim, and when that ended.
    pub fn note_last(&self, oid: Oid, millis: u64) {
        // Relaxed: read for display alone.
        self.last_oid.store((u64::from(oid.seconds) << 32) | u64::from(oid.counter), Ordering::Relaxed);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Messages done that were no flights.
    pub fn straight(&self) -> u64 {
        let done = self.done.load(Ordering::Acquire);
        done.saturating_sub(self.flown.load(Ordering::Acquire))
    }

    /// A message is through.
    #[inline]
    pub fn finish(&self) {
        // Release: whoever sees this message done sees its errors counted.
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// What a worker has claimed.
#[derive(Debug)]
pub(crate) enum Claim<'q> {
    /// It has to look after its slots, or to rest.
    Nothing,
    /// Messages that are still in their cells.
    Ring(Claimed<'q, Message>),
    /// Messages that another claim gave back.
    Returned(VecDeque<Message>),
}

impl Claim<'_> {
    /// How many are left.
    #[inline]
    pub fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Ring(claimed) => claimed.len(),
            Self::Returned(messages) => messages.len() as u64,
        }
    }
}

impl Claim<'_> {
    /// Gives the next message to `f` where it lies; `f` moves it out.
    #[inline]
    pub fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        match self {
            Self::Nothing => None,
            Self::Ring(claimed) => claimed.next_in_place(|message| f(InPlace::new(message))),
            Self::Returned(messages) => {
                messages.pop_front().map(|message| f(InPlace::new(&ManuallyDrop::new(message))))
            }
        }
    }
}

impl Iterator for Claim<'_> {
    type Item = Message;

    #[inline]
    fn next(&mut self) -> Option<Message> {
        match self {
            Self::Nothing => None,
            Self::Ring(claimed) => claimed.next(),
            Self::Returned(messages) => messages.pop_front(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    ring: Ring<Message>,
    capacity: u64,
    /// How many messages may have been put in all, as far as somebody has looked: what has been begun or discarded,
    /// and the capacity. Only grows.
    limit: AtomicU64,
    /// `STEPS`, and one for each worker that there can be.
    all_progress: Box<[Progress]>,
    /// How many of them have ever been used.
    used: AtomicUsize,
    /// How many workers there are to be, for whoever claims.
    workers: AtomicUsize,
    policy: AtomicU8,
    pub refused: AtomicU64,
    /// Taken out unprocessed, for whatever reason.
    pub discarded: AtomicU64,
    /// Of these, the ones that made room for newer ones.
    pub dropped_oldest: AtomicU64,
    /// Dropped instead of being accepted.
    pub dropped_newest: AtomicU64,
    control: Mutex<Control>,
    /// How many messages were given back and not claimed again.
    returned: AtomicUsize,
    /// Set while workers shall give back what they have claimed.
    hold: AtomicBool,
    /// Workers asleep that nobody has told to wake, calls asleep for want of room, calls that wait for the end.
    asleep: AtomicUsize,
    blocked: AtomicUsize,
    awaited: AtomicUsize,
    not_empty: Condvar,
    not_full: Condvar,
    idle: Condvar,
    /// Workers that take no message before a flight has landed.
    grounded: AtomicUsize,
    landed: Condvar,
}

impl Queue {
    pub fn new(capacity: usize, workers: usize, policy: Policy) -> Self {
        Self {
            ring: Ring::new(capacity + SPARE),
            capacity: capacity as u64,
            limit: AtomicU64::new(capacity as u64),
            all_progress: std::iter::repeat_with(Progress::default).take(MAX_WORKERS + 1).collect(),
            used: AtomicUsize::new(STEPS + 1),
            workers: AtomicUsize::new(workers),
            policy: AtomicU8::new(policy as u8),
            refused: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            dropped_oldest: AtomicU64::new(0),
            dropped_newest: AtomicU64::new(0),
            control: Mutex::new(Control {
                mode: Mode::Stopped,
                wanted: workers,
                alive: 0,
                free: Vec::new(),
                resting: 0,
                woken: 0,
                returned: VecDeque::new(),
                looked_at: false,
            }),
            returned: AtomicUsize::new(0),
            hold: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            idle: Condvar::new(),
            grounded: AtomicUsize::new(0),
            landed: Condvar::new(),
        }
    }

    /// No user code runs under this lock.
    pub fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts of `step`, and of all workers that there have ever been.
    pub fn progress(&self) -> &[Progress] {
        // Acquire: pairs with the Release in `hire`.
        self.all_progress.get(..self.used.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// The counts of one worker.
    pub fn progress_of(&self, index: usize) -> Option<&Progress> {
        self.all_progress.get(index)
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
        // Whoever waits for room asks again what to do.
        self.wake_all();
    }

    /// Messages put and not refused.
    pub fn accepted(&self) -> u64 {
        self.ring.put()
    }

    /// Messages begun, by all workers.
    pub fn begun(&self) -> u64 {
        // Acquire: pairs with the Release of the worker.
        self.progress().iter().map(|worker| worker.begun.load(Ordering::Acquire)).sum()
    }

    /// Messages done, by all workers.
    pub fn done(&self) -> u64 {
        // Acquire: pairs with the Release in `finish`.
        self.progress().iter().map(|worker| worker.done.load(Ordering::Acquire)).sum()
    }

    /// How many workers there are to be.
    pub fn workers(&self) -> usize {
        // Relaxed: it carries nothing but itself.
        self.workers.load(Ordering::Relaxed)
    }

    /// How much room is worth going on for.
    fn stretch(&self) -> u64 {
        (self.capacity / 4).clamp(1, 256)
    }

    fn size(&self) -> u64 {
        let gone = self.begun() + self.discarded.load(Ordering::Acquire);
        self.accepted().saturating_sub(gone)
    }

    /// How many more may be put after `put` messages in all.
    #[inline]
    fn room(&self, put: u64) -> u64 {
        // Relaxed: it only grows, so a stale value is only too careful, and then everything is counted anew.
        let limit = self.limit.load(Ordering::Relaxed);
        if put < limit {
            return limit - put;
        }
        let limit = self.begun() + self.discarded.load(Ordering::Acquire) + self.capacity;
        self.limit.fetch_max(limit, Ordering::Relaxed);
        limit.saturating_sub(put)
    }

    /// Puts up to `most` messages, as many as there is room for; `make` makes each of its number. Returns how many.
    #[inline]
    pub fn try_put(&self, most: u64, make: impl FnMut(u64) -> Message) -> u64 {
        let put = self.ring.push(most, |put| self.room(put), make);
        // SeqCst: the push before it and this load pair with the store and load in `sleep`: either the worker sees
        // the message, or this sees the worker asleep.
        if put > 0 && self.asleep.load(Ordering::SeqCst) > 0 {
            self.wake(put);
        }
        put
    }

    #[cold]
    fn wake(&self, messages: u64) {
        // With the lock, so that a worker between its last look and its sleep is not missed. A worker that is being
        // woken does not count as asleep any more: it takes microseconds, and one call of the system is enough.
        let mut control = self.control();
        let asleep = self.asleep.load(Ordering::SeqCst);
        for _ in 0..asleep.min(usize::try_from(messages).unwrap_or(usize::MAX)) {
            self.asleep.fetch_sub(1, Ordering::SeqCst);
            control.woken += 1;
            self.not_empty.notify_one();
        }
    }

    /// Waits until there is room; false if the time is up or `give_up` says so first.
    pub fn wait_for_room(&self, deadline: Option<Instant>, give_up: impl Fn() -> bool) -> bool {
        // A full queue is waited for until there is a good stretch of room: to go on with each place that comes free
        // would be one exchange between the two threads for each message.
        if give_up() {
            return false;
        }
        for _ in 0..LOOKS {
            wait_a_little();
            if self.size() + self.stretch() <= self.capacity {
                return true;
            }
        }
        let mut control = self.control();
        loop {
            self.blocked.fetch_add(1, Ordering::SeqCst);
            // Room is looked for after `blocked` is set; a worker that misses it is made up for by `LOOK_UP`.
            let room = self.room(self.ring.put()) > 0;
            let left =
                deadline.map_or(LOOK_UP, |deadline| deadline.saturating_duration_since(Instant::now()).min(LOOK_UP));
            if !room && !left.is_zero() {
                control = self.not_full.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            self.blocked.fetch_sub(1, Ordering::SeqCst);
            if room || self.room(self.ring.put()) > 0 {
                return true;
            }
            if left.is_zero() || give_up() {
                return false;
            }
        }
    }

    /// Whether workers shall give back what they have claimed.
    #[inline]
    pub fn held(&self) -> bool {
        // Relaxed: seen at the next message at the latest; the lock in `give_back` orders the rest.
        self.hold.load(Ordering::Relaxed)
    }

    /// Whether a message waits that nobody has claimed.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.ring.is_ready()
    }

    /// Whether a worker that waits for other messages to finish shall go on all the same: the queue is held, or
    /// messages were given back, and what it waits for may be among those.
    pub fn wants_workers(&self) -> bool {
        self.held() || self.returned.load(Ordering::Acquire) > 0
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

    /// While the queue is held, each worker comes to `rest` after its message.
    fn hold_if_due(&self, control: &Control) {
        let due = control.mode != Mode::Running || control.alive > control.wanted || control.looked_at;
        self.hold.store(due, Ordering::Relaxed);
    }

    /// No worker takes a message until `end_look`; one at a time.
    pub fn begin_look(&self) {
        let mut control = self.control();
        control.looked_at = true;
        self.hold_if_due(&control);
    }

    /// Workers go on.
    pub fn end_look(&self) {
        let mut control = self.control();
        control.looked_at = false;
        self.hold_if_due(&control);
        drop(control);
        self.wake_all();
    }

    /// A number for one more worker, if one is wanted.
    pub fn hire(&self, control: &mut Control) -> Option<usize> {
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
    pub fn dismiss(&self, control: &mut Control, index: usize) {
        control.alive -= 1;
        control.free.push(index);
        self.hold_if_due(control);
        self.idle.notify_all();
    }

    /// Lets everyone look again: workers, blocked calls, those who wait for the end.
    pub fn wake_all(&self) {
        drop(self.control());
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.idle.notify_all();
        self.landed.notify_all();
    }

    /// A flight can go on, or there is a place for one more: a worker that sleeps looks after it.
    pub fn call_worker(&self) {
        // SeqCst: what the worker looks for was set before; pairs with the counts in `sleep` and `wait_landing`.
        if self.asleep.load(Ordering::SeqCst) > 0 {
            self.wake(1);
        }
        if self.grounded.load(Ordering::SeqCst) > 0 {
            drop(self.control());
            self.landed.notify_one();
        }
    }

    /// A worker that may take no message waits until `until` holds or the queue is held.
    pub fn wait_landing(&self, until: impl Fn() -> bool) {
        // As in `claim`: what this worker has begun has made room.
        fence(Ordering::SeqCst);
        self.unblock();
        let mut control = self.control();
        self.grounded.fetch_add(1, Ordering::SeqCst);
        while !self.held() && !until() {
            control = self.landed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        self.grounded.fetch_sub(1, Ordering::SeqCst);
    }

    /// A worker takes up to `most` messages, and waits for one. Takes none if the queue is held, or if the worker's
    /// slots became stale while it slept: then it has to let go of them.
    pub fn claim(&self, most: usize, stale: impl Fn() -> bool) -> Claim<'_> {
        loop {
            if self.held() {
                return Claim::Nothing;
            }
            if self.returned.load(Ordering::Acquire) > 0 {
                let mut control = self.control();
                let count = control.returned.len().min(most);
                let messages: VecDeque<Message> = control.returned.drain(..count).collect();
                self.returned.store(control.returned.len(), Ordering::Release);
                if count > 0 {
                    return Claim::Returned(messages);
                }
            }
            let claimed = self.ring.claim(self.share(most));
            if claimed.len() > 0 {
                self.unblock();
                return Claim::Ring(claimed);
            }
            // So that what this worker has begun is seen before it looks whether somebody waits for room.
            fence(Ordering::SeqCst);
            self.unblock();
            self.tell_idle();
            if !self.spin() {
                self.sleep(&stale);
                if stale() {
                    return Claim::Nothing;
                }
            }
        }
    }

    /// How many messages a worker may claim that would claim `most`.
    fn share(&self, most: usize) -> usize {
        if self.policy() == Policy::DropOldest {
            // What is claimed cannot be dropped.
            return 1;
        }
        let workers = self.workers.load(Ordering::Relaxed);
        if workers <= 1 {
            return most;
        }
        let waiting = self.ring.put().saturating_sub(self.ring.taken());
        let share = usize::try_from(waiting.div_ceil(workers as u64)).unwrap_or(most);
        share.min(SPARE / workers).clamp(1, most)
    }

    /// Looks for a message for some microseconds; returns whether there is something to do.
    fn spin(&self) -> bool {
        for _ in 0..LOOKS {
            wait_a_little();
            if self.ring.is_ready() || self.held() {
                return true;
            }
        }
        false
    }

    #[cold]
    fn sleep(&self, stale: impl Fn() -> bool) {
        let mut control = self.control();
        // SeqCst: pairs with `try_put`, see there.
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let nothing = self.ring.put() == self.ring.taken() && control.returned.is_empty();
        if nothing && !self.held() && !stale() {
            control = self.not_empty.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        if control.woken > 0 {
            control.woken -= 1;
        } else {
            self.asleep.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A worker gives back what it has not begun, in order.
    pub fn give_back(&self, messages: impl Iterator<Item = Message>) {
        let mut control = self.control();
        control.returned.extend(messages);
        // Several workers give back stretches of one sequence.
        control.returned.make_contiguous().sort_by_key(|message| message.number);
        self.returned.store(control.returned.len(), Ordering::Release);
    }

    /// A worker holds until the machine runs (true), or until it is stopped or has too many workers (false: its
    /// thread ends).
    pub fn rest(&self, index: usize) -> bool {
        let mut control = self.control();
        control.resting += 1;
        self.idle.notify_all();
        while control.mode == Mode::Paused && control.alive <= control.wanted {
            control = self.not_empty.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        control.resting -= 1;
        let ends = control.mode == Mode::Stopped || control.alive > control.wanted;
        if ends {
            self.dismiss(&mut control, index);
        }
        !ends
    }

    /// Waits until `until` holds, looking again whenever workers become idle. Returns whether it holds.
    pub fn wait_idle(
        &self,
        deadline: Option<Instant>,
        give_up: impl Fn() -> bool,
        until: impl Fn(&Control) -> bool,
    ) -> bool {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        let mut control = self.control();
        let holds = loop {
            if until(&control) {
                break true;
            }
            let left =
                deadline.map_or(LOOK_UP, |deadline| deadline.saturating_duration_since(Instant::now()).min(LOOK_UP));
            if left.is_zero() || give_up() {
                break false;
            }
            control = self.idle.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        self.awaited.fetch_sub(1, Ordering::SeqCst);
        holds
    }

    /// Tells those who wait for the end that a worker has nothing to do.
    fn tell_idle(&self) {
        if self.awaited.load(Ordering::SeqCst) > 0 {
            drop(self.control());
            self.idle.notify_all();
        }
    }

    /// Wakes blocked producers once there is a good stretch of room, so that they do not wake for each message.
    #[inline]
    fn unblock(&self) {
        if self.blocked.load(Ordering::Relaxed) > 0 && self.size() <= self.capacity / 2 {
            drop(self.control());
            self.not_full.notify_all();
        }
    }

    /// The first message that waits, while no worker takes any.
    pub fn take_first(&self, control: &mut Control) -> Option<Message> {
        let first = control.returned.pop_front();
        self.returned.store(control.returned.len(), Ordering::Release);
        first.or_else(|| self.ring.claim(1).next())
    }

    /// Takes out the message that has waited longest, to make room; the caller drops it without a lock.
    pub fn take_oldest(&self) -> Option<Message> {
        let returned = if self.returned.load(Ordering::Acquire) > 0 {
            let mut control = self.control();
            let first = control.returned.pop_front();
            self.returned.store(control.returned.len(), Ordering::Release);
            first
        } else {
            None
        };
        let oldest = returned.or_else(|| self.ring.claim(1).next())?;
        self.dropped_oldest.fetch_add(1, Ordering::Relaxed);
        self.discarded.fetch_add(1, Ordering::Release);
        Some(oldest)
    }

    /// Takes out all that waits; the caller drops it without a lock.
    pub fn take_all(&self) -> Vec<Message> {
        let mut all: Vec<Message> = {
            let mut control = self.control();
            self.returned.store(0, Ordering::Release);
            control.returned.drain(..).collect()
        };
        // Only what is there now: producers may go on meanwhile.
        let mut left = self.ring.put().saturating_sub(self.ring.taken());
        while left > 0 {
            let claimed = self.ring.claim(usize::try_from(left).unwrap_or(CLAIM).min(CLAIM));
            if claimed.len() == 0 {
                break;
            }
            left -= claimed.len();
            all.extend(claimed);
        }
        self.discarded.fetch_add(all.len() as u64, Ordering::Release);
        self.unblock();
        all
    }
}
