//! Mistakes on the command line, each told in one line: what was given, what there is instead.

use super::outcome;
use crate::magic;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::process::ExitCode;

/// Shows the help that was asked for, or tells what is wrong.
pub fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            outcome::print(&error.render().to_string());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            crate::server::log("no command; see `machine --help`");
            ExitCode::from(outcome::UNUSABLE)
        }
        _ => {
            crate::server::log(&one_line(error));
            ExitCode::from(outcome::UNUSABLE)
        }
    }
}

fn one_line(error: &clap::Error) -> String {
    let context = |kind| error.get(kind).map(words).unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("unknown command `{}`", context(ContextKind::InvalidSubcommand)),
        ErrorKind::UnknownArgument => format!("unexpected argument `{}`", context(ContextKind::InvalidArg)),
        ErrorKind::MissingRequiredArgument => format!("missing argument {}", context(ContextKind::InvalidArg)),
        ErrorKind::InvalidValue => {
            let (given, of) = (context(ContextKind::InvalidValue), context(ContextKind::InvalidArg));
            let expected = context(ContextKind::ValidValue);
            let given = if given.is_empty() { "nothing".to_owned() } else { format!("`{given}`") };
            if expected.is_empty() {
                format!("{given} was given for {of}")
            } else {
                format!("{given} was given for {of}; expected one of {expected}")
            }
        }
        // Its first line says it all; the others are usage and hints.
        _ => {
            let text = error.render().to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    };
    match meant(error) {
        Some(name) => format!("{what}; did you mean `{name}`?"),
        None => format!("{what}; see `{} --help`", command(error)),
    }
}

/// The command that the mistake is in: `machine status`.
fn command(error: &clap::Error) -> String {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let name: Vec<&str> = words.take_while(|word| word.chars().all(char::is_alphanumeric)).collect();
    if name.is_empty() { "machine".to_owned() } else { name.join(" ") }
}

fn words(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => names.join(", "),
        other => other.to_string(),
    }
}

/// Of the names that are proposed, the nearest to what was given.
fn meant(error: &clap::Error) -> Option<String> {
    [
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidValue, ContextKind::SuggestedValue),
    ]
    .into_iter()
    .find_map(|(given, proposed)| {
        let (given, proposed) = (words(error.get(given)?), error.get(proposed)?);
        match proposed {
            ContextValue::Strings(names) => {
                let nearest = magic::closest_match(&given, names.iter().map(String::as_str));
                nearest.map(str::to_owned).or_else(|| names.first().cloned())
            }
            other => Some(other.to_string()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::arguments;
    use super::one_line;

    fn mistake(line: &str) -> String {
        match arguments::parse(std::iter::once("machine").chain(line.split_whitespace()).map(Into::into)) {
            Ok(_) => "no mistake".to_owned(),
            Err(error) => one_line(&error),
        }
    }

    #[test]
    fn mistakes_are_one_line_with_the_nearest_name() {
        for (line, expected) in [
            ("statsu main", "unknown command `statsu`; did you mean `status`?"),
            ("kernle", "unknown command `kernle`; did you mean `kernel`?"),
            ("frobnicate", "unknown command `frobnicate`; see `machine --help`"),
            ("status", "missing argument <NAME>; see `machine status --help`"),
            ("status main --jsno", "unexpected argument `--jsno`; did you mean `--json`?"),
            ("status main other", "unexpected argument `other`; see `machine status --help`"),
            ("kernel", "missing argument --connection-file <FILE>; see `machine kernel --help`"),
            (
                "completions bsh",
                "`bsh` was given for <SHELL>; expected one of bash, elvish, fish, powershell, zsh; did you mean `bash`?",
            ),
            (
                "log main -n x",
                "invalid value 'x' for '-n <COUNT>': invalid digit found in string; see `machine --help`",
            ),
        ] {
            assert_eq!(mistake(line), expected, "{line}");
        }
    }

    #[test]
    fn the_table_of_commands_is_sound() {
        arguments::command().debug_assert();
    }
}
