//! How many items one reply carries, so that it fits in a frame of the control socket.

use machine_remote::MAX_FRAME;

/// How many bytes of JSON an answer has at most: a frame has room for some more.
const MOST: usize = MAX_FRAME / 4 * 3;
/// What an item takes beside its texts: names of fields, numbers, times.
const REST: usize = 512;

/// Of items, each with the length of its texts, those that fit in an answer: all up to the first that would be too much.
/// One that would fit in no answer is passed over.
pub(crate) fn take_fitting<T>(items: impl Iterator<Item = (T, usize)>) -> impl Iterator<Item = T> {
    let fits_alone = |texts: usize| texts.saturating_add(REST) <= MOST;
    let mut json_len: usize = 0;
    let has_room = move |(_, texts): &(T, usize)| {
        if fits_alone(*texts) {
            json_len = json_len.saturating_add(texts + REST);
        }
        json_len <= MOST
    };
    items.take_while(has_room).filter(move |(_, texts)| fits_alone(*texts)).map(|(item, _)| item)
}

/// How long a text is as a string of JSON, at most.
pub(crate) fn json_len(text: &str) -> usize {
    let extra = |byte: u8| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.bytes().map(extra).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::{MOST, REST, json_len, take_fitting};

    #[test]
    fn what_does_not_fit_alone_is_left_out_and_the_first_that_is_too_much_ends_it() {
        let half = MOST / 2 - REST;
        let items = [half, MOST, half, 0, 1].into_iter().enumerate();
        assert_eq!(take_fitting(items).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn texts_are_as_long_as_they_are_written() {
        for text in ["", "plain ä", r#"{"a":"b\\c"}"#, "\u{0}\n\t"] {
            let written = serde_json::to_string(text).map_or(0, |json| json.len() - 2);
            assert!((written..=written + 4 * text.len()).contains(&json_len(text)), "{text}");
        }
        assert_eq!(json_len(r#"a"b"#), 4);
    }
}
