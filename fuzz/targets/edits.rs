//! Edits of a cell's text: no place and no range ever cuts a character, and what was kept is found again. The kernel's
//! own file is compiled in here.
#![no_main]
#![allow(dead_code, reason = "the kernel's own file, of which all but the cell itself is tried here")]

#[path = "../../kernel/src/session/edits.rs"]
mod edits;

use edits::{Edits, line_of, offset_of, whole};
use libfuzzer_sys::fuzz_target;

/// Bytes of one edit before the text: where, how much it removes, what it covers, what it inserts.
const EDIT: usize = 5;
/// What is inserted. No edit has a newline.
const INSERTED: [&str; 5] = ["", "x", "é; ", "🦀", "::machine::cell::check();"];

fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let count = usize::from(*count % 8) * EDIT;
    let (plan, text) = rest.split_at(count.min(rest.len()));
    let source = String::from_utf8_lossy(text);
    let mut edits = Edits::default();
    for edit in plan.chunks_exact(EDIT) {
        let [at, remove, from, to, inserted] = [0, 1, 2, 3, 4].map(|index| usize::from(edit[index]));
        edits.replace(at..at + remove, INSERTED[inserted % INSERTED.len()], from..to);
    }
    let edited = edits.apply(&source);
    assert_eq!(edited.source, source);
    let length = edited.text.len();
    for start in 0..length + 2 {
        let place = edited.to_source(start);
        assert!(source.is_char_boundary(place));
        for end in [start, start + 1, start + 3, length, length + 9] {
            let range = edited.range_to_source(start..end);
            assert!(source.get(range.clone()).is_some(), "{range:?}");
            assert!(source.get(whole(&source, start..end)).is_some());
        }
    }
    for (at, character) in source.char_indices() {
        let there = edited.to_text(at);
        assert!(edited.text.is_char_boundary(there));
        // A character that was not removed is there, and found again.
        if edited.to_source(there) == at {
            assert!(edited.text.get(there..).is_some_and(|rest| !rest.is_empty()), "{character} is lost");
        }
        assert_eq!(usize::try_from(line_of(&source, at)).unwrap(), source[..at].matches('\n').count() + 1);
    }
    for line in 0..source.lines().count() + 2 {
        for column in [0, 1, 2, 7, usize::MAX] {
            assert!(source.is_char_boundary(offset_of(&source, line, column)));
        }
    }
});
