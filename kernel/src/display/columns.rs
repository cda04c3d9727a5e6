//! Messages as a `DataFrame`: fields of objects become columns, those of objects in them `user.name`.

use super::frame::markup;
use super::text::{Align, cut, grouped, one_line, table};
use crate::output::Display;
use machine_engine::json::{Content, Json, Number, Scalar};
use polars::prelude::{AnyValue, Column, DataFrame, DataType, PolarsResult};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Objects within objects whose fields become columns; deeper ones stay JSON text.
const DEEPEST: usize = 8;
/// Values that a table has at most, empty ones included: what it takes grows with rows and columns.
const MOST_VALUES: usize = 20_000_000;
/// From here on not every whole number is an `f64`.
const EXACT: i128 = 1 << 53;
/// Columns that a warning names.
const NAMED: usize = 5;
/// Characters of a value in the text form.
const SHOWN: usize = 40;

/// Which columns a table is to have.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Those of these names come first, where not all have room.
    pub names: BTreeSet<&'a str>,
    /// Whether the others are wanted, too.
    pub all: bool,
}

impl Wanted<'_> {
    /// All columns.
    #[must_use]
    pub fn all() -> Self {
        Self { names: BTreeSet::new(), all: true }
    }

    /// A column is named as a whole, or part by part.
    fn is_named(&self, column: &str) -> bool {
        self.names.contains(column) || column.split('.').all(|part| self.names.contains(part))
    }
}

/// Messages that were read into a table.
#[derive(Debug)]
pub struct Columns {
    /// The columns that were wanted.
    pub frame: DataFrame,
    /// The names of all columns that there are.
    pub names: Vec<String>,
    /// What in the table is not as it is in the messages, each a sentence.
    pub warnings: Vec<String>,
}

/// Collects values column by column.
struct Collector<'j, 'w> {
    wanted: &'w Wanted<'w>,
    at: HashMap<String, usize>,
    all: Vec<Collected<'j>>,
    row: usize,
}

struct Collected<'j> {
    name: String,
    is_named: bool,
    is_wanted: bool,
    /// Whether any message has more there than null.
    is_used: bool,
    /// Each with its row.
    values: Vec<(usize, Json<'j>)>,
}

impl<'j> Collector<'j, '_> {
    fn put(&mut self, name: &str, value: Option<Json<'j>>) {
        let at = self.at.get(name).copied().unwrap_or_else(|| {
            let is_named = self.wanted.is_named(name);
            let is_wanted = is_named || self.wanted.all;
            self.at.insert(name.to_owned(), self.all.len());
            self.all.push(Collected { name: name.to_owned(), is_named, is_wanted, is_used: false, values: Vec::new() });
            self.all.len() - 1
        });
        let (Some(column), Some(value)) = (self.all.get_mut(at), value) else { return };
        column.is_used = true;
        if column.is_wanted {
            // `{"a.b":1,"a":{"b":2}}`: the last one counts, as of any name.
            column.values.pop_if(|(row, _)| *row == self.row);
            column.values.push((self.row, value));
        }
    }

    fn flatten(&mut self, path: &mut String, value: Json<'j>, depth: usize) {
        match value.content() {
            Some(Content::Object(fields)) if depth < DEEPEST => {
                let fields = fields.distinct();
                if fields.is_empty() {
                    return self.put(path, Some(value));
                }
                for (name, value) in fields {
                    let length = path.len();
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&name);
                    self.flatten(path, value, depth + 1);
                    path.truncate(length);
                }
            }
            Some(Content::Null) => self.put(path, None),
            _ => self.put(path, Some(value)),
        }
    }

    /// The columns of a table. One that has been null in every message is one, unless it is an object in others.
    fn columns(mut self, name: &str) -> Vec<Collected<'j>> {
        if self.all.is_empty() {
            self.put(name, None);
        }
        let mut objects: HashSet<String> = HashSet::new();
        for column in &self.all {
            for (at, _) in column.name.match_indices('.') {
                objects.extend(column.name.get(..at).map(str::to_owned));
            }
        }
        self.all.retain(|it| it.is_used || !objects.contains(&it.name));
        self.all
    }
}

