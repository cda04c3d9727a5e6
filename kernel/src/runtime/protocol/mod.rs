//! The protocol between evcxr and the code that it generates around a cell: lines on standard output.
//!
//! Only what the cell's thread prints is searched for them; see [`super::run`] for what each line may cause. A cell may
//! have printed the beginning of a line before, so a protocol line may start in the middle of one.

use memchr::{memchr, memmem};
use std::time::{Duration, Instant};

/// Each protocol line starts with this.
const MARK: &[u8] = b"EVCXR_";
const PANIC: &[u8] = b"EVCXR_PANIC_NOTIFICATION";
const ERROR: &[u8] = b"EVCXR_ERROR_OCCURRED";
const CHANGED: &[u8] = b"EVCXR_VARIABLE_CHANGED_TYPE:";
const INPUT: &[u8] = b"EVCXR_INPUT_REQUEST";
const CONTENT: &[u8] = b"EVCXR_BEGIN_CONTENT ";
const CONTENT_END: &[u8] = b"EVCXR_END_CONTENT";
/// The longest protocol line, bytes: names, MIME types and prompts are shorter.
const LINE_MAX: usize = 1024;
/// The longest content, bytes.
const CONTENT_MAX: usize = 64 << 20;
/// How long content may take to be printed to its end.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the beginning of what may be a protocol line is held back.
const SETTLE: Duration = Duration::from_millis(8);

