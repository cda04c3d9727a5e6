//! Dead letters by what they say.

use crate::closest_match::did_you_mean;
use crate::core::dead_letters::{DeadLetterEntry, DeadLetterQueue, SOURCE};
use crate::core::oid::{self, Oid};
use crate::filter::{Filter, Found as Value, Lookup, inside, meant};
use crate::inspect::page_size::{json_len, take_fitting};
use crate::json::{Json, Number, Scalar};
use machine_protocol::status::DeadLetter;
use std::borrow::Cow;
use std::sync::Arc;

/// What a condition on letters may name beside outputs and the parts of the input.
const COLUMNS: [&str; 8] = ["oid", "slot", "revision", "kind", "error", "retries", "failed", "input"];

impl Lookup for DeadLetterEntry {
    /// `error`, `slot` and the like; `f0.x` for an output that there was; anything else is looked for in the input.
    fn get(&self, path: &[String]) -> Option<Value<'_>> {
        let (first, rest) = path.split_first()?;
        let text = |text: String| Scalar::Text(Cow::Owned(text));
        let number = |number: u64| Scalar::Number(Number::from(number));
        let own = match first.as_str() {
            "oid" => text(self.oid()),
            "slot" => text(self.slot()),
            "revision" => number(self.revision),
            "kind" => Scalar::Text(Cow::Borrowed(self.kind.as_str())),
            "error" => Scalar::Text(Cow::Borrowed(&self.error)),
            "retries" => number(u64::from(self.retries)),
            "failed" => text(oid::rfc3339(self.failed_ms, chrono::SecondsFormat::Millis)),
            "input" | "in" => return inside(&self.input, rest),
            slot if slot.strip_prefix('f').is_some_and(|n| n.parse::<usize>().is_ok()) => {
                return inside(&self.outputs, path);
            }
            _ => return inside(&self.input, path),
        };
        rest.is_empty().then_some(Value::Own(own))
    }
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
    fn takes(&self, letter: &DeadLetterEntry) -> bool {
        self.slot.is_none_or(|slot| letter.slot == slot)
            && self.oid.is_none_or(|oid| letter.oid == oid && letter.slot != SOURCE)
            && letter.failed_ms >= self.since_ms
            && self.filter.as_ref().is_none_or(|filter| filter.holds(letter))
    }
}

/// Dead letters that were found, newest first.
#[derive(Debug)]
pub(crate) struct Found {
    /// As many as are wanted and fit in an answer.
    pub letters: Vec<DeadLetter>,
    /// How many there are.
    pub matching: u64,
    /// Passed over, because one alone fits in no answer.
    pub too_long: u64,
    /// The number of the oldest that is told, if there are older ones.
    pub next: Option<u64>,
}

/// Those of a selection whose number is below `before`.
pub(crate) fn find(queue: &DeadLetterQueue, selection: &Selection, most: usize, before: u64) -> Found {
    let found: Vec<_> = queue.newest(before).filter(|(_, letter)| selection.takes(letter)).collect();
    let size = |letter: &DeadLetterEntry| json_len(&letter.error) + json_len(&letter.input) + json_len(&letter.outputs);
    let wanted = found.iter().enumerate().take(most).map(|(place, (_, letter))| ((place, letter), size(letter)));
    let told: Vec<_> = take_fitting(wanted).collect();
    // Of those that come after the last, the next answer tells.
    let last = told.last().map(|(place, _)| *place).filter(|last| last + 1 < found.len());
    let looked_at = last.map_or(found.len().min(most), |last| last + 1);
    Found {
        matching: found.len() as u64,
        too_long: (looked_at - told.len()) as u64,
        next: last.and_then(|last| found.get(last)).map(|(number, _)| *number),
        letters: told.into_iter().map(|(_, letter)| letter.full()).collect(),
    }
}

/// Whether any letter has this name, on the first of its path at least.
pub(crate) fn knows(queue: &DeadLetterQueue, path: &[String]) -> bool {
    queue.len() == 0 || queue.newest(u64::MAX).any(|(_, letter)| letter.get(path).is_some())
}

