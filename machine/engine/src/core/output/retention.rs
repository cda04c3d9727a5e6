//! What went through a machine, at hand whether or not somebody has asked for it before.
//!
//! A worker writes down a message with all its outputs as JSON as long as it has *tokens*: one for each message and for
//! each kibibyte of it. It has [`BURST`] of them at first, and gets [`RATE`] each millisecond up to that. So of a machine
//! that takes up to some thousand messages a second everything is here. Of a faster one it is a sample, and what is not
//! is counted: by being processed, and not kept. The last ten that there are when they are taken are kept without tokens,
//! in time that nothing waits for: so however fast it was, the last outputs are here when a machine becomes idle. Only
//! what is large among them goes on credit.

use super::Finished;
use super::finished::Location;
use super::json::Rendering;
use crate::core::oid::{self, Moment, Oid};
use crate::core::slots::Plan;
use machine_protocol::retention::{Keep, Kept as Keeping};
use machine_protocol::status::LastOutput;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept.
const MOST: u64 = 10_000;
/// How many bytes of JSON are kept, with what it takes to find them.
const MOST_BYTES: usize = 64 << 20;
/// How many bytes are kept where more is asked for.
const MOST_BYTES_ALL: usize = 1 << 30;
/// Entries that a message drops at most: more are dropped by the ones that follow.
const MOST_DROPPED: usize = 64;
/// How many are shown as the last outputs.
pub(crate) const LAST: u64 = 10;
/// Tokens of a worker at most.
const BURST: u64 = 10_000;
/// Tokens a millisecond.
const RATE: u64 = 8;
/// Tokens that may be owed for the last ones: beyond that they are kept as others are.
const CREDIT: u64 = 32;
/// What one token pays for beside the message itself, bytes.
const A_TOKEN: usize = 1024;

/// Set to `off`, only the last ones are kept, and on credit.
const VARIABLE: &str = "MACHINE_KEEP";

fn is_on() -> bool {
    std::env::var_os(VARIABLE).is_none_or(|value| value != "off")
}

/// A worker's tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    free: u64,
    /// What was kept beyond that.
    owed: u64,
    /// When they were counted last, coarse milliseconds.
    counted: u64,
    is_on: bool,
    /// Whether none are needed.
    keeps_all: bool,
}

impl Tokens {
    /// All that there can be.
    pub fn new(now_ms: u64) -> Self {
        Self::with(now_ms, is_on())
    }

    fn with(now_ms: u64, is_on: bool) -> Self {
        Self { free: if is_on { BURST } else { 0 }, owed: 0, counted: now_ms, is_on, keeps_all: false }
    }

    /// Keeps every message from here on, or as many as there are tokens for.
    pub fn keep_all(&mut self, all: bool) {
        if all != self.keeps_all {
            self.keeps_all = all;
            self.free = if all || self.is_on { BURST } else { 0 };
        }
    }

    /// Whether a message may be kept; `behind` tells how many there are after it.
    #[inline]
    pub fn allow(&self, behind: impl FnOnce() -> u64) -> bool {
        self.free > 0 || (self.owed < CREDIT && behind() < LAST)
    }

    /// A message of so many bytes was kept.
    pub fn pay(&mut self, bytes: usize) {
        if self.keeps_all {
            return;
        }
        let size = (bytes / A_TOKEN) as u64;
        let is_owed = self.free == 0;
        // What is small among the last ones costs nothing, unless keeping is switched off.
        let tokens = size + u64::from(!(is_owed && self.is_on));
        self.owed = (self.owed + tokens.saturating_sub(self.free)).min(CREDIT);
        self.free = self.free.saturating_sub(tokens);
    }

    /// The coarse clock has moved.
    pub fn refill(&mut self, now_ms: u64) {
        let tokens = now_ms.saturating_sub(self.counted).saturating_mul(RATE);
        let left = tokens.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(tokens);
        if self.is_on {
            self.free = (self.free + left).min(BURST);
        }
        self.counted = now_ms;
    }
}

