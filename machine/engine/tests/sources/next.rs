//! One source at a time: one that has ended makes way for the next, one that has not is to be cleared first.

use super::{Kept, Scratch, common, fresh, http, is_gone, named, threads_named};
use machine::ErrorKind;
use machine::prelude::*;
use machine::status::SourceState;
use machine_testkit::{Barrier, Drained, Joined, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

#[test]
fn what_has_ended_makes_way_and_all_that_it_gave_is_counted() {
    let kept = Kept::new();
    let file = Scratch::new(b"1\nno\n2\n");
    for _ in 0..2 {
        // The file is closed by then, and read again from its beginning.
        kept.machine.source(source::json_lines(&file.path)).unwrap();
        kept.machine.drained();
        assert_eq!((kept.source().taken, kept.source().errors), (2, 1));
    }
    kept.machine.source([3, 4, 5]).unwrap();
    assert_eq!(kept.to_the_end(), [1, 2, 1, 2, 3, 4, 5]);
    let source = kept.source();
    assert_eq!((source.taken, source.errors, source.dropped), (3, 0, 0));
    assert_eq!(source.description, "an iterator of i32");
    // What is gone from the source's own counts is in those of the machine.
    let status = kept.machine.status();
    assert_eq!((status.accepted, status.processed, status.dead_letters), (7, 7, 2));
}

#[test]
fn what_has_failed_makes_way_and_its_error_stays_at_hand() {
    let kept = Kept::new();
    let panics = (0..5).inspect(|item| assert!(*item < 2, "broken"));
    kept.machine.source(panics).unwrap();
    eventually!(kept.source().state == SourceState::Failed);
    kept.machine.source([7]).unwrap();
    assert_eq!(kept.to_the_end(), [0, 1, 7]);
    assert_eq!(kept.source().error, "");
    let errors = kept.errors();
    let [(error, input)] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(error.starts_with("the source panicked: broken (") && input == "\"\"", "{errors:?}");
}

#[test]
fn whoever_has_seen_the_end_may_set_the_next() {
    let kept = Kept::with_queue(4_096);
    for _ in 0..500 {
        kept.machine.source([1]).unwrap();
        eventually!(kept.source().state == SourceState::Exhausted);
    }
    kept.machine.drained();
    assert_eq!(kept.items().len(), 500);
}

#[test]
fn what_may_still_give_something_is_not_replaced() {
    let kept = Kept::with_queue(4);
    let file = Scratch::new(b"");
    let missing = file.path.with_extension("missing");
    let refused = |what: &str| {
        let refused = kept.machine.source([1]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SourceIsSet, "{what}");
        assert!(
            refused.message().contains(what) && refused.message().ends_with("call `clear_source()` first"),
            "{refused}"
        );
    };
    kept.machine.source(source::interval(Duration::from_hours(24))).unwrap();
    refused("running");
    kept.machine.clear_source();
    kept.machine.source(source::lines(missing).follow()).unwrap();
    eventually!(kept.source().state == SourceState::Waiting);
    refused("waiting");
    kept.machine.clear_source();
    // Nothing takes its items, so it has not come to its end.
    kept.machine.pause().source(0..1_u64).unwrap();
    refused("running");
    kept.machine.stop();
    refused("running");
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn what_cannot_be_opened_leaves_the_one_that_has_ended() {
    let kept = Kept::new();
    kept.machine.source(|| [1]).unwrap();
    assert_eq!(kept.to_the_end(), [1]);
    let file = Scratch::new(b"");
    assert!(kept.machine.source(source::lines(file.path.with_extension("missing"))).is_err());
    assert_eq!((kept.source().state.as_str(), kept.source().taken), ("exhausted", 1));
    kept.machine.stop().start();
    assert_eq!(kept.to_the_end(), [1, 1]);
}

#[test]
fn a_function_that_made_way_is_gone_and_not_called_again() {
    let kept = Kept::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let once = move || {
        count.fetch_add(1, Relaxed);
        [1]
    };
    kept.machine.source(once).unwrap();
    assert_eq!(kept.to_the_end(), [1]);
    kept.machine.source([2]).unwrap();
    assert_eq!(Arc::strong_count(&calls), 1);
    kept.machine.stop().start();
    assert_eq!(kept.to_the_end(), [1, 2]);
    assert_eq!(calls.load(Relaxed), 1);
}

/// `source` and `clear_source` return once what was there is gone, although its thread may still be on its way out.
#[test]
fn what_is_replaced_or_cleared_is_gone_at_once() {
    let kept = Kept::with_queue(4_096);
    for round in 0..1_000 {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let once = move || {
            count.fetch_add(1, Relaxed);
            [1]
        };
        kept.machine.source(once).unwrap();
        eventually!(kept.source().state == SourceState::Exhausted);
        if round % 2 == 0 {
            kept.machine.source([2]).unwrap();
        } else {
            kept.machine.clear_source();
        }
        assert_eq!((Arc::strong_count(&calls), calls.load(Relaxed)), (1, 1), "round {round}");
        kept.machine.drained();
        kept.machine.clear_source();
    }
}

/// A `start` that calls the function again and a source in its place: one of them comes too late.
#[test]
fn a_function_is_called_again_or_makes_way_never_both() {
    let (machine, name) = fresh(64);
    for _ in 0..200 {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let endless_after_stop = move || if count.fetch_add(1, Relaxed) == 0 { 0..0 } else { 0..u64::MAX };
        machine.source(endless_after_stop).unwrap();
        machine.drained();
        machine.stop();
        let both = Barrier::new(2);
        let set = thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                machine.start();
            });
            both.wait();
            machine.source(source::interval(Duration::from_hours(24)))
        });
        let expected = match set {
            Ok(()) => 1,
            Err(refused) => {
                assert_eq!(refused.kind(), ErrorKind::SourceIsSet);
                eventually!(calls.load(Relaxed) == 2);
                2
            }
        };
        machine.clear_source();
        eventually!(threads_named(&format!("{name}/source")) == 0);
        assert_eq!((calls.load(Relaxed), Arc::strong_count(&calls)), (expected, 1));
    }
}

