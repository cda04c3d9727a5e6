//! Dead letters: messages that a slot failed on, kept for whoever wants to know, and to be tried again.

use crate::closest_match::did_you_mean;
use crate::core::frame::{Frame, SlotErrorKind};
use crate::core::oid::{self, Oid};
use crate::core::output::Rendering;
use crate::core::slot_errors::SlotErrors;
use crate::core::slots::{From, Plan};
use crate::decode::frames::EXCEPTION;
use crate::filter::{Filter, Found as Value, Lookup, inside, meant};
use crate::inspect::page_size::{json_len, take_fitting};
use crate::json::{Json, Number, Scalar};
use machine::handle::MAX_SLOTS;
use machine_protocol::status::{DeadLetter, ErrorLine};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many of messages are kept at most.
pub(crate) const MOST: usize = 10_000;
/// How many bytes of their inputs, outputs and error texts are kept at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// The same for those of sources, beside them: what is no message cannot be tried again, and takes no place from what
/// can.
const MOST_OF_SOURCE: usize = 1_000;
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
            kind: self.kind,
            input: self.input.to_string(),
            outputs: self.outputs.to_string(),
            failed: oid::rfc3339(self.failed_ms, chrono::SecondsFormat::Millis),
            retries: self.retries,
        }
    }
}

/// The dead letters that a message leaves.
pub(crate) fn of_frame(frame: &Frame, oid: Oid, caught: &SlotErrors, retries: u32) -> Vec<DeadLetterEntry> {
    let input = frame.json(From::Input).unwrap_or_else(|| Ok(String::new()));
    let input: Arc<str> = input.unwrap_or_else(|why| format!("({why})")).into();
    let outputs: Arc<str> = outputs_so_far(frame).into();
    let failed_ms = oid::coarse_millis();
    let revision = |slot: usize| frame.plan().slots.get(slot).map_or(0, |slot| slot.revision);
    let letter = |(slot, kind, error): &(usize, _, String)| DeadLetterEntry {
        oid,
        slot: *slot,
        revision: revision(*slot),
        kind: *kind,
        error: error.clone(),
        input: input.clone(),
        outputs: outputs.clone(),
        failed_ms,
        retries,
    };
    caught.errors.iter().map(letter).collect()
}

/// The dead letters that a message leaves whose slots gave what cannot be written, as the others are.
#[cold]
pub(crate) fn of_unwritten(rendering: &mut Rendering, plan: &Plan, oid: Oid) -> Vec<DeadLetterEntry> {
    let unwritten = rendering.take_unwritten();
    let text = |at| String::from_utf8_lossy(rendering.part(at));
    let gave =
        |slot: &usize| plan.function(*slot).is_some() && !rendering.part(slot + 1).starts_with(EXCEPTION.as_bytes());
    let outputs: Vec<String> =
        (0..plan.slots.len()).filter(gave).map(|slot| format!("\"f{slot}\":{}", text(slot + 1))).collect();
    let (input, outputs): (Arc<str>, Arc<str>) = (text(0).into(), format!("{{{}}}", outputs.join(",")).into());
    let failed_ms = oid::coarse_millis();
    let letter = |(slot, error): (usize, String)| DeadLetterEntry {
        oid,
        slot,
        revision: plan.slots.get(slot).map_or(0, |slot| slot.revision),
        kind: SlotErrorKind::Serialize,
        error,
        input: input.clone(),
        outputs: outputs.clone(),
        failed_ms,
        retries: 0,
    };
    unwritten.into_iter().map(letter).collect()
}

/// What the slots gave, as a JSON object.
fn outputs_so_far(frame: &Frame) -> String {
    let mut json = "{".to_owned();
    for slot in 0..frame.plan().slots.len() {
        let Some(Ok(output)) = frame.plan().function(slot).and_then(|_| frame.json(From::Slot(slot))) else { continue };
        let comma = if json.len() > 1 { "," } else { "" };
        json.push_str(&format!("{comma}\"f{slot}\":{output}"));
    }
    json.push('}');
    json
}

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

/// How far apart the numbers of letters are: what a message leaves when it is tried again has room there, one a slot.
const APART: u64 = 64;
const _: () = assert!(MAX_SLOTS as u64 <= APART);

