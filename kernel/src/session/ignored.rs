//! Results that a cell does not use.
//!
//! rustc warns of them, but evcxr drops what it says of a cell that compiles, and an error would be lost without a word.
//! The stand-in for rustc writes this one lint into a file of the session's directory, from where the session takes
//! what is about the cell's own lines.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// Where they are written to.
const FILE: &str = "machine-unused.json";
/// The lint.
const LINT: &str = "unused_must_use";

/// A value that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The line in what was compiled, from 1.
    pub line: u32,
    /// The column in it, in characters, from 1.
    pub column: u32,
    /// What to know.
    pub text: String,
}

/// In the stand-in for rustc: takes this lint out of what the compiler said of a cell.
pub fn keep(said: &[u8], directory: &Path) {
    let found: Vec<Unused> = said.split(|byte| *byte == b'\n').filter_map(unused).collect();
    let file = directory.join(FILE);
    let written = serde_json::to_vec(&found).map_err(io::Error::from).and_then(|text| fs::write(&file, text));
    if written.is_err() {
        // Better none than those of an earlier cell.
        let _ = fs::remove_file(file);
    }
}

/// What is known of the last cell that was compiled; forgotten by that.
pub fn take(directory: &Path) -> Vec<Unused> {
    let file = directory.join(FILE);
    let found = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let _ = fs::remove_file(file);
    found
}

/// What a line of the compiler says of this lint.
fn unused(line: &[u8]) -> Option<Unused> {
    if !line.windows(LINT.len()).any(|part| part == LINT.as_bytes()) {
        return None;
    }
    let message: Value = serde_json::from_slice(line).ok()?;
    let is_lint = message.pointer("/code/code").and_then(Value::as_str) == Some(LINT);
    let spans = message.get("spans").and_then(Value::as_array).filter(|_| is_lint)?;
    let mut span = spans.iter().find(|span| span.get("is_primary") == Some(&Value::Bool(true)))?;
    // What a macro has made is where the macro was called.
    while let Some(outer) = span.pointer("/expansion/span").filter(|outer| outer.is_object()) {
        span = outer;
    }
    let number = |name: &str| span.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let said = message.get("message").and_then(Value::as_str)?;
    let text = if said.starts_with("unused `Result`") {
        "this `Result` was not used: add `?`".to_owned()
    } else {
        let children = message.get("children").and_then(Value::as_array).into_iter().flatten();
        let is_note = |child: &&Value| child.get("level").and_then(Value::as_str) == Some("note");
        let mut notes = children.filter(is_note).filter_map(|child| child.get("message").and_then(Value::as_str));
        let why = notes.find(|note| !note.contains("#[warn("));
        why.map_or_else(|| said.to_owned(), |why| format!("{said}: {why}"))
    };
    Some(Unused { line: number("line_start")?, column: number("column_start")?, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(code: &str, message: &str) -> Vec<u8> {
        let call = json!({"file_name": "src/lib.rs", "is_primary": false, "line_start": 7, "column_start": 3});
        let span = json!({
            "file_name": "/std/macros.rs", "is_primary": true, "line_start": 1, "column_start": 1,
            "expansion": {"span": call},
        });
        let notes = json!([
            {"level": "note", "message": "`#[warn(unused_must_use)]` on by default"},
            {"level": "note", "message": "iterators are lazy"},
        ]);
        let message = json!({"message": message, "code": {"code": code}, "spans": [span], "children": notes});
        message.to_string().into_bytes()
    }

    #[test]
    fn only_this_lint_is_taken_and_a_result_says_what_to_do() {
        let found = |code: &str, message: &str| unused(&said(code, message));
        let expected = |text: &str| Some(Unused { line: 7, column: 3, text: text.to_owned() });
        assert_eq!(found(LINT, "unused `Result` that must be used"), expected("this `Result` was not used: add `?`"));
        let map = "unused `Map` that must be used";
        assert_eq!(found(LINT, map), expected("unused `Map` that must be used: iterators are lazy"));
        assert_eq!(found("unused_variables", "unused_must_use"), None);
        assert_eq!(unused(b"unused_must_use is no JSON"), None);
    }

    #[test]
    fn what_is_kept_is_forgotten_once_taken() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let mut text = b"\xff is no JSON\n".to_vec();
        text.extend(said(LINT, "unused `Result` that must be used"));
        keep(&text, directory.path());
        assert_eq!(take(directory.path()).len(), 1);
        assert_eq!(take(directory.path()), []);
        Ok(())
    }
}
