//! A cell, cut into its magic lines and its Rust.

/// One magic line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the cell, from 1.
    pub number: usize,
    /// The line without surrounding space; begins with `%`.
    pub text: &'a str,
}

/// A cell that begins with a magic.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The magic lines, at least one.
    pub lines: Vec<Line<'a>>,
    /// The whole cell with the magic lines blanked, unless nothing but comments is left.
    pub rust: Option<String>,
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
