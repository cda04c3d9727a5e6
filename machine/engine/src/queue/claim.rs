//! What workers take out of the queue, and what is taken out in other ways.

use super::{CLAIM, Control, Queue, SPARE};
use crate::raw::{InPlace, Message};
use crate::ring::Claimed;
use crate::sync::{Ordering, fence};
use machine::command::Policy;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;

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
pub(crate) trait Stretch: IntoIterator<Item = Message> {
    /// How many are left.
    fn len(&self) -> u64;
    /// Gives the next message to `f` where it lies; `f` moves it out.
    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R>;
}

impl Stretch for Claimed<'_, Message> {
    #[inline]
    fn len(&self) -> u64 {
        self.len()
    }

    #[inline]
    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        self.next_in_place(|message| f(InPlace::new(message)))
    }
}

impl Stretch for VecDeque<Message> {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        self.pop_front().map(|message| f(InPlace::new(&ManuallyDrop::new(message))))
    }
}

impl Stretch for Claim<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Ring(claimed) => claimed.len(),
            Self::Returned(messages) => Stretch::len(messages),
        }
    }

    fn next_in_place<R>(&mut self, f: impl FnOnce(InPlace<'_>) -> R) -> Option<R> {
        match self {
            Self::Nothing => None,
            Self::Ring(claimed) => Stretch::next_in_place(claimed, f),
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

impl Queue {
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
            }
            // A message that was put after a change of slots must not be taken with those from before it: they may not
            // have counted it as a flight.
            if stale() {
                return Claim::Nothing;
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

    /// A worker gives back what it has not begun, in order.
    pub fn give_back(&self, messages: impl IntoIterator<Item = Message>) {
        let mut control = self.control();
        control.returned.extend(messages);
        // Several workers give back stretches of one sequence.
        control.returned.make_contiguous().sort_by_key(|message| message.number);
        self.returned.store(control.returned.len(), Ordering::Release);
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
