//! Magic lines among the Rust of a cell: where they stand, and the pieces that they cut the cell into.
//!
//! A line is a magic if it begins with `%` and a name, and stands outside of brackets, strings and comments. Behind an
//! expression without an end, `%name` could also go on with it as the remainder; there it is a magic if there is one of
//! that name and the line does not end as a statement does.

use super::registry::MAGICS;

/// The cell as pieces that run one after the other: each is the cell as far as the next magics behind Rust, with all
/// before it blanked, so that lines keep their numbers.
pub fn pieces(code: &str) -> Vec<String> {
    let starts = starts(code);
    let ends = starts.iter().skip(1).copied().chain([code.len()]);
    let piece = |(start, end): (&usize, usize)| {
        let blank = "\n".repeat(code.get(..*start).unwrap_or_default().matches('\n').count());
        format!("{blank}{}", code.get(*start..end).unwrap_or_default())
    };
    starts.iter().zip(ends).map(piece).collect()
}

/// The cell with all before the piece that byte `offset` is in made of spaces: every byte stays where it is.
pub fn piece_at(code: &str, offset: usize) -> String {
    let start = starts(code).into_iter().rfind(|start| *start <= offset).unwrap_or(0);
    let hidden = code.get(..start).unwrap_or_default();
    let spaces: String = hidden.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    format!("{spaces}{}", code.get(start..).unwrap_or_default())
}

/// Where the pieces begin.
fn starts(code: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut behind = 0;
    for line in lines(code) {
        let between = code.get(behind..line).unwrap_or_default();
        if !between.lines().map(str::trim).all(|text| text.is_empty() || text.starts_with("//")) {
            starts.push(line);
        }
        behind = end_of_line(code, line);
    }
    starts
}

/// The cell with its magic lines blanked, wherever they stand.
pub fn without(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut copied = 0;
    for line in lines(code) {
        kept.push_str(code.get(copied..line).unwrap_or_default());
        copied = end_of_line(code, line);
        if code.get(..copied).is_some_and(|text| text.ends_with('\n')) {
            kept.push('\n');
        }
    }
    kept.push_str(code.get(copied..).unwrap_or_default());
    kept
}

/// Where the magic lines begin.
pub fn lines(code: &str) -> Vec<usize> {
    let mut scan = Scan { code, at: 0, depth: 0, before: None };
    let mut found = Vec::new();
    // Before the first Rust, lines of evcxr's own commands hold what is no Rust.
    let mut is_head = true;
    while scan.at < code.len() {
        let is_start = code.get(..scan.at).is_some_and(|text| text.is_empty() || text.ends_with('\n'));
        if is_start && scan.depth == 0 {
            let line = code.get(scan.at..end_of_line(code, scan.at)).unwrap_or_default();
            let text = line.trim();
            let is_command = text.starts_with('!') || (text.starts_with(':') && !text.starts_with("::"));
            let is_magic = if is_head { text.starts_with('%') } else { scan.is_magic(line) };
            if is_magic {
                found.push(scan.at);
                scan.before = None;
            }
            if is_magic || (is_head && (is_command || text.is_empty() || text.starts_with("//"))) {
                scan.at += line.len();
                continue;
            }
            is_head = false;
        }
        scan.step();
    }
    found
}

/// Where the line that begins at a place ends, its newline included.
fn end_of_line(code: &str, start: usize) -> usize {
    code.get(start..).and_then(|rest| rest.find('\n')).map_or(code.len(), |newline| start + newline + 1)
}