/// One thing found in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// For people.
    Text(&'a [u8]),
    /// Generated code says that the cell panicked (newline included, as for the others).
    Panic(&'a [u8]),
    /// Generated code says that a `?` ended the cell.
    Error(&'a [u8]),
    /// Generated code says that this variable has another type now.
    Changed {
        /// Its name.
        name: &'a str,
        /// The whole line.
        line: &'a [u8],
    },
    /// The crate `evcxr_input` asks for input.
    Input(&'a [u8]),
    /// Something to show.
    Content {
        /// Its MIME type.
        mime: &'a str,
        /// What it is.
        content: &'a [u8],
        /// All of it as it was printed.
        whole: &'a [u8],
    },
}

/// Splits a stream of bytes, which comes in pieces of any length.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The beginning of what may be a protocol line.
    held: Vec<u8>,
    /// Since when it is held.
    since: Option<Instant>,
    content: Option<Content>,
}

/// Content whose end has not come.
#[derive(Debug)]
struct Content {
    /// From its first mark on.
    whole: Vec<u8>,
    /// Where the first line after the mark starts.
    body: usize,
    /// Where the line starts that has not ended.
    line: usize,
    since: Instant,
}

impl Splitter {
    /// Takes bytes in and gives what is certain.
    pub fn feed(&mut self, mut bytes: &[u8], give: &mut dyn FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            bytes = if let Some(content) = self.content.take() {
                self.feed_content(content, bytes, give)
            } else if self.held.is_empty() {
                self.feed_text(bytes, give)
            } else {
                // The line is finished from the new bytes, as far as a protocol line can reach. So what was held back
                // is neither copied nor searched more than once for each call.
                let mut line = std::mem::take(&mut self.held);
                let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
                let (head, tail) = bytes.split_at(end.min(LINE_MAX.saturating_sub(line.len()) + 1).min(bytes.len()));
                line.extend_from_slice(head);
                // It has one newline at most, at its end: nothing is left of it.
                self.feed_text(&line, give);
                tail
            };
        }
    }

    /// Gives what has been held back for too long. Returns when to call this again, if something is left.
    pub fn settle(&mut self, now: Instant, give: &mut dyn FnMut(Piece<'_>)) -> Option<Instant> {
        let deadline = self.deadline()?;
        if deadline > now {
            return Some(deadline);
        }
        self.finish(give);
        None
    }

    /// Gives all that has been held back as text: it did not become a protocol line.
    pub fn finish(&mut self, give: &mut dyn FnMut(Piece<'_>)) {
        self.since = None;
        let held = std::mem::take(&mut self.held);
        let content = self.content.take().map(|content| content.whole).unwrap_or_default();
        for text in [held, content] {
            if !text.is_empty() {
                give(Piece::Text(&text));
            }
        }
    }

    /// When what is held back becomes text.
    pub fn deadline(&self) -> Option<Instant> {
        let content = self.content.as_ref().and_then(|content| content.since.checked_add(CONTENT_TIMEOUT));
        content.or_else(|| self.since.and_then(|since| since.checked_add(SETTLE)))
    }

    /// Takes text up to where content begins. Returns what follows it.
    fn feed_text<'b>(&mut self, bytes: &'b [u8], give: &mut dyn FnMut(Piece<'_>)) -> &'b [u8] {
        self.since = None;
        // Up to where it has been given, and up to where it has been looked at.
        let (mut given, mut seen) = (0, 0);
        loop {
            let rest = bytes.get(seen..).unwrap_or_default();
            let Some(at) = memmem::find(rest, MARK).map(|at| seen + at).or_else(|| partial(bytes, seen)) else {
                give_text(bytes.get(given..).unwrap_or_default(), give);
                return &[];
            };
            let before = bytes.get(given..at).unwrap_or_default();
            let line = bytes.get(at..).unwrap_or_default();
            seen = at + 1;
            if !may_be_protocol(line) {
                continue;
            }
            let Some(end) = memchr(b'\n', line.get(..LINE_MAX).unwrap_or(line)) else {
                if line.len() < LINE_MAX {
                    give_text(before, give);
                    self.held = line.to_vec();
                    self.since = Some(Instant::now());
                    return &[];
                }
                continue;
            };
            let (line, after) = line.split_at(end + 1);
            if let Some(piece) = protocol(line) {
                give_text(before, give);
                give(piece);
                (given, seen) = (at + line.len(), at + line.len());
            } else if content_mime(line).is_some() {
                give_text(before, give);
                self.content = Some(Content::begin(line));
                return after;
            }
        }
    }

    /// Takes content up to its end. Returns what follows it.
    fn feed_content<'b>(
        &mut self,
        mut content: Content,
        mut bytes: &'b [u8],
        give: &mut dyn FnMut(Piece<'_>),
    ) -> &'b [u8] {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, tail) = bytes.split_at(end + 1);
            content.whole.extend_from_slice(head);
            bytes = tail;
            let line = content.whole.get(content.line..).unwrap_or_default();
            if bare(line) == CONTENT_END {
                content.give(give);
                return bytes;
            }
            if content_mime(line).is_some() {
                // The one before never ended.
                let line = line.to_vec();
                content.whole.truncate(content.line);
                give_text(&content.whole, give);
                content = Content::begin(&line);
            } else {
                content.line = content.whole.len();
            }
        }
        content.whole.extend_from_slice(bytes);
        if content.whole.len() > CONTENT_MAX {
            give_text(&content.whole, give);
        } else {
            self.content = Some(content);
        }
        &[]
    }
}

impl Content {
    /// Content that this line begins.
    fn begin(line: &[u8]) -> Self {
        Self { whole: line.to_vec(), body: line.len(), line: line.len(), since: Instant::now() }
    }

    fn give(&self, give: &mut dyn FnMut(Piece<'_>)) {
        let mime = self.whole.get(..self.body).and_then(content_mime).unwrap_or_default();
        let content = self.whole.get(self.body..self.line).unwrap_or_default();
        give(Piece::Content { mime, content: bare(content), whole: &self.whole });
    }
}

fn give_text(text: &[u8], give: &mut dyn FnMut(Piece<'_>)) {
    if !text.is_empty() {
        give(Piece::Text(text));
    }
}

/// A line without its newline.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// What a whole line is, if it is one of the protocol; content is more than one line.
fn protocol(line: &[u8]) -> Option<Piece<'_>> {
    let text = bare(line);
    if text == PANIC {
        Some(Piece::Panic(line))
    } else if text == ERROR {
        Some(Piece::Error(line))
    } else if let Some(name) = text.strip_prefix(CHANGED) {
        Some(Piece::Changed { name: std::str::from_utf8(name).ok()?, line })
    } else {
        text.starts_with(INPUT).then_some(Piece::Input(line))
    }
}

/// The MIME type, if a line begins content.
fn content_mime(line: &[u8]) -> Option<&str> {
    let mime = std::str::from_utf8(bare(line).strip_prefix(CONTENT)?).ok()?.trim();
    let is_of_mime = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/;= ".contains(c);
    (mime.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
        && mime.chars().all(is_of_mime))
    .then_some(mime)
}

/// Whether what starts here may be a protocol line, as far as it is there.
fn may_be_protocol(line: &[u8]) -> bool {
    [PANIC, ERROR, CHANGED, INPUT, CONTENT].iter().any(|start| line.starts_with(start) || start.starts_with(line))
}

/// Where the bytes end with the beginning of a mark, from a place on.
fn partial(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.max((bytes.len() + 1).saturating_sub(MARK.len()));
    (start..bytes.len()).find(|&at| MARK.starts_with(bytes.get(at..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
