//! What is inside of macros that take expressions.
//!
//! A macro may do anything with what it is given, so only those of the standard library that evaluate their arguments
//! as they stand are looked into, and `json!`. Not `dbg!`, which prints its argument's text.

use super::super::edits::line_of;
use super::statements::Statements;
use super::writer::Writer;
use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken};
use std::ops::Range;

type Child = NodeOrToken<SyntaxNode, SyntaxToken>;

/// What a macro takes.
enum Takes {
    /// Expressions, of which some may be named: `a, b = c`.
    Expressions,
    /// A condition, whose text it shows, and what else to say.
    Condition,
    /// JSON with expressions in it.
    Json,
}

fn takes(name: &str) -> Option<Takes> {
    match name {
        "print" | "println" | "eprint" | "eprintln" | "format" | "format_args" | "write" | "writeln" | "panic"
        | "todo" | "unimplemented" | "unreachable" | "assert_eq" | "assert_ne" | "debug_assert_eq"
        | "debug_assert_ne" | "vec" => Some(Takes::Expressions),
        "assert" | "debug_assert" => Some(Takes::Condition),
        "json" => Some(Takes::Json),
        _ => None,
    }
}

impl Writer<'_> {
    /// Edits the expressions that a macro takes, if it is known to take such.
    pub fn macro_call(&mut self, call: &ast::MacroCall) {
        let Some(tree) = call.token_tree() else { return };
        let name = call.path().and_then(|path| path.segment()).and_then(|segment| segment.name_ref());
        // With its delimiters a list of arguments reads as a tuple or an array.
        match name.and_then(|name| takes(name.text())) {
            Some(Takes::Expressions) => self.piece(self.range(tree.syntax()), |_, _| ()),
            Some(Takes::Condition) => self.piece(self.range(tree.syntax()), Self::condition),
            Some(Takes::Json) => self.json(tree.syntax()),
            None => self.unseen(self.range(tree.syntax())),
        }
    }

    /// Edits a piece of the source that is an expression, then does more with it if something was edited.
    fn piece(&mut self, piece: Range<usize>, then: impl FnOnce(&mut Self, &ast::Expr)) {
        let Some(expr) = Statements::expression(self.source, piece.clone()) else { return self.unseen(piece) };
        let outer = std::mem::replace(&mut self.base, piece.start);
        let edits = self.edits.len();
        self.statement(expr.syntax());
        if self.edits.len() > edits {
            then(self, &expr);
        }
        self.base = outer;
    }

    /// A failed assertion is to show what the user wrote.
    fn condition(&mut self, arguments: &ast::Expr) {
        let only = match arguments {
            ast::Expr::ParenExpr(paren) => paren.expr(),
            ast::Expr::TupleExpr(tuple) => tuple.fields().next().filter(|_| tuple.fields().nth(1).is_none()),
            _ => None,
        };
        if let Some(only) = only {
            let range = self.range(only.syntax());
            let text = self.source.get(range.clone()).unwrap_or_default();
            self.edits.insert(range.end, format!(", \"assertion failed: {{}}\", {text:?}"), range);
        }
    }

    /// The values of an object or a list in `json!`, or what stands in its parentheses.
    fn json(&mut self, tree: &SyntaxNode) {
        let children: Vec<Child> = tree.children_with_tokens().filter(|child| !child.kind().is_trivia()).collect();
        let [open, inner @ .., _] = children.as_slice() else { return };
        let object = open.kind() == SyntaxKind::L_CURLY;
        let mut rest = inner;
        while !rest.is_empty() {
            if object {
                rest = rest.get(value_at(rest)..).unwrap_or_default();
            }
            if let Some(NodeOrToken::Node(nested)) = rest.first()
                && rest.get(1).is_none_or(|next| next.kind() == SyntaxKind::COMMA)
                && nested.first_token().is_some_and(|token| token.kind() != SyntaxKind::L_PAREN)
            {
                self.json(nested);
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            rest = self.json_value(rest);
        }
    }

    /// Edits the expression that comes first; returns what comes after its comma. A comma may also stand inside of a
    /// list of types: so the first piece that is an expression is taken.
    fn json_value<'c>(&mut self, children: &'c [Child]) -> &'c [Child] {
        let Some(first) = children.first() else { return children };
        let commas = children.iter().enumerate().filter(|(_, child)| child.kind() == SyntaxKind::COMMA);
        let ends: Vec<usize> = commas.map(|(at, _)| at).chain([children.len()]).collect();
        let range = |end: usize| {
            let last = end.checked_sub(1).and_then(|last| children.get(last)).unwrap_or(first);
            self.shift(first.text_range().cover(last.text_range()))
        };
        let is_expression = |end: &&usize| Statements::expression(self.source, range(**end)).is_some();
        let end = ends.iter().find(is_expression).copied().unwrap_or(children.len());
        let piece = range(end);
        self.piece(piece, |_, _| ());
        children.get(end + 1..).unwrap_or_default()
    }

    /// Takes note of a `?` in a piece of the source that is left alone.
    fn unseen(&mut self, piece: Range<usize>) {
        let text = self.source.get(piece.clone()).unwrap_or_default();
        if let Some(at) = text.find('?') {
            let line = line_of(self.source, piece.start + at);
            self.unseen.get_or_insert(line);
        }
    }
}

/// Where the value of an object's first member begins: behind a colon that is not part of a path.
fn value_at(children: &[Child]) -> usize {
    let colon =
        |at: Option<usize>| at.and_then(|at| children.get(at)).is_some_and(|child| child.kind() == SyntaxKind::COLON);
    let mut places = 0..children.len();
    let found = places.find(|&at| colon(Some(at)) && !colon(at.checked_sub(1)) && !colon(at.checked_add(1)));
    found.map_or(children.len(), |at| at + 1)
}
