//! Completion of magic lines, from the same table.

use super::arguments::Arguments;
use super::engine::Engine;
use super::registry::MAGICS;
use super::spec::{Action, Kind, Magic, Parameter};
use super::{actions, cell, tables};

/// What could stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// Where the text that is replaced begins, bytes.
    pub start: usize,
    /// Where it ends: at the cursor.
    pub end: usize,
    /// In the order of the table.
    pub items: Vec<Completion>,
}

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What is inserted.
    pub text: String,
    /// `magic`, `option`, `slot`, `machine`, `table` or `column`.
    pub kind: &'static str,
}

/// Completes at byte `offset` of a cell. `None` if that is not in a magic line. The engine is asked only where a slot
/// or a machine may stand; if it fails, nothing is offered there.
#[must_use]
pub fn complete(text: &str, offset: usize, engine: &dyn Engine) -> Option<Completions> {
    let end = text.floor_char_boundary(offset);
    let piece = super::among::piece_at(text, end);
    let text = piece.as_str();
    if let Some(body) = cell::body(text)
        && end + body.text.len() >= text.len()
    {
        let arguments = super::parse::parse(body.line.text).ok()?.arguments;
        return Some(of_query(text.get(..end)?, body.text, &arguments, engine));
    }
    let line_start = text.get(..end)?.rfind('\n').map_or(0, |at| at + 1);
    let number = text.get(..end)?.matches('\n').count() + 1;
    let is_first = cell::split(text)?.lines.iter().position(|line| line.number == number)? == 0;
    let before = text.get(line_start..end)?;
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let mut words = before.get(..before.len() - word.len())?.split_whitespace();
    let Some(name) = words.next() else {
        return Some(completions(end, word, names(is_first)));
    };
    let magic = MAGICS.iter().find(|magic| magic.written() == name)?;
    if magic.parameters.iter().any(|parameter| parameter.kind == Kind::Query)
        && !word.starts_with('-')
        && let Some(query) =
            super::parse::parse(before).ok().and_then(|call| call.arguments.query.map(|it| (it, call.arguments)))
    {
        let line = text.get(line_start..)?.lines().next()?;
        let whole = line.get(query.0.start..).unwrap_or_default();
        return Some(of_query(before, whole, &query.1, engine)).map(|items| Completions {
            start: items.start + line_start,
            end,
            ..items
        });
    }
    let words: Vec<&str> = words.collect();
    if let Some((option, value)) = word.split_once('=') {
        let parameter = magic.all_parameters().find(|parameter| parameter.names.contains(&option))?;
        return Some(completions(end, value, values(parameter, &words, engine)));
    }
    let awaited = words.last().and_then(|last| {
        magic.all_parameters().find(|parameter| !parameter.value.is_empty() && parameter.names.contains(last))
    });
    Some(completions(
        end,
        word,
        match awaited {
            Some(parameter) => values(parameter, &words, engine),
            None => arguments(magic, word, &words, engine),
        },
    ))
}

/// Tables, and the columns of those that the query names. `before` is the text up to the cursor.
fn of_query(before: &str, query: &str, arguments: &Arguments<'_>, engine: &dyn Engine) -> Completions {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let word = before.rsplit(|c: char| !is_name(c)).next().unwrap_or_default();
    let tables = tables::names(arguments, engine).unwrap_or_default();
    let named: Vec<&String> = tables
        .iter()
        .filter(|name| query.split(|c: char| !is_name(c) || c == '.').any(|it| it == name.as_str()))
        .collect();
    let mut items: Vec<Completion> =
        tables.iter().map(|name| Completion { text: name.clone(), kind: "table" }).collect();
    for table in named {
        for column in tables::columns(table, arguments, engine).unwrap_or_default() {
            let text = if word.starts_with(&format!("{table}.")) { format!("{table}.{column}") } else { column };
            if !items.iter().any(|item| item.text == text) {
                items.push(Completion { text, kind: "column" });
            }
        }
    }
    completions(before.len(), word, items)
}

fn completions(end: usize, word: &str, items: Vec<Completion>) -> Completions {
    let items = items.into_iter().filter(|item| item.text.starts_with(word)).collect();
    Completions { start: end - word.len(), end, items }
}

fn names(is_first: bool) -> Vec<Completion> {
    MAGICS
        .iter()
        .filter(|magic| is_first || !matches!(magic.action, Action::Time | Action::Body(_)))
        .map(|magic| Completion { text: magic.written(), kind: "magic" })
        .collect()
}

/// Values of the next argument that is known by its place, and options that are not there yet.
fn arguments(magic: &Magic, word: &str, words: &[&str], engine: &dyn Engine) -> Vec<Completion> {
    let mut items = Vec::new();
    if !word.starts_with('-') {
        let mut skip = false;
        let given = words.iter().filter(|word| {
            let is_value = std::mem::replace(
                &mut skip,
                magic.all_parameters().any(|p| !p.value.is_empty() && p.names.contains(*word)),
            );
            !is_value && !word.starts_with('-')
        });
        let given = given.count();
        if let Some(parameter) = magic.parameters.iter().filter(|parameter| parameter.is_positional()).nth(given) {
            items.extend(values(parameter, words, engine));
        }
    }
    let unused = |parameter: &&Parameter| !parameter.names.iter().any(|name| words.contains(name));
    items.extend(
        magic
            .all_parameters()
            .filter(unused)
            .flat_map(|parameter| parameter.names)
            .map(|name| Completion { text: (*name).to_owned(), kind: "option" }),
    );
    items
}

fn values(parameter: &Parameter, words: &[&str], engine: &dyn Engine) -> Vec<Completion> {
    let (names, kind) = match parameter.kind {
        Kind::Machine => (actions::machine_names(engine).unwrap_or_default(), "machine"),
        Kind::Which if parameter.value == "OID" => (Vec::new(), "option"),
        Kind::Which if parameter.value == super::keep::HOW_MUCH => {
            (["all", "1_000_000", "1h", "sample"].map(str::to_owned).to_vec(), "option")
        }
        Kind::Shape => (super::plot::KINDS.iter().map(|(name, _)| (*name).to_owned()).collect(), "option"),
        Kind::Slot | Kind::Origin | Kind::Which | Kind::Against | Kind::By => {
            let machine = words.iter().position(|word| *word == "--machine").and_then(|at| words.get(at + 1));
            let mut names = actions::slot_names(machine.copied(), engine).unwrap_or_default();
            names.extend((parameter.kind == Kind::Origin).then(|| actions::SOURCE.to_owned()));
            (names, "slot")
        }
        Kind::Topic => (MAGICS.iter().map(|magic| magic.name.to_owned()).collect(), "magic"),
        Kind::Rule => {
            let rules = crate::watch::MEASURES.iter().map(|(name, _)| (*name).to_owned());
            (rules.chain(["idle".to_owned()]).collect(), "rule")
        }
        Kind::Json
        | Kind::File
        | Kind::Clear
        | Kind::Empty
        | Kind::Frame
        | Kind::Limit
        | Kind::Timeout
        | Kind::Message
        | Kind::Query
        | Kind::Where
        | Kind::Since
        | Kind::Every
        | Kind::Follow
        | Kind::Scale
        | Kind::Exact => (Vec::new(), "option"),
    };
    names.into_iter().map(|text| Completion { text, kind }).collect()
}
