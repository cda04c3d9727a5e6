//! Any sequence of calls, crashes and power cuts, beside a map that does the same.

use crate::random::Random;
use crate::simulated::Simulated;
use crate::{append, count, open, records_of};
use machine_store::Opened;
use proptest::prelude::*;
use rangemap::RangeSet;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many and flushes, with so many bytes of room, if any.
    Write(u64, Option<usize>),
    Sync,
    /// The sync begins before so many more are written, and ends after.
    SyncBeside(u64),
    Rotate,
    /// Finishes so many, from so far behind the first that waits.
    Finish(u64, u64),
    SyncAcks,
    Delete,
    Close,
    Kill,
    CutPower(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..20_u64).prop_map(|count| Step::Write(count, None)),
        1 => (1..20_u64, 0..3000_usize).prop_map(|(count, room)| Step::Write(count, Some(room))),
        3 => Just(Step::Sync),
        1 => (1..20_u64).prop_map(Step::SyncBeside),
        1 => Just(Step::Rotate),
        4 => (1..30_u64, 0..10_u64).prop_map(|(count, behind)| Step::Finish(count, behind)),
        2 => Just(Step::SyncAcks),
        2 => Just(Step::Delete),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::CutPower),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What must be in the log.
#[derive(Debug, Default)]
struct Model {
    /// Written and not lost: numbers and names.
    written: BTreeMap<u64, u64>,
    /// All below survive a power cut.
    synced: u64,
    finished: RangeSet<u64>,
    finished_and_synced: RangeSet<u64>,
    /// Numbers that were written are below.
    given: u64,
    names: u64,
}

impl Model {
    /// Appends so many and flushes.
    fn write(&mut self, opened: &mut Opened, count: u64) {
        let mut batch = BTreeMap::new();
        let before = opened.log.next_seq();
        for _ in 0..count {
            self.names += 1;
            batch.insert(append(&mut opened.log, self.names), self.names);
        }
        match opened.log.flush() {
            Ok(()) => {
                assert_eq!(batch.keys().copied().collect::<Vec<_>>(), (before..before + count).collect::<Vec<_>>());
                assert!(before >= self.given, "a number was given twice");
                self.given = opened.log.next_seq();
                self.written.append(&mut batch);
            }
            Err(error) => {
                assert_eq!(error.kind(), machine_store::ErrorKind::Full, "{error}");
                assert_eq!(opened.log.next_seq(), before);
            }
        }
    }

    /// After a crash: what was found is what must be there.
    fn recover(&mut self, opened: &Opened, disk: &Simulated, lost_power: bool) {
        let (recovery, found) = (&opened.recovery, records_of(disk));
        assert_eq!(count(&recovery.corrupt), 0, "nothing was damaged that was synced: {recovery:?}");
        if !lost_power {
            assert_eq!(count(&recovery.unsynced_lost), 0, "{recovery:?}");
        }
        for (seq, name) in &found {
            // Finished ones whose segment was deleted, and came back with the power, among them.
            assert!(self.written.get(seq).is_none_or(|written| written == name), "record {seq} has another name");
        }
        let done = &recovery.acknowledged.done;
        let not_done: Vec<_> = found.keys().filter(|seq| !done.contains(seq)).collect();
        assert_eq!(recovery.waiting, not_done.len() as u64);
        for seq in self.written.keys() {
            if self.finished_and_synced.contains(seq) {
                assert!(done.contains(seq), "{seq} is delivered again although that it was finished was synced");
            } else if *seq < self.synced && !self.finished.contains(seq) {
                assert!(found.contains_key(seq), "{seq} was synced and is gone: {recovery:?}");
                assert!(!done.contains(seq), "{seq} was never finished");
            } else if !found.contains_key(seq) && !done.contains(seq) {
                // How many a power cut took from the end nobody can know.
                let is_counted = recovery.unsynced_lost.contains(seq) || *seq >= recovery.end;
                assert!(lost_power && is_counted, "{seq} is gone, and not counted: {recovery:?}");
            }
        }
        assert!(opened.log.next_seq() >= self.given, "{} would be given again", opened.log.next_seq());
        self.written = found;
        self.finished = opened.acks.known().done.clone();
        self.finished_and_synced = self.finished.clone();
        self.synced = opened.log.next_seq();
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_that_was_promised(steps in steps()) {
        let mut disk = Simulated::default();
        let mut opened = open(&disk);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Write(count, room) => {
                    // There is always room to begin a segment.
                    disk.leave_room(room.map(|room| room + 1024));
                    model.write(&mut opened, count);
                    disk.leave_room(None);
                }
                Step::Sync => model.synced = opened.log.sync().unwrap(),
                Step::SyncBeside(count) => {
                    let sync = opened.log.begin_sync().unwrap();
                    let up_to = opened.log.written();
                    model.write(&mut opened, count);
                    let result = sync.run();
                    model.synced = opened.log.end_sync(sync, result).unwrap();
                    assert_eq!(model.synced, up_to);
                }
                Step::Rotate => opened.log.rotate().unwrap(),
                Step::Finish(count, behind) => {
                    let waiting = |seq: &&u64| !model.finished.contains(seq);
                    let Some(&from) = model.written.keys().filter(waiting).nth(usize::try_from(behind).unwrap()) else { continue };
                    let range = from..(from + count).min(opened.log.written());
                    opened.acks.finish(std::slice::from_ref(&range)).unwrap();
                    model.finished.insert(range);
                }
                Step::SyncAcks => {
                    // In this order: what is finished was synced before.
                    model.synced = opened.log.sync().unwrap();
                    opened.acks.note_synced(model.synced).unwrap();
                    opened.acks.sync().unwrap();
                    model.finished_and_synced = model.finished.clone();
                }
                Step::Delete => {
                    // Only once it is known for good that they are finished.
                    model.synced = opened.log.sync().unwrap();
                    opened.acks.sync().unwrap();
                    model.finished_and_synced = model.finished.clone();
                    opened.log.delete_finished(opened.acks.known()).unwrap();
                    let there = records_of(&disk);
                    model.written.retain(|seq, _| there.contains_key(seq) || !model.finished.contains(seq));
                }
                Step::Close => {
                    let next = opened.log.next_seq();
                    let Opened { log, mut acks, .. } = opened;
                    log.close(&mut acks, serde_json::json!({"processed": 7})).unwrap();
                    model.finished_and_synced = model.finished.clone();
                    model.synced = next;
                    disk = disk.cut_power(|| false);
                    opened = open(&disk);
                    assert_eq!(opened.log.next_seq(), next, "no number is left out");
                    assert!(opened.recovery.was_closed);
                    let checkpoint = opened.recovery.acknowledged.checkpoint.as_ref().unwrap();
                    assert_eq!(checkpoint.machine["processed"], 7);
                    model.recover(&opened, &disk, false);
                }
                Step::Kill => {
                    drop(opened);
                    opened = open(&disk);
                    model.recover(&opened, &disk, false);
                }
                Step::CutPower(seed) => {
                    drop(opened);
                    let (mut random, often) = (Random(seed), 1 + seed % 3);
                    disk = disk.cut_power(|| random.below(often) == 0);
                    opened = open(&disk);
                    model.recover(&opened, &disk, true);
                }
            }
        }
        assert_eq!(records_of(&disk), model.written);
    }
}
