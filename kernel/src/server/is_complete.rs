//! Whether a cell can be run as it is, or goes on in the next line: for consoles, where Enter does either.

use super::cell_kind::CellKind;
use crate::nesting;
use ra_ap_parser::LexedStr;
use ra_ap_syntax::{Edition, SourceFile, SyntaxKind};
use serde_json::{Value, json};

/// One level of indentation.
const INDENT: &str = "    ";

/// Longer cells are not parsed at each Enter.
const MOST_TOKENS: usize = 20_000;

/// Before and after the code, so that statements can be parsed.
const WRAPPER: (&str, &str) = ("fn cell() {\n", "\n}");

/// The state of a cell that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More must follow, this many levels deep.
    Incomplete(usize),
    /// Whatever follows, it cannot be run.
    Invalid,
    /// It is too long to be looked at while somebody types.
    Unknown,
}

impl Completeness {
    /// The state of this code: Rust statements and items, magic lines, and evcxr's lines that begin with `:`.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let mut lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        if first.starts_with("%%") && !first.contains(char::is_whitespace) && lines.next().is_none() {
            // What the magic is about comes below it.
            return Self::Incomplete(0);
        }
        match CellKind::of(code) {
            CellKind::Empty | CellKind::Help(_) | CellKind::Magics => Self::Complete,
            CellKind::Rust => Self::of_rust(&without_commands(code)),
        }
    }

    fn of_rust(rust: &str) -> Self {
        let lexed = LexedStr::new(Edition::Edition2024, rust);
        if nesting::check_lexed(&lexed).is_err() {
            return Self::Invalid;
        }
        if lexed.len() > MOST_TOKENS {
            return Self::Unknown;
        }
        if lexed.errors().any(|(_, error)| is_open_text(error)) {
            return Self::Incomplete(0);
        }
        match depth((0..lexed.len()).map(|at| lexed.kind(at))) {
            None => return Self::Invalid,
            Some(0) => {}
            Some(depth) => return Self::Incomplete(depth),
        }
        let (before, after) = WRAPPER;
        let end = before.len() + rust.trim_end().len();
        let wrapped = SourceFile::parse(&format!("{before}{rust}{after}"), Edition::Edition2024);
        let mut errors = wrapped.errors().into_iter().peekable();
        if errors.peek().is_none() {
            Self::Complete
        } else if errors.all(|error| usize::from(error.range().start()) >= end) {
            Self::Incomplete(0)
        } else {
            Self::Invalid
        }
    }

    /// The content of `is_complete_reply`.
    #[must_use]
    pub fn reply(self) -> Value {
        match self {
            Self::Complete => json!({ "status": "complete" }),
            Self::Incomplete(depth) => json!({ "status": "incomplete", "indent": INDENT.repeat(depth) }),
            Self::Invalid => json!({ "status": "invalid" }),
            Self::Unknown => json!({ "status": "unknown" }),
        }
    }
}

/// The code with the lines blank that are not Rust: magics, and evcxr's own commands.
fn without_commands(code: &str) -> String {
    let code = crate::magic::blanked(code);
    let mut rust = String::with_capacity(code.len());
    let mut leading = true;
    for line in code.split_inclusive('\n') {
        let text = line.trim_start();
        if leading && text.starts_with(':') && !text.starts_with("::") {
            rust.push('\n');
        } else {
            leading &= text.is_empty() || text.starts_with("//");
            rust.push_str(line);
        }
    }
    rust
}

/// Whether the lexer reports a string or comment that does not end. A character that does not end never will.
fn is_open_text(error: &str) -> bool {
    // All that the lexer finds wrong with a raw string is that its end is missing.
    error.contains("Invalid raw string literal")
        || error.contains("to terminate") && (error.contains("string") || error.contains("comment"))
}

/// How many brackets are open at the end. None if one is closed that was not opened.
fn depth(tokens: impl Iterator<Item = SyntaxKind>) -> Option<usize> {
    let mut open = Vec::new();
    for kind in tokens {
        match kind {
            SyntaxKind::L_PAREN => open.push(SyntaxKind::R_PAREN),
            SyntaxKind::L_BRACK => open.push(SyntaxKind::R_BRACK),
            SyntaxKind::L_CURLY => open.push(SyntaxKind::R_CURLY),
            close @ (SyntaxKind::R_PAREN | SyntaxKind::R_BRACK | SyntaxKind::R_CURLY) if open.pop() != Some(close) => {
                return None;
            }
            _ => {}
        }
    }
    Some(open.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Completeness, cells: &[&str]) {
        for code in cells {
            assert_eq!(Completeness::of(code), expected, "{code:?}");
        }
    }

    #[test]
    fn complete_cells() {
        check(
            Completeness::Complete,
            &[
                "",
                "1 + 1",
                "let x = 5;",
                "let x = 5;\nx",
                "fn f() -> u32 {\n    1\n}",
                "struct A;\nimpl A { fn b() {} }",
                "use std::fmt;",
                "println!(\"{}\", 1)",
                "MACHINE[0] = |x: f64| x * x;",
                "// a comment",
                "%status",
                "%start\nlet x = 1;",
                "let x = 1;\n%status",
                "::std::mem::size_of::<u64>()",
                ":dep serde = { version = \"1\" }",
                "r#\"a \" b\"#",
                "%%sql\nSELECT status, count(*) FROM input",
                "%%sql\nSELECT 'it''s {' FROM input",
                "%%time\n1 + 1",
                "Vec?",
            ],
        );
    }

    #[test]
    fn a_text_that_is_too_deep_is_invalid_and_a_long_one_is_not_parsed() {
        check(
            Completeness::Invalid,
            &[&"{".repeat(2_055), &"[".repeat(100_000), &"+".repeat(26_000), &format!("1{}", "?".repeat(20_000))],
        );
        check(Completeness::Unknown, &[&"f();\n".repeat(10_000)]);
    }

    #[test]
    fn incomplete_cells() {
        check(Completeness::Incomplete(1), &["fn f() {", "f(1,", "let x = [1, 2", "if a {\n} else {"]);
        check(Completeness::Incomplete(2), &["fn f() {\n    g(", "MACHINE[0] = |x: f64| { f(x,"]);
        check(
            Completeness::Incomplete(0),
            &[
                "let x =",
                "let x = 1",
                "1 +",
                "struct A",
                "#[derive(Debug)]",
                "\"open",
                "r#\"open\"",
                "/* open",
                "if a {} else",
                "use std::fmt",
                "%%sql",
                "%%time\n",
            ],
        );
    }

    #[test]
    fn invalid_cells() {
        check(Completeness::Invalid, &["}", "f(]", "let = 5;", "fn 1() {}", "let x = );"]);
    }
}
