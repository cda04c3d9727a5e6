//! A magic line → its magic and its arguments.

use super::arguments::{Arguments, Query};
use super::magic_error::{MagicError, closest_match, did_you_mean, quote};
use super::message;
use super::plot::KINDS;
use super::registry::{self, MAGICS};
use super::spec::{Action, Kind, Magic, Parameter};
use super::words::{Word, words};
use crate::display::PlotKind;
use crate::input;
use std::ops::Range;
use std::time::Duration;

/// What was asked for.
pub struct Call<'a> {
    /// Which magic.
    pub magic: &'static Magic,
    /// Where its name stands, percent signs included; bytes.
    pub name: Range<usize>,
    /// With what.
    pub arguments: Arguments<'a>,
}

/// Parses a line that begins with `%`.
///
/// # Errors
/// [`MagicError::Usage`]: an unknown magic or argument, a missing or bad value.
pub fn parse(line: &str) -> Result<Call<'_>, MagicError> {
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    let written = line.get(..end).unwrap_or_default();
    let asked = written.strip_suffix('?');
    let magic = named(asked.unwrap_or(written))?;
    let mut arguments = Arguments { help: asked.is_some(), ..Arguments::default() };
    let has = |kind: Kind| magic.parameters.iter().any(|parameter| parameter.kind == kind);
    if has(Kind::Message) {
        with_message(magic, line, end, &mut arguments)?;
    } else if has(Kind::Query) {
        let start = options(magic, line, end, &mut arguments)?;
        let text = line.get(start..).unwrap_or_default().trim_end();
        // SQL would take it for a comment.
        let without = text.strip_suffix("--json").filter(|rest| rest.is_empty() || rest.ends_with(char::is_whitespace));
        arguments.json |= without.is_some();
        let text = without.unwrap_or(text);
        arguments.query = Some(Query { text, start });
    } else {
        take(magic, words(line, end)?, &mut arguments)?;
    }
    Ok(Call { magic, name: 0..end, arguments })
}

/// The magic that is meant by `written`, percent signs included.
fn named(written: &str) -> Result<&'static Magic, MagicError> {
    let span = Some(0..written.len());
    if let Some(magic) = MAGICS.iter().find(|magic| magic.written() == written) {
        return Ok(magic);
    }
    let name = written.trim_start_matches('%');
    if name.is_empty() {
        return Err(MagicError::usage(
            format!("{} has no name after it; %lsmagic shows all magics", quote(written)),
            span,
        ));
    }
    if let Some(magic) = registry::find(name) {
        let instead = match magic.action {
            Action::Line(_) | Action::Live(_) => "it concerns one line",
            Action::Body(_) | Action::Time => "it concerns the whole cell",
        };
        return Err(MagicError::usage(format!("{} is written {}: {instead}", quote(written), magic.written()), span));
    }
    let meant = closest_match(name, MAGICS.iter().map(|magic| magic.name)).and_then(registry::find).map(Magic::written);
    Err(MagicError::usage(
        format!(
            "there is no magic {}{} %lsmagic shows all",
            quote(written),
            match meant {
                Some(_) => did_you_mean(meant),
                None => ";".to_owned(),
            }
        ),
        span,
    ))
}

/// Options, the message, and options again.
fn with_message<'a>(
    magic: &'static Magic,
    line: &'a str,
    at: usize,
    arguments: &mut Arguments<'a>,
) -> Result<(), MagicError> {
    let at = options(magic, line, at, arguments)?;

    let text = line.get(at..).unwrap_or_default().trim_end();
    if text.is_empty() {
        if arguments.help {
            return Ok(());
        }
        return Err(MagicError::usage(
            format!("{} needs a message in JSON, for example {}", magic.written(), magic.example),
            Some(line.len()..line.len()),
        ));
    }
    let length = message::length(text).map_err(|error| error.at(at, text))?;
    arguments.message = text.get(..length);
    let after = text.get(length..).unwrap_or_default().trim_start();
    if !after.is_empty() && !after.starts_with("--") {
        return Err(message::trailing(text, length).at(at, text));
    }
    take(magic, words(line, at + length)?, arguments)
}

/// Options before a message or a query: word by word, for what follows is not made of words. Gives where that begins.
fn options(
    magic: &'static Magic,
    line: &str,
    mut at: usize,
    arguments: &mut Arguments<'_>,
) -> Result<usize, MagicError> {
    loop {
        let rest = line.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        // A message may begin with `-`, but then a digit follows.
        if !rest.strip_prefix('-').is_some_and(|after| after.starts_with(|c: char| c == '-' || c.is_alphabetic())) {
            return Ok(at);
        }
        let end = at + rest.find(char::is_whitespace).unwrap_or(rest.len());
        let mut option = words(line.get(..end).unwrap_or_default(), at)?;
        at = end;
        let waits = option.first().is_some_and(|word| !word.text.contains('=') && takes_value(magic, &word.text));
        if waits {
            let rest = line.get(at..).unwrap_or_default();
            let start = at + rest.len() - rest.trim_start().len();
            let end = start + value_length(rest.trim_start());
            option.extend(words(line.get(..end).unwrap_or_default(), start)?);
            at = end;
        }
        take(magic, option, arguments)?;
    }
}

/// The length of an option's value in bytes: up to white space, or to the closing quote.
fn value_length(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            text.get(1..).and_then(|inside| inside.find(quote)).map_or(text.len(), |closing| closing + 2)
        }
        _ => text.find(char::is_whitespace).unwrap_or(text.len()),
    }
}

fn takes_value(magic: &Magic, name: &str) -> bool {
    magic.all_parameters().any(|parameter| !parameter.value.is_empty() && parameter.names.contains(&name))
}

