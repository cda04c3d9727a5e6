//! `Option` as an output: what is in `Some` is the output, `None` a missing one that is no error.

use crate::common::{named, reconciles};
use machine::ErrorKind;
use machine::prelude::*;
use machine_async::prelude::*;
use machine_testkit::Drained;
use std::time::Duration;

/// How many messages of a slot were ok, errored, skipped, none.
#[track_caller]
fn counts(m: &Machine, slot: usize) -> [u64; 4] {
    let s = m.status();
    reconciles(&s);
    let slot = &s.slots[slot];
    [slot.ok, slot.errored, slot.skipped, slot.none]
}

/// Every slot that gives an `Option`: plain, in a `Result` of either kind, with settings, async.
fn givers() -> Vec<Machine> {
    let even = |x: u64| x.is_multiple_of(2).then_some(x);
    let all: Vec<Machine> = std::iter::repeat_with(|| named("none").start().unwrap()).take(7).collect();
    all[0][0].set(even).unwrap();
    all[1][0].set(move |x: u64| Ok::<_, String>(even(x))).unwrap();
    all[2][0].set(move |x: u64| Ok::<_, std::fmt::Error>(even(x))).unwrap();
    all[3][0].set_async(async move |x: u64| even(x)).unwrap();
    all[4][0].set_async(async move |x: u64| Ok::<_, String>(even(x))).unwrap();
    all[5][0].set_async(async move |x: u64| Ok::<_, std::fmt::Error>(even(x))).unwrap();
    all[6][0].timeout(Duration::from_hours(1)).unwrap();
    all[6][0].set(even).unwrap();
    all
}

#[test]
fn none_is_a_missing_output_and_no_error() {
    for m in givers() {
        m[1].set(|x: u64| x + 1).unwrap();
        m[2].set(|_: Ignored, x: Option<u64>| x.map_or(0, |x| x + 2)).unwrap();
        m[3].set(|_: Ignored, _: Ignored, x: &Option<u64>| x.is_none()).unwrap();
        m[4].set(|_: Ignored, _: Ignored, _: Ignored, x: &Option<u32>| x.map(u64::from)).unwrap();
        m[5].set(|x: Option<&u64>, _: Ignored, _: Ignored, _: Ignored, y: f64| {
            x.map_or(y, |x| f64::from(u32::try_from(*x).unwrap()))
        })
        .unwrap();
        assert_eq!((m.status().slots[0].gives.as_str(), m.status().slots[0].mismatch.as_str()), ("Option<u64>", ""));
        let outputs = m.outputs().unwrap();
        for x in 0..10_u64 {
            m.put(x).unwrap();
        }
        m.drained();
        assert_eq!(counts(&m, 0), [5, 0, 0, 5]);
        assert_eq!(counts(&m, 1), [5, 0, 5, 0]);
        assert_eq!((counts(&m, 2), counts(&m, 3)), ([10, 0, 0, 0], [10, 0, 0, 0]));
        assert_eq!((counts(&m, 4), counts(&m, 5)), ([5, 0, 0, 5], [5, 0, 5, 0]));
        assert!(m.errors().is_empty() && m.status().errored == 0);
        let mut outputs: Vec<Output> = outputs.timeout(Duration::ZERO).collect();
        outputs.sort_by_key(|output| output.input::<u64>().unwrap());
        for (x, output) in (0..10_u64).zip(&outputs) {
            let some = x.is_multiple_of(2).then_some(x);
            assert_eq!(output.get::<Option<u64>>(0), Ok(some));
            assert_eq!(output.get::<u64>(0).ok(), some);
            assert_eq!((output.json(0).unwrap(), output.error(0)), (serde_json::to_string(&some).unwrap(), None));
            assert_eq!(output.error(1).is_none(), some.is_some());
            assert_eq!(output.get::<u64>(2), Ok(some.map_or(0, |x| x + 2)));
            assert_eq!(output.get::<bool>(3), Ok(some.is_none()));
            assert_eq!(output.get::<Option<u64>>(4), Ok(some));
        }
        let called = m.call(3_u64).unwrap();
        assert_eq!(called.get::<Option<u64>>(0), Ok(None));
        assert_eq!(called.get::<u64>(1).unwrap_err().message(), "f1 was skipped: it needs f0, which returned None");
    }
}

/// Where a slot fails there is no `None` either.
#[test]
fn an_error_is_no_none() {
    let m = named("none").start().unwrap();
    m[0].set(|x: u64| if x == 1 { Err("one") } else { Ok((x > 2).then_some(x)) }).unwrap();
    m[1].set(|x: &Option<u64>| x.is_none()).unwrap();
    m[2].set(|_: Ignored, x: Option<u64>| x.is_none()).unwrap();
    for x in 1..4_u64 {
        m.put(x).unwrap();
    }
    m.drained();
    assert_eq!((counts(&m, 0), counts(&m, 1), counts(&m, 2)), ([1, 1, 0, 1], [2, 0, 1, 0], [3, 0, 0, 0]));
}

