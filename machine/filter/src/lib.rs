//! Conditions on messages: text to tree.
//!
//! ```
//! let tree = machine_filter::parse("polarity < -0.5 and (lang = 'en' or user.name like '%bot%')")?;
//! assert_eq!(tree.names, [vec!["polarity"], vec!["lang"], vec!["user", "name"]]);
//! # Ok::<(), machine_filter::Unreadable>(())
//! ```
//! The text is SQL as `sqlparser` reads it for `%sql`, too, so a condition says the same in both. Here words that SQL
//! reserves can be names (`user`, `order`, `in.lang`) and items of arrays are named by their numbers (`tags.0`). What an
//! engine cannot evaluate is refused with its name and its place.

mod expression;
mod tokens;

use machine_protocol::filter::Tree;
use std::ops::Range;

/// How much of a condition an error repeats, characters.
const REPEATED: usize = 60;
/// What the parser needs of its stack at least, and for each token: what it builds can be as deep as the text is long.
const STACK: (usize, usize) = (16 << 20, 8 << 10);

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// One line: where it stops to make sense, and what was expected there.
    pub why: String,
    /// That place in the text, bytes; empty if something is missing there.
    pub at: Range<usize>,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unreadable {}

fn unreadable(why: impl Into<String>, at: Range<usize>) -> Unreadable {
    Unreadable { why: why.into(), at }
}

/// Reads a condition.
///
/// # Errors
/// If it makes no sense, or is more than an engine evaluates: where, and why.
pub fn parse(text: &str) -> Result<Tree, Unreadable> {
    let tokens = tokens::read(text)?;
    let stack = STACK.0 + tokens.len() * STACK.1;
    // Its own thread, for the stack. A parser that panics is no reason to end more than the condition.
    std::thread::scope(|scope| {
        let read = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, || expression::read(&tokens));
        let failed = |why: &str| Err(unreadable(why, 0..text.len()));
        match read.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(tree)) => tree,
            Ok(Err(_)) => failed("the condition cannot be read: its parser panicked"),
            Err(error) => failed(&format!("the condition cannot be read: there is no thread for it: {error}")),
        }
    })
}

/// The end of a text that may be long.
fn cut(text: &str) -> String {
    match text.char_indices().rev().nth(REPEATED) {
        Some((at, c)) => format!("…{}", text.get(at + c.len_utf8()..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
