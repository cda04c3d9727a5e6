//! A magic line, cut into words that know where they stand.

use super::magic_error::MagicError;
use std::ops::Range;

/// One word of a line, quotes taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub text: String,
    /// Where it stands in the line, quotes included; bytes.
    pub span: Range<usize>,
    /// Whether any part of it was quoted: then it is never an option.
    pub quoted: bool,
}

impl From<&str> for Word {
    /// A word that stands in no line.
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), span: 0..0, quoted: true }
    }
}

/// Cuts `line` from byte `from` on at white space. `"…"` and `'…'` keep white space in a word; there are no escapes.
///
/// # Errors
/// A quote that is not closed.
pub fn words(line: &str, from: usize) -> Result<Vec<Word>, MagicError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    for (at, c) in line.char_indices().skip_while(|(at, _)| *at < from) {
        if let Some((open, _)) = quote {
            if c == open {
                quote = None;
            } else if let Some(word) = &mut word {
                word.text.push(c);
            }
        } else if c.is_whitespace() {
            words.extend(word.take().map(|word| Word { span: word.span.start..at, ..word }));
        } else {
            let word = word.get_or_insert_with(|| Word { text: String::new(), span: at..line.len(), quoted: false });
            if c == '"' || c == '\'' {
                quote = Some((c, at));
                word.quoted = true;
            } else {
                word.text.push(c);
            }
        }
    }
    if let Some((open, at)) = quote {
        return Err(MagicError::usage(format!("the quote {open} is not closed"), Some(at..line.len())));
    }
    words.extend(word);
    Ok(words)
}
