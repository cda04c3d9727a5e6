//! Where a cell's code looks whether it has been interrupted.
//!
//! | code | what looks |
//! |---|---|
//! | the cell's own loops | `check()`, at their head ([`super::writer`]) |
//! | loops in functions and closures | `look()`, at their head |
//! | functions that call themselves | `look()`, at their head |
//! | closures that iterators call for numbers, or without end | `look()`, at their head |
//! | a statement that may wait: `sleep(…)`, `x.join()` | `look()`, after it |
//! | a statement of the cell after one that calls something | `look()`, before it |
//! | `x.recv()` | `waiting(…)`, if `x` is a channel of std |
//!
//! A look costs a load and a branch, and keeps the compiler from making vector instructions of a loop. So loops over
//! what is in memory that only compute have none: they end in time. Nor have slots and sources, on which no cell waits.

use super::statements::is_item;
use super::writer::{Assignment, Writer, loop_body};
use ra_ap_syntax::ast::{self, HasArgList, HasAttrs, HasName, RangeItem};
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, WalkEvent};

/// What looks, in code that may be anywhere.
const LOOK: &str = " ::machine::cell::look();";
/// What is written before `x.recv()`; `x` and the rest follow.
const WAITING: &str = "::machine::cell::waiting({ use ::machine::cell::{IsChannel as _, IsOther as _}; \
                       (&&::machine::cell::Probe(&";

/// Methods and functions that may wait for long. What they give may be about an interrupt, so the cell is stopped after
/// the statement that calls one.
const WAITS: [&str; 12] = [
    "sleep",
    "join",
    "accept",
    "wait",
    "wait_with_output",
    "status",
    "output",
    "recv_from",
    "read",
    "read_line",
    "read_to_end",
    "read_to_string",
];
/// Methods that compute, in no time.
const COMPUTES: [&str; 38] = [
    "abs",
    "sqrt",
    "cbrt",
    "powi",
    "powf",
    "exp",
    "ln",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "tanh",
    "atan2",
    "floor",
    "ceil",
    "round",
    "trunc",
    "fract",
    "min",
    "max",
    "clamp",
    "mul_add",
    "hypot",
    "signum",
    "recip",
    "to_bits",
    "pow",
    "wrapping_add",
    "wrapping_sub",
    "wrapping_mul",
    "rotate_left",
    "rotate_right",
    "count_ones",
    "leading_zeros",
    "trailing_zeros",
    "abs_diff",
    "rem_euclid",
];
/// What makes an iterator without an end.
const ENDLESS: [&str; 5] = ["repeat", "repeat_with", "from_fn", "successors", "cycle"];
/// Functions and methods whose closures no cell waits for: they become slots, or run on other threads.
const ELSEWHERE: [&str; 6] = ["set", "set_async", "on_output", "source", "spawn", "spawn_blocking"];
/// Attributes after which code is still what it looks like.
const HARMLESS: [&str; 12] =
    ["allow", "expect", "warn", "deny", "inline", "cold", "must_use", "doc", "deprecated", "derive", "cfg", "repr"];