/// Passes over Rust, a token at a time.
struct Scan<'a> {
    code: &'a str,
    at: usize,
    /// Brackets that are open.
    depth: usize,
    /// The last character before that is neither space nor comment; none where a statement may begin.
    before: Option<char>,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        self.code.get(self.at..).unwrap_or_default()
    }

    /// Whether a line behind Rust is a magic.
    fn is_magic(&self, line: &str) -> bool {
        let Some(word) = line.split_whitespace().next().filter(|word| line.starts_with(word)) else { return false };
        let name = word.trim_start_matches('%').trim_end_matches('?');
        let is_name = word.starts_with('%') && name.starts_with(|c: char| c.is_ascii_lowercase());
        let begins = self.before.is_none_or(|before| matches!(before, ';' | '}'));
        let is_known = MAGICS.iter().any(|magic| magic.name == name);
        is_name && (begins || (is_known && !line.trim_end().ends_with([';', '{', '(', ','])))
    }

    /// Passes over the next token.
    fn step(&mut self) {
        let rest = self.rest();
        let Some(next) = rest.chars().next() else { return };
        let mut length = next.len_utf8();
        let mut is_token = !next.is_whitespace();
        match next {
            '/' if rest.starts_with("//") => {
                // Its newline is passed alone: a line begins behind it.
                length = rest.find('\n').unwrap_or(rest.len());
                is_token = false;
            }
            '/' if rest.starts_with("/*") => {
                length = comment(rest);
                is_token = false;
            }
            '"' => length = quoted(rest, '"'),
            '\'' => length = character(rest),
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            next if next.is_alphabetic() || next == '_' => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let tail = rest.get(word..).unwrap_or_default();
                let is_raw = matches!(rest.get(..word), Some("r" | "br" | "cr"));
                length = word + if is_raw { raw(tail) } else { 0 };
            }
            _ => {}
        }
        if is_token {
            self.before = Some(next);
        }
        self.at += length.max(1);
    }
}

/// The length of a comment that may have others inside.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of what begins with a quote and ends with one.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            next if next == quote => return at + next.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of a character, or of the quote before a lifetime.
fn character(text: &str) -> usize {
    let mut following = text.chars().skip(1);
    match (following.next(), following.next()) {
        (Some('\\'), _) => text.lines().next().map_or(1, |line| quoted(line, '\'')),
        (Some(inner), Some('\'')) if inner != '\n' => 2 + inner.len_utf8(),
        _ => 1,
    }
}

/// The length of a raw string's rest, behind its `r`; 0 if there is none.
fn raw(text: &str) -> usize {
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    let Some(inner) = text.get(hashes..).and_then(|rest| rest.strip_prefix('"')) else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    inner.find(&end).map_or(text.len(), |at| hashes + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_may_stand_at_the_start_of_any_line_outside_of_everything() {
        for (code, expected) in [
            ("1 + 1\n%status", vec!["1 + 1\n", "\n%status"]),
            ("let x = 1;\n%status\nx", vec!["let x = 1;\n", "\n%status\nx"]),
            (
                "%status\n%slots\nlet x = 1;\n// c\n\n%errors 3\n%tap",
                vec!["%status\n%slots\nlet x = 1;\n// c\n\n", "\n\n\n\n\n%errors 3\n%tap"],
            ),
            ("f(1) // c\n%put {\"it's\": \"(\"}\n\"a\"", vec!["f(1) // c\n", "\n%put {\"it's\": \"(\"}\n\"a\""]),
            ("fn f() {}\n%stauts", vec!["fn f() {}\n", "\n%stauts"]),
            (":dep a = \"1\"\n!echo it's\n%status\nx", vec![":dep a = \"1\"\n!echo it's\n", "\n\n%status\nx"]),
            // What is none.
            ("let x = 7\n% 2;", vec!["let x = 7\n% 2;"]),
            ("let x = 7\n%status;", vec!["let x = 7\n%status;"]),
            ("let x = 7\n%other", vec!["let x = 7\n%other"]),
            ("let x = 7\n    %status", vec!["let x = 7\n    %status"]),
            ("let s = \"\n%status\n\";", vec!["let s = \"\n%status\n\";"]),
            ("let s = r#\"\"\n%status\n\"#;", vec!["let s = r#\"\"\n%status\n\"#;"]),
            ("let s = br\"\\\"; let c = '\"';\n%status", vec!["let s = br\"\\\"; let c = '\"';\n", "\n%status"]),
            ("{\n%status\n}", vec!["{\n%status\n}"]),
            ("fn f<'a>(\n%status\n) {}", vec!["fn f<'a>(\n%status\n) {}"]),
            ("x; /* /* */\n%status\n*/", vec!["x; /* /* */\n%status\n*/"]),
            ("let c = '\\'';\n%status", vec!["let c = '\\'';\n", "\n%status"]),
            ("", vec![""]),
        ] {
            assert_eq!(pieces(code), expected, "{code:?}");
        }
    }

    #[test]
    fn blanked_lines_keep_the_others_where_they_are() {
        assert_eq!(without("x;\n%status\ny\n%tap"), "x;\n\ny\n");
        assert_eq!(piece_at("é;\n%put x\ny;\n%tap", 4), "   \n%put x\ny;\n%tap");
        assert_eq!(piece_at("é;\n%put x\ny;\n%tap", 0), "é;\n%put x\ny;\n%tap");
    }
}
