//! A log against a model of it, on disks that fail, lose power and are damaged, and in processes that are killed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where it fails")]
#![allow(clippy::single_range_in_vec_init, reason = "one range is finished, not its numbers")]
#![allow(clippy::print_stdout, reason = "a test says with which seed it can be seen again")]

mod damage;
mod directories;
mod faults;
mod formats;
mod kills;
mod model;
mod random;
mod simulated;

use machine_store::{Disk, Entry, Log, Opened, Options, Recovery};
use simulated::Simulated;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Small segments, so that there are many.
fn options() -> Options {
    let mut options = Options::default();
    options.segment_length = Some(2048);
    options
}

fn open(disk: &Simulated) -> Opened {
    Log::open(Arc::new(disk.clone()), options()).unwrap()
}

/// The payload that belongs to a name: records are told apart, and have many lengths.
fn payload(name: u64) -> Vec<u8> {
    let length = usize::try_from(name.wrapping_mul(7919) % 200).unwrap();
    let mut bytes = name.to_le_bytes().to_vec();
    bytes.extend((0..length).map(|at| u8::try_from((name + at as u64) % 251).unwrap()));
    bytes
}

fn append(log: &mut Log, name: u64) -> u64 {
    log.append(&Entry { time_ms: name, payload: &payload(name), ..Entry::default() }).unwrap()
}

/// All records that can be read, by their numbers: their names. Each is as it was written.
fn records(disk: &dyn Fn() -> Arc<dyn Disk>) -> BTreeMap<u64, u64> {
    let mut reader = machine_store::Reader::new(disk(), 0).unwrap();
    let mut found = BTreeMap::new();
    while let Some(record) = reader.read().unwrap() {
        let name = record.entry.time_ms;
        assert_eq!(record.entry.payload, payload(name), "record {} was changed", record.seq);
        assert!(found.insert(record.seq, name).is_none(), "record {} is there twice", record.seq);
    }
    found
}

fn records_of(disk: &Simulated) -> BTreeMap<u64, u64> {
    records(&|| Arc::new(disk.clone()))
}

fn count(ranges: &rangemap::RangeSet<u64>) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

fn lost(recovery: &Recovery) -> u64 {
    count(&recovery.corrupt) + count(&recovery.unsynced_lost)
}
