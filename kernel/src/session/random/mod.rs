//! Random cells, valid and not, in all of Unicode: nothing that is done with a cell's text cuts a character or panics.
//!
//! `MACHINE_RANDOM_SEED` repeats what a failed test has printed.

use super::definitions::Definitions;
use super::edits::Edited;
use super::errors;
use super::rewrite::{ErrorText, Form, Statements, Variables, annotated, rewrite, rust_start};
use super::script::Script;
use super::statics::Exports;
use annotate_snippets::Renderer;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many cells are tried.
const CELLS: usize = 10_000;
/// What rustc has said of wrong programs, one message a line.
const MESSAGES: &str = include_str!("messages.jsonl");
/// What the compiler calls a cell's file.
const FILE: &str = "src/lib.rs";

/// Pieces that mean something to the parser, to the edits or to evcxr.
const PIECES: [&str; 40] = [
    "let é = 1;",
    "MACHINE[1] = |a, _| a;",
    "f()?",
    ";",
    "for i in 0..2 { g(i)?; }",
    "// c\n",
    "\n",
    "\r\n",
    "x",
    "struct S;",
    "while a? { b }",
    "\"🦀\"",
    "println!(\"{a}\", a = b?);",
    "assert!(é? == 1);",
    "json!({\"a\": [d?]});",
    ":dep é = \"1\"\n",
    "!ls é\n",
    "%status\n",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "|",
    "=",
    "=>",
    "'é'",
    "'",
    "\"",
    "/*",
    "*/",
    "impl T for U {}",
    "fn f() -> ! { loop {} }",
    "async move |x| x",
    "#[é]",
    "r#\"ü\"#",
    "`",
    "b'\\x",
    "..=",
];
/// Ranges of characters: ASCII, Latin, marks that combine, right to left, wide ones, those that are invisible, the
/// last ones before and after the surrogates, pictures.
const RANGES: [(u32, u32); 10] = [
    (0x20, 0x7e),
    (0x00, 0x1f),
    (0xa0, 0x17f),
    (0x300, 0x36f),
    (0x5d0, 0x6ff),
    (0x2000, 0x206f),
    (0x3000, 0x30ff),
    (0xd7f0, 0xe010),
    (0xfe00, 0xffff),
    (0x1_f300, 0x10_ffff),
];

/// Random numbers (xorshift).
pub struct Random(u64);

impl Random {
    /// From the seed in the environment, or from the time; it is printed.
    pub fn new() -> Self {
        let given = std::env::var("MACHINE_RANDOM_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.as_secs() * 1_000 + u64::from(now.subsec_millis())));
        eprintln!("MACHINE_RANDOM_SEED={seed}");
        Self(seed | 1)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    fn character(&mut self) -> char {
        let (first, last) = RANGES.get(self.below(RANGES.len())).copied().unwrap_or((0x20, 0x7e));
        let code = first + u32::try_from(self.below(usize::try_from(last - first).unwrap_or(0) + 1)).unwrap_or(0);
        char::from_u32(code).unwrap_or('\u{fffd}')
    }

    /// A cell of a few pieces with characters between them.
    pub fn cell(&mut self) -> String {
        let mut cell = String::new();
        for _ in 0..=self.below(8) {
            if self.below(3) > 0 {
                cell.push_str(PIECES.get(self.below(PIECES.len())).copied().unwrap_or_default());
            }
            for _ in 0..self.below(4) {
                cell.push(self.character());
            }
            cell.push_str(["", " ", "", "\n"].get(self.below(4)).copied().unwrap_or_default());
        }
        cell
    }
}

/// Puts a message of the compiler somewhere else in a text, and a little beyond.
fn moved(message: &Value, text: &str, random: &mut Random) -> Value {
    let mut message = message.clone();
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    let mut place = || {
        let line = random.below(lines.len() + 1);
        (line + 1, random.below(lines.get(line).copied().unwrap_or(0) + 3) + 1)
    };
    let mut open: Vec<&mut Value> = message.get_mut("spans").into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(all) => open.extend(all),
            Value::Object(span) => {
                let (start, end) = (place(), place());
                let (start, end) = (start.min(end), start.max(end));
                let numbers =
                    [("line_start", start.0), ("column_start", start.1), ("line_end", end.0), ("column_end", end.1)];
                for (name, number) in numbers {
                    span.insert(name.to_owned(), json!(number));
                }
                open.extend(span.get_mut("expansion").and_then(|expansion| expansion.get_mut("span")));
            }
            _ => {}
        }
    }
    message
}

fn assert_whole(edited: &Edited, random: &mut Random) {
    let length = edited.text.len() + 3;
    for _ in 0..8 {
        let (start, end) = (random.below(length), random.below(length));
        let range = edited.range_to_source(start.min(end)..start.max(end));
        assert!(edited.source.get(range.clone()).is_some(), "{range:?} of {:?}", edited.source);
        assert!(edited.source.is_char_boundary(edited.to_source(start)));
        assert!(edited.text.is_char_boundary(edited.to_text(end)));
    }
}

/// Everything that is done with a cell's text, and with what the compiler says about it.
fn try_cell(cell: &str, messages: &[Value], random: &mut Random) {
    let names = Definitions::default().with_cell(cell);
    let _ = (names.hashes(), Statements::parse_lenient(cell, rust_start(cell)));
    for variables in [Variables::AsWritten, Variables::Plain(&names), Variables::Asked] {
        let rewritten =
            rewrite(cell, 7, "use p::*; ", Form { errors: ErrorText::Best, variables, statics: &Exports::new() });
        assert_whole(&rewritten.edited, random);
    }
    let edited = annotated(cell, "");
    assert_whole(&edited, random);
    let (plain, styled) = (Renderer::plain(), Renderer::styled());
    let script = Script::new(cell, "fn script() { ");
    for _ in 0..3 {
        let Some(message) = messages.get(random.below(messages.len())) else { continue };
        let message = moved(message, script.text(), random);
        let drawn = script.told(&message, FILE, false);
        assert!(drawn.as_ref().is_none_or(|text| text.contains(" --> ")), "not drawn: {message} {drawn:?}");
        let renderer = if random.below(2) == 0 { &plain } else { &styled };
        let rewritten = rewrite(
            cell,
            7,
            "",
            Form { errors: ErrorText::Best, variables: Variables::AsWritten, statics: &Exports::new() },
        );
        errors::assert_drawn(&moved(&message, &rewritten.edited.text, random), &rewritten.edited, renderer);
        let place = (u32::try_from(random.below(9)).unwrap_or(0), u32::try_from(random.below(20)).unwrap_or(0));
        let error = errors::at_line("Panic", "é", cell, "cell [7]", Some(place), &plain);
        assert!(place.0 == 0 || error.traceback.concat().contains(" --> "), "not drawn: {place:?}");
    }
}

#[test]
fn no_cell_makes_parser_edits_or_drawing_panic() {
    let messages: Vec<Value> = MESSAGES.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(messages.len() > 30);
    let mut random = Random::new();
    for _ in 0..CELLS {
        let cell = random.cell();
        let tried = catch_unwind(AssertUnwindSafe(|| try_cell(&cell, &messages, &mut random)));
        assert!(tried.is_ok(), "the cell was {cell:?}");
    }
}
