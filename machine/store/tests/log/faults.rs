//! A full disk and a disk that does not sync.

use crate::simulated::Simulated;
use crate::{append, open, payload, records_of};
use machine_store::{Entry, ErrorKind, Opened};

#[test]
fn a_disk_that_is_full_at_any_byte_takes_all_of_a_batch_or_nothing() {
    // Where the disk is full while a new segment is begun, and in it.
    for before in [0, 3, 9] {
        for room in 0..2200 {
            let disk = Simulated::default();
            let mut opened = open(&disk);
            for name in 1..=before {
                append(&mut opened.log, name);
                opened.log.flush().unwrap();
            }
            let next = opened.log.next_seq();
            disk.leave_room(Some(room));
            let entries = [100, 101, 102].map(|name| (name, payload(name)));
            let wrote = entries
                .iter()
                .try_for_each(|(name, payload)| {
                    opened.log.append(&Entry { time_ms: *name, payload, ..Entry::default() }).map(drop)
                })
                .and_then(|()| opened.log.flush());
            disk.leave_room(None);
            match wrote {
                Ok(()) => assert_eq!(opened.log.next_seq(), next + 3),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                    assert_eq!((opened.log.next_seq(), opened.log.written()), (next, next));
                    // It goes on once there is room.
                    append(&mut opened.log, 200);
                    opened.log.flush().unwrap();
                }
            }
            let written: Vec<u64> = records_of(&disk).into_values().collect();
            drop(opened);
            let opened = open(&disk);
            assert_eq!(records_of(&disk).into_values().collect::<Vec<_>>(), written);
            assert_eq!(opened.recovery.records, written.len() as u64);
            let whole = written.len() as u64 == before + 3 || written.len() as u64 == before + 1;
            assert!(whole, "{before} before, room for {room}: {written:?}");
        }
    }
}

#[test]
fn a_full_disk_that_cannot_even_be_cut_ends_the_log() {
    let disk = Simulated::default();
    let mut opened = open(&disk);
    append(&mut opened.log, 1);
    opened.log.flush().unwrap();
    append(&mut opened.log, 2);
    disk.leave_room(Some(30));
    disk.refuse_to_truncate();
    assert_eq!(opened.log.flush().unwrap_err().kind(), ErrorKind::Full);
    disk.leave_room(None);
    let error = opened.log.append(&Entry::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
}

#[test]
fn a_failed_sync_ends_the_log_at_every_call() {
    for times in 0..3 {
        let disk = Simulated::default();
        let mut opened = open(&disk);
        append(&mut opened.log, 1);
        opened.log.sync().unwrap();
        append(&mut opened.log, 2);
        opened.log.rotate().unwrap();
        append(&mut opened.log, 3);
        disk.let_sync(Some(times));
        let synced = opened.log.sync();
        disk.let_sync(None);
        // Two segments and the directory.
        let error = synced.unwrap_err();
        assert!(error.to_string().contains("check the disk"), "{error}");
        assert_eq!(opened.log.append(&Entry::default()).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(opened.log.flush().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(
            opened.log.sync().unwrap_err().kind(),
            ErrorKind::Poisoned,
            "a second sync would succeed, and mean nothing"
        );
        assert_eq!(opened.log.rotate().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(opened.log.synced(), 2);
        // What was written is there for the next process.
        drop(opened);
        assert_eq!(open(&disk).recovery.records, 3);
    }
}

#[test]
fn acknowledgements_go_on_after_a_full_disk_and_end_with_a_failed_sync() {
    let disk = Simulated::default();
    let Opened { mut log, mut acks, .. } = open(&disk);
    for name in 1..=9 {
        append(&mut log, name);
    }
    log.sync().unwrap();
    acks.finish(&[1..2]).unwrap();
    disk.leave_room(Some(20));
    assert_eq!(acks.finish(&[2..3]).unwrap_err().kind(), ErrorKind::Full);
    disk.leave_room(None);
    acks.finish(&[3..4]).unwrap();
    assert_eq!(machine_store::verify(&disk).unwrap().waiting, 6, "what could not be written was written later");
    disk.let_sync(Some(0));
    acks.sync().unwrap_err();
    disk.let_sync(None);
    assert_eq!(acks.finish(&[4..5]).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(acks.sync().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn acknowledgements_are_written_anew_before_they_get_long() {
    let disk = Simulated::default();
    let Opened { mut log, mut acks, .. } = open(&disk);
    for name in 1..=2 {
        append(&mut log, name);
    }
    log.sync().unwrap();
    acks.note_attempts(&[(2, 1), (2, 2)]).unwrap();
    for _ in 0..40_000 {
        acks.finish(&[1..2]).unwrap();
    }
    assert!(disk.content("acked.log").len() > 1 << 20);
    acks.sync().unwrap();
    assert!(disk.content("acked.log").len() < 2048);
    let disk = disk.cut_power(|| false);
    let found = machine_store::verify(&disk).unwrap();
    assert_eq!((found.waiting, found.acknowledged.attempts.get(&2)), (1, Some(&2)));
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let disk = Simulated::default();
    let mut opened = open(&disk);
    let large = vec![0; machine_store::MAX_RECORD + 1];
    let error = opened.log.append(&Entry { payload: &large, ..Entry::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("268435417 bytes"), "{error}");
    append(&mut opened.log, 1);
    opened.log.flush().unwrap();
    assert_eq!(records_of(&disk).len(), 1);
}