/// One row a message. An object gives a column a field, anything else the column `name`; null where there is nothing.
/// `fixed` columns stand before them.
///
/// # Errors
/// As polars; there is none known.
pub fn frame_of_messages<'j>(
    fixed: Vec<Column>,
    name: &str,
    messages: impl IntoIterator<Item = &'j str>,
    wanted: &Wanted<'_>,
) -> PolarsResult<Columns> {
    let mut collector = Collector { wanted, at: HashMap::new(), all: Vec::new(), row: 0 };
    let mut path = String::new();
    for message in messages {
        let message = Json::new(message);
        match message.content() {
            Some(Content::Object(fields)) => {
                for (field, value) in fields.distinct() {
                    path.clear();
                    // A field that is called as one of ours is told apart.
                    if fixed.iter().any(|column| column.name().as_str() == field) {
                        path.push_str(name);
                        path.push('.');
                    }
                    path.push_str(&field);
                    collector.flatten(&mut path, value, 1);
                }
            }
            // Beside objects a message that is nothing is a row of nulls.
            Some(Content::Null) => {}
            _ => {
                path.clear();
                path.push_str(name);
                collector.flatten(&mut path, message, 1);
            }
        }
        collector.row += 1;
    }
    let height = collector.row;
    let all = collector.columns(name);
    let names =
        fixed.iter().map(|column| column.name().to_string()).chain(all.iter().map(|it| it.name.clone())).collect();
    let mut warnings = Warnings::default();
    let named = all.iter().filter(|column| column.is_named).count();
    let mut room = (MOST_VALUES / height.max(1)).max(1).saturating_sub(named);
    let mut made = fixed;
    for column in all.iter().filter(|column| column.is_wanted) {
        if !column.is_named {
            if room == 0 {
                warnings.left_out += 1;
                continue;
            }
            room -= 1;
        }
        made.push(typed(column, height, &mut warnings));
    }
    let frame = DataFrame::new(height, made)?;
    Ok(Columns { warnings: warnings.sentences(frame.width()), frame, names })
}

/// What is not as it is in the messages.
#[derive(Default)]
struct Warnings {
    /// Columns, and how many of their values have a lone surrogate.
    lossy: Vec<(String, usize)>,
    /// Columns, and how many of their numbers are too large.
    beyond: Vec<(String, usize)>,
    /// Columns of numbers that are text.
    as_text: Vec<String>,
    left_out: usize,
}

