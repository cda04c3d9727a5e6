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

    /// The edited text. Places inside of a character count as its start; an edit inside of what another one has
    /// removed is left out.
    pub fn apply(self, source: &str) -> Edited {
        let mut edits = self.0;
        for edit in &mut edits {
            let removed = whole(source, edit.at..edit.at.saturating_add(edit.remove));
            (edit.at, edit.remove) = (removed.start, removed.len());
            edit.covers = whole(source, edit.covers.clone());
        }
        // What is inserted where something is removed comes first, or it would be inside.
        edits.sort_by_key(|edit| (edit.at, edit.remove > 0));
        let mut text = String::with_capacity(source.len() + 64 * edits.len());
        let mut copied = 0;
        edits.retain(|edit| {
            let Some(kept) = source.get(copied..edit.at) else { return false };
            text.push_str(kept);
            text.push_str(&edit.insert);
            copied = edit.at + edit.remove;
            true
        });
        text.push_str(source.get(copied..).unwrap_or_default());
        Edited { source: source.to_owned(), text, edits }
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
    /// where its cover starts. It is where a character starts, or the end.
    pub fn to_source(&self, offset: usize) -> usize {
        match self.locate(offset) {
            Location::Kept(at) => at,
            Location::Inserted(edit) => edit.covers.start,
        }
    }

    /// The user's range for a range in the edited text, of whole characters. Empty only at the end of the source, and
    /// where an insertion covers nothing.
    pub fn range_to_source(&self, range: Range<usize>) -> Range<usize> {
        // The end is behind the last character, which may have several bytes.
        let last = self.text.floor_char_boundary(range.end.saturating_sub(1)).max(range.start);
        let start = self.to_source(range.start);
        let end = match self.locate(last) {
            Location::Kept(at) => {
                at + self.source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
            }
            Location::Inserted(edit) => edit.covers.end,
        };
        start..end.max(start)
    }

    /// The edited place for a place in the user's text: after what was inserted there.
    pub fn to_text(&self, offset: usize) -> usize {
        let offset = self.source.floor_char_boundary(offset);
        let mut shifted = offset;
        for edit in &self.edits {
            if edit.at > offset {
                break;
            }
            shifted = shifted + edit.insert.len() - edit.remove.min(offset - edit.at);
        }
        shifted
    }

    /// Which columns of the user's the columns of the edited text are, for each stretch of a line that has edits: line,
    /// column in the text, the user's column, and whether the stretch is the user's own text or stands for what is there.
    /// All count from 1, columns in characters.
    pub fn columns(&self) -> Vec<(u32, u32, u32, bool)> {
        let column = |text: &str, at: usize| {
            let before = text.get(..at).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            u32::try_from(line.chars().count()).unwrap_or(u32::MAX).saturating_add(1)
        };
        let (mut columns, mut shifted, mut copied) = (Vec::with_capacity(2 * self.edits.len()), 0, 0);
        for edit in &self.edits {
            shifted += edit.at - copied;
            let line = line_of(&self.source, edit.at);
            let covers = if line_of(&self.source, edit.covers.start) == line { edit.covers.start } else { edit.at };
            columns.push((line, column(&self.text, shifted), column(&self.source, covers), false));
            shifted += edit.insert.len();
            copied = edit.at + edit.remove;
            columns.push((line, column(&self.text, shifted), column(&self.source, copied), true));
        }
        columns
    }

    fn locate(&self, offset: usize) -> Location<'_> {
        let offset = self.text.floor_char_boundary(offset);
        // `before`: how far into the edited text we are; `copied`: how far into the source.
        let (mut before, mut copied) = (0, 0);
        for edit in &self.edits {
            let kept = edit.at - copied;
            if offset < before + kept {
                return Location::Kept(copied + offset - before);
            }
            before += kept;
            if offset < before + edit.insert.len() {
                return Location::Inserted(edit);
            }
            before += edit.insert.len();
            copied = edit.at + edit.remove;
        }
        Location::Kept((copied + offset - before).min(self.source.len()))
    }
}

enum Location<'a> {
    Kept(usize),
    Inserted(&'a Edit),
}

/// The characters of `text` that a range of bytes is in, which may reach beyond the end.
pub fn whole(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    start..text.ceil_char_boundary(range.end).max(start)
}

/// The byte offset of a place given as rustc gives it: 1-based line and 1-based column in characters. A column
/// beyond the end of its line is the end of the line.
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            // As `str::lines` has it.
            let content = content.strip_suffix('\n').map_or(content, |line| line.strip_suffix('\r').unwrap_or(line));
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
    fn a_range_that_ends_with_a_wide_character_has_all_of_it() {
        for source in ["let x = é", "“a”", "a；", "\u{a0}", "\u{feff}1", "🦀"] {
            let mut edits = Edits::default();
            edits.insert(0, "é; ", 0..0);
            let edited = edits.apply(source);
            let last = source.char_indices().last().map_or(0, |(at, _)| at);
            let shifted = edited.to_text(last)..edited.text.len();
            assert_eq!(edited.range_to_source(shifted), last..source.len(), "{source}");
        }
    }

    #[test]
    fn no_edit_and_no_place_cuts_a_character() {
        let source = "é🦀é";
        let mut edits = Edits::default();
        edits.replace(1..3, "xx", 1..99);
        edits.insert(2, "inside of what is removed", 0..1);
        edits.insert(99, "end", 5..99);
        let edited = edits.apply(source);
        assert_eq!(edited.text, "xxéend");
        for start in 0..edited.text.len() + 3 {
            for end in start..edited.text.len() + 3 {
                assert!(source.get(edited.range_to_source(start..end)).is_some(), "{start}..{end}");
            }
            assert!(source.is_char_boundary(edited.to_source(start)));
            assert!(edited.text.is_char_boundary(edited.to_text(start)));
        }
    }

    #[test]
    fn columns_of_edited_lines_are_those_of_the_user() {
        let mut edits = Edits::default();
        edits.insert(0, "<<", 0..0);
        edits.insert(5, "xx", 3..7);
        edits.replace(6..7, "é", 6..7);
        let edited = edits.apply("é\nab=c");
        let expected =
            [(1, 1, 1, false), (1, 3, 1, true), (2, 3, 1, false), (2, 5, 3, true), (2, 6, 4, false), (2, 7, 5, true)];
        assert_eq!((edited.text.as_str(), edited.columns()), ("<<é\nabxx=é", expected.to_vec()));
    }

    #[test]
    fn a_line_ends_before_both_characters_of_its_end() {
        assert_eq!(offset_of("aé\r\nb", 1, 99), 3);
        assert_eq!(offset_of("a\r", 1, 99), 2);
        assert_eq!(offset_of("a\r\r\nb", 1, 99), 2);
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
