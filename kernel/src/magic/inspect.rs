//! Help for the place of a cell that the cursor is at.

use super::help::help;
use super::{among, cell};
use crate::output::Display;

/// Help on the magic of the line that byte `offset` of a cell is in. `None` if that is not in a magic line.
#[must_use]
pub fn inspect(code: &str, offset: usize) -> Option<Display> {
    let end = code.floor_char_boundary(offset);
    let number = code.get(..end)?.matches('\n').count() + 1;
    let piece = among::piece_at(code, end);
    let parts = cell::split(&piece)?;
    let line = parts.lines.iter().find(|line| line.number == number)?;
    help(line.text.split_whitespace().next()?.trim_end_matches('?'))
}