impl Warnings {
    fn sentences(&self, width: usize) -> Vec<String> {
        let mut all = Vec::new();
        let counted = |columns: &[(String, usize)]| {
            let names: Vec<String> =
                columns.iter().map(|(name, count)| format!("{name} ({})", grouped(*count as u64))).collect();
            listed(&names)
        };
        if !self.lossy.is_empty() {
            all.push(format!("Values with half a surrogate pair, shown as \u{fffd}: {}.", counted(&self.lossy)));
        }
        if !self.beyond.is_empty() {
            all.push(format!(
                "Numbers that are out of range (the largest is about 1.8e308), read as null: {}.",
                counted(&self.beyond)
            ));
        }
        if let Some(first) = self.as_text.first() {
            all.push(format!(
                "Text, since no numeric type has all of their numbers exactly: {}. Compare as text: {first} = '123'.",
                listed(&self.as_text)
            ));
        }
        if self.left_out > 0 {
            all.push(format!(
                "{} of {} columns are left out: a table has {} values at most. Name the columns that you need.",
                grouped(self.left_out as u64),
                grouped((self.left_out + width) as u64),
                grouped(MOST_VALUES as u64)
            ));
        }
        all
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.get(..NAMED).unwrap_or(names);
    let more = names.len() - shown.len();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// What the values of a column are.
#[derive(Default)]
struct Kinds {
    integers: usize,
    /// Of these, the ones that are not exact as an `f64`.
    inexact: usize,
    /// Whole numbers that are no `i64`.
    long: usize,
    floats: usize,
    booleans: usize,
    texts: usize,
    lossy: usize,
    beyond: usize,
}

impl Kinds {
    fn of(values: &[(usize, Json<'_>)]) -> Self {
        let mut kinds = Self::default();
        for (_, value) in values {
            let field = value.field();
            match &field.value {
                Scalar::Null => kinds.beyond += usize::from(field.unread),
                Scalar::Bool(_) => kinds.booleans += 1,
                Scalar::Number(number) => match number.as_i128() {
                    Some(whole) => {
                        kinds.integers += 1;
                        kinds.long += usize::from(i64::try_from(whole).is_err());
                        kinds.inexact += usize::from(whole.abs() >= EXACT);
                    }
                    None if number.is_whole() => kinds.long += 1,
                    None => kinds.floats += 1,
                },
                Scalar::Text(_) | Scalar::Nested(_) => {
                    kinds.texts += 1;
                    kinds.lossy += usize::from(field.unread);
                }
            }
        }
        kinds
    }
}

/// Whole numbers, numbers, truth values or text; a column of several kinds is text, and one of numbers that no type has
/// exactly.
fn typed(column: &Collected<'_>, height: usize, warnings: &mut Warnings) -> Column {
    let (name, kinds) = (column.name.as_str().into(), Kinds::of(&column.values));
    for (count, of) in [(kinds.lossy, &mut warnings.lossy), (kinds.beyond, &mut warnings.beyond)] {
        if count > 0 {
            of.push((column.name.clone(), count));
        }
    }
    let numbers = kinds.integers + kinds.long + kinds.floats;
    if numbers + kinds.booleans + kinds.texts == 0 {
        return Column::full_null(name, height, &DataType::Null);
    }
    if kinds.booleans + kinds.texts == 0 && kinds.long == 0 && kinds.floats == 0 {
        let whole = |number: &Number<'_>| number.as_i128().and_then(|it| i64::try_from(it).ok());
        return Column::new(name, dense(column, height, |value| number(value).as_ref().and_then(whole)));
    }
    if kinds.booleans + kinds.texts == 0 && kinds.long == 0 && kinds.inexact == 0 {
        return Column::new(name, dense(column, height, |value| number(value).map(|it| it.as_f64())));
    }
    if kinds.texts == 0 && numbers == 0 {
        return Column::new(
            name,
            dense(column, height, |value| match value.field().value {
                Scalar::Bool(value) => Some(value),
                _ => None,
            }),
        );
    }
    if kinds.booleans + kinds.texts == 0 {
        warnings.as_text.push(column.name.clone());
    }
    let text = |value: Json<'_>| value.field().value.text().map(Cow::into_owned);
    Column::new(name, dense(column, height, text))
}

fn number(value: Json<'_>) -> Option<Number<'_>> {
    match value.field().value {
        Scalar::Number(number) => Some(number),
        _ => None,
    }
}

/// A value for each row.
fn dense<'j, T>(column: &Collected<'j>, height: usize, of: impl Fn(Json<'j>) -> Option<T>) -> Vec<Option<T>> {
    let mut all: Vec<Option<T>> = std::iter::repeat_with(|| None).take(height).collect();
    for (row, value) in &column.values {
        if let Some(place) = all.get_mut(*row) {
            *place = of(*value);
        }
    }
    all
}

/// A `DataFrame` with all rows, in HTML and in text, and a note below it.
#[must_use]
pub fn whole_frame(frame: &DataFrame, note: &str) -> Display {
    let (height, width) = frame.shape();
    let is_number = |column: &Column| column.dtype().is_primitive_numeric();
    let header: Vec<(&str, Align)> = frame
        .columns()
        .iter()
        .map(|column| (column.name().as_str(), if is_number(column) { Align::Right } else { Align::Left }))
        .collect();
    let cell = |column: &Column, row: usize| match column.get(row) {
        Ok(AnyValue::Null) | Err(_) => "null".to_owned(),
        Ok(AnyValue::String(text)) => cut(&one_line(text), SHOWN),
        Ok(AnyValue::StringOwned(text)) => cut(&one_line(&text), SHOWN),
        Ok(value) => value.to_string(),
    };
    let lines: Vec<Vec<String>> =
        (0..height).map(|row| frame.columns().iter().map(|column| cell(column, row)).collect()).collect();
    let (height_text, width_text) = (grouped(height as u64), grouped(width as u64));
    let text = format!("shape: ({height_text}, {width_text})\n{}{note}\n", table(&header, &lines));
    let (columns, wide) = (super::frame::COLUMNS, width > super::frame::COLUMNS);
    let html = maud::html! {
        (markup(frame, height))
        @if wide { p { small { (columns) " of " (width_text) " columns shown" } } }
        @if !note.is_empty() { p { small { (note) } } }
    };
    super::html_and_text(&html, &text)
}
