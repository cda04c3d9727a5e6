//! Conditions on messages: `polarity < -0.5 and (lang = 'en' or user.name like '%bot%')`.
//!
//! A name is looked up by whoever asks; dots go into objects. A comparison with something that is missing or of another
//! type does not hold, so a condition never fails on a message. In `like`, `%` stands for any text and `_` for one
//! character; `ilike` does not tell capitals from small letters.

mod parse;

use crate::nearest::nearest;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// What a condition is about: names to values.
pub trait Lookup {
    /// The value of a name; the first part is never empty. `None` if there is none.
    fn get(&self, path: &[String]) -> Option<Cow<'_, Value>>;
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// One line: where it stops to make sense, and what was expected there.
    pub why: String,
    /// That place in the text, bytes; empty if something is missing there.
    pub at: Range<usize>,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unreadable {}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Expression);

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Or(Box<[Expression; 2]>),
    And(Box<[Expression; 2]>),
    Not(Box<Expression>),
    Compare(Operand, Comparison, Operand),
    Like {
        operand: Operand,
        pattern: String,
        small: bool,
    },
    In(Operand, Vec<Operand>),
    IsNull(Operand),
    /// The operand is `true`.
    Holds(Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<String>),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// If it makes no sense: where, and why.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        parse::parse(text).map(Self)
    }

    /// Whether it holds.
    pub fn holds(&self, row: &dyn Lookup) -> bool {
        self.0.holds(row)
    }

    /// The names that it uses, dots and all.
    pub fn names(&self) -> Vec<&[String]> {
        let mut names = Vec::new();
        self.0.names(&mut names);
        names
    }
}

impl Expression {
    fn holds(&self, row: &dyn Lookup) -> bool {
        match self {
            Self::Or(both) => both.iter().any(|one| one.holds(row)),
            Self::And(both) => both.iter().all(|one| one.holds(row)),
            Self::Not(one) => !one.holds(row),
            Self::Compare(a, comparison, b) => match (a.value(row), b.value(row)) {
                (Some(a), Some(b)) => comparison.holds(&a, &b),
                _ => false,
            },
            Self::Like { operand, pattern, small } => operand.value(row).is_some_and(|value| {
                let text = match &*value {
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    other => Cow::Owned(other.to_string()),
                };
                if *small { like(&text.to_lowercase(), pattern) } else { like(&text, pattern) }
            }),
            Self::In(operand, list) => operand.value(row).is_some_and(|value| {
                list.iter().filter_map(|one| one.value(row)).any(|one| Comparison::Equal.holds(&value, &one))
            }),
            Self::IsNull(operand) => operand.value(row).is_none_or(|value| value.is_null()),
            Self::Holds(operand) => operand.value(row).is_some_and(|value| *value == Value::Bool(true)),
        }
    }

    fn names<'f>(&'f self, names: &mut Vec<&'f [String]>) {
        let mut add = |operand: &'f Operand| {
            if let Operand::Path(path) = operand {
                names.push(path);
            }
        };
        match self {
            Self::Or(both) | Self::And(both) => both.iter().for_each(|one| one.names(names)),
            Self::Not(one) => one.names(names),
            Self::Compare(a, _, b) => {
                add(a);
                add(b);
            }
            Self::In(operand, list) => {
                add(operand);
                list.iter().for_each(add);
            }
            Self::Like { operand, .. } | Self::IsNull(operand) | Self::Holds(operand) => add(operand),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, row: &'v dyn Lookup) -> Option<Cow<'v, Value>> {
        match self {
            Self::Path(path) => row.get(path),
            Self::Literal(value) => Some(Cow::Borrowed(value)),
        }
    }
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = match (a, b) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
            },
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            _ if self == Self::Equal || self == Self::NotEqual => {
                Some(if a == b { Ordering::Equal } else { Ordering::Less })
            }
            _ => None,
        };
        order.is_some_and(|order| match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }
}

