//! A cell as it is compiled: what the user wrote, with inline edits.
//!
//! | the user writes | what is compiled |
//! |---|---|
//! | the first statement | `machine::cell::enter();` before it, `leave();` after the last |
//! | `MACHINE[0] = \|x\| x;` | `::machine::cell::assign(&MACHINE[0], \|x: &::machine::Value\| x, "code", cell, line);` |
//! | `for … { … }` | `check();` first in the body |
//! | `e?` | `::machine::cell::tried(e, line)` |
//! | a final expression `e` | `match (e) { ref value => { last(); value.evcxr_display(); } }` |
//!
//! Only the cell's own statements are edited: not items, closures, `async` or `const` blocks, and not what is
//! inside of macros. No edit adds or removes a line. A cell that does not parse is left as it is: the compiler
//! says better what is wrong with it.

use super::edits::{Edited, Edits, line_of};
use ra_ap_syntax::ast::{self, HasLoopBody};
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode, WalkEvent};
use std::ops::Range;

const WRAPPER: &str = "fn f(){";

/// A cell and its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text to compile and the way back.
    pub edited: Edited,
    /// Whether something of it runs: it has statements, not only items.
    pub runs: bool,
}

/// Rewrites a cell. `cell` is its execution count; `prelude` is put before everything else in the Rust code.
pub fn rewrite(source: &str, cell: u32, prelude: &str) -> Rewritten {
    let base = rust_start(source);
    let Some(statements) = Statements::parse(source, base) else {
        return Rewritten { edited: with_prelude(source, base, prelude), runs: true };
    };
    let mut writer = Writer { source, base, cell, edits: Edits::default() };
    if !prelude.is_empty() {
        writer.edits.insert(base, opening(source, base, prelude), base..base);
    }
    let own: Vec<&SyntaxNode> = statements.nodes.iter().filter(|node| !is_item(node)).collect();
    let (Some(first), Some(last)) = (own.first(), own.last()) else {
        return Rewritten { edited: writer.edits.apply(source), runs: false };
    };
    let start = writer.range(first).start;
    // Without the leading `::`: evcxr takes a line that starts with a colon for a command.
    writer.edits.insert(start, "machine::cell::enter(); ", start..start);
    let tail = statements.tail.filter(|tail| tail.syntax() == *last);
    let shown = tail.as_ref().filter(|tail| is_shown(tail)).map(|tail| writer.range(tail.syntax()));
    // Openings at one place are written outermost first, so this one before those inside of the expression.
    if let Some(range) = &shown {
        writer.edits.insert(range.start, "match (", range.clone());
    }
    for node in &own {
        writer.statement(node);
    }
    let end = writer.range(last);
    let close = match (shown, tail) {
        (Some(_), _) => ") { ref value => { ::machine::cell::last(); value.evcxr_display(); } }",
        (None, Some(_)) => ";",
        (None, None) => "",
    };
    writer.edits.insert(end.end, format!("{close} ::machine::cell::leave();"), end);
    Rewritten { edited: writer.edits.apply(source), runs: true }
}

/// A cell for completion: only what the parser of a half-written cell can still understand.
pub fn annotated(source: &str, prelude: &str) -> Edited {
    let base = rust_start(source);
    let mut writer = Writer { source, base, cell: 0, edits: Edits::default() };
    if !prelude.is_empty() {
        writer.edits.insert(base, opening(source, base, prelude), base..base);
    }
    if let Some(statements) = Statements::parse_lenient(source, base) {
        for node in &statements.nodes {
            for assignment in node.descendants().filter_map(ast::BinExpr::cast) {
                if let Some(ast::Expr::ClosureExpr(closure)) = assignment.rhs()
                    && Assignment::of(&assignment).is_some()
                {
                    writer.parameters(&closure);
                }
            }
        }
    }
    writer.edits.apply(source)
}

