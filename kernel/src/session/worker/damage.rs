//! A session cache that is damaged, and errors that say nothing by themselves.

use super::super::errors;
use super::super::rustc_wrapper;
use super::Worker;
use crate::output::CellError;
use evcxr::Error;
use serde_json::Value;

/// What the compiler, the linker and cargo say of files that are not as they were written.
const SIGNS: [&str; 13] = [
    "found invalid metadata files",
    "but was not found in this form",
    "found possibly newer version of crate",
    "file truncated",
    "file format not recognized",
    "malformed archive",
    "failed to parse rlib",
    "failed to parse lock file",
    "failed to mmap",
    // Those that every session has: of a library that cannot be read, the compiler says that it is not there.
    "can't find crate for `machine`",
    "can't find crate for `serde`",
    "can't find crate for `serde_json`",
    "can't find crate for `serde_derive`",
];

impl Worker {
    /// If a cell was refused because of what earlier sessions compiled, and not because of what it says, lets all of that
    /// be compiled anew, once in a session. Returns whether it did.
    pub(super) fn heal(&mut self, error: &Error) -> bool {
        let text = match error {
            Error::CompilationErrors(list) => list.iter().map(|error| format!("{}\n", error.json)).collect(),
            _ => error.to_string(),
        };
        let text = text + &rustc_wrapper::said(self.config.directory.path()).unwrap_or_default();
        let Some(sign) = SIGNS.iter().find(|sign| text.contains(**sign)) else { return false };
        self.begin_anew(sign)
    }

    /// The same for a session that does not start: nothing in it is the user's.
    pub(super) fn begin_anew(&mut self, reason: &str) -> bool {
        if std::mem::replace(&mut self.healed, true) {
            return false;
        }
        self.events.warn(&format!("the session cache is damaged ({reason}): it is built anew"));
        match self.config.directory.renew() {
            Ok(_) => true,
            Err(error) => {
                let place = self.config.directory.path().display();
                self.events.warn(&format!("{place} cannot be cleared: {error}"));
                false
            }
        }
    }

    /// Why a cell does not compile if evcxr has no error to show for it: what the compiler itself said.
    pub(super) fn unexplained(&self) -> Option<CellError> {
        let said = rustc_wrapper::said(self.config.directory.path())?;
        Some(errors::plain("CompileError", &reason(&said)?))
    }
}

/// What is an error in the output of cargo or the compiler: in one line what is wrong, and then all of it.
pub(super) fn reason(output: &str) -> Option<String> {
    let mut lines = Vec::new();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Value>(line) {
            Ok(message) => {
                let is_error = message.get("level").and_then(Value::as_str) == Some("error");
                let rendered = message.get("rendered").and_then(Value::as_str).filter(|_| is_error);
                lines.extend(rendered.into_iter().flat_map(str::lines).map(str::to_owned));
            }
            Err(_) => lines.push(line.to_owned()),
        }
    }
    let is_said =
        |line: &&String| line.starts_with("error") && !line.contains("could not compile") && !line.contains("aborting");
    let first = lines.iter().find(is_said).or_else(|| lines.iter().find(|line| line.starts_with("error")))?.clone();
    let headline = first.split_once(": ").map_or(first.as_str(), |(_, text)| text).to_owned();
    let rest = lines.into_iter().filter(|line| *line != first && !line.is_empty());
    Some([headline].into_iter().chain(rest).collect::<Vec<_>>().join("\n"))
}

/// An error of evcxr's that carries all that cargo printed.
pub(super) fn explained(text: &str) -> String {
    let output = text.split_once("STDERR:").map(|(_, output)| output);
    let stderr = output.map(|output| output.rsplit_once("STDOUT:").map_or(output, |(stderr, _)| stderr));
    stderr.and_then(reason).unwrap_or_else(|| text.to_owned())
}

/// What is wrong, in one line: not what cargo says of its progress.
pub(super) fn first_line(text: &str) -> String {
    let explained = explained(text);
    let mut lines = explained.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Compiling "));
    lines.next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_cargo_and_the_compiler_call_an_error() {
        let killed = "Compilation failed, but no parsable errors were found. STDERR:\n   Compiling ctx v1.0.0\n\
                      error: rustc was ended by signal: 9 (SIGKILL)\nerror: could not compile `ctx` (lib)\nSTDOUT:{\"reason\":\"x\"}\n";
        let text = explained(killed);
        assert_eq!(text.lines().next(), Some("rustc was ended by signal: 9 (SIGKILL)"));
        assert!(text.contains("could not compile `ctx`") && !text.contains("STDOUT"), "{text}");
        let full = "{\"level\":\"error\",\"rendered\":\"error: failed to write x: No space left on device\\n\\n\"}\n\
                    {\"level\":\"warning\",\"rendered\":\"warning: unused\"}";
        assert_eq!(reason(full).as_deref(), Some("failed to write x: No space left on device"));
        assert_eq!(reason("{\"level\":\"warning\",\"rendered\":\"warning: unused\"}"), None);
        assert_eq!(explained("something else"), "something else");
        assert_eq!(
            first_line("   Compiling serde v1.0.0\nfound invalid metadata files\n"),
            "found invalid metadata files"
        );
    }
}