impl Writer<'_> {
    /// Edits functions and closures in an item or a closure. Nothing but looks is added there.
    pub fn foreign(&mut self, node: &SyntaxNode) {
        let mut walk = node.preorder();
        while let Some(event) = walk.next() {
            if let WalkEvent::Enter(node) = event
                && !self.look_in(&node)
            {
                walk.skip_subtree();
            }
        }
    }

    /// Adds what one node of a function or closure needs; returns whether there may be more inside.
    fn look_in(&mut self, node: &SyntaxNode) -> bool {
        let is_left_alone = matches!(
            node.kind(),
            SyntaxKind::MACRO_CALL
                | SyntaxKind::MACRO_RULES
                | SyntaxKind::CONST
                | SyntaxKind::STATIC
                | SyntaxKind::CONST_ARG
                | SyntaxKind::EXTERN_BLOCK
                | SyntaxKind::ATTR
        );
        // A macro in an attribute may want the code as it was written.
        if is_left_alone || ast::AnyHasAttrs::cast(node.clone()).is_some_and(|node| !node.attrs().all(is_harmless)) {
            return false;
        }
        if let Some(block) = ast::BlockExpr::cast(node.clone()) {
            return is_plain(&block);
        }
        if let Some(function) = ast::Fn::cast(node.clone()) {
            return self.function(&function);
        }
        if let Some(closure) = ast::ClosureExpr::cast(node.clone()) {
            return self.closure(&closure);
        }
        if let Some(body) = loop_body(node) {
            if !ends_in_time(node, &body) {
                self.look_at_head(&body);
            }
        } else {
            self.wait(node);
        }
        true
    }

    /// Adds what a statement or an expression that waits needs.
    pub fn wait(&mut self, node: &SyntaxNode) {
        if let Some(call) = ast::MethodCallExpr::cast(node.clone()) {
            self.receive(&call);
        }
        if matches!(node.kind(), SyntaxKind::LET_STMT | SyntaxKind::EXPR_STMT)
            && node.last_token().is_some_and(|last| last.kind() == SyntaxKind::SEMICOLON)
            && may_wait(node)
        {
            let end = self.range(node).end;
            self.edits.insert(end, LOOK, end..end);
        }
    }

    /// Before a statement of the cell itself.
    pub fn look_before(&mut self, statement: &SyntaxNode) {
        let start = self.range(statement).start;
        // Without the leading `::`: evcxr may take a line that starts with a colon for a command.
        self.edits.insert(start, "machine::cell::look(); ", start..start);
    }

    /// Edits a closure; returns whether there may be more inside.
    pub fn closure(&mut self, closure: &ast::ClosureExpr) -> bool {
        if closure.async_token().is_some() || closure.const_token().is_some() || is_elsewhere(closure) {
            return false;
        }
        let Some(body) = closure.body() else { return false };
        let computes = body.syntax().descendants().all(|inner| computes(&inner));
        if is_called_for_numbers(closure, computes) {
            match &body {
                ast::Expr::BlockExpr(block) if is_plain(block) => self.look_at_head(block),
                ast::Expr::BlockExpr(_) => {}
                _ => {
                    let range = self.range(body.syntax());
                    self.edits.insert(range.start, "{ ::machine::cell::look(); ", range.clone());
                    self.edits.insert(range.end, " }", range);
                }
            }
        }
        true
    }

    /// Edits a function; returns whether its body may be edited.
    fn function(&mut self, function: &ast::Fn) -> bool {
        // Nothing may unwind out of a function that C calls.
        if function.const_token().is_some() || function.abi().is_some() {
            return false;
        }
        let (Some(body), Some(name)) = (function.body(), function.name()) else { return false };
        if calls(body.syntax(), name.text()) {
            self.look_at_head(&body);
        }
        true
    }

    fn look_at_head(&mut self, body: &ast::BlockExpr) {
        let Some(list) = body.stmt_list() else { return };
        // Inner attributes stand first.
        if body.attrs().next().is_none()
            && let Some(brace) = list.l_curly_token()
        {
            let at = self.shift(brace.text_range()).end;
            self.edits.insert(at, LOOK, at..at);
        }
    }

    /// `x.recv()`, where `x` is a place: what it is the compiler finds out.
    fn receive(&mut self, call: &ast::MethodCallExpr) {
        let is_recv = call.name_ref().is_some_and(|name| name.text() == "recv");
        let no_arguments = call.arg_list().is_some_and(|list| list.args().next().is_none());
        let awaited = call.syntax().parent().is_some_and(|parent| ast::AwaitExpr::can_cast(parent.kind()));
        let Some(channel) = call.receiver().filter(is_place) else { return };
        if is_recv && no_arguments && !awaited {
            let (whole, place) = (self.range(call.syntax()), self.range(channel.syntax()));
            let text = self.source.get(place).unwrap_or_default();
            // On one line, as edits are.
            if !text.contains('\n') {
                self.edits.insert(whole.start, format!("{WAITING}{text})).kind() }}, || "), whole.clone());
                self.edits.insert(whole.end, ")", whole);
            }
        }
    }
}

/// Whether an own statement does something that may take time: the next one looks first.
pub fn calls_something(statement: &SyntaxNode) -> bool {
    statement.descendants().any(|node| {
        ast::CallExpr::can_cast(node.kind())
            || ast::MethodCallExpr::can_cast(node.kind())
            || ast::MacroCall::can_cast(node.kind())
    })
}

/// Whether a block is neither `async` nor `const` nor `try`.
fn is_plain(block: &ast::BlockExpr) -> bool {
    block.async_token().is_none() && block.const_token().is_none() && block.try_block_modifier().is_none()
}

/// Whether a statement itself calls something that may wait: not in a block or closure inside of it, which looks by
/// itself.
fn may_wait(statement: &SyntaxNode) -> bool {
    let mut walk = statement.preorder();
    while let Some(event) = walk.next() {
        let WalkEvent::Enter(node) = event else { continue };
        if ast::BlockExpr::can_cast(node.kind()) || ast::ClosureExpr::can_cast(node.kind()) || is_item(&node) {
            walk.skip_subtree();
        } else if called(&node).is_some_and(|name| WAITS.contains(&name.as_str())) {
            return true;
        }
    }
    false
}

