//! What the classic machine did, and this one does: fat pipelines, identity slots, `call`, sources that end, errors at
//! hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::many_single_char_names,
    clippy::too_many_arguments,
    reason = "a test ends where it fails, and takes as many arguments as there can be"
)]

use common::named;
use machine::ErrorKind;
use machine::handle::ask;
use machine::prelude::*;
use machine::status::SourceState;
use machine_protocol::command::{Command, Outputs as Made, Reply, Target};
use machine_protocol::retained::DeadLetterQuery;
use machine_testkit::{Drained, eventually};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

mod common;

fn fresh() -> Machine {
    named("c").start().unwrap()
}

/// What each slot was called with, by slot.
type Calls = Arc<Mutex<Vec<(usize, Vec<u64>)>>>;

/// Puts a function in each of nine slots; slot i takes i + 1 arguments, keeps them, and gives 10 + i.
fn nine_arities(m: &Machine, calls: &Calls) {
    macro_rules! slot {
        ($slot:literal: $($arg:ident)+) => {{
            let calls = calls.clone();
            m[$slot]
                .set(move |$($arg: u64),+| {
                    calls.lock().unwrap().push(($slot, vec![$($arg),+]));
                    10_u64 + $slot
                })
                .unwrap();
        }};
    }
    slot!(0: a);
    slot!(1: a b);
    slot!(2: a b c);
    slot!(3: a b c d);
    slot!(4: a b c d e);
    slot!(5: a b c d e f);
    slot!(6: a b c d e f g);
    slot!(7: a b c d e f g h);
    slot!(8: a b c d e f g h i);
}

/// `f2(f1, f0, in)`: nearest output first, the input last, for 1 to 9 arguments.
#[test]
fn a_fat_pipeline_hands_on_all_outputs_nearest_first() {
    let (m, calls) = (named("fat").slots(9).start().unwrap(), Calls::default());
    nine_arities(&m, &calls);
    let wanted: Vec<(usize, Vec<u64>)> =
        (0..9).map(|slot| (slot, (10..10 + slot as u64).rev().chain([5]).collect())).collect();
    m.put(5_u64).unwrap();
    m.drained();
    assert_eq!(std::mem::take(&mut *calls.lock().unwrap()), wanted, "by put");
    let out = m.call(5_u64).unwrap();
    assert_eq!(std::mem::take(&mut *calls.lock().unwrap()), wanted, "by call");
    assert_eq!(out.get::<u64>(8).unwrap(), 18);
    // As JSON, from outside.
    let target = Target::Name(m.status().machine);
    let Reply::Outputs(made) = ask(&Command::Call { machine: target, json: "5".to_owned() }) else { panic!() };
    assert_eq!(std::mem::take(&mut *calls.lock().unwrap()), wanted, "by command");
    let texts: Vec<Vec<String>> = wanted.iter().map(|(_, args)| args.iter().map(u64::to_string).collect()).collect();
    assert_eq!(made.slots.into_iter().map(|slot| slot.args).collect::<Vec<_>>(), texts);
    assert_eq!(m.status().slots[8].takes, vec!["u64"; 9]);
}

