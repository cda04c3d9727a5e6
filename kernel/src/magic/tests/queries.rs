//! Queries, conditions and slots: one notion of a message.

use super::*;
use crate::display::{self, Columns, Wanted, frame_of_messages};
use crate::query;
use machine::prelude::*;
use machine_protocol::Error;
use machine_testkit::Drained;
use polars::prelude::DataFrame;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Real;

impl Engine for Real {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        Ok(machine_engine::command(command))
    }
}

fn fresh(name: &str) -> Machine {
    machine_engine::init();
    Machine::builder(name).slots(1).start().unwrap()
}

fn ask(line: &str) -> Result<Display, CellError> {
    run(line, &Real, &Record::default(), &|_| Ok(None).into()).map(Option::unwrap)
}

fn json_of(line: &str) -> Value {
    let (magic, rest) = line.split_once(' ').unwrap();
    ask(&format!("{magic} --json {rest}")).unwrap_or_else(|error| panic!("{line}: {error:?}")).data["application/json"]
        .clone()
}

fn columns(messages: &[&str], wanted: &Wanted<'_>) -> Columns {
    frame_of_messages(Vec::new(), "f0", messages.iter().copied(), wanted).unwrap()
}

fn select(messages: &[&str], sql: &str) -> Result<DataFrame, String> {
    let frame = columns(messages, &Wanted::all()).frame;
    query::run(sql, vec![("f0".to_owned(), frame)]).map_err(|error| format!("{error:?}"))
}

