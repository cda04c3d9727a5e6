//! Conditions on messages: `polarity < -0.5 and (lang = 'en' or user.name like '%bot%')`, as trees (`machine-filter`
//! makes one of a text).
//!
//! A name is looked up in the row; dots go into objects. A condition never fails on a message. It counts what SQL
//! counts: a comparison with something that is missing or null is neither true nor false, nor is its `not`; a row is
//! meant if the condition is true. A comparison of different types is false, and `!=` between them true. Numbers are
//! compared exactly, whatever their size. In `like`, `%` stands for any text and `_` for one character; `ilike` ignores
//! case.
//!
//! Each name is looked up at most once a row, so a condition takes time in proportion to its length.

mod parser;
mod steps;

pub(crate) use parser::parser;
pub use parser::set_parser;

use crate::closest_match::closest_match;
use crate::json::{Content, Field, Json, Scalar};
use machine_protocol::filter::{Comparison, Tree};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

/// What a condition is about: names to values.
pub trait Lookup {
    /// The value of a name; the first part is never empty. `None` if there is none.
    fn get(&self, path: &[String]) -> Option<Found<'_>>;
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Found<'r> {
    /// A value of the row itself.
    Own(Scalar<'r>),
    /// A part of a message.
    Part(Cow<'r, str>),
}

impl Found<'_> {
    /// The value.
    #[must_use]
    pub fn field(&self) -> Field<'_> {
        match self {
            Self::Own(value) => Field { value: value.clone(), unread: false },
            Self::Part(json) => Json::new(json).field(),
        }
    }
}

/// A condition.
#[derive(Clone, Debug)]
pub struct Filter {
    expression: Expression,
    /// The names in it, each once.
    names: Vec<Vec<String>>,
}

/// What a condition says of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is true.
    pub holds: bool,
    /// How many of the values that it looked at are ones that no type has; see [`json`](crate::json).
    pub unread: u64,
}

#[derive(Clone, Debug)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
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

#[derive(Clone, Debug)]
enum Operand {
    /// The name of this number.
    Name(usize),
    Literal(Scalar<'static>),
}

impl Filter {
    /// Takes a condition from its tree.
    ///
    /// # Errors
    /// If the steps make no expression, or one that is too deep: why.
    pub fn new(tree: Tree) -> Result<Self, String> {
        Ok(Self { expression: steps::expression(tree.steps, tree.names.len())?, names: tree.names })
    }

    /// Whether it holds.
    pub fn holds(&self, row: &dyn Lookup) -> bool {
        self.judge(row).holds
    }

    /// What it says of a row.
    pub fn judge(&self, row: &dyn Lookup) -> Verdict {
        let found: Vec<OnceCell<Option<Found<'_>>>> = vec![OnceCell::new(); self.names.len()];
        let values = vec![OnceCell::new(); self.names.len()];
        let row = Row { names: &self.names, lookup: row, found: &found, values: &values };
        let holds = self.expression.is_true(&row) == Some(true);
        let is_unread = |value: &OnceCell<Option<Field<'_>>>| matches!(value.get(), Some(Some(it)) if it.unread);
        Verdict { holds, unread: values.iter().filter(|value| is_unread(value)).count() as u64 }
    }

    /// The names that it uses, dots and all, each once.
    pub fn names(&self) -> Vec<&[String]> {
        self.names.iter().map(Vec::as_slice).collect()
    }
}

/// A row, and what has been looked up in it.
struct Row<'r> {
    names: &'r [Vec<String>],
    lookup: &'r dyn Lookup,
    found: &'r [OnceCell<Option<Found<'r>>>],
    values: &'r [OnceCell<Option<Field<'r>>>],
}

impl<'r> Row<'r> {
    /// What an operand stands for; `None` if it is missing or null.
    fn value(&self, operand: &'r Operand) -> Option<&'r Scalar<'r>> {
        let value = match operand {
            Operand::Literal(value) => value,
            Operand::Name(at) => {
                let found = self.found.get(*at)?.get_or_init(|| self.lookup.get(self.names.get(*at)?)).as_ref()?;
                &self.values.get(*at)?.get_or_init(|| Some(found.field())).as_ref()?.value
            }
        };
        (!matches!(value, Scalar::Null)).then_some(value)
    }
}

impl Expression {
    /// `None` where a value is missing that decides it.
    fn is_true<'r>(&'r self, row: &Row<'r>) -> Option<bool> {
        match self {
            Self::Or(all) => any(all, row, true),
            Self::And(all) => any(all, row, false),
            Self::Not(one) => one.is_true(row).map(|it| !it),
            Self::Compare(a, comparison, b) => Some(compare(row.value(a)?, *comparison, row.value(b)?)),
            Self::Like { operand, pattern, small } => {
                let text = row.value(operand)?.text()?;
                Some(if *small { like(&text.to_lowercase(), pattern) } else { like(&text, pattern) })
            }
            Self::In(operand, list) => {
                let value = row.value(operand)?;
                let mut are_all_there = true;
                for one in list {
                    match row.value(one) {
                        Some(one) if compare(value, Comparison::Equal, one) => return Some(true),
                        Some(_) => {}
                        None => are_all_there = false,
                    }
                }
                are_all_there.then_some(false)
            }
            Self::IsNull(operand) => Some(row.value(operand).is_none()),
            Self::Holds(operand) => Some(matches!(row.value(operand)?, Scalar::Bool(true))),
        }
    }
}

