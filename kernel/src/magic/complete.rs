//! Completion of magic lines, from the same table.

use super::registry::{Action, Kind, MAGICS, Magic, Parameter};
use super::{Engine, actions, cell};

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
    /// `magic`, `option`, `slot` or `machine`.
    pub kind: &'static str,
}

/// Completes at byte `offset` of a cell. `None` if that is not in a magic line. The engine is asked only where a slot
/// or a machine may stand; if it fails, nothing is offered there.
#[must_use]
pub fn complete(text: &str, offset: usize, engine: &dyn Engine) -> Option<Completions> {
    let end = text.floor_char_boundary(offset);
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

fn completions(end: usize, word: &str, items: Vec<Completion>) -> Completions {
    let items = items.into_iter().filter(|item| item.text.starts_with(word)).collect();
    Completions { start: end - word.len(), end, items }
}

fn names(is_first: bool) -> Vec<Completion> {
    MAGICS
        .iter()
        .filter(|magic| is_first || !matches!(magic.action, Action::Time))
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
        Kind::Shape => (super::plot::KINDS.iter().map(|(name, _)| (*name).to_owned()).collect(), "option"),
        Kind::Slot | Kind::Which | Kind::Against | Kind::By => {
            let machine = words.iter().position(|word| *word == "--machine").and_then(|at| words.get(at + 1));
            (actions::slot_names(machine.copied(), engine).unwrap_or_default(), "slot")
        }
        Kind::Topic => (MAGICS.iter().map(|magic| magic.name.to_owned()).collect(), "magic"),
        Kind::Rule => {
            let rules = crate::watch::MEASURES.iter().map(|(name, _)| (*name).to_owned());
            (rules.chain(["idle".to_owned()]).collect(), "rule")
        }
        Kind::Json
        | Kind::File
        | Kind::Clear
        | Kind::Frame
        | Kind::Limit
        | Kind::Timeout
        | Kind::Message
        | Kind::Where
        | Kind::Since
        | Kind::Every
        | Kind::Follow => (Vec::new(), "option"),
    };
    names.into_iter().map(|text| Completion { text, kind }).collect()
}
