//! The parser of conditions that are texts. Who assembles the engine hands it in: a program that names no condition links
//! none.

use machine_protocol::filter::Tree;
use std::sync::OnceLock;

/// Makes a tree of a text, or says in one line why it is none.
pub type Parser = fn(&str) -> Result<Tree, String>;

static PARSER: OnceLock<Parser> = OnceLock::new();

/// Says how texts are parsed. The first call counts.
pub fn set_parser(parser: Parser) {
    let _first = PARSER.set(parser);
}

/// How texts are parsed, if that is built in.
pub(crate) fn parser() -> Option<Parser> {
    PARSER.get().copied()
}
