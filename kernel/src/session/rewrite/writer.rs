//! The edits of a cell's own statements.

use super::super::edits::{Edits, line_of};
use super::ErrorText;
use super::statements::{WRAPPER, is_item};
use ra_ap_syntax::ast::{self, HasLoopBody};
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, WalkEvent};
use std::ops::Range;

/// Makes a slot's function of an async closure.
const ASYNC_SLOT: &str = "::machine_async::slot(";

/// `MACHINE[0] = …` and its kin.
pub struct Assignment {
    target: ast::IndexExpr,
    equals: ra_ap_syntax::SyntaxToken,
    function: ast::Expr,
}

impl Assignment {
    /// What an expression assigns to a slot, if it does.
    pub fn of(expr: &ast::BinExpr) -> Option<Self> {
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

/// The edits of a cell under construction.
pub struct Writer<'a> {
    /// What the user wrote.
    pub source: &'a str,
    /// Where what is parsed begins in it.
    pub base: usize,
    cell: u32,
    errors: ErrorText,
    /// The edits so far.
    pub edits: Edits,
    /// The line of the first `?` that was left alone.
    pub unseen: Option<u32>,
}

impl<'a> Writer<'a> {
    /// No edits yet. `base` is where the code starts; `cell` is the execution count.
    pub fn new(source: &'a str, base: usize, cell: u32, errors: ErrorText) -> Self {
        Self { source, base, cell, errors, edits: Edits::default(), unseen: None }
    }

    /// The execution count of the cell.
    pub fn cell(&self) -> u32 {
        self.cell
    }

    /// The range of a node in the user's text.
    pub fn range(&self, node: &SyntaxNode) -> Range<usize> {
        self.shift(node.text_range())
    }

    /// A range of what was parsed in the user's text.
    pub fn shift(&self, range: ra_ap_syntax::TextRange) -> Range<usize> {
        let shift = |at: ra_ap_syntax::TextSize| (usize::from(at) + self.base).saturating_sub(WRAPPER.len());
        shift(range.start())..shift(range.end())
    }

    /// Edits a statement of the cell's own.
    pub fn statement(&mut self, statement: &SyntaxNode) {
        let mut walk = statement.preorder();
        while let Some(event) = walk.next() {
            let WalkEvent::Enter(node) = event else { continue };
            if node != *statement && is_item(&node) {
                self.foreign(&node);
                walk.skip_subtree();
            } else if !self.own(&node) {
                walk.skip_subtree();
            } else if node != *statement {
                self.wait(&node);
            }
        }
    }

    /// Edits one node; returns whether what is inside belongs to the cell's own statements.
    fn own(&mut self, node: &SyntaxNode) -> bool {
        if ast::ClosureExpr::can_cast(node.kind()) {
            self.foreign(node);
            return false;
        }
        if let Some(call) = ast::MacroCall::cast(node.clone()) {
            self.macro_call(&call);
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
        let text = match self.errors {
            ErrorText::Best => "ByDisplay as _, ByDebug as _, ByName as _",
            ErrorText::Debug => "ByDebug as _, ByName as _",
        };
        self.edits.insert(self.range(inner.syntax()).start, "::machine::cell::tried(", whole.clone());
        let text = format!(", |value| {{ use ::machine::cell::{{{text}}}; (&&value).text() }}, {line})");
        self.edits.replace(mark.clone(), text, mark);
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
        let mut close = "";
        if let ast::Expr::ClosureExpr(closure) = &assignment.function {
            if closure.async_token().is_some() {
                self.edits.insert(function.start, ASYNC_SLOT, function.clone());
                close = ")";
            }
            self.parameters(closure);
        }
        self.edits.insert(function.end, format!("{close}, {code:?}, {cell}, {line})"), function);
    }

    /// Gives the closure's parameters a type where the user gave none.
    pub fn parameters(&mut self, closure: &ast::ClosureExpr) {
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

/// The body of a loop.
pub fn loop_body(node: &SyntaxNode) -> Option<ast::BlockExpr> {
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
