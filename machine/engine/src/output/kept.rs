//! What went through a machine, at hand whether or not somebody has asked for it before.
//!
//! A worker writes down a message with all its outputs as JSON as long as it has *tokens*: one for each message and for
//! each kibibyte of it. It has [`BURST`] of them at first, and gets [`RATE`] each millisecond up to that. So of a machine
//! that takes up to some thousand messages a second everything is here. Of a faster one it is a sample, and what is not
//! is counted: by being processed, and not kept. The last ten that there are when they are taken are kept without tokens,
//! in time that nothing waits for: so however fast it was, the last outputs are here when a machine becomes idle. Only
//! what is large among them goes on credit.

use super::Finished;
use super::finished::Place;
use super::json::Rendering;
use crate::oid::{Moment, Oid};
use crate::slots::Plan;
use machine::status::LastOutput;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept.
const MOST: usize = 10_000;
/// How many bytes of JSON are kept, with what it takes to find them.
const MOST_BYTES: usize = 64 << 20;
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
}

impl Tokens {
    /// All that there can be.
    pub fn new(now_ms: u64) -> Self {
        Self::with(now_ms, is_on())
    }

    fn with(now_ms: u64, is_on: bool) -> Self {
        Self { free: if is_on { BURST } else { 0 }, owed: 0, counted: now_ms, is_on }
    }

    /// Whether a message may be kept; `behind` tells how many there are after it.
    #[inline]
    pub fn allow(&self, behind: impl FnOnce() -> u64) -> bool {
        self.free > 0 || (self.owed < CREDIT && behind() < LAST)
    }

    /// A message of so many bytes was kept.
    pub fn pay(&mut self, bytes: usize) {
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

/// What is kept, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub entries: VecDeque<Entry>,
    /// How many fell out: the first of `entries` has this number.
    pub fallen_out: u64,
    bytes: usize,
}

/// The newest messages, in buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Ring>);

impl Recorder {
    /// What is kept; nobody can keep more as long as it is held.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message; returns its size.
    pub(super) fn keep(&self, message: &mut Finished<'_>, plan: &Plan, times: Times) -> usize {
        let oid = message.oid;
        let missing = message.missing.iter().fold(0, |bits, missing| bits | plan.passed_on(missing.slot));
        // Written before the lock is taken: it is code of the user's.
        message.json();
        let json = &*message.rendering;
        let nanos = match &message.place {
            Place::Frame(frame) if times.is_timed => frame.all_nanos(),
            _ => &[],
        };
        let mut ring = self.ring();
        let mut entry = if ring.entries.len() < MOST { Entry::default() } else { ring.pop().unwrap_or_default() };
        if entry.text.capacity() > 4 * json.array().len() + 1024 {
            entry.text = Vec::new();
        }
        (entry.oid, entry.times, entry.missing) = (oid, times, missing);
        entry.revisions = plan.revisions.clone();
        entry.nanos.clear();
        entry.nanos.extend_from_slice(nanos);
        entry.fill(json, plan);
        let bytes = entry.bytes();
        ring.bytes += bytes;
        ring.entries.push_back(entry);
        while ring.bytes > MOST_BYTES && ring.entries.len() > 1 {
            ring.pop();
        }
        bytes
    }

    /// The last outputs, newest first.
    pub fn last(&self) -> Vec<LastOutput> {
        let one = |entry: &Entry| LastOutput {
            oid: entry.oid.to_string(),
            input: entry.part(0).to_owned(),
            outputs: (0..entry.slots()).map(|slot| entry.part(slot + 1).to_owned()).collect(),
        };
        (0..LAST).zip(self.ring().entries.iter().rev()).map(|(_, entry)| one(entry)).collect()
    }
}

impl Ring {
    fn pop(&mut self) -> Option<Entry> {
        let oldest = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.bytes());
        self.fallen_out += 1;
        Some(oldest)
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
