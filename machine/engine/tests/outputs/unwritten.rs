//! Outputs that cannot be written as JSON: errors of their slot once somebody reads them so.

use crate::{all, named};
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::Drained;
use std::collections::BTreeMap;

/// JSON has no such keys.
fn unwritable(x: u64) -> BTreeMap<(u64, u64), u64> {
    if x.is_multiple_of(2) { BTreeMap::from([((x, x), x)]) } else { BTreeMap::new() }
}

#[track_caller]
#[allow(clippy::indexing_slicing, reason = "a test ends where it fails")]
fn counts(m: &Machine, slot: usize) -> (u64, u64, u64) {
    let s = m.status();
    (s.slots[slot].ok, s.slots[slot].errored, s.slots[slot].skipped)
}

/// Everything that reads JSON: a file, the ring of what flowed, outputs in order, an async slot, several workers.
#[test]
fn what_cannot_be_written_is_an_error_of_its_slot() {
    for (ordered, is_async) in [(false, false), (true, false), (false, true), (true, true)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let m = named("unwritten").workers(2).ordered(ordered).start().unwrap();
        m[0].set(|x: u64| x + 1).unwrap();
        if is_async {
            m[1].set_async(async |_: u64, x: u64| unwritable(x)).unwrap();
        } else {
            m[1].set(|_: u64, x: u64| unwritable(x)).unwrap();
        }
        m[2].set(|map: &BTreeMap<(u64, u64), u64>| map.len()).unwrap();
        m.to_json_lines(file.path()).unwrap();
        for x in 0..100_u64 {
            m.put_wait(x).unwrap();
        }
        m.drained();
        let s = m.status();
        assert_eq!((s.processed, s.errored, s.dead_letters), (100, 50, 50), "{ordered} {is_async}");
        assert_eq!((counts(&m, 0), counts(&m, 1), counts(&m, 2)), ((100, 0, 0), (50, 50, 0), (100, 0, 0)));
        let letter = &m.errors()[0];
        assert_eq!((letter.slot.as_str(), letter.kind.as_str()), ("f1", "serialize"));
        assert!(letter.error.contains("does not serialise"), "{}", letter.error);
        let x: u64 = letter.input.parse().unwrap();
        assert_eq!(letter.outputs, format!("{{\"f0\":{},\"f2\":1}}", x + 1));
        // Tried again it fails again, and passes once it can be written.
        assert_eq!(m.retry_errors("").unwrap().passed, 0);
        m[1].set(|_: u64, x: u64| x).unwrap();
        m[2].clear().unwrap();
        assert_eq!(m.retry_errors("").unwrap().passed, 50);
    }
}

/// Where nobody reads JSON nothing is written; after the first one that fails each is tried.
#[test]
fn all_that_fail_are_counted_once_one_was_seen() {
    let m = named("unwritten").start().unwrap();
    m[0].set(|x: u64| unwritable(2 * x)).unwrap();
    m.put(0_u64).unwrap();
    m.drained();
    // The last outputs are kept.
    assert_eq!(m.status().errored, 1);
    for x in 0..30_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drained();
    assert_eq!((m.status().errored, counts(&m, 0)), (30_001, (0, 30_001, 0)));
    m[0].set(|x: u64| x).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!((m.status().errored, counts(&m, 0)), (30_001, (1, 0, 0)));
}

/// A slot that takes what another one gave by way of JSON is not to blame.
#[test]
fn what_does_not_convert_since_it_cannot_be_written_is_the_givers_error() {
    let m = named("unwritten").start().unwrap();
    m[0].set(|x: u64| unwritable(2 * x)).unwrap();
    m[1].set(|value: &Value| value.is_object()).unwrap();
    m[2].set(|_: Ignored, value: &Value| value.is_object()).unwrap();
    let outputs = m.outputs().unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!((counts(&m, 0), counts(&m, 1), counts(&m, 2)), ((0, 1, 0), (0, 0, 1), (0, 0, 1)));
    assert_eq!((m.status().errored, m.errors().len(), m.errors()[0].slot.as_str()), (1, 1, "f0"));
    assert!(all(outputs)[0].error(0).unwrap().contains("does not serialise"));
}
