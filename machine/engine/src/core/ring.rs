//! A bounded ring that many put into and many take from, without a lock.
//!
//! Each cell has a stamp that says whose turn it is: `2·lap` when the producer of that lap may write, `2·lap + 1`
//! when a consumer may read. `tail` counts all messages ever put, `head` all ever taken; a thread that moves one of them by
//! compare-and-swap owns the cells it moved over. Memory starts as zeroes, which is lap 0, so a large ring takes no
//! memory before it is used. (After the scheme of Vyukov's bounded MPMC queue.)
//!
//! Atomics and cells come from `super::sync`, so that the crate of models can run this file under loom.
#![allow(unsafe_code, reason = "cells are handed from one thread to another by their stamps")]

use super::sync::{AtomicU64, Ordering, SPIN_LIMIT, UnsafeCell, ZEROES_ARE_EMPTY, spin, yield_now};
use std::alloc::Layout;
use std::mem::{ManuallyDrop, MaybeUninit};

#[derive(Debug)]
struct Cell<T> {
    stamp: AtomicU64,
    message: UnsafeCell<MaybeUninit<T>>,
}

/// On a separate cache line, so that writing it does not slow readers of something else.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Alone(pub AtomicU64);

#[derive(Debug)]
pub(crate) struct Ring<T> {
    tail: Alone,
    head: Alone,
    cells: *mut Cell<T>,
    layout: Layout,
    /// Cells less one; their number is a power of two.
    mask: u64,
    bits: u32,
}
// SAFETY: a cell's message is only touched by the thread whose turn it is by the stamp; messages are `Send`.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// How much memory a ring of at least this many cells has, as far as it is used.
    pub const fn bytes(capacity: usize) -> usize {
        capacity.next_power_of_two().saturating_mul(size_of::<Cell<T>>())
    }

    /// A ring of at least this many cells; `None` if there is not enough memory.
    pub fn new(capacity: usize) -> Option<Self> {
        let cells = capacity.next_power_of_two();
        let layout = Layout::array::<Cell<T>>(cells).ok()?;
        // SAFETY: the layout is not empty. Zeroes are a valid `Cell`: stamp 0, no message.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        if memory.is_null() {
            return None;
        }
        let memory = memory.cast::<Cell<T>>();
        if !ZEROES_ARE_EMPTY {
            for at in 0..cells {
                let empty = Cell { stamp: AtomicU64::new(0), message: UnsafeCell::new(MaybeUninit::uninit()) };
                // SAFETY: `at` is below the number of cells.
                unsafe { memory.add(at).write(empty) };
            }
        }
        let mask = cells as u64 - 1;
        let (tail, head) = (Alone::default(), Alone::default());
        Some(Self { tail, head, cells: memory, layout, mask, bits: mask.count_ones() })
    }

    #[inline]
    fn cell(&self, index: u64) -> (&Cell<T>, u64) {
        #[expect(clippy::cast_possible_truncation, reason = "below the number of cells, which is a usize")]
        let at = (index & self.mask) as usize;
        // SAFETY: `at` is below the number of cells.
        (unsafe { &*self.cells.add(at) }, (index >> self.bits) * 2)
    }

    /// Messages ever put.
    #[inline]
    pub fn put(&self) -> u64 {
        // SeqCst: see `Queue::claim`, which sleeps only if this has not moved.
        self.tail.0.load(Ordering::SeqCst)
    }

    /// Messages ever taken.
    #[inline]
    pub fn taken(&self) -> u64 {
        self.head.0.load(Ordering::SeqCst)
    }

    /// Puts up to `most` messages next to each other: as many as `room` says may be put after so many in all, and as
    /// there are free cells in a row. `make` makes each of its number, in order. Returns how many were put.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Machine::put_some`")]
    pub fn push(&self, most: u64, room: impl Fn(u64) -> u64, mut make: impl FnMut(u64) -> T) -> u64 {
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        let mut turns = 0_u32;
        let count = loop {
            let most = room(tail).min(most);
            if most == 0 {
                return 0;
            }
            let mut free = 0;
            while free < most {
                let (cell, turn) = self.cell(tail + free);
                // Acquire: pairs with the Release in `Claimed::next`.
                if cell.stamp.load(Ordering::Acquire) != turn {
                    break;
                }
                free += 1;
            }
            if free == 0 {
                let now = self.tail.0.load(Ordering::Relaxed);
                if now != tail {
                    // Somebody else was faster.
                    tail = now;
                    continue;
                }
                // The consumer of the last lap has not read its claim yet: because a message before it takes long, which
                // nobody waits for here (the ring is full at this place), or because it wants this processor.
                if turns == SPIN_LIMIT {
                    return 0;
                }
                turns += 1;
                if turns > SPIN_LIMIT / 2 {
                    yield_now();
                } else {
                    spin();
                }
                continue;
            }
            // SeqCst: pairs with `put` in `Queue::claim`.
            match self.tail.0.compare_exchange_weak(tail, tail + free, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break free,
                Err(now) => tail = now,
            }
        };
        for number in tail..tail + count {
            let (cell, turn) = self.cell(number);
            // SAFETY: the stamp says that it is a producer's turn, and only this one moved the tail over this cell.
            cell.message.with_mut(|message| unsafe { (*message).write(make(number)) });
            // Release: the message is there.
            cell.stamp.store(turn + 1, Ordering::Release);
        }
        count
    }

    /// Whether a message can be taken. Looks at the next cell alone, not at the tail, which producers write.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let (cell, turn) = self.cell(self.head.0.load(Ordering::Relaxed));
        // Acquire: as in `claim`.
        cell.stamp.load(Ordering::Acquire) == turn + 1
    }

    /// Claims up to `most` messages. They are taken out of their cells one by one, as the claim gives them.
    #[inline]
    pub fn claim(&self, most: usize) -> Claimed<'_, T> {
        let most = most as u64;
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            let mut ready = 0;
            while ready < most {
                let (cell, turn) = self.cell(head + ready);
                // Acquire: pairs with the Release in `push`.
                if cell.stamp.load(Ordering::Acquire) != turn + 1 {
                    break;
                }
                ready += 1;
            }
            if ready == 0 {
                let now = self.head.0.load(Ordering::Relaxed);
                if now == head {
                    return Claimed { ring: self, next: head, end: head };
                }
                head = now;
                continue;
            }
            match self.head.0.compare_exchange_weak(head, head + ready, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Claimed { ring: self, next: head, end: head + ready },
                Err(now) => head = now,
            }
        }
    }
}

