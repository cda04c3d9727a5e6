//! That a condition means in `--where` what it means in `%sql`, and the list of what differs.

use super::{QueryError, Statement, run};
use crate::display::{Wanted, frame_of_messages};
use machine_engine::filter::Filter;
use machine_engine::json::Json;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The messages that a condition is true of, by their `id`, as `--where` finds them.
fn by_where(condition: &str, messages: &[Value]) -> Result<Vec<i64>, String> {
    let filter = Filter::new(machine_filter::parse(condition).map_err(|error| error.why)?)?;
    let id = |message: &Value| message.get("id").and_then(Value::as_i64).unwrap_or(-1);
    Ok(messages.iter().filter(|message| filter.holds(&Json::new(&message.to_string()))).map(id).collect())
}

/// The same, as `%sql` finds them.
fn by_sql(condition: &str, messages: &[Value]) -> Result<Vec<i64>, String> {
    let texts: Vec<String> = messages.iter().map(ToString::to_string).collect();
    let columns = frame_of_messages(Vec::new(), "f0", texts.iter().map(String::as_str), &Wanted::all());
    let columns = columns.map_err(|error| error.to_string())?;
    let statement = Statement::read(&format!("SELECT id FROM f0 WHERE {condition}")).map_err(|error| error.message)?;
    let sql = statement.quoted(columns.names.iter().map(String::as_str));
    let refused = |error| match error {
        QueryError::Refused(text) => text,
        other => format!("{other:?}"),
    };
    let frame = run(&sql, vec![("f0".to_owned(), columns.frame)]).map_err(refused)?;
    let ids = frame.column("id").and_then(|ids| ids.i64().cloned()).map_err(|error| error.to_string())?;
    Ok(ids.iter().flatten().collect())
}

/// One of these, as it is written in a condition.
fn written(of: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(of).prop_map(str::to_owned)
}

const NUMBERS: &[&str] = &["n", "m", "x", "0", "-1", "3", "2.5", "- 0.5", "3.0"];
const TEXTS: &[&str] = &["t", "u", "'en'", "'EN'", "''", "'a%b'", "'It''s'", "'é'"];
const PATTERNS: &[&str] = &["'%'", "'en'", "'E_'", "'%n'", "'a\\%b'", "'_'", "''", "'É%'", "'a.b'", "'%s%'"];
const COMPARISONS: &[&str] = &["=", "!=", "<>", "<", "<=", ">", ">="];
const NOT: &[&str] = &["", "not "];

/// A condition without `and` and `or`.
fn comparison() -> impl Strategy<Value = String> {
    let (number, text, not) = (written(NUMBERS), written(TEXTS), written(NOT));
    let column = written(&["n", "m", "x", "t", "u", "ok"]);
    prop_oneof![
        (number.clone(), written(COMPARISONS), number.clone()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (text.clone(), written(COMPARISONS), text.clone()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (written(&["ok", "true", "false"]), written(&["=", "!="]), written(&["ok", "true", "false"]))
            .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (written(&["t", "u"]), not.clone(), written(&["like", "ilike", "LIKE"]), written(PATTERNS))
            .prop_map(|(text, not, like, pattern)| format!("{text} {not}{like} {pattern}")),
        (number.clone(), not.clone(), number.clone(), number.clone())
            .prop_map(|(a, not, b, c)| format!("{a} {not}between {b} and {c}")),
        (written(&["n", "m"]), not.clone(), prop::collection::vec(written(&["1", "-1", "3", "0"]), 1..4))
            .prop_map(|(a, not, list)| format!("{a} {not}in ({})", list.join(", "))),
        (written(&["t", "u"]), not.clone(), prop::collection::vec(written(&["'en'", "''", "'It''s'", "null"]), 1..4))
            .prop_map(|(a, not, list)| format!("{a} {not}in ({})", list.join(", "))),
        (column, not).prop_map(|(a, not)| format!("{a} is {not}null")),
        Just("ok".to_owned()),
        Just("not ok".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), written(&["and", "or", "AND"]), inner.clone())
                .prop_map(|(a, and, b)| format!("{a} {and} {b}")),
            (inner.clone(), written(&["and", "or"]), inner.clone()).prop_map(|(a, and, b)| format!("({a} {and} {b})")),
            inner.prop_map(|a| format!("not {a}")),
        ]
    })
}

