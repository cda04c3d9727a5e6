//! What a machine keeps of messages, and what can be asked of it: dead letters and their retry, taps, the queue,
//! explanations, breakpoints.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::items_after_statements,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use common::named;
use machine::handle::ask;
use machine::prelude::*;
use machine::retained::MessageState;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::retained::{DeadLetterQuery, Explained, Kept, RetainedQuery, Retried};
use machine_protocol::{Error, ErrorKind};
use machine_testkit::{Drained, Joined, Received, eventually, eventually_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

mod common;

struct Fresh {
    machine: Machine,
    target: Target,
}

impl std::ops::Deref for Fresh {
    type Target = Machine;
    fn deref(&self) -> &Machine {
        &self.machine
    }
}

fn fresh() -> Fresh {
    with(|builder| builder)
}

fn with(set: impl FnOnce(Builder) -> Builder) -> Fresh {
    let machine = set(named("k")).start().unwrap();
    Fresh { machine, target: Target::Name(machine.status().machine) }
}

impl Fresh {
    fn kept(&self, query: RetainedQuery) -> Result<Kept, Error> {
        match ask(&Command::Kept { machine: self.target.clone(), query }).checked()? {
            Reply::Kept(kept) => Ok(*kept),
            other => panic!("{other:?}"),
        }
    }

    fn tap(&self, slot: u32, filter: &str) -> Result<Kept, Error> {
        self.kept(RetainedQuery { slot: Some(slot), filter: filter.into(), ..RetainedQuery::default() })
    }

    fn retry(&self, query: DeadLetterQuery) -> Result<Retried, Error> {
        match ask(&Command::RetryErrors { machine: self.target.clone(), query, from: 0 }).checked()? {
            Reply::Retried(retried) => Ok(retried),
            other => panic!("{other:?}"),
        }
    }

    fn explain(&self, oid: &str) -> Result<Explained, Error> {
        match ask(&Command::Explain { machine: self.target.clone(), oid: oid.to_owned() }).checked()? {
            Reply::Explained(explained) => Ok(*explained),
            other => panic!("{other:?}"),
        }
    }

    fn peek(&self, limit: usize) -> (u64, Vec<(String, String)>) {
        match ask(&Command::Peek { machine: self.target.clone(), limit }) {
            Reply::Waiting(waiting, first) => (waiting, first),
            other => panic!("{other:?}"),
        }
    }

    fn hold(&self, slot: u32, filter: &str) -> Reply {
        let filter = filter.into();
        ask(&Command::Break { machine: self.target.clone(), slot: Some(slot), filter })
    }

    fn resume(&self) -> Reply {
        ask(&Command::Continue { machine: self.target.clone() })
    }

    fn wait_until_held(&self) -> machine_protocol::command::Outputs {
        eventually_with("a message is held", || self.in_hand(), Option::is_some).unwrap()
    }
}

#[test]
fn a_machine_that_is_not_too_fast_keeps_everything() {
    let m = with(|builder| builder.queue(4_096));
    m[0].set(|x: f64| x * 2.0).unwrap();
    m[2].set(|x: f64| if x < 10.0 { Ok(json!({ "polarity": x, "deep": { "of": [x] } })) } else { Err("big") }).unwrap();
    for x in 0..1_000 {
        m.put(f64::from(x)).unwrap();
    }
    m.drained();
    let kept = m.kept(RetainedQuery::default()).unwrap();
    assert_eq!((kept.processed, kept.evicted, kept.not_kept, kept.messages.len()), (1_000, 0, 0, 1_000));
    let third = &kept.messages[3];
    assert_eq!(third.input, "3.0");
    assert_eq!(third.outputs[..3], ["6.0", "6.0", r#"{"deep":{"of":[6.0]},"polarity":6.0}"#]);
    assert_eq!((third.missing, &third.revisions[..3]), (0, &[1, 0, 1][..]));
    assert!(third.nanos[0] > 0 && third.put_ms > 1_600_000_000_000, "{third:?}");
    // Slots 2 to 7 gave nothing for it: 2 failed, and the empty ones pass that on.
    assert_eq!(kept.messages[500].missing, 0b1111_1100);
    assert!(kept.messages[500].outputs[2].contains("big"));
    let tapped = m.tap(2, "polarity >= 4 and in < 4.5 and f0 = polarity and deep.of.0 > 0").unwrap();
    assert_eq!((tapped.matching, tapped.messages.len()), (3, 3));
    let few = RetainedQuery { slot: Some(0), every: 100, limit: 3, ..RetainedQuery::default() };
    let few = m.kept(few).unwrap();
    let outputs: Vec<_> = few.messages.iter().map(|message| message.outputs[0].as_str()).collect();
    assert_eq!((few.matching, outputs), (1_000, vec!["1598.0", "1798.0", "1998.0"]));
    let later = m.kept(RetainedQuery { since: few.next, ..RetainedQuery::default() }).unwrap();
    assert!(later.messages.is_empty());
    m.put(7.0).unwrap();
    m.drained();
    let later = m.kept(RetainedQuery { since: few.next, ..RetainedQuery::default() }).unwrap();
    assert_eq!(later.messages[0].input, "7.0");
}

#[test]
fn what_is_not_kept_is_counted() {
    let m = with(|builder| builder.queue(65_536).workers(2).policy(Policy::Block));
    m[0].set(|x: u64| x + 1).unwrap();
    const ALL: u64 = 400_000;
    for x in 0..ALL {
        m.put(x).unwrap();
    }
    m.drained();
    let kept = m.kept(RetainedQuery::default()).unwrap();
    assert_eq!(kept.processed, ALL);
    assert_eq!(kept.processed, kept.evicted + kept.not_kept + kept.messages.len() as u64);
    assert!(kept.not_kept > 0 && kept.messages.len() == 10_000);
    // The last ones are there however fast it was.
    for x in ALL - 10..ALL {
        assert!(kept.messages.iter().any(|message| message.input == x.to_string()), "{x} is not kept");
    }
}

#[test]
fn large_messages_do_not_fill_the_memory() {
    let m = fresh();
    m[0].set(|text: String| text.len()).unwrap();
    let text = "x".repeat(1 << 20);
    for _ in 0..200 {
        m.put_wait(text.clone()).unwrap();
    }
    m.drained();
    let kept = m.kept(RetainedQuery { slot: Some(0), ..RetainedQuery::default() }).unwrap();
    assert_eq!(kept.processed, kept.evicted + kept.not_kept + kept.messages.len() as u64);
    assert!((1..=64).contains(&kept.messages.len()), "{}", kept.messages.len());
}

#[test]
fn conditions_that_cannot_be_are_told_with_what_there_is() {
    let m = fresh();
    m[0].set(|x: f64| json!({ "polarity": x })).unwrap();
    m.put(1.0).unwrap();
    m.drained();
    let error = m.tap(0, "polarty < 1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchColumn);
    assert!(error.message().contains("no message of f0 has polarty: there is polarity, in, oid"), "{error}");
    assert!(error.message().ends_with("f7; did you mean polarity?"), "{error}");
    assert!(!m.tap(0, "nonsense = 1").unwrap_err().message().contains("did you mean"));
    assert_eq!(m.tap(0, "polarity <").unwrap_err().kind(), ErrorKind::BadCondition);
    assert_eq!(m.tap(60, "").unwrap_err().kind(), ErrorKind::NoSuchSlot);
    let error = m.errors_where("nonsense = 3");
    assert!(error.is_ok(), "there are no letters at all");
}

#[test]
fn dead_letters_keep_what_was_made_of_them_and_are_tried_again() {
    let m = with(|builder| builder.queue(4_096));
    m[0].set(|x: f64| x * 2.0).unwrap();
    m[1].set(|x: f64| if x.rem_euclid(4.0) == 0.0 { Err(format!("{x} is a multiple")) } else { Ok(x) }).unwrap();
    for x in 0..100 {
        m.put(f64::from(x)).unwrap();
    }
    m.drained();
    let before = m.status();
    assert_eq!((before.errored, before.dead_letters), (50, 50));
    let letter = m.errors()[0].clone();
    assert_eq!((letter.input.as_str(), letter.outputs.as_str()), ("98.0", r#"{"f0":196.0}"#));
    assert!(letter.failed.ends_with('Z') && letter.retries == 0);
    assert_eq!(m.errors_where("error like '1_ %' and in < 9").unwrap().len(), 2);
    assert_eq!(m.errors_where("nonsense = 3").unwrap_err().kind(), ErrorKind::NoSuchColumn);
    let told = m.errors_where("eror like '%'").unwrap_err().to_string();
    assert!(
        told.starts_with("no dead letter has eror: they have oid, slot") && told.ends_with("mean error?"),
        "{told}"
    );

    // As the slots are, all fail again, and stay.
    let again = m.retry(DeadLetterQuery::default()).unwrap();
    assert_eq!((again.tried, again.passed, again.left), (50, 0, 0));
    assert_eq!(
        (m.status().dead_letters, m.errors()[0].retries, m.errors()[0].oid.clone()),
        (50, 1, letter.oid.clone())
    );

    // The corrected slot lets half of them pass; these keep their oids, and go where outputs go.
    m[1].set(|x: f64| if x < 100.0 { Ok(x) } else { Err("too big") }).unwrap();
    let outputs = m.outputs().unwrap();
    let one = m.retry(DeadLetterQuery { oid: Some(letter.oid.clone()), ..DeadLetterQuery::default() }).unwrap();
    assert_eq!((one.tried, one.passed), (1, 0));
    let all = m.retry(DeadLetterQuery::default()).unwrap();
    assert_eq!((all.tried, all.passed, all.left), (50, 25, 0));
    assert!(outputs.take(25).all(|output| output.get::<f64>(1).unwrap() < 100.0));
    let after = m.status();
    assert_eq!((after.dead_letters, after.retried, after.retried_passed), (25, 101, 25));
    assert_eq!((after.accepted, after.processed, after.errored), (before.accepted, before.processed, before.errored));
    assert!(m.errors().iter().all(|letter| letter.error == "too big" && letter.revision == 2));
    let kept = m.kept(RetainedQuery::default()).unwrap();
    assert_eq!((kept.processed, kept.not_kept, kept.messages.len()), (125, 0, 125));
    // From cells.
    m[1].clear().unwrap();
    let rest = m.retry_errors("f0 >= 150").unwrap();
    assert_eq!((rest.tried, rest.passed, m.errors().len()), (12, 12, 13));
}

#[test]
fn dead_letters_come_in_as_many_answers_as_they_take_and_what_fits_in_none_is_counted() {
    let m = fresh();
    // As JSON each character takes six bytes: two such errors fill an answer, and three times as much fits in none.
    let long = |times: usize| "\u{1}".repeat(times * (3 << 20));
    m[0].set(move |times: usize| -> Result<(), String> { Err(long(times)) }).unwrap();
    for times in [1, 3, 1, 1, 0] {
        m.put_wait(times).unwrap();
    }
    m.drained();
    let inputs = |errors: &Errors| errors.iter().map(|letter| letter.input.clone()).collect::<String>();
    let all = m.errors();
    assert_eq!((inputs(&all).as_str(), all.left_out), ("0111", 1));
    let some = m.errors_where("in > 0").unwrap();
    assert_eq!((inputs(&some).as_str(), some.left_out), ("111", 1));
    let query = DeadLetterQuery::default();
    match ask(&Command::FindErrors { machine: m.target.clone(), query }) {
        Reply::FoundErrors { letters, matching, too_long, next } => {
            assert_eq!((letters.len(), matching, too_long, next.is_some()), (3, 5, 0, true));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(m.errors_where("in = 3").unwrap(), Errors { letters: Vec::new(), left_out: 1 });
}

#[test]
fn a_retry_of_what_there_is_not_says_so() {
    let m = fresh();
    let query = |oid: &str| DeadLetterQuery { oid: Some(oid.to_owned()), ..DeadLetterQuery::default() };
    assert_eq!(m.retry(query("nonsense")).unwrap_err().kind(), ErrorKind::NoSuchDeadLetter);
    assert_eq!(
        m.retry(DeadLetterQuery { slot: Some(9), ..DeadLetterQuery::default() }).unwrap_err().kind(),
        ErrorKind::NoSuchSlot
    );
    m.stop();
    let error = m.retry(DeadLetterQuery::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
}

/// Not even from the slot that is being tried, which would wait for itself.
#[test]
fn no_dead_letter_is_tried_twice_at_the_same_time() {
    let m = fresh();
    m[0].set(|_: f64| -> Result<f64, &str> { Err("no") }).unwrap();
    m.put(1.0).unwrap();
    m.drained();
    let (begun, begins) = std::sync::mpsc::channel();
    let (resume, goes_on) = std::sync::mpsc::channel();
    let goes_on = std::sync::Mutex::new(goes_on);
    let (itself, calls) = (m.machine, AtomicU64::new(0));
    m[0].set(move |x: f64| {
        if calls.fetch_add(1, Relaxed) == 0 {
            begun.send(itself.retry_errors("")).unwrap();
            goes_on.lock().unwrap().received();
        }
        x
    })
    .unwrap();
    let retried = thread::scope(|scope| {
        let first = scope.spawn(|| m.retry(DeadLetterQuery::default()).unwrap());
        let inside = begins.received();
        let second = m.retry(DeadLetterQuery::default());
        resume.send(()).unwrap();
        for error in [inside.unwrap_err(), second.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::RetryRunning);
            assert!(error.message().contains("is already running"), "{error}");
        }
        first.joined()
    });
    assert_eq!((retried.tried, retried.passed, m.status().retried), (1, 1, 1));
    // The next one finds nothing, and says so.
    assert_eq!(m.retry(DeadLetterQuery::default()).unwrap().tried, 0);
}

#[test]
fn what_waits_is_shown_and_stays() {
    let m = fresh();
    m[0].set(|x: f64| x).unwrap();
    m.pause();
    for x in 0..100 {
        m.put(f64::from(x)).unwrap();
    }
    let (waiting, first) = m.peek(3);
    let texts: Vec<_> = first.iter().map(|(_, json)| json.as_str()).collect();
    assert_eq!((waiting, texts), (100, vec!["0.0", "1.0", "2.0"]));
    assert_eq!(m.explain(&first[1].0).unwrap().state, MessageState::Waits);
    let outputs = m.outputs().unwrap();
    m.start();
    m.drained();
    let order: Vec<f64> = outputs.take(100).map(|output| output.input::<f64>().unwrap()).collect();
    assert!(order.is_sorted() && order.len() == 100);
    assert_eq!(m.peek(3), (0, Vec::new()));
}

#[test]
fn a_look_at_a_machine_that_runs_loses_and_doubles_nothing() {
    let m = with(|builder| builder.queue(64).workers(3).policy(Policy::Block));
    let sum = Arc::new(AtomicU64::new(0));
    let add = sum.clone();
    m[0].set(move |x: u64| add.fetch_add(x, Relaxed)).unwrap();
    thread::scope(|scope| {
        let looks = scope.spawn(|| (0..200).for_each(|_| drop(m.peek(10))));
        for x in 0..50_000_u64 {
            m.put(x).unwrap();
        }
        looks.joined();
    });
    m.drained();
    assert_eq!((m.status().processed, sum.load(Relaxed)), (50_000, 50_000 * 49_999 / 2));
}

#[test]
fn an_explanation_tells_which_code_made_what() {
    let m = fresh();
    let origin =
        |code: &str| machine_protocol::command::SourceLocation { code: code.to_owned(), cell: 3, ..Default::default() };
    m[0].set_from(|x: f64| x + 1.0, &origin("|x: f64| x + 1.0")).unwrap();
    m[2].set_from(|x: f64| if x > 0.0 { Ok(x) } else { Err("small") }, &origin("check")).unwrap();
    m.put(1.0).unwrap();
    m.put(-9.0).unwrap();
    m.drained();
    m[0].set_from(|x: f64| x + 2.0, &origin("|x: f64| x + 2.0")).unwrap();
    let kept = m.kept(RetainedQuery::default()).unwrap();
    let first = m.explain(&kept.messages[0].oid).unwrap();
    assert_eq!((first.state.as_str(), first.input.as_str()), ("went through", "1.0"));
    let f0 = &first.slots[0];
    assert_eq!((f0.code.as_str(), f0.cell, f0.revision, f0.is_changed), ("|x: f64| x + 1.0", 3, 1, true));
    assert_eq!((f0.output.as_deref(), first.slots[2].output.as_deref()), (Some("2.0"), Some("2.0")));
    let second = m.explain(&kept.messages[1].oid).unwrap();
    assert_eq!((second.state.as_str(), second.slots[2].error.as_deref()), ("dead letter", Some("small")));
    assert_eq!(m.explain("nonsense").unwrap_err().kind(), ErrorKind::NoSuchMessage);
    let never = format!("{}ffffff00", &first.oid[..16]);
    assert!(m.explain(&never).unwrap_err().message().contains("never had"), "{never}");
}

#[test]
fn a_breakpoint_holds_the_message_that_matches() {
    let m = fresh();
    m[0].set(|x: f64| json!({ "n": x })).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    m[3].set(move |v: &Value| {
        count.fetch_add(1, Relaxed);
        v["n"].as_f64().unwrap_or_default() * 10.0
    })
    .unwrap();
    assert_eq!(m.hold(3, "n >= 5 and in < 7"), Reply::Done);
    for x in 0..10 {
        m.put(f64::from(x)).unwrap();
    }
    let held = m.wait_until_held();
    assert_eq!((held.input.as_str(), held.slots[0].output.as_deref()), ("5.0", Some(r#"{"n":5.0}"#)));
    assert_eq!(held.slots[3].args, [r#"{"n":5.0}"#]);
    assert_eq!(held.slots[3].error.as_deref(), Some("not run yet (stopped before f3)"));
    assert_eq!((calls.load(Relaxed), m.status().state), (5, machine_protocol::status::State::Paused));
    assert!(m.status().in_hand.ends_with("held before f3"));
    let status = m.status();
    assert_eq!((status.processed, status.in_flight, status.queue_size), (5, 1, 4));
    assert_eq!(m.resume(), Reply::Done);
    eventually!(m.in_hand().is_some_and(|held| held.input == "6.0"));
    // Taken away: the message that is held goes on all the same.
    assert_eq!(ask(&Command::Break { machine: m.target.clone(), slot: None, filter: "".into() }), Reply::Done);
    assert_eq!(m.resume(), Reply::Done);
    m.drained();
    let status = m.status();
    assert_eq!((status.processed, calls.load(Relaxed), status.errored), (10, 10, 0));
    assert_eq!((status.slots[0].ok, status.slots[3].ok), (10, 10));
    let f3 = m.tap(3, "").unwrap();
    assert_eq!(f3.messages.iter().map(|message| message.outputs[0].as_str()).max(), Some("90.0"));
    assert!(matches!(m.resume(), Reply::Failed(failure) if failure.kind() == ErrorKind::NothingHeld));
    assert!(matches!(m.hold(3, "n >"), Reply::Failed(failure) if failure.kind() == ErrorKind::BadCondition));
    assert!(matches!(m.hold(8, ""), Reply::Failed(failure) if failure.kind() == ErrorKind::NoSuchSlot));
}

#[test]
fn an_error_past_a_breakpoint_is_an_error_like_others() {
    let m = fresh();
    m[0].set(|x: f64| if x == 1.0 { Err("one") } else { Ok(x) }).unwrap();
    m[1].set(|x: f64| x).unwrap();
    m.hold(1, "in = 2.0");
    for x in 0..4 {
        m.put(f64::from(x)).unwrap();
    }
    m.wait_until_held();
    m.start();
    m.drained();
    let status = m.status();
    assert_eq!((status.processed, status.errored, status.slots[1].skipped, status.slots[1].ok), (4, 1, 1, 3));
}

#[test]
fn what_is_kept_is_kept_whole_while_it_is_asked_for() {
    let m = fresh();
    m.keep("all").unwrap();
    m[0].set(|x: u64| x * 2).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let asks = asked.clone();
    thread::scope(|scope| {
        let machine = &m;
        let asking = scope.spawn(move || {
            let (mut seen, mut next) = (0, 0);
            let began = std::time::Instant::now();
            while seen < 30_000 {
                assert!(began.elapsed().as_secs() < 60, "{seen} of 30,000 are kept");
                let kept =
                    machine.kept(RetainedQuery { since: next, filter: "f0 >= 0".into(), ..RetainedQuery::default() });
                // Before the first message no name is known.
                let Ok(kept) = kept else { continue };
                let oids: Vec<u64> = kept.messages.iter().map(|it| it.input.parse().unwrap()).collect();
                assert_eq!(kept.messages.len() as u64, kept.matching, "one answer is enough");
                assert!(oids.iter().zip(seen..).all(|(x, at)| *x == at), "each once, in the order of its keeping");
                seen += oids.len() as u64;
                next = kept.next;
                asks.fetch_add(1, Relaxed);
            }
        });
        for x in 0..30_000_u64 {
            m.put_wait(x).unwrap();
        }
        m.drained();
        asking.joined();
    });
    assert!(asked.load(Relaxed) > 0);
    let all = m.kept(RetainedQuery::default()).unwrap();
    assert_eq!((all.processed, all.evicted, all.not_kept, all.matching), (30_000, 0, 0, 30_000));
}

#[test]
fn what_is_too_much_falls_out_oldest_first_and_is_counted() {
    let m = fresh();
    m[0].set(|x: u64| x).unwrap();
    assert_eq!(m.keep(500).unwrap().keep, Keep::Messages(500));
    for x in 0..2_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drained();
    let kept = m.kept(RetainedQuery::default()).unwrap();
    assert_eq!((kept.processed, kept.evicted, kept.not_kept, kept.messages.len()), (2_000, 1_500, 0, 500));
    let inputs: Vec<&str> = kept.messages.iter().map(|it| it.input.as_str()).collect();
    assert_eq!((inputs[0], inputs[499]), ("1500", "1999"));
    // Older ones than these, in answers that have room for a hundred each.
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = m.kept(RetainedQuery { limit: 100, before, ..RetainedQuery::default() }).unwrap();
        let Some(first) = page.messages.first() else { break };
        // Each was put with its number.
        before = first.input.parse().ok();
        all.splice(0..0, page.messages.into_iter().map(|it| it.input));
    }
    assert_eq!(all, inputs);
    // Fewer at once.
    assert_eq!(m.keep(10).unwrap().messages, 10);
    assert_eq!(m.kept(RetainedQuery::default()).unwrap().messages[0].input, "1990");
    for refused in ["0", "0s", "much"] {
        assert_eq!(m.keep(refused).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
    assert_eq!(m.keep(0).unwrap_err().kind(), ErrorKind::OutOfRange);
}

#[test]
fn one_odd_value_takes_nothing_else_along() {
    let m = fresh();
    m[0].set(|_: Ignored| 1_u64).unwrap();
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let odd = [
        r#"{"id":9007199254740993,"lang":"en","text":"cut \ud83d"}"#.to_owned(),
        r#"{"id":2,"lang":"en","n":1e999}"#.to_owned(),
        format!(r#"{{"id":3,"lang":"en","deep":{deep}}}"#),
        r#"{"id":4,"lang":"de","lang":"en"}"#.to_owned(),
    ];
    for json in &odd {
        let put = Command::Put { machine: m.target.clone(), json: json.clone() };
        ask(&put).checked().unwrap();
    }
    m.drained();
    let matching = |filter: &str| {
        let kept = m.kept(RetainedQuery { filter: filter.into(), ..RetainedQuery::default() }).unwrap();
        (kept.matching, kept.unread)
    };
    assert_eq!(matching("lang = 'en'"), (4, 0));
    assert_eq!(matching("id = 9007199254740993"), (1, 0));
    assert_eq!(matching("text like 'cut%'"), (1, 1));
    assert_eq!(matching("n is null"), (4, 1));
    assert_eq!(matching("deep.0.0 is not null"), (1, 0));
}