/// The name of the function or method that a node calls.
fn called(node: &SyntaxNode) -> Option<String> {
    if let Some(call) = ast::MethodCallExpr::cast(node.clone()) {
        return call.name_ref().map(|name| name.text().to_string());
    }
    match ast::CallExpr::cast(node.clone())?.expr()? {
        ast::Expr::PathExpr(path) => Some(path.path()?.segment()?.name_ref()?.text().to_string()),
        _ => None,
    }
}

fn calls(body: &SyntaxNode, name: &str) -> bool {
    body.descendants().any(|node| called(&node).is_some_and(|called| called == name))
}

/// Whether a loop goes over what is in memory, and only computes.
fn ends_in_time(node: &SyntaxNode, body: &ast::BlockExpr) -> bool {
    let Some(iterable) = ast::ForExpr::cast(node.clone()).and_then(|of| of.iterable()) else { return false };
    if !body.syntax().descendants().skip(1).all(|inner| computes(&inner)) {
        return false;
    }
    let all = || iterable.syntax().descendants();
    let counts = all().any(|inner| ast::RangeExpr::can_cast(inner.kind()));
    // What an index reaches is in memory.
    (!counts || body.syntax().descendants().any(|inner| ast::IndexExpr::can_cast(inner.kind())))
        && !all().any(|inner| called(&inner).is_some_and(|name| ENDLESS.contains(&name.as_str())))
        && !all().any(|inner| ast::ClosureExpr::can_cast(inner.kind()) || ast::MacroCall::can_cast(inner.kind()))
}

fn computes(node: &SyntaxNode) -> bool {
    match node.kind() {
        SyntaxKind::CALL_EXPR
        | SyntaxKind::MACRO_CALL
        | SyntaxKind::CLOSURE_EXPR
        | SyntaxKind::AWAIT_EXPR
        | SyntaxKind::FOR_EXPR
        | SyntaxKind::WHILE_EXPR
        | SyntaxKind::LOOP_EXPR => false,
        SyntaxKind::METHOD_CALL_EXPR => called(node).is_some_and(|name| COMPUTES.contains(&name.as_str())),
        _ => true,
    }
}

/// Whether a closure is an argument in a chain of methods that begins with numbers or has no end: `(0..).map(|n| …)`.
/// Numbers that have an end are soon through with one that only computes.
fn is_called_for_numbers(closure: &ast::ClosureExpr, computes: bool) -> bool {
    let Some(mut call) = method_of(closure.syntax()) else { return false };
    let endless = |node: &SyntaxNode| called(node).is_some_and(|name| ENDLESS.contains(&name.as_str()));
    loop {
        match call.receiver() {
            Some(ast::Expr::MethodCallExpr(before)) => {
                if endless(before.syntax()) {
                    return true;
                }
                call = before;
            }
            Some(ast::Expr::ParenExpr(paren)) => {
                let Some(ast::Expr::RangeExpr(range)) = paren.expr() else { return false };
                return range.end().is_none() || !computes;
            }
            Some(ast::Expr::CallExpr(first)) => return endless(first.syntax()),
            _ => return false,
        }
    }
}

/// The call of a method that a node is an argument of.
fn method_of(node: &SyntaxNode) -> Option<ast::MethodCallExpr> {
    let list = node.parent().and_then(ast::ArgList::cast)?;
    list.syntax().parent().and_then(ast::MethodCallExpr::cast)
}

/// Whether a closure is a slot, makes what a source gives, or runs on a thread that it is handed to.
fn is_elsewhere(closure: &ast::ClosureExpr) -> bool {
    closure.syntax().ancestors().any(|node| {
        if let Some(expr) = ast::BinExpr::cast(node.clone()) {
            return Assignment::of(&expr).is_some();
        }
        let machine = || node.first_token().is_some_and(|first| first.text() == "MACHINE");
        called(&node).is_some_and(|name| ELSEWHERE.contains(&name.as_str()))
            || (ast::MethodCallExpr::can_cast(node.kind()) && machine())
    })
}

fn is_harmless(attribute: ast::Attr) -> bool {
    attribute.path().is_some_and(|path| HARMLESS.contains(&path.syntax().text().to_string().as_str()))
}

fn is_place(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::PathExpr(_) => true,
        ast::Expr::FieldExpr(field) => field.expr().as_ref().is_some_and(is_place),
        _ => false,
    }
}