/// A slot takes as many of the nearest outputs as it likes, each as it likes.
#[test]
fn a_slot_takes_the_nearest_outputs_in_its_own_way() {
    #[derive(Serialize, Deserialize, Clone)]
    struct Word(String);
    let m = fresh();
    m[0].set(|text: &str| Word(text.to_owned())).unwrap();
    m[1].set(|word: &Word| word.0.len()).unwrap();
    m[2].set(|length: u64, word: &Word, text: String| format!("{length} {} {text}", word.0)).unwrap();
    m[3].set(|all: &str, length: Option<usize>| (all.to_owned(), length)).unwrap();
    m[4].set(|pair: &Value, all: Option<String>, length: f64| (pair.clone(), all, length)).unwrap();
    let out = m.call("abc".to_owned()).unwrap();
    assert_eq!(out.json(4).unwrap(), r#"[["3 abc abc",3],"3 abc abc",3.0]"#);
    m.put("abc".to_owned()).unwrap();
    m.drained();
    assert_eq!(m.status().errored, 0, "{:?}", m.errors());
}

#[test]
fn empty_slots_pass_on_what_came_before_them() {
    let m = fresh();
    let outputs = m.outputs().unwrap();
    assert_eq!(m.call(1.5).unwrap().get::<f64>(7).unwrap().to_bits(), 1.5_f64.to_bits(), "nothing but empty slots");
    m[2].set(|x: f64, before: f64, input: f64| x + before + input).unwrap();
    m[5].set(|x: f64| if x > 10.0 { Err("too much") } else { Ok(x * 2.0) }).unwrap();
    m.put(1.0).unwrap();
    m.put(9.0).unwrap();
    m.drained();
    // Emptied again, a slot passes on again; to empty an empty one is no change.
    m[2].clear().unwrap();
    m[2].clear().unwrap();
    m.put(4.0).unwrap();
    m.drained();
    let got: Vec<Output> = outputs.timeout(std::time::Duration::ZERO).collect();
    let row = |at: usize| (0..8).map(|slot| got[at].json(slot).ok()).collect::<Vec<_>>();
    let texts = |all: [&str; 8]| all.map(|text| (!text.is_empty()).then(|| text.to_owned())).to_vec();
    assert_eq!(row(0), texts(["1.0", "1.0", "3.0", "3.0", "3.0", "6.0", "6.0", "6.0"]));
    assert_eq!(row(1), texts(["9.0", "9.0", "27.0", "27.0", "27.0", "", "", ""]), "also that there is nothing");
    assert_eq!(row(2), texts(["4.0", "4.0", "4.0", "4.0", "4.0", "8.0", "8.0", "8.0"]));
    let s = m.status();
    assert_eq!((s.slots[2].takes.len(), s.slots[2].gives.as_str(), s.slots[2].revision), (0, "", 2));
}

#[test]
fn a_machine_is_as_long_as_it_has_slots() {
    assert_eq!(fresh().len(), 8);
    for slots in [1, 9, 60] {
        let m = named("len").slots(slots).start().unwrap();
        assert_eq!(m.len(), slots);
        m[slots - 1].set(|x: u64| x).unwrap();
        let error = m[slots].set(|x: u64| x).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSuchSlot);
        assert!(error.message().starts_with(&format!("there is no f{slots}: ")), "{error}");
        assert_eq!(m.call(1_u64).unwrap().get::<u64>(slots).unwrap_err().kind(), ErrorKind::NoOutput);
    }
}

#[test]
fn what_is_out_of_range_is_refused_and_changes_nothing() {
    let (m, other) = (fresh(), fresh());
    m[7].set(|x: u64| x + 1).unwrap();
    let before = m.status();
    for slot in [8, 9, 60, usize::MAX] {
        assert_eq!(m[slot].set(|x: u64| x).unwrap_err().kind(), ErrorKind::NoSuchSlot);
        assert_eq!(m[slot].clear().unwrap_err().kind(), ErrorKind::NoSuchSlot);
        assert!(m.to(&other, slot).is_err(), "to, f{slot}");
        let out = m.call(1_u64).unwrap();
        assert!(out.get::<u64>(slot).is_err() && out.json(slot).is_err());
    }
    let target = || Target::Name(before.machine.clone());
    let of_slot = |slot| DeadLetterQuery { slot: Some(slot), ..DeadLetterQuery::default() };
    let errors = |slot| ask(&Command::FindErrors { machine: target(), query: of_slot(slot) });
    assert!(matches!(errors(8), Reply::Failed(failure) if failure.kind() == ErrorKind::NoSuchSlot));
    assert!(matches!(errors(7), Reply::FoundErrors { matching: 0, .. }));
    let s = m.status();
    let revisions = |s: &machine::Status| s.slots.iter().map(|slot| slot.revision).collect::<Vec<_>>();
    assert_eq!((s.slots.len(), revisions(&s)), (8, revisions(&before)));
    assert!(s.outputs.is_empty());
    for (what, builder) in [
        ("no slots", named("range").slots(0)),
        ("too many slots", named("range").slots(61)),
        ("no queue", named("range").queue(0)),
        ("no workers", named("range").workers(0)),
        ("too many workers", named("range").workers(257)),
        ("nothing in flight", named("range").in_flight(0)),
    ] {
        assert!(builder.start().is_err(), "{what}");
    }
}