/// The first value of an answer.
fn first(messages: &[&str], sql: &str) -> String {
    let frame = select(messages, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let (_, rows) = display::rows_of(&frame);
    rows.first().and_then(|row| row.first()).map(Value::to_string).unwrap_or_default()
}

#[test]
fn a_value_that_no_type_has_is_reported_and_costs_nothing_else() {
    let messages = [
        r#"{"id":1,"lang":"en","text":"cut \ud83d","n":1e999,"n":2}"#,
        r#"{"id":2,"lang":"en","text":"whole","n":1e999}"#,
        &format!(r#"{{"id":3,"lang":"en","deep":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000)),
    ];
    let read = columns(&messages, &Wanted::all());
    assert_eq!(read.frame.shape(), (3, 5));
    assert_eq!(first(&messages, "SELECT sum(id) FROM f0 WHERE lang = 'en'"), "6");
    assert_eq!(first(&messages, "SELECT text FROM f0 WHERE id = 1"), "\"cut \u{fffd}\"");
    assert_eq!(first(&messages, "SELECT count(*) FROM f0 WHERE n IS NULL"), "2");
    assert_eq!(
        read.warnings,
        [
            "Values with half a surrogate pair, shown as \u{fffd}: text (1).",
            "Numbers that are out of range (the largest is about 1.8e308), read as null: n (1).",
        ]
    );
}

#[test]
fn all_columns_are_there_and_those_that_a_query_names_come_first() {
    let wide: String = (0..300).map(|at| format!("\"c{at}\":{at},")).collect();
    let wide = format!("{{{wide}\"text\":\"last\"}}");
    assert_eq!(columns(&[&wide], &Wanted::all()).frame.width(), 301);
    assert_eq!(first(&[&wide], "SELECT text FROM f0"), "\"last\"");
    // Only what is named is made, but all names are known.
    let wanted = Wanted { names: ["text", "c7"].into(), all: false };
    let read = columns(&[&wide], &wanted);
    assert_eq!((read.frame.width(), read.names.len(), read.warnings.len()), (2, 301, 0));
    // A table of 100,000 rows has room for 200 columns.
    let many = vec![wide.as_str(); 100_000];
    let wanted = Wanted { names: ["text", "c299"].into(), all: true };
    let read = columns(&many, &wanted);
    assert_eq!(read.frame.width(), 200);
    assert!(read.frame.column("text").is_ok() && read.frame.column("c299").is_ok());
    assert_eq!(
        read.warnings,
        ["101 of 301 columns are left out: a table has 20,000,000 values at most. Name the columns that you need."]
    );
}

#[test]
fn a_column_that_was_null_until_now_is_one_of_nulls() {
    for (messages, width) in [
        (&["null", "null"][..], 1),
        (&[], 1),
        (&[r#"{"f0":null,"x":1}"#], 2),
        (&["null", r#"{"f0":null,"x":1}"#], 2),
        (&[r#"{"f0":null}"#, r#"{"f0":null,"user":null}"#, r#"{"user":{"name":null}}"#], 2),
    ] {
        assert_eq!(columns(messages, &Wanted::all()).frame.width(), width, "{messages:?}");
    }
    let messages = [r#"{"f0":null,"x":1}"#, r#"{"f0":null,"x":2}"#];
    for (sql, expected) in [
        ("SELECT f0 FROM f0", "null"),
        ("SELECT count(*) FROM f0 WHERE f0 IS NULL", "2"),
        ("SELECT count(f0) FROM f0", "0"),
        ("SELECT count(*) FROM f0 WHERE f0 = 'x'", "0"),
        ("SELECT count(*) FROM f0 WHERE f0 > 1", "0"),
        ("SELECT max(f0) FROM f0", "null"),
        ("SELECT count(*) AS n FROM f0 GROUP BY f0", "2"),
        ("SELECT x FROM f0 ORDER BY f0, x DESC", "2"),
    ] {
        assert_eq!(first(&messages, sql), expected, "{sql}");
    }
}

#[test]
fn ids_are_exact_whatever_else_is_in_their_column() {
    let id = |sql: &str, other: &str| {
        let messages = [r#"{"id":9007199254740992}"#, r#"{"id":9007199254740993}"#, &format!("{{\"id\":{other}}}")];
        first(&messages, &format!("SELECT count(*) FROM f0 WHERE id = {sql}"))
    };
    assert_eq!(id("9007199254740993", "1"), "1");
    assert_eq!(id("9223372036854775807", "9223372036854775807"), "1");
    // No numeric type has them all: they are text, and a warning says so.
    for other in ["0.5", "9223372036854775808", "-1e3", "18446744073709551616"] {
        assert_eq!(id("'9007199254740993'", other), "1", "{other}");
    }
    let read = columns(&[r#"{"id":9007199254740993}"#, r#"{"id":0.5}"#], &Wanted::all());
    assert_eq!(
        read.warnings,
        ["Text, since no numeric type has all of their numbers exactly: id. Compare as text: id = '123'."]
    );
    // As far as they are exact, numbers of both kinds are one column of numbers.
    assert_eq!(first(&["9007199254740991", "0.5"], "SELECT count(*) FROM f0 WHERE f0 > 9007199254740990"), "1");
}

#[test]
fn a_sample_is_a_warning_above_and_can_be_scaled_or_refused() {
    let all = 40_000_u64;
    let machine = fresh("sampled");
    machine[0].set(|n: u64| n).unwrap();
    machine.source((0..all).map(|n| n % 2)).unwrap();
    machine.drained();
    let counted = json_of("%sql --machine sampled SELECT count(*) AS n FROM input");
    let n = counted["rows"][0][0].as_u64().unwrap();
    assert!(n < all && counted["of_messages"] == n && counted["messages"] == all, "{counted}");
    assert!(counted["warnings"][0].as_str().unwrap().starts_with("A sample: "), "{counted}");
    let text = ask("%sql --machine sampled SELECT count(*) AS n FROM input").unwrap();
    assert!(text_of(&text).starts_with("⚠ A sample: "), "{}", text_of(&text));
    assert!(text.data["text/html"].as_str().unwrap().starts_with("<p style=\"color:#b58900\"><b>⚠ A sample: "));
    let scaled = json_of("%sql --machine sampled --scale SELECT count(*) AS n, sum(input) AS s FROM input");
    assert_eq!(scaled["rows"][0][0].as_f64(), Some(40_000.0), "{scaled}");
    assert!(scaled["warnings"][1].as_str().unwrap().starts_with("Estimated: "), "{scaled}");
    let refused = ask("%sql --machine sampled --exact SELECT count(*) FROM input").unwrap_err().evalue;
    assert!(refused.starts_with("--exact: A sample: "), "{refused}");
    let refused = ask("%sql --machine sampled --scale SELECT count(DISTINCT input) FROM input").unwrap_err().evalue;
    assert!(refused.contains("says nothing about the rest"), "{refused}");
    assert_eq!(json_of("%plot in --machine sampled")["warnings"].as_array().map(Vec::len), Some(1));

    // From here on everything is kept.
    let whole = fresh("whole");
    whole[0].set(|n: u64| n).unwrap();
    let kept = json_of("%keep all --machine whole");
    assert_eq!((&kept["keeping"]["keep"], &kept["keeping"]["most_bytes"]), (&json!("all"), &json!(1_u64 << 30)));
    whole.source((0..all).map(|n| n % 2)).unwrap();
    whole.drained();
    let counted = json_of("%sql --machine whole --exact SELECT count(*) AS n, sum(input) AS s FROM input");
    assert_eq!((&counted["rows"][0], &counted["warnings"]), (&json!([all, all / 2]), &json!([])));
    whole.keep(1_000).unwrap();
    assert_eq!(whole.keep("1h").unwrap().messages, 1_000);
    assert!(ask("%keep nothing --machine whole").unwrap_err().evalue.contains("expected all, sample, a number"));
}

/// Fields as they are written: the last one of each name.
#[derive(Clone, Debug, Default)]
struct Odd(HashMap<String, String>);

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Odd;

            fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                text.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Odd, A::Error> {
                let mut fields = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.insert(name, value.get().to_owned());
                }
                Ok(Odd(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.len() as u64)
    }
}

impl Odd {
    fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|raw| *raw != "null")
    }

    fn whole(&self, name: &str) -> Option<i128> {
        self.raw(name)?.parse().ok()
    }

    fn float(&self, name: &str) -> Option<f64> {
        self.raw(name)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// A text that may be cut in a character.
    fn text(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        serde_json::from_str(raw).ok().or_else(|| serde_json::from_str(&raw.replace("\\ud83d", "\u{fffd}")).ok())
    }

    fn user(&self, name: &str) -> Option<i64> {
        serde_json::from_str::<Value>(self.raw("user")?).ok()?.get(name)?.as_i64()
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % most
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

fn odd_message(at: u64, random: &mut Random) -> String {
    let mut fields = vec!["\"none\":null".to_owned()];
    let mut add = |name: &str, value: String| fields.push(format!("\"{name}\":{value}"));
    add("id", (9_007_199_254_740_990 + random.below(8)).to_string());
    add("lang", random.of(&["\"en\"", "\"de\"", "null", "\"e\\u006e\""]).to_owned());
    add("text", random.of(&["\"cut \\ud83d\"", "\"whole\"", "\"\\ud83d\\ude00 x\"", "\"\"", "null"]).to_owned());
    add("huge", random.of(&["1e999", "-1e999", "7", "0.25", "1e300", "null"]).to_owned());
    let bigs = [
        "18446744073709551616",
        "18446744073709551615",
        "-9223372036854775809",
        "340282366920938463463374607431768211457",
        "0.5",
        "7",
    ];
    add("big", random.of(&bigs).to_owned());
    add("user", format!("{{\"n\":{},\"name\":\"u\"}}", i64::try_from(random.below(5)).unwrap() - 2));
    add("ok", random.of(&["true", "false", "null"]).to_owned());
    if random.below(50) == 0 {
        add("deep", format!("{}{}", "[".repeat(300), "]".repeat(300)));
    }
    if random.below(3) == 0 {
        add("dup", random.below(4).to_string());
        add("dup", random.below(4).to_string());
    }
    // Null in the first half.
    add("late", if at < 5_000 { "null".to_owned() } else { random.below(3).to_string() });
    for column in 0..290 {
        if random.below(8) == 0 {
            add(&format!("c{column}"), random.below(10).to_string());
        }
    }
    // Spaces and order differ.
    let from = usize::try_from(random.below(fields.len() as u64)).unwrap();
    if fields.iter().filter(|field| field.starts_with("\"dup\"")).count() < 2 {
        fields.rotate_left(from);
    }
    format!("{{ {} }}", fields.join(random.of(&[",", ", ", " ,\t"])))
}

/// A question, in SQL and as a condition, and in Rust.
type Question = (&'static str, &'static str, fn(&Odd) -> bool);

const QUESTIONS: [Question; 23] = [
    ("id = 9007199254740993", "id = 9007199254740993", |odd| odd.whole("id") == Some(9_007_199_254_740_993)),
    ("id > 9007199254740992", "id > 9007199254740992", |odd| odd.whole("id") > Some(9_007_199_254_740_992)),
    ("lang = 'en'", "lang = 'en'", |odd| odd.text("lang").as_deref() == Some("en")),
    ("lang != 'en'", "lang != 'en'", |odd| odd.text("lang").is_some_and(|it| it != "en")),
    ("NOT (lang = 'en')", "not (lang = 'en')", |odd| odd.text("lang").is_some_and(|it| it != "en")),
    ("lang IS NULL", "lang is null", |odd| odd.raw("lang").is_none()),
    ("lang NOT IN ('de', 'fr')", "lang not in ('de', 'fr')", |odd| odd.text("lang").is_some_and(|it| it != "de")),
    ("text LIKE 'cut _'", "text like 'cut _'", |odd| odd.text("text").is_some_and(|it| it == "cut \u{fffd}")),
    ("text LIKE '%x'", "text like '%x'", |odd| odd.text("text").is_some_and(|it| it.ends_with('x'))),
    ("huge IS NULL", "huge is null", |odd| odd.float("huge").is_none()),
    ("huge > 5", "huge > 5", |odd| odd.float("huge") > Some(5.0)),
    ("huge < 5", "huge < 5", |odd| odd.float("huge").is_some_and(|it| it < 5.0)),
    ("big = '18446744073709551616'", "big = 18446744073709551616", |odd| {
        odd.raw("big") == Some("18446744073709551616")
    }),
    ("big = '0.5'", "big = 0.5", |odd| odd.raw("big") == Some("0.5")),
    ("user.n < 0", "user.n < 0", |odd| odd.user("n").is_some_and(|n| n < 0)),
    ("ok", "ok", |odd| odd.raw("ok") == Some("true")),
    ("NOT ok", "not ok", |odd| odd.raw("ok") == Some("false")),
    ("deep IS NOT NULL", "deep is not null", |odd| odd.raw("deep").is_some()),
    ("dup = 2", "dup = 2", |odd| odd.whole("dup") == Some(2)),
    ("late = 1", "late = 1", |odd| odd.whole("late") == Some(1)),
    ("none IS NULL", "none is null", |odd| odd.raw("none").is_none()),
    ("c289 BETWEEN 3 AND 5", "c289 between 3 and 5", |odd| odd.whole("c289").is_some_and(|n| (3..=5).contains(&n))),
    ("c7 = 1 OR c250 > 6 AND lang = 'de'", "c7 = 1 or c250 > 6 and lang = 'de'", |odd| {
        odd.whole("c7") == Some(1) || (odd.whole("c250") > Some(6) && odd.text("lang").as_deref() == Some("de"))
    }),
];

/// Whatever intake accepts, a slot, a condition and a query count the same.
#[test]
fn slots_conditions_and_queries_agree_on_every_count() {
    const MESSAGES: u64 = 10_000;
    let seed = std::env::var("MACHINE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) | 1
    });
    println!("MACHINE_SEED={seed}");
    let mut random = Random(seed);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for at in 0..MESSAGES {
        writeln!(file, "{}", odd_message(at, &mut random)).unwrap();
    }
    let counts: Arc<Vec<AtomicU64>> = Arc::new(QUESTIONS.iter().map(|_| AtomicU64::new(0)).collect());
    let machine = fresh("differ");
    machine.keep("all").unwrap();
    let counted = counts.clone();
    machine[0]
        .set(move |odd: &Odd| {
            for ((_, _, is), count) in QUESTIONS.iter().zip(counted.iter()) {
                // Relaxed: the drain comes between this and the read.
                count.fetch_add(u64::from(is(odd)), Ordering::Relaxed);
            }
            1_u64
        })
        .unwrap();
    machine.source(source::json_lines(file.path())).unwrap();
    machine.drained();
    let status = machine.status();
    assert_eq!((status.processed, status.errored), (MESSAGES, 0), "{seed}");
    for ((sql, condition, _), count) in QUESTIONS.iter().zip(counts.iter()) {
        let of_slot = count.load(Ordering::Relaxed);
        let by_query = json_of(&format!("%sql --machine differ --exact SELECT count(*) AS n FROM input WHERE {sql}"));
        let by_condition = json_of(&format!("%tap --machine differ -n 1 --where \"{condition}\""));
        let all = (by_query["rows"][0][0].as_u64(), by_condition["matching"].as_u64());
        assert_eq!(all, (Some(of_slot), Some(of_slot)), "{condition}, seed {seed}");
        assert!(of_slot > 0, "{condition}, seed {seed}: it tests nothing");
    }
}
