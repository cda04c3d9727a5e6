//! Every byte changed, every length cut: no panic, no wrong record, and what is missing is counted.

use crate::simulated::Simulated;
use crate::{append, count, lost, open, records_of};
use machine_store::{ErrorKind, Log, Opened, Options};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A log of three segments, closed.
fn three_segments() -> (Simulated, BTreeMap<u64, u64>, Vec<String>) {
    let disk = Simulated::default();
    let Opened { mut log, mut acks, .. } = open(&disk);
    for name in 1..=24 {
        append(&mut log, name);
        if name % 8 == 0 {
            log.rotate().unwrap();
        }
    }
    log.close(&mut acks, serde_json::Value::Null).unwrap();
    let written = records_of(&disk);
    let names = segments(&disk);
    assert_eq!((names.len(), written.len()), (3, 24));
    (disk, written, names)
}

fn segments(disk: &Simulated) -> Vec<String> {
    machine_store::Disk::list(disk).unwrap().into_iter().filter(|name| name.starts_with('0')).collect()
}

/// Opens a damaged log; gives back how many records are gone, each of them counted.
fn gone(disk: &Simulated, written: &BTreeMap<u64, u64>, what: &str) -> u64 {
    let looked_at = machine_store::verify(disk).unwrap();
    let before = machine_store::Disk::list(disk).unwrap();
    assert_eq!(records_of(disk).len() as u64, looked_at.records, "{what}");
    let opened = open(disk);
    assert_eq!(opened.recovery, looked_at, "{what}: looking and opening see the same");
    let found = records_of(disk);
    assert!(found.iter().all(|(seq, name)| written.get(seq) == Some(name)), "{what}: {found:?}");
    assert_eq!(found.len() as u64 + lost(&opened.recovery), written.len() as u64, "{what}: {:?}", opened.recovery);
    assert_eq!(count(&opened.recovery.unsynced_lost), 0, "{what}: all was synced");
    assert!(found.keys().all(|seq| !opened.recovery.corrupt.contains(seq)), "{what}");
    let kept = machine_store::Disk::list(disk).unwrap().iter().filter(|name| name.contains(".log.")).count();
    if lost(&opened.recovery) > 0 && kept == 0 {
        // Bytes that are gone cannot be kept.
        assert!(what.contains("cut"), "{what}: the damaged bytes were not kept: {before:?}");
    }
    // Told once.
    drop(opened);
    assert_eq!(lost(&open(disk).recovery), 0, "{what}: opened again");
    lost(&looked_at)
}

#[test]
fn a_changed_byte_costs_one_record_at_most() {
    let (disk, written, names) = three_segments();
    for name in &names {
        for at in 0..disk.content(name).len() {
            for change in [0x01, 0x80] {
                let damaged = disk.copy();
                damaged.damage(name, |bytes| bytes[at] ^= change);
                let gone = gone(&damaged, &written, &format!("byte {at} of {name} changed"));
                let expected = u64::from(at >= 1024);
                assert_eq!(gone, expected, "byte {at} of {name}");
            }
        }
    }
}

#[test]
fn a_cut_file_costs_what_was_cut() {
    let (disk, written, names) = three_segments();
    for name in &names {
        for length in 0..disk.content(name).len() {
            let damaged = disk.copy();
            damaged.damage(name, |bytes| bytes.truncate(length));
            assert!(gone(&damaged, &written, &format!("{name} cut to {length}")) <= 8);
        }
    }
}

#[test]
fn zeros_in_the_middle_cost_what_they_cover() {
    let (disk, written, names) = three_segments();
    for from in (1024..disk.content(&names[1]).len() - 300).step_by(8) {
        let damaged = disk.copy();
        damaged.damage(&names[1], |bytes| bytes[from..from + 300].fill(0));
        let gone = gone(&damaged, &written, &format!("300 zeros at {from}"));
        assert!((1..=7).contains(&gone), "{gone} records gone at {from}");
    }
}

#[test]
fn both_headers_gone_cost_the_segment() {
    let (disk, written, names) = three_segments();
    for name in &names {
        let damaged = disk.copy();
        damaged.damage(name, |bytes| bytes[..1024].fill(0xff));
        assert_eq!(gone(&damaged, &written, name), 8);
        assert!(machine_store::Disk::list(&damaged).unwrap().contains(&format!("{name}.bad")));
    }
}

#[test]
fn damaged_acknowledgements_repeat_work_and_lose_nothing() {
    let (disk, written, _) = three_segments();
    let Opened { mut acks, .. } = open(&disk);
    for seq in 1..=10 {
        acks.finish(&[seq..seq + 1]).unwrap();
    }
    acks.sync().unwrap();
    drop(acks);
    for at in 0..disk.content("acked.log").len() {
        let damaged = disk.copy();
        damaged.damage("acked.log", |bytes| bytes[at] ^= 0x10);
        let opened = open(&damaged);
        assert!((14..=24).contains(&opened.recovery.waiting), "byte {at}: {}", opened.recovery.waiting);
        assert_eq!(lost(&opened.recovery), 0, "byte {at}");
        assert_eq!(records_of(&damaged), written);
    }
    for length in 0..disk.content("acked.log").len() {
        let damaged = disk.copy();
        damaged.damage("acked.log", |bytes| bytes.truncate(length));
        let opened = open(&damaged);
        assert!((14..=24).contains(&opened.recovery.waiting), "cut to {length}: {}", opened.recovery.waiting);
        assert_eq!(records_of(&damaged), written);
    }
}

#[test]
fn a_record_inside_a_message_is_not_taken_for_one() {
    // The bytes of a whole segment as the payload of a message, and the record before it damaged.
    let (inner, _, names) = three_segments();
    let bytes = inner.content(&names[0]);
    let disk = Simulated::default();
    let mut opened = open(&disk);
    append(&mut opened.log, 1);
    let entry = machine_store::Entry { time_ms: 2, payload: &bytes, ..machine_store::Entry::default() };
    opened.log.append(&entry).unwrap();
    append(&mut opened.log, 3);
    opened.log.sync().unwrap();
    drop(opened);
    let [name] = segments(&disk).try_into().unwrap();
    // In the middle of the large record: what is inside of it is scanned.
    disk.damage(&name, |content| content[1024 + 400] ^= 1);
    let opened = open(&disk);
    assert_eq!(records_of(&disk).keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(lost(&opened.recovery), 1);
}

#[test]
fn a_copied_segment_is_refused() {
    let (disk, _, names) = three_segments();
    let (other, _, _) = three_segments();
    let foreign = other.content(&names[0]);
    disk.damage(&names[1], |bytes| *bytes = foreign);
    let error = Log::open(Arc::new(disk), Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Directory);
    assert!(error.to_string().contains("is of another log"), "{error}");
}

#[test]
fn a_newer_version_is_refused_and_both_are_named() {
    let (disk, _, names) = three_segments();
    disk.damage(&names[1], |bytes| {
        for at in [0, 512] {
            bytes[at + 8] = 9;
            let sum = crc32c::crc32c(&bytes[at..at + 124]);
            bytes[at + 124..at + 128].copy_from_slice(&sum.to_le_bytes());
        }
    });
    let error = Log::open(Arc::new(disk), Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Newer);
    let text = error.to_string();
    assert!(text.contains("version 9") && text.contains("up to 1"), "{text}");
}