/// Whether a text is of a pattern. Takes time in proportion to both lengths, whatever the pattern.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where to go on if the text after the last `%` turns out to be another.
    let mut back: Option<(usize, usize)> = None;
    while let Some(c) = text.get(at) {
        match pattern.get(of) {
            Some('%') => {
                back = Some((at, of + 1));
                of += 1;
            }
            Some(p) if *p == '_' || p == c => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((from, after)) = back else { return false };
                back = Some((from + 1, after));
                (at, of) = (from + 1, after);
            }
        }
    }
    pattern.get(of..).unwrap_or_default().iter().all(|p| *p == '%')
}

/// Of the names that a row has, the one that was probably meant by a path that it does not have; `names` are those that
/// it begins with.
pub(crate) fn meant(path: &[String], row: &dyn Lookup, names: &[String]) -> Option<String> {
    // As far as the path leads somewhere, it is right.
    for end in (1..path.len()).rev() {
        let (before, rest) = path.split_at(end);
        if let Some(Value::Object(fields)) = row.get(before).as_deref() {
            let name = nearest(rest.first()?, fields.keys().map(String::as_str))?;
            return Some(format!("{}.{name}", before.join(".")));
        }
    }
    let whole = nearest(&path.join("."), names.iter().map(String::as_str));
    whole.or_else(|| nearest(path.first()?, names.iter().map(String::as_str))).map(str::to_owned)
}

/// What is in a value at the end of these names.
pub fn inside<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

impl Lookup for Value {
    fn get(&self, path: &[String]) -> Option<Cow<'_, Value>> {
        inside(self, path).map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, like, meant};
    use serde_json::json;

    #[test]
    fn conditions_hold_or_do_not() {
        let row = json!({"polarity": -0.75, "n": 3, "lang": "en", "ok": true, "none": null,
            "user": {"name": "It's a Bot", "tags": ["a", "b"]}, "odd name": 1});
        for (condition, holds) in [
            ("polarity < -0.5", true),
            ("polarity < -0.5 and lang = 'de'", false),
            ("polarity < -0.5 AND (lang = 'de' OR n >= 3)", true),
            ("not n = 3", false),
            ("n != 4 and n <> 4 and n == 3 and 4 > n and n <= 3.0", true),
            ("user.name like '%Bot'", true),
            ("user.name like '%bot'", false),
            ("user.name ilike '%bot'", true),
            ("user.name not like 'x%'", true),
            ("user.name = 'It''s a Bot'", true),
            ("user.tags.1 = 'b'", true),
            ("n in (1, 2, 3)", true),
            ("lang not in ('de', 'fr')", true),
            ("none is null and missing is null and n is not null", true),
            ("ok", true),
            ("ok = false", false),
            ("lang > 3", false),
            ("missing > 3 or missing < 3 or missing = 3", false),
            ("\"odd name\" = 1", true),
            ("n between 2 and 3 and n = 3", true),
        ] {
            assert_eq!(Filter::parse(condition).map(|filter| filter.holds(&row)), Ok(holds), "{condition}");
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
        ] {
            let error = Filter::parse(condition).err().unwrap_or_else(|| unreachable!("{condition}"));
            assert_eq!((condition.get(error.at.clone()), error.why.as_str()), (Some(at), told), "{condition}");
        }
    }

    #[test]
    fn the_name_that_was_meant_is_the_nearest_one_at_that_depth() {
        let row = json!({"polarity": 1, "user": {"name": "eve", "followers": 3}});
        let names = ["polarity".to_owned(), "user".to_owned(), "in.lang".to_owned()];
        let of = |path: &str| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            meant(&path, &row, &names)
        };
        assert_eq!(of("polarty").as_deref(), Some("polarity"));
        assert_eq!(of("user.nmae").as_deref(), Some("user.name"));
        assert_eq!(of("in.lnag").as_deref(), Some("in.lang"));
        assert_eq!((of("user.zzz"), of("something")), (None, None));
    }

    #[test]
    fn deep_conditions_are_refused_and_many_percents_are_fast() {
        assert!(Filter::parse(&"(".repeat(100_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
        assert!(!like(&"a".repeat(5_000), &"a%".repeat(1_000).replace("a%", "%a%b")));
    }
}