/// When a message was put, and when it was begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub put: Moment,
    /// Coarse milliseconds since 1970.
    pub begun_ms: u64,
    /// Whether each slot's time was measured.
    pub is_timed: bool,
}

impl Times {
    /// How long it waited, milliseconds.
    pub fn waited_ms(self) -> u64 {
        self.begun_ms.saturating_sub(self.put.millis())
    }
}

/// One message.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub oid: Oid,
    pub times: Times,
    /// One bit a slot that gave nothing, the lowest for slot 0.
    pub missing: u64,
    /// The revision of each slot.
    pub revisions: Arc<[u64]>,
    /// How long each slot took, nanoseconds; empty if it was not measured.
    pub nanos: Vec<u64>,
    text: Vec<u8>,
    /// Where each value is in `text`: the message, then each slot's output. An empty slot has that of the one before.
    parts: Vec<(usize, usize)>,
}

impl Entry {
    fn fill(&mut self, json: &Rendering, plan: &Plan) {
        self.text.clear();
        self.parts.clear();
        for at in 0..json.len() {
            let is_same = at.checked_sub(1).is_some_and(|slot| plan.function(slot).is_none());
            let place = self.parts.last().copied().filter(|_| is_same).unwrap_or_else(|| {
                let start = self.text.len();
                self.text.extend_from_slice(json.part(at));
                (start, self.text.len())
            });
            self.parts.push(place);
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + size_of_val(&*self.parts) + size_of_val(&*self.nanos)
    }

    /// One of the values as JSON text: 0 is the message, *i* + 1 the output of slot *i*.
    pub fn part(&self, at: usize) -> &str {
        let bytes = self.parts.get(at).and_then(|&(start, end)| self.text.get(start..end)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// How many slots there were.
    pub fn slots(&self) -> usize {
        self.parts.len().saturating_sub(1)
    }

    /// Whether a slot had a function: if not, it passed on what there was.
    pub fn is_own(&self, slot: usize) -> bool {
        self.parts.get(slot + 1) != self.parts.get(slot)
    }

    /// Whether a slot gave something.
    pub fn has(&self, slot: usize) -> bool {
        slot < self.slots() && self.missing & (1 << slot) == 0
    }
}

/// Entries at most that are kept together: what is asked for is lent by the block.
const BLOCK: usize = 64;
/// A block of this size, bytes, takes no more.
const BLOCK_BYTES: usize = 1 << 20;

/// Some entries, oldest first. Those behind `used` are buffers to be used again.
#[derive(Debug, Default)]
struct Block {
    entries: Vec<Entry>,
    used: usize,
    bytes: usize,
}

impl Block {
    fn used(&self) -> &[Entry] {
        self.entries.get(..self.used).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.used >= BLOCK || self.bytes >= BLOCK_BYTES
    }
}

/// What is kept, oldest first.
#[derive(Debug, Default)]
struct Ring {
    /// Full ones and those that were lent: they are not changed any more.
    blocks: VecDeque<Arc<Block>>,
    /// The newest entries. Never lent.
    open: Arc<Block>,
    /// Entries of the first block that fell out.
    skipped: usize,
    /// How many are kept.
    count: u64,
    /// How many fell out: the first that is kept has this number.
    evicted: u64,
    bytes: usize,
    /// A block that is not used any more, for its buffers.
    spare: Option<Arc<Block>>,
    limits: Limits,
}

/// What may be kept.
#[derive(Clone, Copy, Debug)]
struct Limits {
    keep: Keep,
    entries: u64,
    bytes: usize,
    /// Milliseconds.
    age: Option<u64>,
}

impl Limits {
    fn of(keep: Keep) -> Self {
        let all = Self { keep, entries: u64::MAX, bytes: MOST_BYTES_ALL, age: None };
        match keep {
            Keep::All => all,
            Keep::Messages(entries) => Self { entries, ..all },
            Keep::Time(time) => Self { age: Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)), ..all },
            _ => Self { entries: MOST, bytes: MOST_BYTES, ..all },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(Keep::default())
    }
}

/// The newest messages, in buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Ring>);

/// What was kept at some moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    blocks: Vec<Arc<Block>>,
    skipped: usize,
    count: u64,
    evicted: u64,
}

impl Snapshot {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// How many fell out: the oldest has this number.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// All, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().enumerate().rev().flat_map(|(at, block)| {
            let skipped = if at == 0 { self.skipped } else { 0 };
            block.used().get(skipped..).unwrap_or_default().iter().rev()
        })
    }
}

