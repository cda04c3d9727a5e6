//! Items of a source that are given by the times in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where it fails")]

use common::named;
use machine::prelude::*;
use machine::status::SourceState;
use machine_protocol::status::SourceStatus;
use machine_testkit::Drained;

mod common;

/// Takes a source to its end; returns its state, and how many messages the machine has processed.
fn to_the_end(machine: &Machine) -> (SourceStatus, u64) {
    machine.drained();
    let status = machine.status();
    machine.clear_source();
    assert_eq!(status.source.state, SourceState::Exhausted);
    (status.source, status.processed)
}

#[test]
fn items_without_a_time_are_errors_of_the_source_once_they_are_common() {
    let machine = named("replay").start().unwrap();
    machine[0].set(|_: &Value| 1_u64).unwrap();
    let tweets = [24, 26].map(|second| json!({ "created_at": format!("Wed Oct 10 20:19:{second} +0000 2018") }));
    machine.source(tweets.replay("created_at", 1e12)).unwrap();
    let (source, processed) = to_the_end(&machine);
    assert_eq!((source.note.as_str(), source.errors, processed), ("", 0, 2));

    let days = ["10/10/2018", "11/10/2018"].map(|day| json!({ "day": day }));
    machine.source(days.replay("day", 1e12).format("%d/%m/%Y")).unwrap();
    let (source, processed) = to_the_end(&machine);
    assert_eq!((source.note.as_str(), source.errors, processed), ("", 0, 4));

    let untimed: Vec<Value> = (0..30).map(|at| json!({ "at": format!("soon {at}") })).collect();
    machine.source(untimed.replay("at", 1.0)).unwrap();
    let (source, processed) = to_the_end(&machine);
    assert_eq!((source.errors, processed), (20, 34), "the first ten are exceptions, and all are given");
    assert_eq!(source.note, "30 items without a time in at: given at once");
    let errors = machine.errors_where("slot = 'source'").unwrap();
    let error = &errors[0].error;
    assert!(error.starts_with("replay by at: cannot read \"soon 29\" as a time; expected RFC 3339"), "{error}");
    let refused = machine.source([1].replay("t", 1.0).format("%Q")).unwrap_err();
    assert!(refused.message().starts_with("cannot read times in the format \"%Q\""), "{refused:?}");
}
