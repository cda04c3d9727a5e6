//! Macros that name a place in the source: `dbg!`, `file!`, `line!` and `column!` name the cell.
//!
//! The compiler knows the file that evcxr has made of the cell, and where in it a line ended up. That is nobody's
//! business but ours, so the macros become what the user would expect from them. Not in the definition of a macro,
//! which may be used elsewhere, and not behind a path, which may lead to another macro.

use super::super::edits::line_of;
use super::writer::Writer;
use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken, WalkEvent};

/// Where the `dbg!` is that gets its place from here.
const DBG: &str = "::machine::";

impl Writer<'_> {
    /// Edits the macros in these nodes that name a place. Not those of a script, which is compiled under its name.
    pub fn places(&mut self, nodes: &[SyntaxNode]) {
        if self.cell() == 0 {
            return;
        }
        for node in nodes {
            let tokens = tokens(node);
            for (at, [name, mark, open]) in tokens.array_windows().enumerate() {
                if name.kind() == SyntaxKind::IDENT && mark.kind() == SyntaxKind::BANG {
                    self.place(name, open, tokens.get(at + 3));
                }
            }
        }
    }

    /// Edits one macro, if it is one of those. `next` is what follows its opening bracket.
    fn place(&mut self, name: &SyntaxToken, open: &SyntaxToken, next: Option<&SyntaxToken>) {
        if !matches!(open.kind(), SyntaxKind::L_PAREN | SyntaxKind::L_BRACK | SyntaxKind::L_CURLY) {
            return;
        }
        let start = self.shift(name.text_range()).start;
        let before = self.source.get(..start).unwrap_or_default().trim_end();
        if before.ends_with("::") || before.ends_with('$') {
            return;
        }
        let (line, column) = (line_of(self.source, start), column_of(self.source, start));
        let cell = self.cell();
        let text = match name.text() {
            "dbg" if open.kind() == SyntaxKind::L_PAREN => {
                let end = self.shift(open.text_range()).end;
                self.edits.insert(start, DBG, start..end);
                return self.edits.insert(end, format!("\"cell [{cell}]:{line}:{column}\"; "), start..end);
            }
            "file" => format!("\"cell [{cell}]\""),
            "line" => format!("{line}u32"),
            "column" => format!("{column}u32"),
            _ => return,
        };
        if let Some(close) =
            next.filter(|next| matches!(next.kind(), SyntaxKind::R_PAREN | SyntaxKind::R_BRACK | SyntaxKind::R_CURLY))
        {
            let range = start..self.shift(close.text_range()).end;
            // An edit keeps the lines where they are.
            if !self.source.get(range.clone()).unwrap_or_default().contains('\n') {
                self.edits.replace(range.clone(), text, range);
            }
        }
    }
}

/// The tokens of a node, without blanks and comments, and without what defines a macro.
fn tokens(node: &SyntaxNode) -> Vec<SyntaxToken> {
    let mut tokens = Vec::new();
    let mut walk = node.preorder_with_tokens();
    while let Some(event) = walk.next() {
        match event {
            WalkEvent::Enter(NodeOrToken::Node(node))
                if ast::MacroRules::can_cast(node.kind()) || ast::MacroDef::can_cast(node.kind()) =>
            {
                walk.skip_subtree();
            }
            WalkEvent::Enter(NodeOrToken::Token(token)) if !token.kind().is_trivia() => tokens.push(token),
            _ => {}
        }
    }
    tokens
}

/// The 1-based column of a place, in characters, as the compiler counts.
fn column_of(source: &str, at: usize) -> usize {
    let before = source.get(..at).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().chars().count() + 1
}
