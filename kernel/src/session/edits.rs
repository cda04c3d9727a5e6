//! Inline edits of a cell's text, and the way back from an edited place to what the user wrote.

use std::ops::Range;

/// One edit: `remove` bytes of the user's text become `insert`, which has no newline.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    at: usize,
    remove: usize,
    insert: String,
    /// The part of the user's text that the insertion stands for.
    covers: Range<usize>,
}

/// Edits under construction. Several at one place stay in the order in which they were added.
#[derive(Debug, Default)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Inserts at `at`; an error inside of the insertion is shown at `covers`.
    pub fn insert(&mut self, at: usize, text: impl Into<String>, covers: Range<usize>) {
        self.replace(at..at, text, covers);
    }

    /// Replaces `range` by `text`; an error inside of the replacement is shown at `covers`.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<String>, covers: Range<usize>) {
        let insert = text.into();
        debug_assert!(!insert.contains('\n'), "an edit must keep the lines where they are");
        self.0.push(Edit { at: range.start, remove: range.len(), insert, covers });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The edited text.
    pub fn apply(mut self, source: &str) -> Edited {
        self.0.sort_by_key(|edit| edit.at);
        let mut text = String::with_capacity(source.len() + 64 * self.0.len());
        let mut copied = 0;
        for edit in &self.0 {
            text.push_str(source.get(copied..edit.at).unwrap_or_default());
            text.push_str(&edit.insert);
            copied = edit.at + edit.remove;
        }
        text.push_str(source.get(copied..).unwrap_or_default());
        Edited { source: source.to_owned(), text, edits: self.0 }
    }
}

/// A text after its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// What the user wrote.
    pub source: String,
    /// What is compiled. It has the same lines.
    pub text: String,
    edits: Vec<Edit>,
}

impl Edited {
    /// The user's place (a byte offset) for a place in the edited text. A place inside of an insertion gives
    /// where its cover starts.
    pub fn to_source(&self, offset: usize) -> usize {
        match self.locate(offset) {
            Place::Kept(at) => at,
            Place::Inserted(edit) => edit.covers.start,
        }
    }

    /// The user's range for a range in the edited text, never empty unless the source is.
    pub fn range_to_source(&self, range: Range<usize>) -> Range<usize> {
        let last = range.end.saturating_sub(1).max(range.start);
        let start = self.to_source(range.start);
        let end = match self.locate(last) {
            Place::Kept(at) => {
                at + self.source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
            }
            Place::Inserted(edit) => edit.covers.end,
        };
        start..end.max(start)
    }

    /// The edited place for a place in the user's text: after what was inserted there.
    pub fn to_text(&self, offset: usize) -> usize {
        let mut shifted = offset;
        for edit in &self.edits {
            if edit.at > offset {
                break;
            }
            shifted = shifted + edit.insert.len() - edit.remove.min(offset - edit.at);
        }
        shifted
    }

    fn locate(&self, offset: usize) -> Place<'_> {
        // `before`: how far into the edited text we are; `copied`: how far into the source.
        let (mut before, mut copied) = (0, 0);
        for edit in &self.edits {
            let kept = edit.at - copied;
            if offset < before + kept {
                return Place::Kept(copied + offset - before);
            }
            before += kept;
            if offset < before + edit.insert.len() {
                return Place::Inserted(edit);
            }
            before += edit.insert.len();
            copied = edit.at + edit.remove;
        }
        Place::Kept((copied + offset - before).min(self.source.len()))
    }
}

enum Place<'a> {
    Kept(usize),
    Inserted(&'a Edit),
}

/// The byte offset of a place given as rustc gives it: 1-based line and 1-based column in characters. A column
/// beyond the end of its line is the end of the line.
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let content = content.trim_end_matches('\n');
            let column = column.saturating_sub(1);
            return start + content.char_indices().nth(column).map_or(content.len(), |(at, _)| at);
        }
        start += content.len();
    }
    text.len()
}

/// The 1-based line of a byte offset.
pub fn line_of(text: &str, offset: usize) -> u32 {
    let newlines = text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kept_character_maps_back_to_itself() {
        let source = "ab é cd";
        let mut edits = Edits::default();
        edits.insert(0, "<<", 0..2);
        edits.replace(3..5, "e", 3..5);
        edits.insert(source.len(), ">>", 0..source.len());
        let edited = edits.apply(source);
        assert_eq!(edited.text, "<<ab e cd>>");
        for (at, _) in source.char_indices().filter(|(at, _)| *at != 3) {
            assert_eq!(edited.to_source(edited.to_text(at)), at);
        }
        assert_eq!(edited.range_to_source(9..11), 0..source.len());
    }

    #[test]
    fn lines_and_columns_count_characters() {
        let text = "é1\nxy";
        assert_eq!(offset_of(text, 1, 2), 2);
        assert_eq!(offset_of(text, 2, 2), 5);
        assert_eq!(offset_of(text, 1, 99), 3);
        assert_eq!(line_of(text, 4), 2);
    }
}
