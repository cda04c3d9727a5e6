//! Dead letters: messages that a slot failed on, kept for whoever wants to know, and to be tried again.

use crate::budget::{fitting, told};
use crate::filter::{Filter, Lookup, inside, meant};
use crate::frame::ErrorKind;
use crate::nearest::did_you_mean;
use crate::oid::{self, Oid};
use machine::status::{DeadLetter, ErrorLine};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many are kept at most.
pub(crate) const MOST: usize = 10_000;
/// How many bytes of inputs, outputs and error texts are kept at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The slot of what a source gave that is no message.
pub(crate) const SOURCE: usize = usize::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub oid: Oid,
    pub slot: usize,
    pub revision: u64,
    pub kind: ErrorKind,
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

impl Letter {
    fn slot(&self) -> String {
        if self.slot == SOURCE { "source".to_owned() } else { format!("f{}", self.slot) }
    }

    fn oid(&self) -> String {
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
            input: self.input.to_string(),
            outputs: self.outputs.to_string(),
            failed: oid::rfc3339(self.failed_ms, chrono::SecondsFormat::Millis),
            retries: self.retries,
        }
    }
}

/// What a condition on letters may name beside outputs and the parts of the input.
const COLUMNS: [&str; 8] = ["oid", "slot", "revision", "kind", "error", "retries", "failed", "input"];

impl Lookup for Letter {
    /// `error`, `slot` and the like; `f0.x` for an output that there was; anything else is looked for in the input.
    fn get(&self, path: &[String]) -> Option<Cow<'_, Value>> {
        let (first, rest) = path.split_first()?;
        let own = match first.as_str() {
            "oid" => Value::from(self.oid()),
            "slot" => Value::from(self.slot()),
            "revision" => Value::from(self.revision),
            "kind" => Value::from(self.kind.code()),
            "error" => Value::from(self.error.as_str()),
            "retries" => Value::from(self.retries),
            "failed" => Value::from(oid::rfc3339(self.failed_ms, chrono::SecondsFormat::Millis)),
            "input" | "in" => return part(&self.input, rest),
            slot if slot.strip_prefix('f').is_some_and(|n| n.parse::<usize>().is_ok()) => {
                return part(&self.outputs, path);
            }
            _ => return part(&self.input, path),
        };
        rest.is_empty().then_some(Cow::Owned(own))
    }
}

fn part(json: &str, path: &[String]) -> Option<Cow<'static, Value>> {
    let value: Value = serde_json::from_str(json).ok()?;
    inside(&value, path).cloned().map(Cow::Owned)
}

/// Which letters are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub slot: Option<usize>,
    pub oid: Option<Oid>,
    /// Those that failed at this time or later, milliseconds since 1970.
    pub since_ms: u64,
    pub filter: Option<Filter>,
}

impl Selection {
    fn takes(&self, letter: &Letter) -> bool {
        self.slot.is_none_or(|slot| letter.slot == slot)
            && self.oid.is_none_or(|oid| letter.oid == oid && letter.slot != SOURCE)
            && letter.failed_ms >= self.since_ms
            && self.filter.as_ref().is_none_or(|filter| filter.holds(letter))
    }
}

/// The newest letters, bounded; those that fall out are counted. Each has a number, in the order of their coming.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    kept: VecDeque<(u64, Letter)>,
    next: u64,
    bytes: usize,
    pub dropped: u64,
    /// Messages that were tried again, and those that passed.
    pub retried: u64,
    pub passed: u64,
}

