//! The command line.

use std::path::PathBuf;

const HELP: &str = "\
The Rust (Machine) kernel for Jupyter

Usage:
  machine kernel --connection-file FILE    run a kernel (front ends do this; -f is short for it)
  machine warm                             prepare what the first cell of a session needs
  machine --help | --version
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Run a kernel.
    Kernel {
        /// The file that says where to listen.
        connection_file: PathBuf,
    },
    /// Prepare the session cache.
    Warm,
    /// Run cells from standard input, without Jupyter: for tests of the session.
    Cells,
    /// Print this.
    Print(String),
}

/// Why the arguments are of no use. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// An option that there is not, or one without its value.
    #[error("{0}; `machine --help` shows what there is")]
    Option(#[from] lexopt::Error),
    /// A command that there is not.
    #[error("unknown command `{given}`; expected `kernel` or `warm`")]
    Command {
        /// What was given.
        given: String,
    },
    /// No command.
    #[error("no command; expected `machine kernel --connection-file FILE` or `machine warm`")]
    NoCommand,
    /// `kernel` without the file.
    #[error("kernel: no connection file; expected `machine kernel --connection-file FILE`")]
    NoConnectionFile,
}

impl Arguments {
    /// From the process's arguments.
    ///
    /// # Errors
    /// If they are not what the help shows.
    pub fn parse() -> Result<Self, UsageError> {
        Self::from(lexopt::Parser::from_env())
    }

    fn from(mut parser: lexopt::Parser) -> Result<Self, UsageError> {
        use lexopt::{Arg, ValueExt};
        let mut command = None;
        let mut connection_file = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(Self::Print(HELP.to_owned())),
                Arg::Short('V') | Arg::Long("version") => {
                    return Ok(Self::Print(concat!("machine ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
                }
                Arg::Short('f') | Arg::Long("connection-file") if command.as_deref() == Some("kernel") => {
                    connection_file = Some(PathBuf::from(parser.value()?));
                }
                Arg::Value(value) if command.is_none() => {
                    let given = value.string()?;
                    if !["kernel", "warm", "cells"].contains(&given.as_str()) {
                        return Err(UsageError::Command { given });
                    }
                    command = Some(given);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        match command.as_deref() {
            Some("cells") => Ok(Self::Cells),
            Some("warm") => Ok(Self::Warm),
            Some(_) => {
                connection_file.map(|file| Self::Kernel { connection_file: file }).ok_or(UsageError::NoConnectionFile)
            }
            None => Err(UsageError::NoCommand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = std::iter::once("machine").chain(line.split_whitespace());
        Arguments::from(lexopt::Parser::from_iter(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_and_their_options() {
        for line in ["kernel -f k.json", "kernel --connection-file k.json", "kernel --connection-file=k.json"] {
            assert_eq!(parse(line), Ok(Arguments::Kernel { connection_file: "k.json".into() }));
        }
        assert_eq!(parse("warm"), Ok(Arguments::Warm));
        assert!(matches!(parse("kernel --help"), Ok(Arguments::Print(text)) if text.contains("machine warm")));
    }

    #[test]
    fn mistakes_are_told_with_what_is_expected() {
        for (line, part) in [
            ("", "no command; expected `machine kernel"),
            ("kernle", "unknown command `kernle`; expected `kernel` or `warm`"),
            ("kernel", "kernel: no connection file"),
            ("kernel -f", "missing argument"),
            ("kernel --fast", "`machine --help` shows"),
            ("warm --connection-file x", "`machine --help` shows"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{line}: {error}");
        }
    }
}