/// The number from which on letters are of other messages than the letter of this number.
pub(crate) fn after(number: u64) -> u64 {
    number - number % APART + APART
}

/// The newest letters, bounded; those that fall out are counted. Each has a number of its own, in the order of their
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
    fn newest(&self, before: u64) -> impl Iterator<Item = &(u64, Arc<DeadLetterEntry>)> {
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

    /// Those of a selection whose number is below `before`.
    pub fn find(&self, selection: &Selection, most: usize, before: u64) -> Found {
        let found: Vec<_> = self.newest(before).filter(|(_, letter)| selection.takes(letter)).collect();
        let size =
            |letter: &DeadLetterEntry| json_len(&letter.error) + json_len(&letter.input) + json_len(&letter.outputs);
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
    pub fn knows(&self, path: &[String]) -> bool {
        self.len() == 0 || self.newest(u64::MAX).any(|(_, letter)| letter.get(path).is_some())
    }

    /// What there is instead of a name that no letter has.
    pub fn instead_of(&self, path: &[String]) -> String {
        let mut names = COLUMNS.map(str::to_owned).to_vec();
        let newest = self.newest(u64::MAX).next().map(|(_, letter)| letter);
        for json in newest.iter().flat_map(|letter| [&letter.outputs, &letter.input]) {
            names.extend(Json::new(json).names().into_iter().map(Cow::into_owned));
        }
        let nearest = newest.and_then(|letter| meant(path, &**letter, &names));
        let (name, there) = (path.join("."), COLUMNS.join(", "));
        let nearest = did_you_mean(nearest);
        format!("no dead letter has {name}: they have {there}, f0, f1, …, and what is in the message itself{nearest}")
    }

    /// The first letter of a selection from number `from` on that is a message's: its number and itself.
    pub fn first(&self, selection: &Selection, from: u64) -> Option<(u64, Arc<DeadLetterEntry>)> {
        self.from(selection, from).next().map(|(number, letter)| (*number, letter.clone()))
    }

    /// How many of a selection there are from number `from` on.
    pub fn count(&self, selection: &Selection, from: u64) -> u64 {
        self.from(selection, from).count() as u64
    }

    fn from(&self, selection: &Selection, from: u64) -> impl Iterator<Item = &(u64, Arc<DeadLetterEntry>)> {
        let start = self.kept.partition_point(|(number, _)| *number < from);
        self.kept.range(start..).filter(|(_, letter)| selection.takes(letter))
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

#[cfg(test)]
mod tests {
    use super::{APART, DeadLetterEntry, DeadLetterQueue, Found, MOST, MOST_OF_SOURCE, SOURCE, Selection, after};
    use crate::core::frame::SlotErrorKind;
    use crate::core::oid::Oid;
    use crate::filter::Filter;
    use machine_protocol::status::DeadLetter;

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
        letters.find(&Selection { slot, ..Selection::default() }, most, before)
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
        assert_eq!(letters.count(&Selection::default(), 0), 2);
    }

    #[test]
    fn a_condition_sees_the_letter_its_input_and_its_outputs() {
        let mut letters = DeadLetterQueue::default();
        letters.add(letter(1, 1, "bad utf-8"));
        letters.add(letter(2, 2, "timeout"));
        let count = |condition: &str| {
            let filter = Some(Filter::parse(condition).unwrap_or_else(|error| panic!("{error}")));
            letters.find(&Selection { filter, ..Selection::default() }, 10, u64::MAX).letters.len()
        };
        assert_eq!(count("error like '%utf%'"), 1);
        assert_eq!(count("slot = 'f2' and lang = 'en'"), 1);
        assert_eq!(count("f0.polarity < 0 and in.lang = 'en'"), 2);
        assert_eq!(letters.find(&Selection { since_ms: 2, ..Selection::default() }, 10, u64::MAX).letters.len(), 1);
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
            letters.first(&all, after(APART)).map(|(number, letter)| (number, letter.oid.counter)),
            Some((2 * APART, 2))
        );
        letters.replace(oid, Vec::new());
        assert_eq!((letters.len(), letters.retried, letters.passed), (2, 2, 1));
    }
}
