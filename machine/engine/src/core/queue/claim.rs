//! What workers take out of the queue, and what is taken out in other ways.

use super::super::raw::{InPlace, Message};
use super::super::ring::Claimed;
use super::super::sync::{MutexGuard, Ordering, POLL_INTERVAL, fence, heavy_fence};
use super::{CLAIM, Control, Queue, SPARE, STEPS, WorkerStats};
use machine_protocol::command::Policy;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long `take_all` waits for a worker that neither rests nor is in a slot, before it leaves it what it has claimed.
const CLAIM_TIMEOUT: Duration = Duration::from_millis(250);

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

/// Messages that one worker has claimed, in order.
pub(crate) trait Span: IntoIterator<Item = Message> {
    /// How many are left.
    fn len(&self) -> u64;
    /// Gives the next message to `f` where it lies; `f` moves it out.
    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R>;
}

impl Span for Claimed<'_, Message> {
    #[inline]
    fn len(&self) -> u64 {
        self.len()
    }

    #[inline]
    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        self.next_in_place(|message| f(InPlace::new(message)))
    }
}

impl Span for VecDeque<Message> {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        self.pop_front().map(|message| f(InPlace::new(&ManuallyDrop::new(message))))
    }
}

impl Span for Claim<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Ring(claimed) => claimed.len(),
            Self::Returned(messages) => Span::len(messages),
        }
    }

    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        match self {
            Self::Nothing => None,
            Self::Ring(claimed) => Span::next_in_place(claimed, f),
            Self::Returned(messages) => messages.next_in_place(f),
        }
    }
}

impl Iterator for Claim<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        match self {
            Self::Nothing => None,
            Self::Ring(claimed) => claimed.next(),
            Self::Returned(messages) => messages.pop_front(),
        }
    }
}

/// Messages that wait, lent for a look.
#[derive(Debug)]
pub(crate) struct Lent {
    pub messages: Vec<Message>,
    /// How many times what waits had been discarded.
    clears: u64,
}

