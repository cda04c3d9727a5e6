//! Dead letters: messages that a slot failed on, kept for whoever wants to know.

use crate::frame::ErrorKind;
use crate::oid::Oid;
use machine::status::{DeadLetter, ErrorLine};
use std::collections::VecDeque;

/// How many are kept at most.
pub(crate) const MOST: usize = 10_000;
/// How many bytes of inputs and error texts are kept at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The slot of what a source gave that is no message.
pub(crate) const SOURCE: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Letter {
    pub oid: Oid,
    pub slot: usize,
    pub revision: u64,
    pub kind: ErrorKind,
    pub error: String,
    /// JSON text.
    pub input: String,
}

impl Letter {
    fn slot(&self) -> String {
        if self.slot == SOURCE { "source".to_owned() } else { format!("f{}", self.slot) }
    }

    fn oid(&self) -> String {
        if self.slot == SOURCE { String::new() } else { self.oid.to_string() }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.error.len() + self.input.len()
    }

    fn line(&self) -> ErrorLine {
        ErrorLine {
            slot: self.slot(),
            oid: self.oid(),
            err: self.error.clone(),
            errtime: self.oid.time(),
            revision: self.revision,
        }
    }

    fn full(&self) -> DeadLetter {
        DeadLetter {
            oid: self.oid(),
            time: self.oid.time(),
            slot: self.slot(),
            revision: self.revision,
            error: self.error.clone(),
            kind: self.kind.code().to_owned(),
            input: self.input.clone(),
        }
    }
}

/// The newest letters, bounded; those that fall out are counted.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    kept: VecDeque<Letter>,
    bytes: usize,
    pub dropped: u64,
}

impl Letters {
    pub fn add(&mut self, letter: Letter) {
        self.bytes += letter.bytes();
        self.kept.push_back(letter);
        while self.kept.len() > MOST || (self.bytes > MOST_BYTES && self.kept.len() > 1) {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.dropped += 1;
        }
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// The newest errors in short, newest first.
    pub fn lines(&self, most: usize) -> Vec<ErrorLine> {
        self.kept.iter().rev().take(most).map(Letter::line).collect()
    }

    /// Newest first.
    pub fn newest(&self, slot: Option<usize>, most: usize) -> Vec<DeadLetter> {
        self.kept.iter().rev().filter(|l| slot.is_none_or(|slot| l.slot == slot)).take(most).map(Letter::full).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Letter, Letters, MOST};
    use crate::frame::ErrorKind;
    use crate::oid::Oid;

    #[test]
    fn the_oldest_fall_out_and_are_counted() {
        let mut letters = Letters::default();
        for counter in 0..12_000 {
            let oid = Oid { seconds: 1, counter };
            letters.add(Letter {
                oid,
                slot: 3,
                revision: 1,
                kind: ErrorKind::Error,
                error: "e".into(),
                input: "1".into(),
            });
        }
        assert_eq!((letters.len(), letters.dropped), (MOST, 2_000));
        assert!(letters.newest(Some(3), 1)[0].oid.ends_with("00002edf"));
        assert!(letters.newest(Some(2), 1).is_empty());
    }
}
