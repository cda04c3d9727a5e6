//! What is read, and how it is told what is not.

use super::parse;
use machine_protocol::filter::{Comparison, Operand, Step};

#[test]
fn a_condition_becomes_names_and_steps() {
    let tree = parse("not (user.name ilike '%Bot' or n between -1 and 2.5) and in.tags.0 in ('a', null) and ok");
    let name = Operand::Name;
    let number = |digits: &str| Operand::Number(digits.to_owned());
    let steps = vec![
        Step::Like { operand: name(0), pattern: "%Bot".to_owned(), ignores_case: true },
        Step::Compare(name(1), Comparison::GreaterOrEqual, number("-1")),
        Step::Compare(name(1), Comparison::LessOrEqual, number("2.5")),
        Step::And(2),
        Step::Or(2),
        Step::Not,
        Step::In(name(2), vec![Operand::Text("a".to_owned()), Operand::Null]),
        Step::IsTrue(name(3)),
        Step::And(3),
    ];
    let names =
        ["user.name", "n", "in.tags.0", "ok"].map(|name| name.split('.').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(tree.map(|tree| (tree.names, tree.steps)), Ok((names.to_vec(), steps)));
}

#[test]
fn words_that_sql_reserves_are_names() {
    let is_name = |condition: &str, names: &[&str]| {
        let found = parse(condition).map(|tree| tree.names.iter().map(|name| name.join(".")).collect::<Vec<_>>());
        assert_eq!(found, Ok(names.iter().map(|name| (*name).to_owned()).collect()), "{condition}");
    };
    for word in [
        "user",
        "order",
        "select",
        "case",
        "cast",
        "date",
        "time",
        "timestamp",
        "interval",
        "exists",
        "position",
        "end",
        "from",
        "group",
        "left",
        "array",
        "struct",
        "any",
        "all",
        "current_date",
        "table",
        "values",
        "in",
        "escape",
        "to",
        "distinct",
        "unknown",
        "similar",
        "trim",
        "extract",
        "row",
        "key",
        "value",
        "type",
        "Ähre",
        "_x1",
        "f0",
    ] {
        is_name(&format!("{word} = 3"), &[word]);
        is_name(&format!("3 < {word} and {word}.{word} is not null"), &[word, &format!("{word}.{word}")]);
        is_name(&format!("not {word} like 'x' or {word} not in (1) or {word}"), &[word]);
        is_name(&format!("a.{word}.b between {word} and ({word})"), &[&format!("a.{word}.b"), word]);
    }
    for (condition, names) in [
        ("\"odd name\" = 1 and \"a.b\".c = 1", &["odd name", "a.b.c"][..]),
        (
            "tags.1 = 'b' and tags.1.name = 2 and tags.1.2=3 and tags.0a = 1",
            &["tags.1", "tags.1.name", "tags.1.2", "tags.0a"],
        ),
        ("in.lang=\"en\"", &["in.lang", "en"]),
        ("a<-0.5 and b=-1 and c>=-1e3 and -1<d and a == b and a <> b", &["a", "b", "c", "d"]),
        ("in in (in, 1)", &["in"]),
        ("a = 1 -- one\n and\t/* two */ b = 2", &["a", "b"]),
    ] {
        is_name(condition, names);
    }
}

#[test]
fn long_and_deep_conditions_are_read_or_refused() {
    let many = |what: &str, count: usize, and: &str| vec![what; count].join(and);
    for condition in [
        many("n = 1", 5_000, " and "),
        many("n", 10_000, " or "),
        format!("{}n = 1{}", "(".repeat(64), ")".repeat(64)),
        format!("{}n{}", "not (a and b or ".repeat(60), ")".repeat(60)),
    ] {
        assert!(parse(&condition).is_ok());
    }
    let names: Vec<String> = (0..2_000).map(|at| format!("n{at} = 1")).collect();
    for (condition, told) in [
        (many("n = 1", 5_001, " and "), "a condition of 20003 words and signs; it may have 20000"),
        (format!("a = '{}'", "x".repeat(1 << 20)), "a condition of 1048582 bytes; it may have 1048576"),
        (format!("{} and", many("n", 9_000, " and ")), "after `… n and n"),
        ("(".repeat(100_000), "a condition of 100000 words"),
        ("(".repeat(65), "more than 64 brackets and nots within each other"),
        ("not ".repeat(65), "more than 64 brackets and nots within each other"),
        ("- ".repeat(65), "more than 64 brackets and nots within each other"),
        (names.join(" and "), "more than 1000 different names"),
        (many("n = 1", 1_000, " 1 and "), "after `n = 1` comes `1`, where and, or, or the end was expected"),
    ] {
        let why = parse(&condition).err().unwrap_or_else(|| unreachable!("{told}")).why;
        assert!(why.starts_with(told) && why.len() < 300, "{why}");
    }
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    for (condition, at, told) in [
        ("", "", "the condition is empty: write for example polarity < -0.5"),
        ("polarity <", "", "after `polarity <` a name, a number or 'text' is missing"),
        ("polarity < -0.5 and", "", "after `polarity < -0.5 and` a name, a number or 'text' is missing"),
        ("(a = 1", "", "after `(a = 1` a ) is missing"),
        ("a = 'x", "'x", "the quote ' at character 5 is not closed"),
        ("a = 1 b = 2", "b", "after `a = 1` comes `b`, where and, or, or the end was expected"),
        (") = 1", ")", "it begins with `)`, where a name, a number or 'text' was expected"),
        ("ä like 3", "3", "after `ä like` comes `3`, where 'text' was expected"),
        ("ä ? 1", "?", "`?` at character 3 means nothing here"),
        ("3", "3", "`3` is no condition: compare it with something"),
        ("a < 1e999", "1e999", "`1e999` at character 5 is out of range: the largest is about 1.8e308"),
        ("a < 1.2.3", "1.2.3", "`1.2.3` at character 5 cannot be read as a number"),
        ("user = 'x' or or", "or", "after `user = 'x' or` comes `or`, where a name, a number or 'text' was expected"),
        ("a not 3", "3", "after `a not` comes `3`, where like, in or between was expected"),
        ("a in 3", "3", "after `a in` comes `3`, where a list like ('a', 'b') was expected"),
        ("a in (1, 2", "", "after `a in (1, 2` a ) is missing"),
        ("a is 3", "3", "after `a is` comes `3`, where null was expected"),
        ("a between 1 or 2", "or", "after `a between 1` comes `or`, where and was expected"),
        ("a. = 3", "=", "after `a.` comes `=`, where a name, a number or 'text' was expected"),
        // What is SQL, and no condition has.
        ("a + 1 > 2", "+", "`+` at character 3 calculates: a condition compares values as they are, %sql calculates"),
        (
            "a || 'x' = 'y'",
            "||",
            "`||` at character 3 joins texts: a condition compares values as they are; or is written or",
        ),
        ("a ~ 'x'", "~", "`~` at character 3 compares with a regular expression: there is like, and ilike"),
        (
            "tags[1] = 'x'",
            "[",
            "`[` at character 5 is for items of arrays: they are named by their numbers, as in tags.0",
        ),
        (
            "a = 1 and upper(b) = 'X'",
            "upper(b)",
            "after `a = 1 and`: `upper(…)` is a function: a condition has none, %sql has",
        ),
        (
            "a = 1 and case when b then 1 else 2 end = 2",
            "case when b then 1 else 2 end",
            "after `a = 1 and`: `case` chooses a value: join conditions with and, or and not",
        ),
        (
            "cast(a as int) = 2",
            "a",
            "after `cast(`: `cast` converts a value: a condition compares values as they are, %sql converts",
        ),
        (
            "a > date '2026-01-01'",
            "'2026-01-01'",
            "after `a > date`: times are numbers or texts of the message: compare them as they are",
        ),
        ("ok is true", "ok", "`is true` is written as the name alone"),
        (
            "a = 1 and (b = 2) = true",
            "b = 2",
            "after `a = 1 and (`: a condition stands where a value is compared: join conditions with and and or",
        ),
        (
            "a in (select b from f0)",
            "a in (select b from f0)",
            "a query within a condition: write %sql SELECT … instead",
        ),
        ("a like 'x!_' escape '!'", "a like 'x!_'", "`like` has no escape: _ stands for any character"),
    ] {
        let error = parse(condition).err().unwrap_or_else(|| unreachable!("{condition}"));
        assert_eq!((condition.get(error.at.clone()), error.why.as_str()), (Some(at), told), "{condition}");
    }
}