/// Nothing ends because there is not so much memory.
#[test]
fn a_queue_for_which_there_is_no_memory_is_refused() {
    // A sanitizer takes memory for whatever is asked for, at once.
    if ["TSAN_OPTIONS", "LSAN_OPTIONS"].iter().any(|options| std::env::var_os(options).is_some()) {
        return;
    }
    // A system that promises more memory than there is gives it, as long as it is not used.
    if let Err(failure) = named("memory").queue(1 << 30).start() {
        assert_eq!(failure.kind(), ErrorKind::OutOfRange);
        let message = "cannot allocate a queue of 1073741824 messages (128 GiB); choose a smaller capacity";
        assert_eq!(failure.message(), message);
    }
}

/// A value that counts how often it is written.
#[derive(Deserialize, Clone)]
struct Counted(u64);

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Relaxed);
        self.0.serialize(serializer)
    }
}

/// Equal types come back as they are; text is written for those who ask for it, and only of what they ask for.
#[test]
fn call_gives_the_values_and_their_json_if_asked() {
    let m = fresh();
    m[0].set(|x: u64| Counted(x + 1)).unwrap();
    m[1].set(|c: &Counted| if c.0 > 5 { Err("above five") } else { Ok(c.0 * 2) }).unwrap();
    m[2].set(|x: u64| x + 1).unwrap();
    let out = m.call(1_u64).unwrap();
    assert_eq!((out.input::<u64>().unwrap(), out.get::<Counted>(0).unwrap().0), (1, 2));
    assert_eq!(out.get::<u64>(1).unwrap(), 4);
    assert_eq!(WRITTEN.load(Relaxed), 0, "nobody asked for text");
    assert_eq!((out.json(0).unwrap().as_str(), WRITTEN.load(Relaxed)), ("2", 1));
    assert_eq!(out.get::<f64>(0).unwrap().to_bits(), 2.0_f64.to_bits(), "another type is read from the text");
    assert_eq!(out.oid().len(), 24);
    // An error is an answer too, and what came before it is there.
    let out = m.call(9_u64).unwrap();
    assert_eq!(out.json(0).unwrap(), "10");
    assert_eq!(out.get::<u64>(1).unwrap_err().to_string(), "f1 failed (error): above five");
    assert_eq!(out.json(2).unwrap_err().to_string(), "f2 was skipped because f1 produced no output");
    // Neither counted nor kept.
    let s = m.status();
    assert_eq!((s.accepted, s.processed, s.errored, s.dead_letters), (0, 0, 0, 0));
    assert!(m.last_outputs().is_empty() && m.errors().is_empty());
}

#[test]
fn call_works_whatever_the_machine_does() {
    let m = fresh();
    m[0].set(|x: u64| x * 3).unwrap();
    for state in [Machine::pause, Machine::stop, Machine::start] {
        state(&m);
        assert_eq!(m.call(2_u64).unwrap().get::<u64>(0).unwrap(), 6);
    }
}

#[test]
fn a_source_that_ends_says_so_and_makes_way_for_the_next() {
    let m = named("ends").queue(4).start().unwrap();
    m.start_empty().pause();
    m.source(0..10_u64).unwrap();
    m.start().drained();
    let source = m.status().source;
    assert_eq!((source.state.as_str(), source.taken, source.errors), ("exhausted", 10, 0));
    m.source(0..1_u64).unwrap();
    m.drained();
    assert_eq!((m.status().source.taken, m.status().processed), (1, 11));
    m.clear_source();
    assert_eq!(m.status().source.state, SourceState::None);
}

