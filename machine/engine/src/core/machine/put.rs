//! Messages onto a machine, and what becomes of those for which there is no room.

use super::Machine;
use crate::core::backpressure::BackpressureGuard;
use crate::core::command_error::failed;
use crate::core::hook::InSlot;
use crate::core::oid::{self, Oid};
use crate::core::raw::{self, Buffer, Inlet, JSON_TEXT, Message};
use crate::core::source::Shutdown;
use machine::abi::{Put, PutWait, TypeDesc};
use machine_protocol::command::Policy;
use machine_protocol::{Error, ErrorKind};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a call that waits for room tries in vain before it sleeps for a moment in between.
const TRIES: u32 = 16;
const A_MOMENT: Duration = Duration::from_micros(100);

impl Machine {
    /// Puts a message; moves the value only if it is accepted.
    ///
    /// # Safety
    /// `value` points at a value of the type that `desc` describes.
    #[inline]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Put {
        // SAFETY: the caller's.
        if unsafe { self.put_some(desc, value, 1) } == 1 {
            return Put::Accepted;
        }
        // SAFETY: the caller's; the value was not moved.
        unsafe { self.put_full(desc, value, patience, cancel) }
    }

    /// Puts a message for which there was no room just now.
    ///
    /// # Safety
    /// As `put`.
    #[cold]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn put_full(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Put {
        let deadline = match patience {
            PutWait::POLICY | PutWait::FOREVER => None,
            PutWait(nanos) => Instant::now().checked_add(Duration::from_nanos(nanos)),
        };
        let mut failures = 0;
        loop {
            if patience == PutWait::POLICY {
                // Asked anew each time: it may be changed while a call waits.
                match self.queue.policy() {
                    Policy::Block => {}
                    Policy::Reject => {
                        self.queue.refused.fetch_add(1, Ordering::Relaxed);
                        return Put::Full;
                    }
                    // SAFETY: the caller's; the value is moved by being dropped.
                    Policy::DropNewest => unsafe {
                        self.drop_newest(desc, value, 1);
                        return Put::Accepted;
                    },
                    Policy::DropOldest => {
                        if !self.drop_oldest() {
                            // A worker that claims knows the policy and begins at once.
                            std::thread::yield_now();
                        }
                    }
                }
            }
            if patience != PutWait::POLICY || self.queue.policy() == Policy::Block {
                let policy = self.queue.policy();
                let changed = || patience == PutWait::POLICY && self.queue.policy() != policy;
                let _waiting = BackpressureGuard::begin();
                if !self.queue.wait_for_room(deadline, || cancel() || changed()) {
                    if cancel() {
                        return Put::Interrupted;
                    }
                    if !changed() {
                        self.queue.refused.fetch_add(1, Ordering::Relaxed);
                        return Put::Full;
                    }
                }
            }
            // SAFETY: the caller's; the value was not moved.
            if unsafe { self.put_some(desc, value, 1) } == 1 {
                return Put::Accepted;
            }
            // Again and again there is room, but not in the next cell: it is in a claim of a worker whose message takes long.
            failures += 1;
            if failures > TRIES {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    self.queue.refused.fetch_add(1, Ordering::Relaxed);
                    return Put::Full;
                }
                if cancel() {
                    return Put::Interrupted;
                }
                let _waiting = BackpressureGuard::begin();
                std::thread::sleep(A_MOMENT);
            }
        }
    }

    /// Puts values that lie next to each other, as many from the first on as there is room for; moves those, and
    /// returns how many.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "of one message nothing is left of the loops over many")]
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn put_some(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) -> usize {
        let now = oid::coarse_now();
        let mut next = values;
        let put = self.queue.try_put(count as u64, |number| {
            // SAFETY: the caller's; each message is made once there is a place for it, from the next value.
            unsafe {
                let message = Message::take(number, now, desc, next);
                next = next.add(desc.size);
                message
            }
        });
        usize::try_from(put).unwrap_or(count)
    }

    /// Puts values that lie next to each other, without waiting; moves the first ones, and returns how many. The others
    /// stay with the caller, who was told of no refusal: they are not counted as refused.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put_batch(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) -> usize {
        let (mut put, mut failures) = (0, 0);
        while put < count {
            // SAFETY: the caller's: the values from `put` on have not been moved.
            unsafe {
                let rest = values.add(put * desc.size);
                let some = self.put_some(desc, rest, count - put);
                put += some;
                if some > 0 {
                    failures = 0;
                    continue;
                }
                match self.queue.policy() {
                    Policy::DropOldest if self.makes_room(&mut failures) => {}
                    Policy::Reject | Policy::Block | Policy::DropOldest => break,
                    Policy::DropNewest => {
                        self.drop_newest(desc, rest, count - put);
                        put = count;
                    }
                }
            }
        }
        put
    }

    /// Puts values that lie next to each other, and waits for their places until `cancel` says so; moves the first ones,
    /// and returns how many. The others stay with the caller.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put_batch_wait(
        &self,
        desc: &'static TypeDesc,
        values: *mut u8,
        count: usize,
        cancel: impl Fn() -> bool,
    ) -> usize {
        let (mut put, mut failures) = (0, 0);
        while put < count {
            // SAFETY: the caller's: the values from `put` on have not been moved.
            let some = unsafe { self.put_some(desc, values.add(put * desc.size), count - put) };
            put += some;
            if some > 0 {
                failures = 0;
                continue;
            }
            let _waiting = BackpressureGuard::begin();
            if !self.queue.wait_for_room(None, &cancel) {
                break;
            }
            // As in `put_full`: there is room, but not in the next cell.
            failures += 1;
            if failures > TRIES {
                std::thread::sleep(A_MOMENT);
            }
        }
        put
    }

    /// Like [`put_batch`](Self::put_batch), and waits until all are put, or the source ends; then those that were not
    /// put are dropped. Returns how many were put. None is put after the end.
    ///
    /// # Safety
    /// As `put_batch`.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put_all(&self, desc: &'static TypeDesc, values: *mut u8, count: usize, shutdown: &Shutdown) -> usize {
        let (mut put, mut failures) = (0, 0);
        while put < count {
            // SAFETY: the caller's: the values from `put` on have not been moved.
            unsafe {
                let rest = values.add(put * desc.size);
                let some = shutdown.unless_ended(|| self.put_some(desc, rest, count - put));
                put += some;
                if some > 0 {
                    failures = 0;
                    continue;
                }
                if !self.queue.wait_for_room(None, || shutdown.is_ended()) {
                    let _in_slot = InSlot::enter();
                    for value in put..count {
                        raw::drop_value(desc, values.add(value * desc.size));
                    }
                    return put;
                }
            }
            // As in `put_full`: there is room, but not in the next cell.
            failures += 1;
            if failures > TRIES {
                std::thread::sleep(A_MOMENT);
            }
        }
        put
    }

    /// Drops the message that has waited longest, to make room; false if all that waits is claimed.
    fn drop_oldest(&self) -> bool {
        // The destructor is user code.
        let _in_slot = InSlot::enter();
        let Some(oldest) = self.queue.take_oldest() else { return false };
        self.withdraw(std::iter::once(oldest.number));
        true
    }

    /// Drops the oldest for a call that does not wait; false once that was in vain too often: what waits is in a claim
    /// from before the policy was changed, and the worker's message takes long.
    fn makes_room(&self, failures: &mut u32) -> bool {
        if self.drop_oldest() {
            return true;
        }
        *failures += 1;
        if *failures > TRIES {
            std::thread::sleep(A_MOMENT);
        } else {
            std::thread::yield_now();
        }
        *failures <= 2 * TRIES
    }

    /// Drops values instead of putting them.
    ///
    /// # Safety
    /// `values` points at `count` values of the type that `desc` describes, which are moved.
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn drop_newest(&self, desc: &'static TypeDesc, values: *mut u8, count: usize) {
        let _in_slot = InSlot::enter();
        for value in 0..count {
            // SAFETY: the caller's.
            unsafe { raw::drop_value(desc, values.add(value * desc.size)) };
        }
        self.queue.dropped_newest.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Puts a message of JSON text; never waits.
    pub fn put_json(&self, json: String) -> Result<Oid, Error> {
        if let Some(oid) = self.try_put_json(json, &Shutdown::default()) {
            return Ok(oid);
        }
        let (name, most) = (&self.config.name, self.config.queue);
        if self.queue.policy() == Policy::DropNewest {
            self.queue.dropped_newest.fetch_add(1, Ordering::Relaxed);
            return Err(failed(
                ErrorKind::Dropped,
                format!("dropped: the queue of {name} is full: {most} messages wait"),
            ));
        }
        self.queue.refused.fetch_add(1, Ordering::Relaxed);
        Err(failed(ErrorKind::QueueFull, format!("the queue of {name} is full: {most} messages wait")))
    }

    /// Puts a message of JSON text, without waiting, unless there is no room or the source has ended: what that counts
    /// as is the caller's to say, who can tell its sender.
    pub fn try_put_json(&self, json: String, shutdown: &Shutdown) -> Option<Oid> {
        let now = oid::coarse_now();
        let (mut oid, mut json) = (None, Some(json));
        let mut failures = 0;
        loop {
            let put = || {
                let put = self.queue.try_put(1, |number| {
                    // Asked for one message at most, once it has a place.
                    let message = raw::json_message(number, now, json.take().unwrap_or_default());
                    oid = Some(message.oid(self.number.get()));
                    message
                });
                usize::from(put > 0)
            };
            shutdown.unless_ended(put);
            if oid.is_some() || shutdown.is_ended() || self.queue.policy() != Policy::DropOldest {
                return oid;
            }
            // Not within `unless_ended`: the destructor is user code, and may clear the source.
            if !self.makes_room(&mut failures) {
                return None;
            }
        }
    }

    /// Puts a source's message of JSON text, and waits for a place; false if the source ends first.
    #[expect(unsafe_code, reason = "a string is a value like others")]
    pub fn put_source_text(&self, json: String, shutdown: &Shutdown) -> bool {
        let mut json = ManuallyDrop::new(json);
        // SAFETY: a string of the engine's, moved or dropped.
        unsafe { self.put_all(&JSON_TEXT, std::ptr::from_mut::<String>(&mut json).cast(), 1, shutdown) == 1 }
    }

    /// Puts a source's messages of JSON text, and waits for their places, until the source ends. Returns how many were
    /// put; none is left.
    #[expect(unsafe_code, reason = "strings are values like others")]
    pub fn put_source_texts(&self, json: &mut Vec<String>, shutdown: &Shutdown) -> usize {
        let count = json.len();
        // SAFETY: all strings are moved or dropped; the vector has none from here on.
        unsafe {
            json.set_len(0);
            self.put_all(&JSON_TEXT, json.as_mut_ptr().cast(), count, shutdown)
        }
    }

    /// Puts what an iterator has given, and waits until it is put; drops what is left once the source ends. Returns how
    /// many were put.
    #[expect(unsafe_code, reason = "the buffer's promise is passed on")]
    pub fn put_items(&self, buffer: &mut Buffer, shutdown: &Shutdown) -> usize {
        let (desc, items, count) = buffer.take_items();
        // SAFETY: so many values of this type lie there; all are moved or dropped.
        unsafe { self.put_all(desc, items, count, shutdown) }
    }
}

impl Inlet for Machine {
    #[expect(unsafe_code, reason = "passes the caller's promise on")]
    unsafe fn put_value(
        &self,
        desc: &'static TypeDesc,
        value: *mut u8,
        patience: PutWait,
        cancel: impl Fn() -> bool,
    ) -> Put {
        // SAFETY: the caller's.
        unsafe { self.put(desc, value, patience, cancel) }
    }

    #[expect(unsafe_code, reason = "a string is a value like others")]
    fn put_text(&self, json: String, patience: PutWait, cancel: impl Fn() -> bool) -> Put {
        let mut json = ManuallyDrop::new(json);
        // SAFETY: the string is moved if it is accepted, and else dropped here.
        unsafe {
            let put = self.put(&JSON_TEXT, std::ptr::from_mut::<String>(&mut json).cast(), patience, cancel);
            if put != Put::Accepted {
                ManuallyDrop::drop(&mut json);
            }
            put
        }
    }
}
