//! A cell cut into its statements.

use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode};
use std::ops::Range;

/// What is put before a piece of code to parse it as the body of a function.
pub const WRAPPER: &str = "fn f(){";

/// Where the Rust code starts: evcxr takes the commands (`:dep …`, `!ls`), comments and blank lines at the head of
/// a cell for itself.
pub fn rust_start(source: &str) -> usize {
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let bare = line.trim();
        let command = is_command(line) || line.starts_with('!');
        if !(command || bare.is_empty() || line.starts_with("//")) {
            return start;
        }
        start += line.len();
    }
    source.len()
}

/// Whether a line is one of evcxr's commands. A path may begin with a colon, too; evcxr takes that for a command, unless
/// something stands before it.
pub fn is_command(line: &str) -> bool {
    let text = line.trim_start_matches(' ');
    text.starts_with(':') && !text.starts_with("::")
}

/// The statements of a cell, parsed as the body of a function.
pub struct Statements {
    /// All statements, the tail expression last.
    pub nodes: Vec<SyntaxNode>,
    /// The final expression.
    pub tail: Option<ast::Expr>,
}

impl Statements {
    /// How far places in the parsed nodes lie behind those in what was given.
    pub const OFFSET: usize = WRAPPER.len();

    /// Parses what follows `base`; `None` if it does not parse.
    pub fn parse(source: &str, base: usize) -> Option<Self> {
        Self::parse_with(source.get(base..)?, false)
    }

    /// As `parse`, and what does not parse is left out.
    pub fn parse_lenient(source: &str, base: usize) -> Option<Self> {
        Self::parse_with(source.get(base..)?, true)
    }

    /// The expression that a piece of the source is; `None` if it is something else.
    pub fn expression(source: &str, piece: Range<usize>) -> Option<ast::Expr> {
        let parsed = Self::parse_with(source.get(piece)?, false)?;
        parsed.tail.filter(|tail| parsed.nodes.iter().all(|node| node == tail.syntax()))
    }

    fn parse_with(code: &str, lenient: bool) -> Option<Self> {
        let parsed = SourceFile::parse(&format!("{WRAPPER}{code}\n}}"), Edition::Edition2024);
        if !lenient && !parsed.errors().is_empty() {
            return None;
        }
        let root = parsed.syntax_node();
        // More than one item means that the code closes the function by itself: `} fn g() {`.
        let mut items = root.children();
        let function = items.next().and_then(ast::Fn::cast)?;
        if items.next().is_some() && !lenient {
            return None;
        }
        let list = function.body()?.stmt_list()?;
        let tail = list.tail_expr();
        Some(Self { nodes: list.syntax().children().collect(), tail })
    }
}

/// Whether a node at the top of a cell is an item or an attribute: evcxr keeps it for later cells.
pub fn is_item(node: &SyntaxNode) -> bool {
    ast::Attr::can_cast(node.kind()) || (ast::Item::can_cast(node.kind()) && node.kind() != SyntaxKind::MACRO_CALL)
}