/// Messages that one consumer has claimed: nobody else takes them.
#[derive(Debug)]
pub(crate) struct Claimed<'r, T> {
    ring: &'r Ring<T>,
    next: u64,
    end: u64,
}

impl<T> Claimed<'_, T> {
    /// How many are left.
    #[inline]
    pub fn len(&self) -> u64 {
        self.end - self.next
    }

    /// Gives the next message to `f` where it lies; `f` moves it out.
    #[inline]
    pub fn next_in_place<R>(&mut self, f: impl FnOnce(&ManuallyDrop<T>) -> R) -> Option<R> {
        if self.next == self.end {
            return None;
        }
        let (cell, turn) = self.ring.cell(self.next);
        self.next += 1;
        // SAFETY: `claim` saw by the stamp that the message is there, and only this claim moved the head over the cell.
        // A `ManuallyDrop` has the layout of what is in it.
        let result = cell.message.with(|message| f(unsafe { &*message.cast::<ManuallyDrop<T>>() }));
        // Release: the cell is free for the next lap.
        cell.stamp.store(turn + 2, Ordering::Release);
        Some(result)
    }
}

impl<T> Iterator for Claimed<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let (cell, turn) = self.ring.cell(self.next);
        self.next += 1;
        // SAFETY: `claim` saw by the stamp that the message is there, and only this claim moved the head over the cell.
        let message = cell.message.with(|message| unsafe { (*message).assume_init_read() });
        // Release: the cell is free for the next lap.
        cell.stamp.store(turn + 2, Ordering::Release);
        Some(message)
    }
}

impl<T> Drop for Claimed<'_, T> {
    fn drop(&mut self) {
        // Producers of the next lap wait for these cells.
        self.for_each(drop);
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.claim(64).count() > 0 {}
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { std::alloc::dealloc(self.cells.cast(), self.layout) };
    }
}
