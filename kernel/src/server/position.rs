//! Cursor positions: front ends count code points, the parser counts bytes.

/// The byte offset of a code point; the end of the text if there are fewer.
#[must_use]
pub fn to_bytes(text: &str, code_points: usize) -> usize {
    text.char_indices().nth(code_points).map_or(text.len(), |(offset, _)| offset)
}

/// How many code points lie before a byte offset.
#[must_use]
pub fn to_code_points(text: &str, offset: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < offset).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = "aé😀b";
        for (points, bytes) in [(0, 0), (1, 1), (2, 3), (3, 7), (4, 8)] {
            assert_eq!(to_bytes(text, points), bytes);
            assert_eq!(to_code_points(text, bytes), points);
        }
        assert_eq!(to_bytes(text, 99), 8);
        assert_eq!(to_code_points(text, 99), 4);
    }
}