fn with_prelude(source: &str, base: usize, prelude: &str) -> Edited {
    let mut edits = Edits::default();
    if !prelude.is_empty() {
        edits.insert(base, opening(source, base, prelude), base..base);
    }
    edits.apply(source)
}

/// The prelude as it stands at the start of the Rust code: on a line of its own, if only commands come before it.
fn opening(source: &str, base: usize, prelude: &str) -> String {
    let line_is_open = source.get(..base).is_some_and(|head| !head.is_empty() && !head.ends_with('\n'));
    format!("{}{prelude}", if line_is_open { "\n" } else { "" })
}

/// Where the Rust code starts: evcxr takes the commands (`:dep …`, `!ls`), comments and blank lines at the head of
/// a cell for itself.
pub fn rust_start(source: &str) -> usize {
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let bare = line.trim();
        let command = line.trim_start_matches(' ').starts_with(':') || line.starts_with('!');
        if !(command || bare.is_empty() || line.starts_with("//")) {
            return start;
        }
        start += line.len();
    }
    source.len()
}

/// The statements of a cell, parsed as the body of a function.
pub struct Statements {
    /// All statements, the tail expression last.
    pub nodes: Vec<SyntaxNode>,
    tail: Option<ast::Expr>,
}

impl Statements {
    /// Parses what follows `base`; `None` if it does not parse.
    pub fn parse(source: &str, base: usize) -> Option<Self> {
        Self::parse_with(source, base, false)
    }

    fn parse_lenient(source: &str, base: usize) -> Option<Self> {
        Self::parse_with(source, base, true)
    }

    fn parse_with(source: &str, base: usize, lenient: bool) -> Option<Self> {
        let code = source.get(base..)?;
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

/// `MACHINE[0] = …` and its kin.
struct Assignment {
    target: ast::IndexExpr,
    equals: ra_ap_syntax::SyntaxToken,
    function: ast::Expr,
}

impl Assignment {
    fn of(expr: &ast::BinExpr) -> Option<Self> {
        let (equals, operator) = expr.op_details()?;
        if operator != (ast::BinaryOp::Assignment { op: None }) {
            return None;
        }
        let Some(ast::Expr::IndexExpr(target)) = expr.lhs() else { return None };
        let function = expr.rhs()?;
        let machine = target.base().is_some_and(
            |base| matches!(&base, ast::Expr::PathExpr(path) if path.syntax().text().to_string().ends_with("MACHINE")),
        );
        (machine || matches!(function, ast::Expr::ClosureExpr(_))).then_some(Self { target, equals, function })
    }
}

struct Writer<'a> {
    source: &'a str,
    base: usize,
    cell: u32,
    edits: Edits,
}

impl Writer<'_> {
    /// The range of a node in the user's text.
    fn range(&self, node: &SyntaxNode) -> Range<usize> {
        self.shift(node.text_range())
    }

    fn shift(&self, range: ra_ap_syntax::TextRange) -> Range<usize> {
        let shift = |at: ra_ap_syntax::TextSize| (usize::from(at) + self.base).saturating_sub(WRAPPER.len());
        shift(range.start())..shift(range.end())
    }

    fn statement(&mut self, statement: &SyntaxNode) {
        let mut walk = statement.preorder();
        while let Some(event) = walk.next() {
            let WalkEvent::Enter(node) = event else { continue };
            if (node != *statement && is_item(&node)) || !self.own(&node) {
                walk.skip_subtree();
            }
        }
    }

