//! What evcxr's cells print for evcxr, told apart from what they print for people.
//!
//! evcxr's protocol is lines on standard output. A cell may have printed the beginning of a line before, so a
//! protocol line may start in the middle of a line. Output of user code that looks exactly like the protocol while
//! a cell runs cannot be told apart: the cell would end too early, and the next one with it. Between cells all is
//! output.

/// Each protocol line starts with this.
const MARK: &str = "EVCXR_";
const WHOLE: [&str; 3] = ["EVCXR_EXECUTION_COMPLETE", "EVCXR_PANIC_NOTIFICATION", "EVCXR_ERROR_OCCURRED"];
const STARTS: [&str; 2] = ["EVCXR_VARIABLE_CHANGED_TYPE:", "EVCXR_INPUT_REQUEST"];
const CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const CONTENT_END: &str = "EVCXR_END_CONTENT";

/// One thing found in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// For people.
    Text(String),
    /// A line for evcxr, without its newline.
    Line(String),
    /// Something to show: MIME type and content.
    Content(String, String),
}

/// Splits a stream of bytes, which comes in pieces of any length.
#[derive(Debug, Default)]
pub struct Splitter {
    held: Vec<u8>,
    content: Option<(String, String)>,
}

impl Splitter {
    /// Takes bytes in. With `running`, protocol lines are looked for.
    pub fn feed(&mut self, bytes: &[u8], running: bool, found: &mut Vec<Piece>) {
        self.held.extend_from_slice(bytes);
        if !running && self.content.is_none() {
            let complete = complete_utf8(&self.held);
            self.give(complete, found);
            return;
        }
        while let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            self.line(&String::from_utf8_lossy(&line), found);
        }
        // The beginning of a line is given at once, unless it may become a protocol line.
        if self.content.is_none() {
            let start = possible_mark(&self.held).unwrap_or(self.held.len());
            let complete = complete_utf8(self.held.get(..start).unwrap_or_default());
            self.give(complete, found);
        }
    }

    /// Gives what was held back, when nothing has followed for a while.
    pub fn settle(&mut self, found: &mut Vec<Piece>) {
        if self.content.is_none() {
            self.give(self.held.len(), found);
        }
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        self.content.is_none() && !self.held.is_empty()
    }

    fn give(&mut self, length: usize, found: &mut Vec<Piece>) {
        if length > 0 {
            let text: Vec<u8> = self.held.drain(..length).collect();
            found.push(Piece::Text(String::from_utf8_lossy(&text).into_owned()));
        }
    }

    fn line(&mut self, line: &str, found: &mut Vec<Piece>) {
        let bare = line.trim_end_matches('\n');
        if let Some((mime, mut content)) = self.content.take() {
            // A panic while the content was being written leaves it without its end.
            if bare == CONTENT_END {
                found.push(Piece::Content(mime, content));
            } else if bare == WHOLE[1] || bare == WHOLE[0] {
                found.push(Piece::Line(bare.to_owned()));
            } else {
                if !content.is_empty() {
                    content.push('\n');
                }
                content.push_str(bare);
                self.content = Some((mime, content));
            }
            return;
        }
        let at = bare.match_indices(MARK).map(|(at, _)| at).find(|&at| is_protocol(bare.get(at..).unwrap_or_default()));
        let Some(at) = at else {
            found.push(Piece::Text(line.to_owned()));
            return;
        };
        let (text, protocol) = bare.split_at(at);
        if !text.is_empty() {
            found.push(Piece::Text(text.to_owned()));
        }
        match protocol.strip_prefix(CONTENT) {
            Some(mime) => self.content = Some((mime.trim().to_owned(), String::new())),
            None => found.push(Piece::Line(protocol.to_owned())),
        }
    }
}

fn is_protocol(line: &str) -> bool {
    WHOLE.contains(&line) || STARTS.iter().any(|start| line.starts_with(start)) || line.starts_with(CONTENT)
}

/// Where a protocol line may start in an unfinished line.
fn possible_mark(bytes: &[u8]) -> Option<usize> {
    let mark = MARK.as_bytes();
    (0..bytes.len()).find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        rest.starts_with(mark) || mark.starts_with(rest)
    })
}

/// How many bytes at the start end with a whole character.
fn complete_utf8(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]], running: bool) -> Vec<Piece> {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, running, &mut found);
        }
        splitter.settle(&mut found);
        let mut joined: Vec<Piece> = Vec::new();
        for piece in found {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
                (_, piece) => joined.push(piece),
            }
        }
        joined
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn line(text: &str) -> Piece {
        Piece::Line(text.into())
    }

    #[test]
    fn cut_anywhere_the_pieces_are_the_same() {
        let all = "héllo\npartEVCXR_PANIC_NOTIFICATION\nEVCXR_BEGIN_CONTENT image/png\nab\ncd\nEVCXR_END_CONTENT\n\
                   EVCXR_NOT a token\nEVCXR_EXECUTION_COMPLETE\nrest é";
        let expected = vec![
            text("héllo\npart"),
            line("EVCXR_PANIC_NOTIFICATION"),
            Piece::Content("image/png".into(), "ab\ncd".into()),
            text("EVCXR_NOT a token\n"),
            line("EVCXR_EXECUTION_COMPLETE"),
            text("rest é"),
        ];
        for at in 0..all.len() {
            let (head, tail) = all.as_bytes().split_at(at);
            assert_eq!(split(&[head, tail], true), expected, "cut at {at}");
        }
    }

    #[test]
    fn between_cells_all_is_output() {
        assert_eq!(split(&[b"EVCXR_EXECUTION_COMPLETE\n"], false), [text("EVCXR_EXECUTION_COMPLETE\n")]);
    }

    #[test]
    fn the_beginning_of_a_line_comes_at_once() {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        splitter.feed(b"50 %", true, &mut found);
        assert_eq!(found, [text("50 %")]);
        splitter.feed(b"EVC", true, &mut found);
        assert!(splitter.is_holding());
        splitter.settle(&mut found);
        assert_eq!(found, [text("50 %"), text("EVC")]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_it() {
        assert_eq!(split(&[b"\xff\xfe\nok\n"], true), [text("\u{fffd}\u{fffd}\nok\n")]);
    }
}