/// A field that may be null or missing.
fn field<T: Into<Value> + Clone + std::fmt::Debug + 'static>(of: &'static [T]) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        4 => prop::sample::select(of).prop_map(|value| Some(value.into())),
    ]
}

/// Messages whose fields have a type each. The first has all of them: a column that no message has is an error of SQL.
fn messages() -> impl Strategy<Value = Vec<Value>> {
    const TEXTS: &[&str] = &["en", "EN", "", "a%b", "a\\b", "It's", "é", "É", "a\nb", "axb"];
    let one = (
        field(&[0, 1, 3, -1, 1_000]),
        field(&[0, 3, 5]),
        field(&[0.0, -0.5, 2.5, 3.0, 1e300, -0.0]),
        (field(TEXTS), field(TEXTS)),
        field(&[true, false]),
    );
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let first = json!({ "id": -1, "n": 1, "m": 3, "x": 0.5, "t": "en", "u": "de", "ok": true });
        let others = all.into_iter().zip(0..).map(|((n, m, x, (t, u), ok), id)| {
            let fields = [("id", Some(Value::from(id))), ("n", n), ("m", m), ("x", x), ("t", t), ("u", u), ("ok", ok)];
            let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(there.collect::<Map<_, _>>())
        });
        std::iter::once(first).chain(others).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_condition_means_the_same_in_where_and_sql(condition in condition(), messages in messages()) {
        prop_assert_eq!(by_where(&condition, &messages), by_sql(&condition, &messages), "{}", condition);
    }
}

/// What differs, as the book lists it (docs/src/querying.md).
#[test]
fn what_differs_is_listed() {
    let messages = [
        json!({ "id": 0, "n": 9_007_199_254_740_993_i64, "t": "3", "d": 1, "tags": ["a"], "user": { "name": "Bo" } }),
        json!({ "id": 1, "n": 4, "t": "x", "d": "x", "e": 1, "tags": [], "user": { "name": "Al" } }),
    ];
    for (condition, expected, sql) in [
        // Values of different types are different; SQL refuses to compare them.
        ("t = 3", "", "refused"),
        ("t != 3", "0 1", "refused"),
        ("t < 3", "", "refused"),
        ("n = '4'", "", "refused"),
        ("d = 1", "0", "refused"),
        // What is no Boolean is not true.
        ("t", "", "refused"),
        ("not n", "0 1", ""),
        // `like` looks at the text of a number.
        ("n like '4'", "1", "refused"),
        // Numbers are exact.
        ("n = 9007199254740992.0", "", "0"),
        ("n < 123456789012345678901234567890", "0 1", "refused"),
        ("n < 1e3", "1", "refused"),
        ("n < 1.0e3", "1", "1"),
        // Lists can have names, and values of several types.
        ("n in (4, id)", "1", "refused"),
        ("n in (4, '3')", "1", "refused"),
        // Parts of arrays have names, and an array is no text.
        ("tags.0 = 'a'", "0", "refused"),
        ("tags = '[]'", "", "1"),
        ("tags like '%a%'", "0", "0"),
        // A dot within quotes belongs to a field's name.
        ("user.name = 'Bo'", "0", "0"),
        ("\"user.name\" = 'Bo'", "", "0"),
        // A name that no message has is null; the commands refuse it where nothing matches.
        ("nothing is null", "0 1", "refused"),
        ("t = \"x\"", "", "refused"),
        // Words that SQL reserves are names.
        ("user is not null", "0 1", "refused"),
        ("e == 1 and n <> 3", "1", "1"),
        ("n = null or n not in (1, null)", "", ""),
    ] {
        let ids = |found: Result<Vec<i64>, String>| match found {
            Ok(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(_) => "refused".to_owned(),
        };
        let found = (ids(by_where(condition, &messages)), ids(by_sql(condition, &messages)));
        assert_eq!(found, (expected.to_owned(), sql.to_owned()), "{condition}");
    }
}
