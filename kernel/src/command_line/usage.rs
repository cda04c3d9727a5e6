//! Mistakes on the command line, each told in one line: what was given, what there is instead.

use super::outcome;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::process::ExitCode;

/// Shows the help that was asked for, or tells what is wrong.
pub fn tell(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            outcome::print(&error.render().to_string());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            crate::server::log("no command; `machine --help` shows what there is");
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
        ErrorKind::MissingRequiredArgument => format!("missing: {}", context(ContextKind::InvalidArg)),
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
    let meant = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .filter_map(|kind| error.get(kind))
        .map(first)
        .find(|name| !name.is_empty());
    match meant {
        Some(name) => format!("{what}; did you mean `{name}`?"),
        None => format!("{what}; `{} --help` shows what there is", command(error)),
    }
}

/// The command that the mistake is in: `machine status`.
fn command(error: &clap::Error) -> String {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let name: Vec<&str> = words.take_while(|word| word.chars().all(|c| c.is_alphanumeric() || c == '-')).collect();
    if name.is_empty() { "machine".to_owned() } else { name.join(" ") }
}

fn words(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => names.join(", "),
        other => other.to_string(),
    }
}

fn first(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => names.first().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::CommandLine;
    use super::one_line;
    use clap::Parser;

    fn mistake(line: &str) -> String {
        match CommandLine::try_parse_from(std::iter::once("machine").chain(line.split_whitespace())) {
            Ok(parsed) => format!("no mistake: {parsed:?}"),
            Err(error) => one_line(&error),
        }
    }

    #[test]
    fn mistakes_are_one_line_with_the_nearest_name() {
        for (line, expected) in [
            ("statsu main", "unknown command `statsu`; did you mean `status`?"),
            ("kernle", "unknown command `kernle`; did you mean `kernel`?"),
            ("frobnicate", "unknown command `frobnicate`; `machine --help` shows what there is"),
            ("status", "missing: <NAME>; `machine status --help` shows what there is"),
            ("status main --jsno", "unexpected argument `--jsno`; did you mean `--json`?"),
            ("status main other", "unexpected argument `other`; `machine status --help` shows what there is"),
            ("kernel", "missing: --connection-file <FILE>; `machine kernel --help` shows what there is"),
            (
                "completions bsh",
                "`bsh` was given for <SHELL>; expected one of bash, elvish, fish, powershell, zsh; did you mean `bash`?",
            ),
            (
                "log main -n x",
                "invalid value 'x' for '-n <COUNT>': invalid digit found in string; `machine --help` shows what there is",
            ),
        ] {
            assert_eq!(mistake(line), expected, "{line}");
        }
    }

    #[test]
    fn the_table_of_commands_is_sound() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }
}