/// Sorts words into `arguments`.
fn take(magic: &'static Magic, words: Vec<Word>, arguments: &mut Arguments<'_>) -> Result<(), MagicError> {
    let mut positional = magic.parameters.iter().filter(|parameter| parameter.is_positional());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let is_option = !word.quoted && word.text.len() > 1 && word.text.starts_with('-');
        if !is_option {
            // A rule is all words that are left.
            let rule = magic.parameters.iter().find(|parameter| parameter.kind == Kind::Rule);
            let parameter = rule.or_else(|| positional.next()).ok_or_else(|| unexpected(magic, &word))?;
            set(parameter, word, arguments)?;
            continue;
        }
        let (name, value) = match word.text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.text.clone(), None),
        };
        if matches!(name.as_str(), "--help" | "-h") && value.is_none() {
            arguments.help = true;
            continue;
        }
        let parameter = magic
            .all_parameters()
            .find(|parameter| parameter.names.contains(&name.as_str()))
            .ok_or_else(|| unexpected(magic, &word))?;
        match (parameter.value.is_empty(), value) {
            (true, None) => set(parameter, word, arguments)?,
            (true, Some(_)) => {
                return Err(MagicError::usage(
                    format!("{name} takes no value; {}", quote(&word.text)),
                    Some(word.span),
                ));
            }
            (false, Some(text)) => set(parameter, Word { text, ..word }, arguments)?,
            (false, None) => match words.next() {
                Some(value) => set(parameter, value, arguments)?,
                None => {
                    return Err(MagicError::usage(
                        format!("{name} needs a value: {}", parameter.usage()),
                        Some(word.span),
                    ));
                }
            },
        }
    }
    Ok(())
}

/// An argument that the magic does not have.
fn unexpected(magic: &Magic, word: &Word) -> MagicError {
    let names = magic.all_parameters().flat_map(|parameter| parameter.names.iter().copied());
    let meant = closest_match(word.text.split('=').next().unwrap_or_default(), names).map(str::to_owned);
    MagicError::usage(
        format!(
            "{} has no argument {}{} usage: {}",
            magic.written(),
            quote(&word.text),
            if meant.is_some() { did_you_mean(meant) } else { ";".to_owned() },
            magic.usage()
        ),
        Some(word.span.clone()),
    )
}

/// Sets what `parameter` means to `word`.
///
/// # Errors
/// If the word is no such value.
pub fn set(parameter: &Parameter, word: Word, arguments: &mut Arguments<'_>) -> Result<(), MagicError> {
    match parameter.kind {
        Kind::Json => arguments.json = true,
        Kind::Frame => arguments.frame = true,
        Kind::Machine => arguments.machine = Some(word),
        Kind::Slot | Kind::Origin => arguments.slot = Some(word),
        Kind::Topic => arguments.topic = Some(word),
        Kind::Where => arguments.filter = Some(condition(word)?),
        Kind::Since => arguments.since = Some(duration(&word, parameter)?),
        Kind::Every => arguments.every = Some(limit(&word)? as u64),
        Kind::Follow => arguments.follow = true,
        Kind::Which => arguments.which = Some(word),
        Kind::Against => arguments.against = Some(word),
        Kind::By => arguments.by = Some(word),
        Kind::Shape => arguments.plot_kind = Some(plot_kind(&word)?),
        Kind::Rule => arguments.rule.push(word),
        Kind::File => arguments.file = Some(word),
        Kind::Clear => arguments.clear = true,
        Kind::Scale => arguments.scale = true,
        Kind::Exact => arguments.exact = true,
        Kind::Empty => arguments.empty = true,
        Kind::Limit => arguments.limit = Some(limit(&word)?),
        Kind::Timeout => arguments.timeout = Some(duration(&word, parameter)?),
        // Never among the words: they are taken out before.
        Kind::Message | Kind::Query => {}
    }
    Ok(())
}

/// A condition that can be read, or none.
fn condition(word: Word) -> Result<String, MagicError> {
    if word.text.trim().is_empty() {
        return Ok(word.text);
    }
    let Err(error) = machine_filter::parse(&word.text) else { return Ok(word.text) };
    // Where its text stands in the line, if it stands there in one piece: before its closing quote, or to the end.
    let begin = word.span.end.checked_sub(word.text.len() + usize::from(word.quoted));
    let span = match begin.filter(|begin| *begin >= word.span.start) {
        Some(begin) => begin + error.at.start..begin + error.at.end,
        None => word.span.clone(),
    };
    Err(MagicError::usage(format!("{} is no condition: {}", quote(&word.text), error.why), Some(span)))
}

fn plot_kind(word: &Word) -> Result<PlotKind, MagicError> {
    let found = KINDS.into_iter().find(|(name, _)| *name == word.text);
    found.map(|(_, kind)| kind).ok_or_else(|| {
        let meant = closest_match(&word.text, KINDS.map(|(name, _)| name)).map(str::to_owned);
        let message = format!(
            "there is no plot {}: there is line, hist, scatter and bar{}",
            quote(&word.text),
            did_you_mean(meant)
        );
        MagicError::usage(message, Some(word.span.clone()))
    })
}

fn limit(word: &Word) -> Result<usize, MagicError> {
    word.text.parse().map_err(|_| {
        MagicError::usage(
            format!("{} is not a count; expected a whole number, for example -n 20", quote(&word.text)),
            Some(word.span.clone()),
        )
    })
}

/// How a time is given for this parameter.
fn example(parameter: &Parameter) -> String {
    format!("{} 5s", parameter.names.first().copied().unwrap_or_default()).trim_start().to_owned()
}

fn duration(word: &Word, parameter: &Parameter) -> Result<Duration, MagicError> {
    input::duration(&word.text, &example(parameter))
        .map_err(|message| MagicError::usage(message, Some(word.span.clone())))
}