/// A source waits for room: a queue of two loses none of a thousand, whatever the policy is.
#[test]
fn a_source_waits_while_the_queue_is_full() {
    for policy in [Policy::Reject, Policy::Block] {
        let m = named("full").queue(2).policy(policy).start().unwrap();
        let (seen, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
        let (see, key) = (seen.clone(), gate.clone());
        m[0].set(move |x: u64| {
            drop(key.lock());
            see.lock().unwrap().push(x);
        })
        .unwrap();
        let closed = gate.lock().unwrap();
        m.source(0..1_000_u64).unwrap();
        eventually!(m.status().queue_size >= 2);
        let s = m.status();
        assert_eq!((s.source.state.as_str(), s.processed, s.refused), ("running", 0, 0));
        drop(closed);
        m.drained();
        assert!(seen.lock().unwrap().iter().copied().eq(0..1_000));
        let s = m.status();
        assert_eq!((s.accepted, s.refused, s.discarded, s.drops.newest), (1_000, 0, 0, 0));
    }
}

/// What it gave before is processed; the error is in the status and among the errors, and puts go on.
#[test]
fn a_source_that_fails_says_why_and_harms_nothing_else() {
    let m = fresh();
    m.start_empty();
    m.source((0..10_u64).inspect(|x| assert!(*x < 7, "no more than {x}"))).unwrap();
    m.drained();
    eventually!(m.status().source.state != SourceState::Running);
    m.drained();
    let s = m.status();
    assert_eq!((s.source.state.as_str(), s.processed), ("failed", 7));
    assert!(s.source.error.starts_with("the source panicked: no more than 7 ("), "{}", s.source.error);
    let errors = m.errors();
    assert_eq!((errors[0].slot.as_str(), errors[0].error.as_str()), ("source", s.source.error.as_str()));
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!(m.status().processed, 8);
}

#[test]
fn the_last_ten_errors_are_at_hand() {
    let m = fresh();
    m[0].set(|x: u64| if x.is_multiple_of(2) { Err(format!("even {x}")) } else { Ok(x) }).unwrap();
    m[1].set(|x: u64| x).unwrap();
    for x in 0..50_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    let s = m.status();
    let newest: Vec<String> = s.errors.iter().map(|line| line.err.clone()).collect();
    assert_eq!(newest, (15..25).rev().map(|x| format!("even {}", 2 * x)).collect::<Vec<_>>());
    assert_eq!((s.errored, s.dead_letters, s.slots[1].skipped), (25, 25, 25));
    assert!(s.errors.iter().all(|line| line.slot == "f0" && line.revision == 1 && line.oid.len() == 24));
    // All that are kept, with their inputs.
    let all = m.errors();
    assert_eq!((all.len(), all[24].error.as_str(), all[24].input.as_str()), (25, "even 0", "0"));
}

/// The last outputs of several workers are ten of those that were finished last.
#[test]
fn the_last_outputs_have_the_published_form() {
    let m = fresh();
    m[0].set(|x: u64| if x == 1 { Err("one") } else { Ok(x) }).unwrap();
    m[1].set(|x: u64| x + 1).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    let last = &m.last_outputs()[0];
    assert_eq!((last.input.as_str(), last.outputs.len()), ("1", 8));
    assert_eq!(last.outputs[0], r#"{"_exception":{"exc_value":"one","exc_type":"Error","task":"f0"}}"#);
    let skipped = r#"{"_exception":{"exc_value":"f1 was skipped because f0 produced no output","exc_type":"UpstreamError","task":"f1"}}"#;
    assert!(last.outputs[1..].iter().all(|output| output == skipped), "{:?}", last.outputs);
}

/// One message at a time, by hand, with every argument and output shown.
#[test]
fn a_step_shows_what_each_slot_made_of_a_message() {
    let m = fresh();
    m[0].set(|x: u64| x + 1).unwrap();
    m[2].set(|x: u64, y: u64, input: u64| if input > 1 { Err("big") } else { Ok(x + y + input) }).unwrap();
    m.pause();
    let step = || match ask(&Command::Step { machine: Target::Name(m.status().machine) }) {
        Reply::Outputs(made) => Ok::<Made, String>(made),
        Reply::Failed(failure) => Err(failure.kind().as_str().to_owned()),
        other => panic!("{other:?}"),
    };
    assert!(step().is_err(), "nothing waits");
    for x in 1..4_u64 {
        m.put(x).unwrap();
    }
    let first = step().unwrap();
    assert_eq!((first.input.as_str(), first.slots[2].output.as_deref()), ("1", Some("5")));
    assert_eq!(first.slots[2].args, ["2", "2", "1"]);
    let second = step().unwrap();
    assert_eq!(second.slots[2].error.as_deref(), Some("f2 failed (error): big"));
    let s = m.status();
    assert_eq!((s.processed, s.errored, s.queue_size), (2, 1, 1));
}
