use super::{Content, Json, Number, Scalar, compact, value};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::cmp::Ordering;

fn text_of(json: &str, path: &str) -> (Option<String>, bool) {
    let path: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    Json::new(json).at(&path).map_or((None, false), |at| {
        let field = at.field();
        (field.value.text().map(std::borrow::Cow::into_owned), field.unread)
    })
}

#[test]
fn a_value_that_no_type_has_takes_nothing_else_along() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let message = format!(
        r#" {{"id":1, "text":"cut \ud83d", "n": 1e999,"deep":{deep},"lang":"de","lang":"en", "user":{{"a b":[1,{{"x":"\u00e9\n"}}]}}}} "#
    );
    let check = |path: &str, text: Option<&str>, unread: bool| {
        assert_eq!(text_of(&message, path), (text.map(str::to_owned), unread), "{path}");
    };
    check("id", Some("1"), false);
    check("text", Some("cut \u{fffd}"), true);
    check("n", None, true);
    check("deep", Some(&deep), false);
    check("deep.0.0.0", Some(&deep[3..deep.len() - 3]), false);
    check("lang", Some("en"), false);
    check("user", Some(r#"{"a b":[1,{"x":"\u00e9\n"}]}"#), false);
    check("user.a b.1.x", Some("é\n"), false);
    for missing in ["user.x", "id.x", "user.a b.2", "nothing"] {
        check(missing, None, false);
    }
    let read = value(&message);
    assert_eq!((&read["id"], &read["lang"], &read["n"]), (&json!(1), &json!("en"), &json!("1e999")));
}

#[test]
fn of_names_that_come_twice_the_last_value_counts() {
    let many: String = (0..50).map(|at| format!("\"n{}\":{at},", at % 40)).collect();
    let text = format!("{{{many}\"x\":1}}");
    let Some(Content::Object(fields)) = Json::new(&text).content() else { unreachable!() };
    let fields: Vec<String> =
        fields.distinct().into_iter().map(|(name, value)| format!("{name}={}", value.raw())).collect();
    assert_eq!(
        (fields.len(), &*fields[0], &*fields[9], &*fields[10], &*fields[40]),
        (41, "n0=40", "n9=49", "n10=10", "x=1")
    );
    assert_eq!(Json::new(&text).names().len(), 41);
}

#[test]
fn surrogates_in_pairs_are_characters_and_alone_they_are_marked() {
    for (json, text, unread) in [
        (r#""\ud83d\ude00""#, "😀", false),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}", true),
        (r#""\ud83d\u0041""#, "\u{fffd}A", true),
        (r#""\ud83d\n""#, "\u{fffd}\n", true),
        (r#""\"\\\/\b\f\n\r\té""#, "\"\\/\u{8}\u{c}\n\r\té", false),
    ] {
        assert_eq!(text_of(json, ""), (Some(text.to_owned()), unread), "{json}");
    }
}

#[test]
fn numbers_are_compared_exactly() {
    let order = |a: &str, b: &str| Number::new(a).unwrap().compare(&Number::new(b).unwrap()).unwrap();
    let ascending = [
        "-1e308",
        "-170141183460469231731687303715884105729",
        "-170141183460469231731687303715884105728",
        "-9007199254740993",
        "-9007199254740992.0",
        "-1.5",
        "-1",
        "0",
        "1e-300",
        "1",
        "1.5",
        "2",
        "9007199254740992.0",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "170141183460469231731687303715884105727",
        "1.7014118346046923173168730371588410573e38",
        "170141183460469231731687303715884105729",
        "1e39",
        "1000000000000000000000000000000000000001",
        "1e300",
    ];
    for (at, a) in ascending.iter().enumerate() {
        for (of, b) in ascending.iter().enumerate() {
            assert_eq!(order(a, b), at.cmp(&of), "{a} {b}");
        }
    }
    assert_eq!(order("1.0", "1"), Ordering::Equal);
    assert_eq!(order("-0", "0.0"), Ordering::Equal);
    for beyond in ["1e999", "-1e999", "inf", "NaN", &"9".repeat(400)] {
        assert!(Number::new(beyond).is_none(), "{beyond}");
    }
}

#[test]
fn white_space_outside_of_texts_is_left_out() {
    assert_eq!(compact("{ \"a b\" :\t[ 1 , \"\\\" \" ]\n}"), r#"{"a b":[1,"\" "]}"#);
    assert_eq!(compact("[1]"), "[1]");
}

#[test]
fn what_is_not_json_is_read_without_a_panic() {
    for text in [
        "", "{", "[", "\"", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":}", "{1:2}", "}", "]{", "[,]", "x", "\"\\",
        "[1 2]", "{:}",
    ] {
        let json = Json::new(text);
        let _ = (json.field(), json.at(&["a", "0"]), json.names(), value(text), compact(text));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"\\\\é .]{0,3}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What a parser reads is read the same here, however it is spaced.
    #[test]
    fn reads_what_a_parser_reads(expected in any_json()) {
        for text in [expected.to_string(), format!(" {expected:#}\n")] {
            prop_assert_eq!(&value(&text), &expected);
        }
    }

    /// Whatever intake accepts has content, and every value in it is found.
    #[test]
    fn reads_what_intake_accepts(text in "[\\[\\]{}:,\"\\\\a1e.\\-ntrue ud8]{0,30}") {
        let read = value(&text);
        if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
            prop_assert!(Json::new(&text).content().is_some());
            // A parser's floating-point numbers are not always the nearest ones.
            if let (false, Ok(expected)) = (text.contains(['.', 'e']), serde_json::from_str::<Value>(&text)) {
                prop_assert_eq!(read, expected);
            }
            if let Some(Content::Number(_)) = Json::new(&text).content() {
                let field = Json::new(&text).field();
                prop_assert!(field.unread != matches!(field.value, Scalar::Number(_)));
            }
        }
    }
}