    /// Edits one node; returns whether what is inside belongs to the cell's own statements.
    fn own(&mut self, node: &SyntaxNode) -> bool {
        if ast::ClosureExpr::can_cast(node.kind()) || node.kind() == SyntaxKind::TOKEN_TREE {
            return false;
        }
        if let Some(block) = ast::BlockExpr::cast(node.clone()) {
            return block.async_token().is_none()
                && block.const_token().is_none()
                && block.try_block_modifier().is_none();
        }
        if let Some(tried) = ast::TryExpr::cast(node.clone()) {
            self.tried(&tried);
        } else if let Some(body) = loop_body(node) {
            if let Some(brace) = body.stmt_list().and_then(|list| list.l_curly_token()) {
                let at = self.shift(brace.text_range()).end;
                self.edits.insert(at, " ::machine::cell::check();", at..at);
            }
        } else if let Some(expr) = ast::BinExpr::cast(node.clone())
            && is_statement(node)
            && let Some(assignment) = Assignment::of(&expr)
        {
            self.assignment(&assignment, node);
        }
        true
    }

    fn tried(&mut self, tried: &ast::TryExpr) {
        let (Some(inner), Some(mark)) = (tried.expr(), tried.question_mark_token()) else { return };
        let whole = self.range(tried.syntax());
        let mark = self.shift(mark.text_range());
        let line = line_of(self.source, mark.start);
        self.edits.insert(self.range(inner.syntax()).start, "::machine::cell::tried(", whole.clone());
        self.edits.replace(mark.clone(), format!(", {line})"), mark);
    }

    fn assignment(&mut self, assignment: &Assignment, statement: &SyntaxNode) {
        let whole = self.range(statement);
        let target = self.range(assignment.target.syntax());
        let function = self.range(assignment.function.syntax());
        let equals = self.shift(assignment.equals.text_range());
        let code = self.source.get(function.clone()).unwrap_or_default();
        let line = line_of(self.source, whole.start);
        let cell = self.cell;
        self.edits.insert(target.start, "::machine::cell::assign(&", function.clone());
        self.edits.replace(equals, ",", function.clone());
        if let ast::Expr::ClosureExpr(closure) = &assignment.function {
            self.parameters(closure);
        }
        self.edits.insert(function.end, format!(", {code:?}, {cell}, {line})"), function);
    }

    /// Gives the closure's parameters a type where the user gave none.
    fn parameters(&mut self, closure: &ast::ClosureExpr) {
        let Some(list) = closure.param_list() else { return };
        for parameter in list.params().filter(|parameter| parameter.ty().is_none()) {
            let annotation = match parameter.pat() {
                Some(ast::Pat::IdentPat(_)) => ": &::machine::Value",
                Some(ast::Pat::WildcardPat(_)) => ": ::machine::Ignored",
                _ => continue,
            };
            let range = self.range(parameter.syntax());
            self.edits.insert(range.end, annotation, range);
        }
    }
}

/// Whether a tail expression can have a value to show.
fn is_shown(tail: &ast::Expr) -> bool {
    match tail {
        ast::Expr::ForExpr(_) | ast::Expr::WhileExpr(_) => false,
        ast::Expr::BinExpr(expr) => !matches!(expr.op_kind(), Some(ast::BinaryOp::Assignment { .. })),
        // `name! { … }` may stand for items and statements, which cannot be put into an expression.
        ast::Expr::MacroExpr(expr) => {
            let tree = expr.macro_call().and_then(|call| call.token_tree());
            tree.is_none_or(|tree| tree.l_curly_token().is_none())
        }
        _ => true,
    }
}

fn loop_body(node: &SyntaxNode) -> Option<ast::BlockExpr> {
    if let Some(expr) = ast::ForExpr::cast(node.clone()) {
        expr.loop_body()
    } else if let Some(expr) = ast::WhileExpr::cast(node.clone()) {
        expr.loop_body()
    } else {
        ast::LoopExpr::cast(node.clone())?.loop_body()
    }
}

/// Whether an expression stands where a statement does: with its `;`, or at the end of a block.
fn is_statement(node: &SyntaxNode) -> bool {
    node.parent().is_some_and(|parent| matches!(parent.kind(), SyntaxKind::EXPR_STMT | SyntaxKind::STMT_LIST))
}

#[cfg(test)]
mod tests;