/// Whether one of these is what decides all of them.
fn any<'r>(all: &'r [Expression], row: &Row<'r>, decides: bool) -> Option<bool> {
    let mut is_known = true;
    for one in all {
        match one.is_true(row) {
            Some(it) if it == decides => return Some(decides),
            Some(_) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(!decides)
}

fn compare(a: &Scalar<'_>, comparison: Comparison, b: &Scalar<'_>) -> bool {
    let order = match (a, b) {
        (Scalar::Number(a), Scalar::Number(b)) => a.compare(b),
        (Scalar::Text(a), Scalar::Text(b)) => Some(a.cmp(b)),
        (Scalar::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
        _ if matches!(comparison, Comparison::Equal | Comparison::NotEqual) => {
            let is_same = matches!((a, b), (Scalar::Nested(a), Scalar::Nested(b)) if a == b);
            Some(if is_same { Ordering::Equal } else { Ordering::Less })
        }
        _ => None,
    };
    order.is_some_and(|order| match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
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
        let Some(Found::Part(json)) = row.get(before) else { continue };
        let Some(Content::Object(fields)) = Json::new(&json).content() else { continue };
        let fields: Vec<_> = fields.map(|(name, _)| name.decode().0).collect();
        let name = closest_match(rest.first()?, fields.iter().map(AsRef::as_ref))?;
        return Some(format!("{}.{name}", before.join(".")));
    }
    let whole = closest_match(&path.join("."), names.iter().map(String::as_str));
    whole.or_else(|| closest_match(path.first()?, names.iter().map(String::as_str))).map(str::to_owned)
}

/// The part of a JSON text at the end of these names.
#[must_use]
pub fn inside<'j>(json: &'j str, path: &[String]) -> Option<Found<'j>> {
    Json::new(json).at(path).map(|part| Found::Part(Cow::Borrowed(part.raw())))
}

/// The same of a text that is nobody else's.
#[must_use]
pub fn inside_own(json: &str, path: &[String]) -> Option<Found<'static>> {
    Json::new(json).at(path).map(|part| Found::Part(Cow::Owned(part.raw().to_owned())))
}

/// A message as JSON text.
impl Lookup for Json<'_> {
    fn get(&self, path: &[String]) -> Option<Found<'_>> {
        self.at(path).map(|part| Found::Part(Cow::Borrowed(part.raw())))
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Json, Verdict, like, meant};

    fn filter(condition: &str) -> Result<Filter, String> {
        Filter::new(machine_filter::parse(condition).map_err(|error| error.why)?)
    }

    #[test]
    fn conditions_hold_or_do_not() {
        let row = Json::new(
            r#"{"polarity": -0.75, "n": 3, "lang": "en", "ok": true, "none": null, "tags": ["a","b"],
            "user": {"name": "It's a Bot", "tags": ["a", "b"]}, "odd name": 1, "id": 9007199254740993,
            "long": 123456789012345678901234567890123456789012345, "cut": "cut \ud83d", "huge": 1e999}"#,
        );
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
            ("id = 9007199254740993 and id != 9007199254740992 and id > 9007199254740992.0", true),
            ("long = 123456789012345678901234567890123456789012345", true),
            ("long > 123456789012345678901234567890123456789012344 and long < 1e45", true),
            ("user.tags = tags and user.tags like '%b%'", true),
            ("cut like 'cut _' and huge is null", true),
            // Neither they nor their opposites, as in SQL.
            ("missing != 3 or not missing = 3 or missing not in (1) or missing not like 'x'", false),
            ("none != 3 or not none = 3 or none between 1 and 2 or not (none between 1 and 2)", false),
            ("not (missing = 1 and n = 4) and (missing = 1 or n = 3)", true),
            ("n not in (1, none)", false),
            ("n in (3, none)", true),
        ] {
            assert_eq!(filter(condition).map(|filter| filter.holds(&row)), Ok(holds), "{condition}");
        }
    }

    #[test]
    fn the_name_that_was_meant_is_the_nearest_one_at_that_depth() {
        let row = Json::new(r#"{"polarity": 1, "user": {"name": "eve", "followers": 3}}"#);
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
    fn values_that_no_type_has_are_counted_once_a_row() {
        let row = Json::new(r#"{"cut": "\ud83d", "huge": 1e999, "n": 1}"#);
        let judge = |condition: &str| filter(condition).map(|filter| filter.judge(&row));
        assert_eq!(judge("cut = 'x' or huge = 1 or cut is null or n = 1"), Ok(Verdict { holds: true, unread: 2 }));
        assert_eq!(judge("n = 2 and huge = 1"), Ok(Verdict { holds: false, unread: 0 }));
    }

    #[test]
    fn long_conditions_take_time_in_proportion() {
        let row = Json::new(r#"{"n": 1, "m": {"x": 2}}"#);
        let many = |what: &str, count: usize, and: &str| vec![what; count].join(and);
        for (condition, holds) in [
            (many("n = 1", 5_000, " and "), true),
            (many("m.x = 1", 3_000, " or "), false),
            (format!("n in ({})", many("2", 9_000, ", ")), false),
            (many("(n = 1 and m.x = 2 or n = 3)", 1_000, " and "), true),
        ] {
            assert_eq!(filter(&condition).map(|filter| filter.holds(&row)), Ok(holds));
        }
    }

    #[test]
    fn many_percents_are_fast() {
        assert!(!like(&"a".repeat(5_000), &"a%".repeat(1_000).replace("a%", "%a%b")));
    }
}
