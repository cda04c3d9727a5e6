//! Those who sleep: workers for want of messages, calls for want of room, and those who wait for the end.

use super::super::sync::{ALONE, LOOKS, Ordering, TURNS, fence, spin, yield_now};
use super::Queue;
use super::mode::Control;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a waiting call sleeps before it looks whether it should give up.
const LOOK_UP: Duration = Duration::from_millis(50);

fn wait_a_little(times: u32) {
    for _ in 0..TURNS * times {
        spin();
    }
}

impl Queue {
    /// Calls that wait for room now.
    pub fn waiting_puts(&self) -> u64 {
        // Relaxed: read for display alone.
        self.blocked.load(Ordering::Relaxed) as u64
    }

    #[cold]
    pub(super) fn wake(&self, messages: u64) {
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

    /// Waits until there is room; false if the time is up or `cancel` says so first.
    pub fn wait_for_room(&self, deadline: Option<Instant>, cancel: impl Fn() -> bool) -> bool {
        // A full queue is waited for until there is a good stretch of room: to go on with each place that comes free
        // would be one exchange between the two threads for each message.
        if cancel() {
            return false;
        }
        // Each look takes what a worker counts in away from it, which costs that as much as a short message: the longer
        // the stretch, the fewer of them.
        let times = u32::try_from(self.stretch() / 64).unwrap_or_default() + 1;
        for look in 0..LOOKS / times {
            if look >= ALONE / times {
                self.let_others_run();
            }
            wait_a_little(times);
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
            if left.is_zero() || cancel() {
                return false;
            }
        }
    }

    /// How much room is worth going on for.
    fn stretch(&self) -> u64 {
        (self.capacity / 4).clamp(1, 256)
    }

    /// Lets everyone look again: workers, blocked calls, those who wait for the end.
    pub fn wake_all(&self) {
        drop(self.control());
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.idle.notify_all();
        self.ready.notify_all();
    }

    /// A flight can go on: a worker that sleeps looks after it.
    pub fn call_worker(&self) {
        // SeqCst: what the worker looks for was set before; pairs with the counts in `sleep` and `wait_landing`.
        if self.asleep.load(Ordering::SeqCst) > 0 {
            self.wake(1);
        }
        self.call_grounded();
    }

    /// There is a place for one more flight: a worker that waits for one looks.
    pub fn call_grounded(&self) {
        // SeqCst: as in `call_worker`.
        if self.stalled.load(Ordering::SeqCst) > 0 {
            drop(self.control());
            self.ready.notify_one();
        }
    }

    /// A worker that may take no message waits until `until` holds or the queue is held, but no longer than `most`.
    pub fn wait_landing(&self, most: Duration, until: impl Fn() -> bool) {
        // As in `claim`: what this worker has begun has made room.
        fence(Ordering::SeqCst);
        self.unblock();
        let control = self.control();
        self.stalled.fetch_add(1, Ordering::SeqCst);
        let wants_none = |_: &mut Control| !self.is_paused() && !until();
        drop(self.ready.wait_timeout_while(control, most, wants_none).unwrap_or_else(PoisonError::into_inner));
        self.stalled.fetch_sub(1, Ordering::SeqCst);
    }

    /// Where several workers take, there are more threads that want to run than one that puts and one that takes: what is
    /// waited for may need this processor, and a worker that went to sleep at once would be woken by each message that
    /// another one takes. With one worker nobody is let in: on a busy machine that would take milliseconds.
    fn let_others_run(&self) {
        if self.workers() > 1 {
            yield_now();
        }
    }

    /// Looks for a message for some microseconds; returns whether there is something to do.
    pub(super) fn spin(&self) -> bool {
        for look in 0..LOOKS {
            if look >= ALONE {
                self.let_others_run();
            }
            wait_a_little(1);
            if self.ring.is_ready() || self.is_paused() {
                return true;
            }
        }
        false
    }

    #[cold]
    pub(super) fn sleep(&self, stale: impl Fn() -> bool) {
        let mut control = self.control();
        // SeqCst: pairs with `try_put`, see there.
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let nothing = self.ring.put() == self.ring.taken() && control.returned.is_empty();
        if nothing && !self.is_paused() && !stale() {
            control = self.not_empty.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
        if control.woken > 0 {
            control.woken -= 1;
        } else {
            self.asleep.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits until `until` holds, looking again whenever workers become idle. Returns whether it holds.
    pub fn wait_idle(
        &self,
        deadline: Option<Instant>,
        cancel: impl Fn() -> bool,
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
            if left.is_zero() || cancel() {
                break false;
            }
            control = self.idle.wait_timeout(control, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        self.awaited.fetch_sub(1, Ordering::SeqCst);
        holds
    }

    /// Tells those who wait for the end that a worker has nothing to do.
    pub(super) fn tell_idle(&self) {
        if self.awaited.load(Ordering::SeqCst) > 0 {
            drop(self.control());
            self.idle.notify_all();
        }
    }

    /// Wakes blocked producers once there is a good stretch of room, so that they do not wake for each message.
    #[inline]
    pub(super) fn unblock(&self) {
        if self.blocked.load(Ordering::Relaxed) > 0 && self.size() <= self.capacity / 2 {
            drop(self.control());
            self.not_full.notify_all();
        }
    }
}