#[test]
fn of_two_that_are_set_at_once_one_is_taken() {
    let (machine, name) = fresh(64);
    for round in 0..200 {
        // In the place of none, and of one that has ended.
        if round % 2 == 0 {
            machine.source([0]).unwrap();
            machine.drained();
        }
        let both = Barrier::new(2);
        let set = || {
            both.wait();
            machine.source(source::interval(Duration::from_hours(24)))
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(set);
            (set(), other.joined())
        });
        let refused = one.as_ref().err().or(other.as_ref().err()).unwrap();
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        assert_eq!(refused.kind(), ErrorKind::SourceIsSet);
        machine.clear_source();
        eventually!(threads_named(&format!("{name}/source")) == 0);
    }
}

/// A caller that waits for the end of a source looks at what is left in the same status.
#[test]
fn in_a_status_in_which_a_source_has_ended_all_that_it_gave_is_counted() {
    // Many slots: a status takes its time.
    let machine = named("s").slots(60).start().unwrap();
    for slot in 0..60 {
        machine[slot].set(|x: u64| x).unwrap();
    }
    for round in 1..=200 {
        machine.source([0_u64]).unwrap();
        let status =
            std::iter::repeat_with(|| machine.status()).find(|status| status.source.state == SourceState::Exhausted);
        assert_eq!(status.map(|status| (status.accepted, status.source.taken)), Some((round, 1)));
    }
}

/// Without a slot and an output nobody would see what it gives.
#[test]
fn a_source_waits_for_the_first_slot_or_output_and_says_so() {
    let machine = named("s").start().unwrap();
    machine.source(0..10_u64).unwrap();
    let status = machine.status();
    assert!(status.waiting_for_slot);
    assert_eq!((status.source.state.as_str(), status.source.taken), ("waiting", 0));
    assert_eq!(status.source.note, "waiting for a slot; %start --empty to run without");
    // The thread that waits for its end could be the one who would set the slot.
    let left = common::answers(move || machine.drain_timeout(Duration::MAX)).unwrap_err();
    assert!(left.source_runs && left.messages == 0);
    // What is put is no news of the source: it goes through, as it always did.
    machine.put(7_u64).unwrap();
    eventually!(machine.status().processed == 1);
    assert!(machine.status().waiting_for_slot);
    machine[1].set(|x: u64| x).unwrap();
    machine.drained();
    let status = machine.status();
    assert_eq!((status.processed, status.slots[1].ok, status.waiting_for_slot), (11, 10, false));
}

#[test]
fn a_source_runs_for_an_output_alone_and_waits_again_without_it() {
    let machine = named("s").start().unwrap();
    machine.source(0_u64..).unwrap();
    let mut outputs = machine.outputs().unwrap();
    assert_eq!(outputs.next().unwrap().input::<u64>(), Ok(0));
    drop(outputs);
    eventually!(machine.status().waiting_for_slot);
    // What it had on the way goes through, and nothing comes after that: otherwise this would not return.
    let left = common::answers(move || machine.drain_timeout(Duration::MAX)).unwrap_err();
    assert!(left.source_runs && left.messages == 0);
    machine.start_empty();
    let taken = machine.status().source.taken;
    eventually!(machine.status().source.taken > taken + 1_000);
    machine.clear_source();
}

#[test]
fn an_endpoint_refuses_until_there_is_a_slot() {
    let machine = named("s").start().unwrap();
    machine.source(source::http(0)).unwrap();
    let at = machine.status().source.address.strip_prefix("http://").unwrap().to_owned();
    let (code, _, answer) = http::request(&at, "POST /", b"1");
    assert_eq!((code, answer["error"].as_str()), (503, Some("waiting_for_slot")), "{answer}");
    machine[0].set(|x: u64| x).unwrap();
    assert_eq!(http::request(&at, "POST /", b"1").0, 202);
    eventually!(machine.status().slots[0].ok == 1);
    machine.clear_source();
}
