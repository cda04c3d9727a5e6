//! How a command ends: what is printed, and the exit code.

use machine_protocol::Error;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

/// The exit code of a command that could not be carried out.
const FAILED: u8 = 1;
/// The exit code for bad arguments and files, and ports in use.
pub const UNUSABLE: u8 = 2;
/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// What a command came to: what is still to be printed on standard output.
pub type Outcome = Result<String, Failed>;

/// Why a command came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// The arguments are at fault.
    Usage(String),
    /// The engine did not carry it out.
    Engine(Error),
    /// The command could not be carried out: a code for programs, and a text.
    Failure(&'static str, String),
    /// It failed, and this text on standard output says how.
    Printed(String),
    /// The user has ended it; what there is to say of it.
    Interrupted(String),
}

impl From<Error> for Failed {
    fn from(failure: Error) -> Self {
        Self::Engine(failure)
    }
}

impl From<machine_store::Error> for Failed {
    fn from(error: machine_store::Error) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Failure("log", format!("{error}{cause}"))
    }
}

impl Failed {
    /// A failure with its code and its text.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failure(code, message.into())
    }
}

/// Prints the outcome and gives the exit code. A failure is one line on standard error; with `json` also a document on
/// standard output.
pub fn end(outcome: Outcome, json: bool) -> ExitCode {
    let (code, message, exit) = match outcome {
        Ok(text) => {
            print(&text);
            return ExitCode::SUCCESS;
        }
        Err(Failed::Printed(text)) => {
            print(&text);
            return ExitCode::from(FAILED);
        }
        Err(Failed::Usage(message)) => ("usage", message, UNUSABLE),
        Err(Failed::Engine(error)) => (error.kind().as_str(), error.to_string(), FAILED),
        Err(Failed::Failure(code, message)) => (code, message, FAILED),
        Err(Failed::Interrupted(message)) => ("interrupted", message, INTERRUPTED),
    };
    if json {
        print(&format!("{}\n", json!({ "error": { "code": code, "message": message } })));
    }
    if !message.is_empty() {
        crate::server::log(&crate::display::one_line(&message));
    }
    ExitCode::from(exit)
}

/// Tells why something could not be prepared, causes included.
pub fn prepared<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    crate::server::log(&line.replace('\n', " "));
    ExitCode::from(UNUSABLE)
}

/// Prints to standard output. Returns whether somebody still reads it.
pub fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // A reader that closed it does not want to read it; any other failure is no better told elsewhere.
    !printed.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether nobody reads standard output any more.
///
/// # Errors
/// If it cannot be written for another reason.
pub fn is_over(written: io::Result<()>) -> Result<bool, Failed> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Failed::new("output", format!("cannot write to standard output: {error}"))),
    }
}