impl Recorder {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept. Workers wait for it as long as it takes to count up one number a block.
    pub fn snapshot(&self) -> Snapshot {
        let mut ring = self.ring();
        ring.close();
        Snapshot {
            blocks: ring.blocks.iter().cloned().collect(),
            skipped: ring.skipped,
            count: ring.count,
            evicted: ring.evicted,
        }
    }

    /// Keeps a message; returns its size.
    pub(crate) fn keep(&self, message: &mut Finished<'_>, plan: &Plan, times: Times) -> usize {
        let oid = message.oid;
        let missing = message.missing.iter().fold(0, |bits, missing| bits | plan.passed_on(missing.slot));
        // Written before the lock is taken: it is code of the user's.
        message.json();
        let json = &*message.rendering;
        let nanos = match &message.place {
            Location::Frame(frame) if times.is_timed => frame.all_nanos(),
            _ => &[],
        };
        let mut garbage = Vec::new();
        let mut ring = self.ring();
        if ring.count >= ring.limits.entries {
            garbage.extend(ring.pop());
        }
        let bytes = ring.push(|entry| {
            if entry.text.capacity() > 4 * json.array().len() + 1024 {
                entry.text = Vec::new();
            }
            (entry.oid, entry.times, entry.missing) = (oid, times, missing);
            entry.revisions = plan.revisions.clone();
            entry.nanos.clear();
            entry.nanos.extend_from_slice(nanos);
            entry.fill(json, plan);
        });
        for _ in 0..MOST_DROPPED {
            if !ring.is_over(times.begun_ms) {
                break;
            }
            garbage.extend(ring.pop());
        }
        drop(ring);
        // Freed where no other worker waits for it.
        drop(garbage);
        bytes
    }

    /// Keeps so much from here on. What is too much is dropped a little at a time, so that no worker waits for all of it.
    pub fn limit(&self, keep: Keep) {
        self.ring().limits = Limits::of(keep);
        let now = oid::coarse_millis();
        loop {
            let mut garbage = Vec::new();
            let mut ring = self.ring();
            for _ in 0..MOST_DROPPED {
                if !ring.is_over(now) {
                    return;
                }
                garbage.extend(ring.pop());
            }
        }
    }

    /// What is kept, and what that takes.
    pub fn keeping(&self) -> Keeping {
        let ring = self.ring();
        Keeping {
            keep: ring.limits.keep,
            messages: ring.count,
            bytes: ring.bytes as u64,
            most_bytes: ring.limits.bytes as u64,
        }
    }

    /// The last outputs, newest first.
    pub fn last(&self) -> Vec<LastOutput> {
        let one = |entry: &Entry| LastOutput {
            oid: entry.oid.to_string(),
            input: entry.part(0).to_owned(),
            outputs: (0..entry.slots()).map(|slot| entry.part(slot + 1).to_owned()).collect(),
        };
        (0..LAST).zip(self.snapshot().newest()).map(|(_, entry)| one(entry)).collect()
    }
}

impl Ring {
    /// Adds an entry, which `fill` writes; returns its size.
    fn push(&mut self, fill: impl FnOnce(&mut Entry)) -> usize {
        if self.open.is_full() {
            self.close();
        }
        if Arc::get_mut(&mut self.open).is_none() {
            // It is never lent.
            self.open = Arc::default();
        }
        let Some(open) = Arc::get_mut(&mut self.open) else { return 0 };
        if open.used == open.entries.len() {
            open.entries.push(Entry::default());
        }
        let Some(entry) = open.entries.get_mut(open.used) else { return 0 };
        fill(entry);
        let bytes = entry.bytes();
        open.used += 1;
        open.bytes += bytes;
        self.bytes += bytes;
        self.count += 1;
        bytes
    }