impl Queue {
    /// A worker takes up to `most` messages, and waits for one. Takes none if the queue is held, or if the worker's
    /// slots became stale while it slept: then it has to let go of them.
    pub fn claim(&self, most: usize, stale: impl Fn() -> bool) -> Claim<'_> {
        loop {
            if self.is_paused() {
                return Claim::Nothing;
            }
            if self.returned.load(Ordering::Acquire) > 0 {
                let mut control = self.control();
                let count = control.returned.len().min(self.share(most, control.returned.len()));
                let messages: VecDeque<Message> = control.returned.drain(..count).collect();
                self.returned.store(control.returned.len(), Ordering::Release);
                if count > 0 {
                    return Claim::Returned(messages);
                }
            }
            let claimed = self.ring.claim(self.share(most, 0));
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
            }
            // A message that was put after a change of slots must not be taken with those from before it: they may not
            // have counted it as a flight.
            if stale() {
                return Claim::Nothing;
            }
        }
    }

    /// How many messages a worker may claim that would claim `most`, where so many were given back.
    fn share(&self, most: usize, returned: usize) -> usize {
        if self.policy() == Policy::DropOldest {
            // What is claimed cannot be dropped.
            return 1;
        }
        let workers = self.workers.load(Ordering::Relaxed);
        if workers <= 1 {
            return most;
        }
        let waiting = self.ring.put().saturating_sub(self.ring.taken()) + returned as u64;
        let share = usize::try_from(waiting.div_ceil(workers as u64)).unwrap_or(most);
        share.min(SPARE / workers).clamp(1, most)
    }

    /// A worker gives back what it has not begun, in order. Returns what was discarded meanwhile, which is counted
    /// already: the worker drops it without a lock.
    pub fn give_back(&self, worker: &WorkerStats, messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
        let mut control = self.control();
        // Relaxed: written under the lock, or by the worker itself.
        worker.claimed.store(worker.begun.load(Ordering::Relaxed), Ordering::Relaxed);
        if worker.cleared.load(Ordering::Relaxed) {
            worker.cleared.store(false, Ordering::Relaxed);
            drop(control);
            return messages.into_iter().collect();
        }
        self.put_back(&mut control, messages);
        Vec::new()
    }

    fn put_back(&self, control: &mut Control, messages: impl IntoIterator<Item = Message>) {
        control.returned.extend(messages);
        // Several workers give back stretches of one sequence.
        control.returned.make_contiguous().sort_by_key(|message| message.number);
        self.returned.store(control.returned.len(), Ordering::Release);
    }

    /// Takes out the first messages that wait, for a look: no worker takes any until they are returned.
    pub fn peek_take(&self, most: usize) -> Lent {
        self.begin_peek();
        let mut control = self.control();
        let mut messages = Vec::new();
        while messages.len() < most
            && let Some(message) = self.take_first(&mut control)
        {
            messages.push(message);
        }
        control.lent += messages.len() as u64;
        Lent { messages, clears: control.clears }
    }

    /// Takes back what was lent. Returns what was discarded meanwhile, as `give_back` does.
    pub fn return_first(&self, Lent { mut messages, clears }: Lent) -> Vec<Message> {
        let mut control = self.control();
        if control.clears == clears {
            control.lent -= messages.len() as u64;
            self.put_back(&mut control, messages.drain(..));
        }
        drop(control);
        self.end_look();
        messages
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

    /// Discards all that waits, while the queue is held by `begin_peek`, and workers that have a claim are told to give
    /// it back before their next message. Returns how many messages that were, and those of them that are at hand, which
    /// the caller drops without a lock; the others belong to the threads that claimed or look at them, which drop them
    /// when he gives them back.
    pub fn take_all(&self) -> (u64, Vec<Message>) {
        let (control, inside) = self.inside();
        let mut count = 0;
        for worker in inside {
            let begun = worker.begun.load(Ordering::Acquire);
            let left = worker.claimed.load(Ordering::Relaxed).saturating_sub(begun);
            if left > 0 {
                // Relaxed: the worker asks under the lock.
                worker.claimed.store(begun, Ordering::Relaxed);
                worker.cleared.store(true, Ordering::Relaxed);
                count += left;
            }
        }
        drop(control);
        // Without the lock: a long queue takes long. Only what is there now: producers may go on meanwhile.
        let (mut all, end) = (Vec::new(), self.ring.put());
        loop {
            let left = end.saturating_sub(self.ring.taken());
            let claimed = self.ring.claim(usize::try_from(left).unwrap_or(CLAIM).min(CLAIM));
            if claimed.len() == 0 {
                break;
            }
            all.extend(claimed);
        }
        let mut control = self.control();
        // Last: a thread that has begun to look meanwhile may have some of it, or has given that back.
        control.clears += 1;
        count += std::mem::take(&mut control.lent);
        let returned = std::mem::take(&mut control.returned);
        self.returned.store(0, Ordering::Release);
        drop(control);
        all.extend(returned);
        count += all.len() as u64;
        self.discarded.fetch_add(count, Ordering::Release);
        self.unblock();
        (count, all)
    }

    /// Waits until each worker rests, or is known to be in a slot. Returns those that are in a slot; with the lock they
    /// begin nothing.
    ///
    /// A worker looks whether the queue is held after each message, behind a light fence that costs it nothing. So once
    /// the queue is held and the heavy fence has been passed, a worker that looked before that is seen to have ended the message
    /// that it looked after; and a worker that is seen with a message in its slots has yet to look, and will see that the queue
    /// is held.
    fn inside(&self) -> (MutexGuard<'_, Control>, Vec<&WorkerStats>) {
        heavy_fence();
        let began = Instant::now();
        let mut control = self.control();
        loop {
            let workers = self.progress().iter().skip(STEPS + 1);
            let inside: Vec<_> = workers.filter(|worker| worker.is_inside()).collect();
            if control.resting + inside.len() >= control.alive || began.elapsed() >= CLAIM_TIMEOUT {
                return (control, inside);
            }
            control = self.idle.wait_timeout(control, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
