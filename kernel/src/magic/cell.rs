//! A cell, cut into its magic lines and its Rust.

use super::line::Line;
use super::registry::MAGICS;
use super::spec::{Action, Magic};

/// A cell that begins with a magic.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The magic lines, at least one.
    pub lines: Vec<Line<'a>>,
    /// The whole cell with the magic lines blanked, unless nothing but comments is left.
    pub rust: Option<String>,
}

/// A cell that is one magic with what it is about on the lines below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    /// The first line; begins with `%%`.
    pub line: Line<'a>,
    /// All lines below it.
    pub text: &'a str,
}

impl<'a> Body<'a> {
    /// The line that byte `at` of the text is in, and where it begins.
    pub fn line_at(&self, at: usize) -> (Line<'a>, usize) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let number = self.line.number + 1 + before.matches('\n').count();
        let text = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        (Line { number, text }, start)
    }
}

/// A cell whose first line is a magic with a body. `None` if it is none.
pub fn body(code: &str) -> Option<Body<'_>> {
    let mut start = 0;
    for (index, whole) in code.split_inclusive('\n').enumerate() {
        start += whole.len();
        let text = whole.trim();
        if text.is_empty() || text.starts_with("//") {
            continue;
        }
        let name = text.split_whitespace().next()?.trim_end_matches('?');
        let is_body = |magic: &Magic| matches!(magic.action, Action::Body(_)) && magic.written() == name;
        let is_meant = name.starts_with("%%") && MAGICS.iter().any(is_body);
        return is_meant
            .then(|| Body { line: Line { number: index + 1, text }, text: code.get(start..).unwrap_or_default() });
    }
    None
}

/// Cuts a cell. `None` if it doesn't begin with a magic.
pub fn split(code: &str) -> Option<Parts<'_>> {
    let mut lines = Vec::new();
    let mut rust = String::new();
    let mut in_rust = false;
    for (index, whole) in code.split_inclusive('\n').enumerate() {
        let text = whole.trim();
        if !in_rust && text.starts_with('%') {
            lines.push(Line { number: index + 1, text });
            if whole.ends_with('\n') {
                rust.push('\n');
            }
            continue;
        }
        in_rust |= !(text.is_empty() || text.starts_with("//"));
        if in_rust && lines.is_empty() {
            return None;
        }
        rust.push_str(whole);
    }
    (!lines.is_empty()).then_some(Parts { lines, rust: in_rust.then_some(rust) })
}
