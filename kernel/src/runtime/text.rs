//! Bytes as text. A character that is printed in pieces is given once it is whole.

use super::records::Source;
use std::borrow::Cow;
use std::collections::VecDeque;

/// How many unfinished characters are kept, each of another thread or stream.
const OPEN_MAX: usize = 256;
/// What stands for bytes that are not text.
const REPLACEMENT: &str = "\u{fffd}";

/// Turns what several threads print into text.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Characters that have begun, the oldest first.
    open: VecDeque<(Source, Vec<u8>)>,
}

impl Decoder {
    /// Gives the whole characters of what was printed, and keeps the beginning of one for the next call.
    pub fn decode(&mut self, source: Source, bytes: &[u8], give: &mut impl FnMut(Source, &str)) {
        let begun = self.take(|of| of.stream == source.stream && of.thread == source.thread);
        let bytes = match begun {
            Some((_, mut begun)) => {
                begun.extend_from_slice(bytes);
                Cow::Owned(begun)
            }
            None => Cow::Borrowed(bytes),
        };
        let mut rest: &[u8] = &bytes;
        let mut text = Cow::Borrowed("");
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, after) = rest.split_at(error.valid_up_to());
            text += std::str::from_utf8(valid).unwrap_or_default();
            let Some(length) = error.error_len() else {
                self.open.push_back((source, after.to_vec()));
                rest = &[];
                break;
            };
            text += REPLACEMENT;
            rest = after.get(length..).unwrap_or_default();
        }
        text += std::str::from_utf8(rest).unwrap_or_default();
        if !text.is_empty() {
            give(source, &text);
        }
        if self.open.len() > OPEN_MAX
            && let Some((oldest, _)) = self.open.pop_front()
        {
            give(oldest, REPLACEMENT);
        }
    }

    /// Gives what stands for the characters that will not be finished.
    pub fn finish(&mut self, is_over: impl Fn(Source) -> bool, give: &mut impl FnMut(Source, &str)) {
        while let Some((source, _)) = self.take(&is_over) {
            give(source, REPLACEMENT);
        }
    }

    fn take(&mut self, is_wanted: impl Fn(Source) -> bool) -> Option<(Source, Vec<u8>)> {
        let at = self.open.iter().position(|(source, _)| is_wanted(*source))?;
        self.open.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Printed;
    use proptest::prelude::*;

    fn source(thread: usize) -> Source {
        Source { stream: Printed::Stdout, cell: false, thread }
    }

    #[test]
    fn characters_of_two_threads_in_pieces_are_whole() {
        let (mut decoder, mut texts) = (Decoder::default(), [String::new(), String::new()]);
        let (one, two) = ("né 🦀 ß", "日本語!");
        for at in 0..one.len().max(two.len()) {
            for (thread, text) in [one, two].into_iter().enumerate() {
                let byte = text.as_bytes().get(at..=at).unwrap_or_default();
                decoder.decode(source(thread), byte, &mut |of, text| texts[of.thread].push_str(text));
            }
        }
        assert_eq!(texts, [one, two]);
    }

    #[test]
    fn a_character_that_is_not_finished_is_replaced_once_it_is_over() {
        let (mut decoder, mut text) = (Decoder::default(), String::new());
        decoder.decode(source(1), b"a\xe6\x97", &mut |_, part| text.push_str(part));
        assert_eq!(text, "a");
        decoder.finish(|_| true, &mut |_, part| text.push_str(part));
        decoder.finish(|_| true, &mut |_, part| text.push_str(part));
        assert_eq!(text, "a\u{fffd}");
    }

    #[test]
    fn threads_that_never_finish_theirs_do_not_fill_the_memory() {
        let (mut decoder, mut replaced) = (Decoder::default(), 0);
        for thread in 0..10 * OPEN_MAX {
            decoder.decode(source(thread), b"\xe6", &mut |_, _| replaced += 1);
        }
        assert_eq!(replaced, 9 * OPEN_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_what_they_are_as_a_whole(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select("aé🦀".as_bytes())], 0..60),
            cut in 0_usize..60,
        ) {
            let (mut decoder, mut text) = (Decoder::default(), String::new());
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            for part in [head, tail] {
                decoder.decode(source(1), part, &mut |_, part| text.push_str(part));
            }
            decoder.finish(|_| true, &mut |_, part| text.push_str(part));
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