#[test]
fn on_wires_none_is_null_and_nothing_is_handed_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (m, next) = (named("none").start().unwrap(), named("next").start().unwrap());
    m[0].set(|text: &str| text.strip_prefix('+').map(str::to_owned)).unwrap();
    next[0].set(|text: &str| text.len()).unwrap();
    m.to_json_lines(file.path()).unwrap();
    let chain = m.to(&next, 7).unwrap();
    for text in ["+a", "b", "+cc"] {
        m.put(text.to_owned()).unwrap();
    }
    m.drained();
    next.drained();
    let lines = std::fs::read_to_string(file.path()).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["outputs"], json!(["b", null, null, null, null, null, null, null, null]));
    assert_eq!(lines[2]["outputs"][1], "cc");
    assert_eq!((chain.status().unwrap().sent, chain.status().unwrap().lost), (2, 0));
    assert_eq!((next.status().processed, next.status().errored), (2, 0));
    assert_eq!(m.last_outputs().outputs[1].outputs[0], "null");
}

/// A message can be an `Option`, too: `None` is a message that is missing.
#[test]
fn messages_that_are_options_are_taken_as_outputs_are() {
    let m = named("none").start().unwrap();
    m[0].set(|x: Option<u8>| x.map_or(0, u64::from)).unwrap();
    m[1].set(|_: Ignored, x: &Option<u8>| x.is_some()).unwrap();
    m[2].set(|_: Ignored, _: Ignored, x: u64| x).unwrap();
    m.put(Some(3_u8)).unwrap();
    m.put(None::<u8>).unwrap();
    m.source([Some(4_u8), None]).unwrap();
    m.drained();
    assert_eq!((counts(&m, 0), counts(&m, 1), counts(&m, 2)), ([4, 0, 0, 0], [4, 0, 0, 0], [2, 0, 2, 0]));
    // As text it is `null`.
    let called = m.call(Value::Null).unwrap();
    assert_eq!((called.get::<u64>(0), called.get::<bool>(1)), (Ok(0), Ok(false)));
}

#[test]
fn null_stays_a_value() {
    let m = named("none").start().unwrap();
    m[0].set(|_: u64| Value::Null).unwrap();
    m[1].set(|value: &Value| value.is_null()).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!((counts(&m, 0), counts(&m, 1)), ([1, 0, 0, 0], [1, 0, 0, 0]));
    assert_eq!(m.call(1_u64).unwrap().get::<Value>(0), Ok(Value::Null));
}

#[test]
#[allow(clippy::option_option, reason = "what is refused")]
fn an_option_in_an_option_does_not_fit() {
    let m = named("none").start().unwrap();
    let refused = [
        m[0].set(|x: u64| Some(Some(x))).unwrap_err(),
        m[0].set(|x: u64| Ok::<_, String>(Some(Some(x)))).unwrap_err(),
        m[0].set(|x: Option<Option<u64>>| x.is_none()).unwrap_err(),
        m[0].set(|x: &Option<Option<u64>>| x.is_none()).unwrap_err(),
        m[0].set_async(async |x: u64| Some(Some(x))).unwrap_err(),
    ];
    for refused in refused {
        assert!(refused.kind() == ErrorKind::NestedOption && refused.message().ends_with("flatten it"), "{refused}");
    }
    m[0].set(|x: u64| Some(vec![Some(x), None])).unwrap();
    assert_eq!(m.call(1_u64).unwrap().get::<Vec<Option<u64>>>(0), Ok(vec![Some(1), None]));
}

/// What a slot that may give `None` gives otherwise is dropped once, wherever it goes.
#[test]
fn what_is_in_some_is_dropped_once() {
    use std::sync::Arc;
    #[derive(Serialize)]
    struct Counted(u64, #[serde(skip)] Option<Arc<()>>);
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            <(u64,)>::deserialize(deserializer).map(|(x,)| Self(x, None))
        }
    }
    let living = Arc::new(());
    for ordered in [false, true] {
        let (m, next) = (named("none").ordered(ordered).start().unwrap(), named("next").start().unwrap());
        let own = living.clone();
        m[0].set(move |x: u64| x.is_multiple_of(3).then(|| Counted(x, Some(own.clone())))).unwrap();
        assert!(Counted(0, None).1.is_none());
        m[1].set(|x: &Option<Counted>| x.as_ref().map(|x| x.0)).unwrap();
        m[2].set(|_: Ignored, x: &Counted| x.0).unwrap();
        next[0].set(|x: &Counted| x.0).unwrap();
        let outputs = m.outputs().unwrap();
        m.to(&next, 0).unwrap();
        for x in 0..9_u64 {
            m.put(x).unwrap();
        }
        m.drained();
        next.drained();
        assert_eq!((outputs.timeout(Duration::ZERO).count(), next.status().slots[0].ok), (9, 3));
        assert_eq!(m.call(3_u64).unwrap().get::<u64>(2), Ok(3));
        m[0].clear().unwrap();
        m.stop();
        next.stop();
    }
    assert_eq!(Arc::strong_count(&living), 1);
}
