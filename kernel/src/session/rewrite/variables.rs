//! The variables that a cell leaves to later ones, and their types.

use super::super::definitions::Definitions;
use super::Types;
use super::types::{Plain, is_full};
use super::writer::Writer;
use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxKind, SyntaxNode};

impl Writer<'_> {
    /// Says what is known of the types of the variables that the cell's own statements define. Those that are plain to
    /// see, with what is known of the session's names, are added, if that gives all of them.
    pub fn variables(&mut self, statements: &[&SyntaxNode], names: Option<&Definitions>) -> Types {
        let mut guesses = Vec::new();
        for variable in statements.iter().filter_map(|node| ast::LetStmt::cast((*node).clone())) {
            if variable.ty().is_some_and(|ty| is_full(&ty)) && matches!(variable.pat(), Some(ast::Pat::IdentPat(_))) {
                continue;
            }
            if matches!(variable.pat(), Some(ast::Pat::WildcardPat(_))) {
                continue;
            }
            match names.and_then(|names| guessed(&variable, statements, names)) {
                Some(guess) => guesses.push(guess),
                None => return Types::Unknown,
            }
        }
        let types = if guesses.is_empty() { Types::Given } else { Types::Guessed };
        for (pattern, ty) in guesses {
            let range = self.range(pattern.syntax());
            self.edits.insert(range.end, format!(": {ty}"), range);
        }
        types
    }
}

/// The variable of a statement and its type.
fn guessed(
    variable: &ast::LetStmt,
    statements: &[&SyntaxNode],
    known: &Definitions,
) -> Option<(ast::IdentPat, String)> {
    let Some(ast::Pat::IdentPat(pattern)) = variable.pat() else { return None };
    let simple = pattern.ref_token().is_none() && pattern.at_token().is_none();
    if !simple || variable.ty().is_some() || variable.let_else().is_some() {
        return None;
    }
    let name = pattern.name()?;
    // A number's type may depend on what is done with it.
    let tokens = statements.iter().flat_map(|node| node.descendants_with_tokens());
    let names = tokens.filter_map(NodeOrToken::into_token).filter(|token| token.kind() == SyntaxKind::IDENT);
    let alone = names.filter(|token| token.text() == name.text()).count() == 1;
    let plain = Plain { names: known, alone };
    Some((pattern, plain.of(&variable.initializer()?)?))
}
