//! The variables that a cell leaves to later ones, and their types.

use super::super::definitions::Definitions;
use super::super::inference::{self, VariableTypes};
use super::types::{Plain, is_full};
use super::writer::Writer;
use super::{Types, Variables};
use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxKind, SyntaxNode};

/// The type that stands in the form that asks, for evcxr, which wants a name: the compiler infers it.
const INFERRED: &str = "::machine::inferred!()";

impl Writer<'_> {
    /// Adds types to the variables that the cell's own statements define, if all are known. Returns what is known of them,
    /// and what is asked at the end of the cell.
    ///
    /// evcxr takes a variable's type from the text of its last `let`. So a type is added as another `let`, which the
    /// compiler does not see: it changes nothing of what the compiler infers, whatever the pattern. Types that are plain to
    /// see are guesses, so they go where the compiler checks them.
    pub fn variables(&mut self, statements: &[&SyntaxNode], from: Variables<'_>) -> (Types, String) {
        let lets = statements.iter().filter_map(|node| ast::LetStmt::cast((*node).clone()));
        let open: Vec<ast::LetStmt> = lets.filter(|variable| !is_given(variable)).collect();
        if open.is_empty() {
            return (Types::Given, String::new());
        }
        let mut at_end = String::new();
        let types = match from {
            Variables::AsWritten => Types::Unknown,
            Variables::Plain(names) => self.plain(&open, statements, names),
            Variables::Known(types) => self.known(&open, types),
            Variables::Asked => {
                for variable in &open {
                    self.ask(variable, &mut at_end);
                }
                Types::Added
            }
        };
        (types, at_end)
    }

    fn plain(&mut self, open: &[ast::LetStmt], statements: &[&SyntaxNode], names: &Definitions) -> Types {
        let guesses: Option<Vec<_>> = open.iter().map(|variable| guessed(variable, statements, names)).collect();
        let Some(guesses) = guesses else { return Types::Unknown };
        for (pattern, ty) in guesses {
            let range = self.range(pattern.syntax());
            self.edits.insert(range.end, format!(": {ty}"), range);
        }
        Types::Added
    }

    fn known(&mut self, open: &[ast::LetStmt], types: &VariableTypes) -> Types {
        let known = |(pattern, name): &(ast::IdentPat, String)| Some(hidden(pattern, name, types.get(name)?));
        let added: Option<Vec<String>> =
            open.iter().map(|variable| bindings(variable).iter().map(known).collect()).collect();
        let Some(added) = added else { return Types::Unknown };
        for (variable, text) in open.iter().zip(added) {
            let range = self.range(variable.syntax());
            self.edits.insert(range.end, text, range);
        }
        Types::Added
    }

    fn ask(&mut self, variable: &ast::LetStmt, at_end: &mut String) {
        let mut text = String::new();
        for (pattern, name) in bindings(variable) {
            text.push_str(&hidden(&pattern, &name, INFERRED));
            // What has no value yet has one at the end.
            let place = if variable.initializer().is_some() { &mut text } else { &mut *at_end };
            place.push_str(&format!(" {} ", inference::question(&name)));
        }
        let range = self.range(variable.syntax());
        self.edits.insert(range.end, text, range);
    }
}

/// Whether the user wrote the whole type of the one variable that a statement defines, or it defines none.
fn is_given(variable: &ast::LetStmt) -> bool {
    match variable.pat() {
        Some(ast::Pat::IdentPat(_)) => variable.ty().is_some_and(|ty| is_full(&ty)),
        pattern => matches!(pattern, Some(ast::Pat::WildcardPat(_))),
    }
}

/// The variables that a statement defines.
fn bindings(variable: &ast::LetStmt) -> Vec<(ast::IdentPat, String)> {
    let patterns = variable.pat().into_iter().flat_map(|pattern| pattern.syntax().descendants().collect::<Vec<_>>());
    let named = |pattern: ast::IdentPat| pattern.name().map(|name| (pattern, name.syntax().text().to_string()));
    patterns.filter_map(ast::IdentPat::cast).filter_map(named).collect()
}

/// A `let` for evcxr alone.
fn hidden(pattern: &ast::IdentPat, name: &str, ty: &str) -> String {
    let mutable = if pattern.mut_token().is_some() { "mut " } else { "" };
    format!(" #[cfg(any())] let {mutable}{name}: {ty} = loop {{}};")
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
