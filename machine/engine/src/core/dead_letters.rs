//! Dead letters: messages that a slot failed on, kept for inspection and for retries.

use crate::core::frame::SlotErrorKind;
use crate::core::oid::{self, Oid};
use machine::handle::MAX_SLOTS;
use machine_protocol::status::{DeadLetter, ErrorLine};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many of messages are kept at most.
pub(crate) const MOST: usize = 10_000;
/// How many bytes of their inputs, outputs and error texts are kept at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The same for those of sources, beside them: what is no message cannot be tried again, and takes no place from what
/// can.
pub(crate) const MOST_OF_SOURCE: usize = 1_000;
const MOST_BYTES_OF_SOURCE: usize = 8 << 20;
/// The slot of what a source gave that is no message.
pub(crate) const SOURCE: usize = usize::MAX;

#[derive(Clone, Debug)]
pub(crate) struct DeadLetterEntry {
    pub oid: Oid,
    pub slot: usize,
    pub revision: u64,
    pub kind: SlotErrorKind,
    pub error: String,
    /// JSON text; the letters of one message share it.
    pub input: Arc<str>,
    /// What the slots had given, a JSON object.
    pub outputs: Arc<str>,
    /// When it failed, milliseconds since 1970.
    pub failed_ms: u64,
    /// Times that it was tried again in vain.
    pub retries: u32,
}

impl DeadLetterEntry {
    pub fn slot(&self) -> String {
        if self.slot == SOURCE { "source".to_owned() } else { format!("f{}", self.slot) }
    }

    pub fn oid(&self) -> String {
        if self.slot == SOURCE { String::new() } else { self.oid.to_string() }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.error.len() + self.input.len() + self.outputs.len()
    }

    fn line(&self) -> ErrorLine {
        ErrorLine {
            slot: self.slot(),
            oid: self.oid(),
            err: self.error.clone(),
            errtime: oid::time(self.oid),
            revision: self.revision,
        }
    }

    pub fn full(&self) -> DeadLetter {
        DeadLetter {
            oid: self.oid(),
            time: oid::time(self.oid),
            slot: self.slot(),
            revision: self.revision,
            error: self.error.clone(),
            kind: self.kind,
            input: self.input.to_string(),
            outputs: self.outputs.to_string(),
            failed: oid::rfc3339(self.failed_ms, chrono::SecondsFormat::Millis),
            retries: self.retries,
        }
    }
}

/// How far apart the numbers of letters are: what a message leaves when it is tried again has room there, one a slot.
pub(crate) const APART: u64 = 64;
const _: () = assert!(MAX_SLOTS as u64 <= APART);

/// The number from which on letters are of other messages than the letter of this number.
pub(crate) fn after(number: u64) -> u64 {
    number - number % APART + APART
}

/// The newest letters, bounded; those that fall out are counted. Each has its own number, in the order of their
/// coming.
///
/// A clone is a snapshot, pointers to the same letters: what takes long is asked of one, without the lock that workers
/// need.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadLetterQueue {
    /// Those of messages.
    kept: VecDeque<(u64, Arc<DeadLetterEntry>)>,
    bytes: usize,
    /// Those of slot [`SOURCE`].
    of_source: VecDeque<(u64, Arc<DeadLetterEntry>)>,
    bytes_of_source: usize,
    next: u64,
    pub dropped: u64,
    /// Messages that were tried again, and those that passed.
    pub retried: u64,
    pub passed: u64,
}

impl DeadLetterQueue {
    pub fn add(&mut self, letter: DeadLetterEntry) {
        let (kept, bytes, most, most_bytes) = if letter.slot == SOURCE {
            (&mut self.of_source, &mut self.bytes_of_source, MOST_OF_SOURCE, MOST_BYTES_OF_SOURCE)
        } else {
            (&mut self.kept, &mut self.bytes, MOST, MOST_BYTES)
        };
        *bytes += letter.bytes();
        kept.push_back((self.next, Arc::new(letter)));
        self.next += APART;
        while kept.len() > most || (*bytes > most_bytes && kept.len() > 1) {
            let Some((_, oldest)) = kept.pop_front() else { return };
            *bytes -= oldest.bytes();
            self.dropped += 1;
        }
    }

    pub fn len(&self) -> usize {
        self.kept.len() + self.of_source.len()
    }

    /// All whose number is below `before`, newest first.
    pub fn newest(&self, before: u64) -> impl Iterator<Item = &(u64, Arc<DeadLetterEntry>)> {
        let below =
            |letters: &VecDeque<(u64, Arc<DeadLetterEntry>)>| letters.partition_point(|(number, _)| *number < before);
        let mut kept = self.kept.range(..below(&self.kept)).rev().peekable();
        let mut of_source = self.of_source.range(..below(&self.of_source)).rev().peekable();
        std::iter::from_fn(move || {
            let number = |letter: Option<&&(u64, Arc<DeadLetterEntry>)>| letter.map(|(number, _)| *number);
            if number(kept.peek()) > number(of_source.peek()) { kept.next() } else { of_source.next() }
        })
    }

    /// The newest errors in short, newest first.
    pub fn lines(&self, most: usize) -> Vec<ErrorLine> {
        self.newest(u64::MAX).take(most).map(|(_, letter)| letter.line()).collect()
    }

    /// Those of messages from number `from` on, oldest first.
    pub fn of_messages(&self, from: u64) -> impl Iterator<Item = &(u64, Arc<DeadLetterEntry>)> {
        let start = self.kept.partition_point(|(number, _)| *number < from);
        self.kept.range(start..)
    }

    /// A message was tried again: its letters make room for those that it leaves now, if any. These take the place of
    /// the first, and numbers from there to [`after`], so that they are not tried again in the same turn.
    pub fn replace(&mut self, oid: Oid, new: Vec<DeadLetterEntry>) {
        self.retried += 1;
        self.passed += u64::from(new.is_empty());
        let is_old = |letter: &DeadLetterEntry| letter.oid == oid;
        let Some(at) = self.kept.iter().position(|(_, letter)| is_old(letter)) else { return };
        let first = self.kept.get(at).map_or(0, |(number, _)| number - number % APART);
        let mut bytes = self.bytes;
        self.kept.retain(|(_, letter)| {
            let old = is_old(letter);
            bytes -= if old { letter.bytes() } else { 0 };
            !old
        });
        for (place, letter) in new.into_iter().enumerate() {
            bytes += letter.bytes();
            self.kept.insert(at + place, (first + place as u64, Arc::new(letter)));
        }
        self.bytes = bytes;
    }

    /// All letters of one message, oldest first.
    pub fn of(&self, oid: Oid) -> Vec<DeadLetterEntry> {
        let all = self.kept.iter().map(|(_, letter)| letter);
        all.filter(|letter| letter.oid == oid).map(|letter| DeadLetterEntry::clone(letter)).collect()
    }
}
