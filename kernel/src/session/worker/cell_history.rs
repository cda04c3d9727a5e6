//! The cells that have compiled, to say of a place in what the compiler saw where the user wrote it.

use super::super::edits::{self, Edited};

/// How many cells are remembered.
const REMEMBERED: usize = 200;

/// A cell that has compiled.
pub(super) struct Past {
    /// How it is called: `cell [3]`.
    pub(super) name: String,
    /// Its text.
    pub(super) edited: Edited,
}

/// Them, the oldest first.
#[derive(Default)]
pub(super) struct PastCells(Vec<Past>);

impl PastCells {
    /// Adds a cell.
    pub(super) fn remember(&mut self, name: String, edited: Edited) {
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(Past { name, edited });
    }

    /// The cell and the place in it for a place in what was compiled last, which is given. What was compiled holds pieces of the
    /// cells word for word, whole lines at a time, so the nearest cell with the same lines around is the one.
    pub(super) fn place_of(&self, compiled: &str, line: u32, column: u32) -> Option<(&Past, u32, u32)> {
        let line = usize::try_from(line).ok()?.checked_sub(1)?;
        let lines: Vec<&str> = compiled.lines().collect();
        let wanted = lines.get(line)?;
        let mut best: Option<(usize, &Past, usize, usize)> = None;
        for past in self.0.iter().rev() {
            for (at, text) in past.edited.text.lines().enumerate() {
                // The last line of a piece may have lost what follows, its first line what comes before.
                let Some(indent) = text.find(wanted.trim_end()).filter(|_| !wanted.trim().is_empty()) else { continue };
                let own: Vec<&str> = past.edited.text.lines().collect();
                let around = agreement(&lines, line, &own, at);
                if best.as_ref().is_none_or(|(score, ..)| around > *score) {
                    best = Some((around, past, at, indent));
                }
            }
        }
        let (_, past, at, indent) = best?;
        let text = &past.edited.text;
        let before = text.lines().nth(at)?.get(..indent)?.chars().count();
        let column = usize::try_from(column).ok()? + before;
        let offset = past.edited.to_source(edits::offset_of(text, at + 1, column));
        let source = &past.edited.source;
        let start = source.get(..offset)?.rfind('\n').map_or(0, |newline| newline + 1);
        let column = source.get(start..offset)?.chars().count() + 1;
        Some((past, edits::line_of(source, offset), u32::try_from(column).ok()?))
    }
}

/// How many lines before and after agree, up to three each.
fn agreement(compiled: &[&str], line: usize, own: &[&str], at: usize) -> usize {
    let same = |a: Option<&&str>, b: Option<&&str>| a.is_some() && a.map(|t| t.trim()) == b.map(|t| t.trim());
    let before =
        (1..=3).take_while(|back| line >= *back && at >= *back && same(compiled.get(line - back), own.get(at - back)));
    let after = (1..=3).take_while(|on| same(compiled.get(line + on), own.get(at + on)));
    before.count() + after.count()
}