impl Letters {
    pub fn add(&mut self, letter: Letter) {
        self.bytes += letter.bytes();
        self.kept.push_back((self.next, letter));
        self.next += 1;
        while self.kept.len() > MOST || (self.bytes > MOST_BYTES && self.kept.len() > 1) {
            let Some((_, oldest)) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.dropped += 1;
        }
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// The newest errors in short, newest first.
    pub fn lines(&self, most: usize) -> Vec<ErrorLine> {
        self.kept.iter().rev().take(most).map(|(_, letter)| letter.line()).collect()
    }

    /// Newest first.
    pub fn newest(&self, slot: Option<usize>, most: usize) -> Vec<DeadLetter> {
        let all = self.kept.iter().rev().map(|(_, letter)| letter);
        all.filter(|letter| slot.is_none_or(|slot| letter.slot == slot)).take(most).map(Letter::full).collect()
    }

    /// Those of a selection, newest first, as many as are wanted and fit in an answer; and how many there are.
    pub fn find(&self, selection: &Selection, most: usize) -> (Vec<DeadLetter>, u64) {
        let all = self.kept.iter().rev().map(|(_, letter)| letter);
        let found: Vec<&Letter> = all.filter(|letter| selection.takes(letter)).collect();
        let size = |letter: &Letter| told(&letter.error) + told(&letter.input) + told(&letter.outputs);
        let told = fitting(found.iter().take(most).map(|letter| (letter, size(letter))));
        (told.map(|letter| letter.full()).collect(), found.len() as u64)
    }

    /// Whether any letter has this name, on the first of its path at least.
    pub fn knows(&self, path: &[String]) -> bool {
        self.kept.is_empty() || self.kept.iter().any(|(_, letter)| letter.get(path).is_some())
    }

    /// What there is instead of a name that no letter has.
    pub fn instead_of(&self, path: &[String]) -> String {
        let mut names = COLUMNS.map(str::to_owned).to_vec();
        let newest = self.kept.back().map(|(_, letter)| letter);
        for json in newest.iter().flat_map(|letter| [&letter.outputs, &letter.input]) {
            if let Ok(Value::Object(fields)) = serde_json::from_str(json) {
                names.extend(fields.into_iter().map(|(field, _)| field));
            }
        }
        let nearest = newest.and_then(|letter| meant(path, letter, &names));
        let (name, there) = (path.join("."), COLUMNS.join(", "));
        let nearest = did_you_mean(nearest);
        format!("no dead letter has {name}: they have {there}, f0, f1, …, and what is in the message itself{nearest}")
    }

    /// The first letter of a selection from number `from` on that is a message's: its number and itself.
    pub fn first(&self, selection: &Selection, from: u64) -> Option<(u64, Letter)> {
        self.from(selection, from).next().map(|(number, letter)| (*number, letter.clone()))
    }

    /// How many of a selection there are from number `from` on.
    pub fn count(&self, selection: &Selection, from: u64) -> u64 {
        self.from(selection, from).count() as u64
    }

    fn from(&self, selection: &Selection, from: u64) -> impl Iterator<Item = &(u64, Letter)> {
        let start = self.kept.partition_point(|(number, _)| *number < from);
        self.kept.range(start..).filter(|(_, letter)| letter.slot != SOURCE && selection.takes(letter))
    }

    /// A message was tried again: its letters make room for those that it leaves now, if any. These take the number of
    /// the first, so that they are not tried again in the same turn.
    pub fn replace(&mut self, oid: Oid, new: Vec<Letter>) {
        self.retried += 1;
        self.passed += u64::from(new.is_empty());
        let is_old = |letter: &Letter| letter.oid == oid && letter.slot != SOURCE;
        let Some(at) = self.kept.iter().position(|(_, letter)| is_old(letter)) else { return };
        let first = self.kept.get(at).map_or(0, |(number, _)| *number);
        let mut bytes = self.bytes;
        self.kept.retain(|(_, letter)| {
            let old = is_old(letter);
            bytes -= if old { letter.bytes() } else { 0 };
            !old
        });
        for letter in new.into_iter().rev() {
            bytes += letter.bytes();
            self.kept.insert(at, (first, letter));
        }
        self.bytes = bytes;
    }

    /// All letters of one message, oldest first.
    pub fn of(&self, oid: Oid) -> Vec<Letter> {
        let all = self.kept.iter().map(|(_, letter)| letter);
        all.filter(|letter| letter.oid == oid && letter.slot != SOURCE).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Letter, Letters, MOST, Selection};
    use crate::filter::Filter;
    use crate::frame::ErrorKind;
    use crate::oid::Oid;

    fn letter(counter: u32, slot: usize, error: &str) -> Letter {
        Letter {
            oid: Oid { seconds: 1, counter },
            slot,
            revision: 1,
            kind: ErrorKind::Error,
            error: error.to_owned(),
            input: r#"{"lang":"en"}"#.into(),
            outputs: r#"{"f0":{"polarity":-0.5}}"#.into(),
            failed_ms: u64::from(counter),
            retries: 0,
        }
    }

    #[test]
    fn the_oldest_fall_out_and_are_counted() {
        let mut letters = Letters::default();
        (0..12_000).for_each(|counter| letters.add(letter(counter, 3, "e")));
        assert_eq!((letters.len(), letters.dropped), (MOST, 2_000));
        assert!(letters.newest(Some(3), 1)[0].oid.ends_with("00002edf"));
        assert!(letters.newest(Some(2), 1).is_empty());
    }

    #[test]
    fn a_condition_sees_the_letter_its_input_and_its_outputs() {
        let mut letters = Letters::default();
        letters.add(letter(1, 1, "bad utf-8"));
        letters.add(letter(2, 2, "timeout"));
        let found = |condition: &str| {
            let filter = Some(Filter::parse(condition).unwrap_or_else(|error| panic!("{error}")));
            letters.find(&Selection { filter, ..Selection::default() }, 10).0.len()
        };
        assert_eq!(found("error like '%utf%'"), 1);
        assert_eq!(found("slot = 'f2' and lang = 'en'"), 1);
        assert_eq!(found("f0.polarity < 0 and in.lang = 'en'"), 2);
        assert_eq!(letters.find(&Selection { since_ms: 2, ..Selection::default() }, 10).0.len(), 1);
        let (newest, all) = letters.find(&Selection::default(), 1);
        assert_eq!((newest[0].error.as_str(), newest.len(), all), ("timeout", 1, 2));
    }

    #[test]
    fn letters_that_would_not_fit_in_a_frame_are_left_out_and_counted() {
        let mut letters = Letters::default();
        // Each control character is written with six bytes.
        let long = |bytes: usize| "\u{1}".repeat(bytes / 6);
        letters.add(letter(1, 1, &long(20 << 20)));
        letters.add(letter(2, 1, &long(60 << 20)));
        letters.add(letter(3, 1, &long(20 << 20)));
        letters.add(letter(4, 1, "short"));
        letters.add(letter(5, 1, &long(20 << 20)));
        let (told, all) = letters.find(&Selection::default(), 10);
        let numbers: Vec<_> =
            told.iter().map(|letter| letter.oid.ends_with('5') || letter.oid.ends_with('4')).collect();
        assert_eq!((numbers, all), (vec![true, true, false], 5));
        let frame = serde_json::to_vec(&told).map_or(0, |json| json.len());
        assert!(frame < crate::remote::MAX_FRAME, "{frame}");
    }

    #[test]
    fn what_passes_leaves_and_what_fails_again_stays_in_its_place() {
        let mut letters = Letters::default();
        (0..3).for_each(|counter| letters.add(letter(counter, 1, "old")));
        letters.add(letter(1, 2, "old too"));
        let (all, oid) = (Selection::default(), Oid { seconds: 1, counter: 1 });
        letters.replace(oid, vec![letter(1, 4, "new")]);
        let errors: Vec<_> = letters.newest(None, 9).into_iter().map(|letter| letter.error).collect();
        assert_eq!(errors, ["old", "new", "old"]);
        assert_eq!(letters.first(&all, 2).map(|(number, letter)| (number, letter.oid.counter)), Some((2, 2)));
        letters.replace(oid, Vec::new());
        assert_eq!((letters.len(), letters.retried, letters.passed), (2, 2, 1));
    }
}
