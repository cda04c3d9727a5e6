//! A log that something has written into: changed bytes, cut files, bytes of anybody's.
#![no_main]

#[path = "../../machine/store/tests/log/simulated.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod simulated;

use libfuzzer_sys::fuzz_target;
use machine_store::{Disk, Entry, Log, Options, Reader};
use simulated::Simulated;
use std::collections::BTreeMap;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let disk = Simulated::default();
    let written = write(&disk);
    let names = disk.list().unwrap_or_default();
    // Each change is a file, a place, what is done there, and a byte.
    for change in data.chunks_exact(5) {
        let [file, high, low, what, byte] = change else { continue };
        let Some(name) = names.get(usize::from(*file) % names.len()) else { continue };
        disk.damage(name, |bytes| {
            let at = usize::from(u16::from_be_bytes([*high, *low]));
            match what % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), *byte),
                2 => bytes.iter_mut().skip(at).take(8).for_each(|it| *it = *byte),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|it| *it ^= byte | 1),
            }
        });
    }
    let looked_at = machine_store::verify(&disk);
    let opened = Log::open(Arc::new(disk.clone()), Options::default());
    let (Ok(recovery), Ok(opened)) = (looked_at, opened) else { return };
    assert_eq!(recovery, opened.recovery, "looking and opening see the same");
    let Ok(mut reader) = Reader::new(Arc::new(disk), 0) else { return };
    let mut count = 0;
    while let Ok(Some(record)) = reader.read() {
        assert_eq!(written.get(&record.seq).map(Vec::as_slice), Some(record.entry.payload), "a record was changed");
        count += 1;
    }
    assert_eq!(count, recovery.records);
    assert!(opened.log.next_seq() > 12, "a number would be given again");
});

/// Two segments with records of several lengths, some finished.
fn write(disk: &Simulated) -> BTreeMap<u64, Vec<u8>> {
    let Ok(mut opened) = Log::open(Arc::new(disk.clone()), Options::default()) else { return BTreeMap::new() };
    let mut written = BTreeMap::new();
    for number in 0..12_u8 {
        let (payload, place) = (vec![number; usize::from(number) * 9], [number]);
        let position = (number % 3 == 0).then_some(&place[..]);
        let entry = Entry { payload: &payload, position, ..Entry::default() };
        if let Ok(seq) = opened.log.append(&entry) {
            written.insert(seq, payload);
        }
        if number == 6 {
            let _ = opened.log.rotate();
        }
    }
    let _ = opened.log.flush();
    let _ = opened.acks.finish(&[1..4]);
    written
}