/// What there is instead of a name that no letter has.
pub(crate) fn instead_of(queue: &DeadLetterQueue, path: &[String]) -> String {
    let mut names = COLUMNS.map(str::to_owned).to_vec();
    let newest = queue.newest(u64::MAX).next().map(|(_, letter)| letter);
    for json in newest.iter().flat_map(|letter| [&letter.outputs, &letter.input]) {
        names.extend(Json::new(json).names().into_iter().map(Cow::into_owned));
    }
    let nearest = newest.and_then(|letter| meant(path, &**letter, &names));
    let (name, there) = (path.join("."), COLUMNS.join(", "));
    let nearest = did_you_mean(nearest);
    format!("no dead letter has {name}: they have {there}, f0, f1, …, and what is in the message itself{nearest}")
}

/// The first letter of a selection from number `from` on that is a message's: its number and itself.
pub(crate) fn first(queue: &DeadLetterQueue, selection: &Selection, from: u64) -> Option<(u64, Arc<DeadLetterEntry>)> {
    meant_from(queue, selection, from).next().map(|(number, letter)| (*number, letter.clone()))
}

/// How many of a selection there are from number `from` on.
pub(crate) fn count(queue: &DeadLetterQueue, selection: &Selection, from: u64) -> u64 {
    meant_from(queue, selection, from).count() as u64
}

