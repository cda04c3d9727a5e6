//! A magic line, and where it stands.

/// One magic line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the cell, from 1.
    pub number: usize,
    /// The line without surrounding space; begins with `%`.
    pub text: &'a str,
}