    /// Puts the newest entries among those that are not changed any more.
    fn close(&mut self) {
        if self.open.used == 0 {
            return;
        }
        let open = std::mem::replace(&mut self.open, self.spare.take().unwrap_or_default());
        self.blocks.push_back(open);
        self.join();
    }

    /// Makes one block of the last two if they are small and nobody has them: who asks often would make many.
    fn join(&mut self) {
        let Some(mut last) = self.blocks.pop_back() else { return };
        if let (Some(block), Some(before)) = (Arc::get_mut(&mut last), self.blocks.back_mut().and_then(Arc::get_mut))
            && before.used + block.used <= BLOCK
            && before.bytes + block.bytes <= BLOCK_BYTES
        {
            before.entries.truncate(before.used);
            before.entries.extend(block.entries.drain(..block.used));
            (before.used, before.bytes) = (before.used + block.used, before.bytes + block.bytes);
            return;
        }
        self.blocks.push_back(last);
    }

    /// Whether the oldest is too much.
    fn is_over(&self, now_ms: u64) -> bool {
        let oldest = || self.blocks.front().map_or(self.open.used(), |block| block.used()).get(self.skipped);
        let is_old = |age: u64| oldest().is_some_and(|entry| entry.times.begun_ms.saturating_add(age) < now_ms);
        self.count > self.limits.entries
            || (self.bytes > self.limits.bytes && self.count > 1)
            || (self.limits.age.is_some_and(is_old) && self.count > 1)
    }

    /// The oldest falls out. Returns the block that nothing of is kept any more, unless its buffers are used again.
    fn pop(&mut self) -> Option<Arc<Block>> {
        if self.blocks.is_empty() {
            self.close();
        }
        let first = self.blocks.front()?;
        self.bytes = self.bytes.saturating_sub(first.used().get(self.skipped).map_or(0, Entry::bytes));
        self.skipped += 1;
        self.count = self.count.saturating_sub(1);
        self.evicted += 1;
        if self.skipped < first.used {
            return None;
        }
        self.skipped = 0;
        let mut block = self.blocks.pop_front()?;
        match Arc::get_mut(&mut block) {
            // One that was large would hold on to its memory.
            Some(empty) if self.spare.is_none() && empty.bytes <= BLOCK_BYTES => {
                (empty.used, empty.bytes) = (0, 0);
                self.spare = Some(block);
                None
            }
            _ => Some(block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, CREDIT, LAST, RATE, Tokens};

    #[test]
    fn tokens_bound_what_is_kept() {
        let mut tokens = Tokens::with(1_000, true);
        let mut kept = 0;
        while tokens.allow(|| LAST) {
            tokens.pay(100);
            kept += 1;
        }
        assert_eq!(kept, BURST);
        for _ in 0..BURST {
            assert!(
                tokens.allow(|| LAST - 1) && !tokens.allow(|| LAST),
                "the last ones are kept whatever was kept before"
            );
            tokens.pay(100);
        }
        tokens.pay(100 << 10);
        assert!(!tokens.allow(|| LAST - 1), "large ones are not");
        tokens.refill(1_004);
        assert!(tokens.allow(|| LAST - 1) && !tokens.allow(|| LAST), "{RATE} × 4 pay what can be owed, {CREDIT}");
        tokens.refill(10_000);
        assert!(tokens.allow(|| LAST));
    }

    #[test]
    fn switched_off_the_last_ones_are_kept_on_credit() {
        let mut tokens = Tokens::with(1_000, false);
        for _ in 0..CREDIT {
            assert!(tokens.allow(|| LAST - 1) && !tokens.allow(|| LAST));
            tokens.pay(100);
        }
        assert!(!tokens.allow(|| LAST - 1));
        tokens.refill(1_001);
        assert!(tokens.allow(|| LAST - 1) && !tokens.allow(|| LAST));
    }
}