fn meant_from<'q>(
    queue: &'q DeadLetterQueue,
    selection: &Selection,
    from: u64,
) -> impl Iterator<Item = &'q (u64, Arc<DeadLetterEntry>)> {
    queue.of_messages(from).filter(|(_, letter)| selection.takes(letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::dead_letters::{APART, MOST, MOST_OF_SOURCE, after};
    use crate::core::frame::SlotErrorKind;

    fn letter(counter: u32, slot: usize, error: &str) -> DeadLetterEntry {
        DeadLetterEntry {
            oid: Oid { seconds: 1, machine: 0, counter },
            slot,
            revision: 1,
            kind: SlotErrorKind::Error,
            error: error.to_owned(),
            input: r#"{"lang":"en"}"#.into(),
            outputs: r#"{"f0":{"polarity":-0.5}}"#.into(),
            failed_ms: u64::from(counter),
            retries: 0,
        }
    }

    fn found(letters: &DeadLetterQueue, slot: Option<usize>, most: usize, before: u64) -> Found {
        find(letters, &Selection { slot, ..Selection::default() }, most, before)
    }

    #[test]
    fn the_oldest_fall_out_and_are_counted() {
        let mut letters = DeadLetterQueue::default();
        (0..12_000).for_each(|counter| letters.add(letter(counter, 3, "e")));
        assert_eq!((letters.len(), letters.dropped), (MOST, 2_000));
        assert!(found(&letters, Some(3), 1, u64::MAX).letters[0].oid.ends_with("00002edf"));
        assert!(found(&letters, Some(2), 1, u64::MAX).letters.is_empty());
    }

    #[test]
    fn those_of_a_source_take_no_place_of_others_and_all_are_told_in_their_order() {
        let mut letters = DeadLetterQueue::default();
        letters.add(letter(1, 1, "first"));
        (0..1_500).for_each(|counter| letters.add(letter(counter, SOURCE, "no JSON")));
        letters.add(letter(2, 1, "last"));
        assert_eq!((letters.len(), letters.dropped), (MOST_OF_SOURCE + 2, 500));
        let all: Vec<_> = found(&letters, None, usize::MAX, u64::MAX).letters;
        let ends = [&all[0], &all[1], &all[MOST_OF_SOURCE], &all[MOST_OF_SOURCE + 1]];
        assert_eq!(ends.map(|letter| letter.error.as_str()), ["last", "no JSON", "no JSON", "first"]);
        assert_eq!(letters.lines(2).iter().map(|line| line.err.as_str()).collect::<Vec<_>>(), ["last", "no JSON"]);
        assert_eq!(count(&letters, &Selection::default(), 0), 2);
    }

    #[test]
    fn a_condition_sees_the_letter_its_input_and_its_outputs() {
        let mut letters = DeadLetterQueue::default();
        letters.add(letter(1, 1, "bad utf-8"));
        letters.add(letter(2, 2, "timeout"));
        let count = |condition: &str| {
            let filter = Some(Filter::new(machine_filter::parse(condition).unwrap()).unwrap());
            find(&letters, &Selection { filter, ..Selection::default() }, 10, u64::MAX).letters.len()
        };
        assert_eq!(count("error like '%utf%'"), 1);
        assert_eq!(count("slot = 'f2' and lang = 'en'"), 1);
        assert_eq!(count("f0.polarity < 0 and in.lang = 'en'"), 2);
        assert_eq!(find(&letters, &Selection { since_ms: 2, ..Selection::default() }, 10, u64::MAX).letters.len(), 1);
        let newest = found(&letters, None, 1, u64::MAX);
        assert_eq!((newest.letters[0].error.as_str(), newest.letters.len(), newest.matching), ("timeout", 1, 2));
    }

    #[test]
    fn what_fits_in_no_frame_is_counted_and_the_rest_comes_in_the_next_answer() {
        let mut letters = DeadLetterQueue::default();
        // Each control character is written with six bytes.
        let long = |bytes: usize| "\u{1}".repeat(bytes / 6);
        for (counter, bytes) in [(1, 60), (2, 20), (3, 60), (4, 20), (5, 0), (6, 20)] {
            letters.add(letter(counter, 1, &long(bytes << 20)));
        }
        let mut told = Vec::new();
        let mut before = u64::MAX;
        loop {
            let answer = found(&letters, None, usize::MAX, before);
            let frame = serde_json::to_vec(&answer.letters).map_or(0, |json| json.len());
            assert!(frame < machine_remote::MAX_FRAME, "{frame}");
            let last = |letter: &DeadLetter| letter.oid.chars().last();
            told.push((answer.letters.iter().filter_map(last).collect::<String>(), answer.matching, answer.too_long));
            let Some(next) = answer.next else { break };
            before = next;
        }
        let expected = [("654", 6, 0), ("2", 3, 1), ("", 1, 1)];
        assert_eq!(told, expected.map(|(oids, matching, too_long)| (oids.to_owned(), matching, too_long)));
    }

    #[test]
    fn answers_have_each_letter_once_whatever_comes_and_is_tried_between_them() {
        let mut letters = DeadLetterQueue::default();
        (0..6).for_each(|counter| letters.add(letter(counter, 1, "old")));
        let again = |counter: u32| (0..8).map(|slot| letter(counter, slot, "new")).collect();
        letters.replace(Oid { seconds: 1, machine: 0, counter: 2 }, again(2));
        let (mut told, mut before) = (Vec::new(), u64::MAX);
        loop {
            let answer = found(&letters, None, 3, before);
            told.extend(answer.letters.into_iter().map(|letter| (letter.oid, letter.slot)));
            letters.add(letter(9, 1, "meanwhile"));
            // What was told already comes back at its old place: no answer has it again.
            letters.replace(Oid { seconds: 1, machine: 0, counter: 5 }, again(5));
            let Some(next) = answer.next else { break };
            before = next;
        }
        let distinct: std::collections::BTreeSet<_> = told.iter().collect();
        assert_eq!((told.len(), distinct.len()), (13, 13), "{told:?}");
    }

    #[test]
    fn what_passes_leaves_and_what_fails_again_stays_in_its_place() {
        let mut letters = DeadLetterQueue::default();
        (0..3).for_each(|counter| letters.add(letter(counter, 1, "old")));
        letters.add(letter(1, 2, "old too"));
        let (all, oid) = (Selection::default(), Oid { seconds: 1, machine: 0, counter: 1 });
        letters.replace(oid, vec![letter(1, 4, "new")]);
        let errors: Vec<_> =
            found(&letters, None, 9, u64::MAX).letters.into_iter().map(|letter| letter.error).collect();
        assert_eq!(errors, ["old", "new", "old"]);
        assert_eq!(
            first(&letters, &all, after(APART)).map(|(number, letter)| (number, letter.oid.counter)),
            Some((2 * APART, 2))
        );
        letters.replace(oid, Vec::new());
        assert_eq!((letters.len(), letters.retried, letters.passed), (2, 2, 1));
    }
}
