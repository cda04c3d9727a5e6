//! A cell as it is compiled: what the user wrote, with inline edits.
//!
//! | the user writes | what is compiled |
//! |---|---|
//! | the first statement | `machine::cell::enter();` before it, `leave();` after the last |
//! | `MACHINE[0] = \|x\| x;` | `::machine::cell::assign(&MACHINE[0], \|x: &::machine::Value\| x, "code", cell, line);` |
//! | `MACHINE[0] = async \|x: u64\| x;` | the same with `::machine_async::slot(async \|x: u64\| x)` |
//! | `let x = 1.0;` | `let x: f64 = 1.0;`, where the type is plain to see ([`types`]) |
//! | `let v = f();` | `let v = f(); #[cfg(any())] let v: Vec<u8> = loop {};`, where the compiler was asked ([`variables`]) |
//! | `static N: u8 = 0;` | the same with the name under which it is exported ([`super::statics`]) |
//! | `for … { … }` | `check();` first in the body, and more so that an interrupt is seen ([`interrupts`]) |
//! | `dbg!(e)`, `line!()`, `file!()` | `::machine::dbg!("cell [3]:1:1"; e)`, `1u32`, `"cell [3]"` ([`places`]) |
//! | `e?` | `::machine::cell::tried(e, \|value\| …, line)` |
//! | a final expression `e` | `match (e) { ref value => { last(); value.evcxr_display(); } }` |
//!
//! But for what names a place, only the cell's own statements are edited: not `async` or `const` blocks, of macros only
//! what is known to be an expression ([`macros`]), and of items and closures only what an interrupt needs. No edit adds
//! or removes a line. A cell that does not parse is left as it
//! is: the compiler says better what is wrong with it.

mod interrupts;
mod macros;
mod places;
mod statements;
mod types;
mod unnamed;
mod variables;
mod writer;

use super::cell_lines;
use super::definitions::Definitions;
use super::edits::{Edited, Edits, line_of};
use super::inference::VariableTypes;
use super::statics::Exports;
use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxNode, SyntaxToken};

use interrupts::calls_something;
pub use statements::{Statements, is_item, rust_start};
pub use unnamed::{implementations, name_of};
use writer::{Assignment, Writer};

/// How the text of an error that a `?` meets is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorText {
    /// By what its type has. The compiler takes `Display` for granted where it does not know the type yet.
    Best,
    /// By `Debug`.
    Debug,
}

/// How a cell is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<'a> {
    /// How the text of an error is found.
    pub errors: ErrorText,
    /// Where the types of variables come from.
    pub variables: Variables<'a>,
    /// Under which names statics are exported.
    pub statics: &'a Exports,
}

/// Where the types come from of the variables that a cell leaves to later ones, if the user wrote none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variables<'a> {
    /// From nowhere: the cell is compiled as it was written.
    AsWritten,
    /// From the text, where they are plain to see with what the session's names mean, this cell's included. The compiler
    /// checks them: a cell whose form has a wrong one does not compile.
    Plain(&'a Definitions),
    /// This form asks the compiler for them, and never runs.
    Asked,
    /// From here, as they are to be written.
    Known(&'a VariableTypes),
}

/// What is known of the types of the variables that a cell leaves to later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// There are none, or the user has given all their types.
    Given,
    /// Those that the user has not given have been added.
    Added,
    /// There is one whose type has to be inferred.
    Unknown,
}

/// A cell and its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text to compile and the way back.
    pub edited: Edited,
    /// Whether something of it runs: it has statements, not only items.
    pub runs: bool,
    /// The line of the first `?` of the cell itself that could not be edited: evcxr ends the cell there, in silence.
    pub unseen: Option<u32>,
    /// What is known of its variables.
    pub types: Types,
}

/// Rewrites a cell. `cell` is its execution count; `prelude` is put before everything else in the Rust code.
pub fn rewrite(source: &str, cell: u32, prelude: &str, form: Form<'_>) -> Rewritten {
    edit(source, cell, prelude, form, false)
}

/// As `rewrite`, and each statement and item says which cell and line it is from ([`cell_lines`]).
pub fn rewrite_with_places(source: &str, cell: u32, prelude: &str, form: Form<'_>) -> Rewritten {
    edit(source, cell, prelude, form, true)
}

fn edit(source: &str, cell: u32, prelude: &str, form: Form<'_>, marked: bool) -> Rewritten {
    let base = rust_start(source);
    let Some(statements) = Statements::parse(source, base) else {
        // With something before it, evcxr does not take a path for a command.
        let is_path = source.get(base..).is_some_and(|rust| rust.trim_start_matches(' ').starts_with("::"));
        let prelude = if prelude.is_empty() && is_path { "/**/" } else { prelude };
        return Rewritten {
            edited: with_prelude(source, base, prelude),
            runs: true,
            unseen: None,
            types: Types::Unknown,
        };
    };
    let mut writer = Writer::new(source, base, cell, form.errors);
    for implementation in implementations(&statements.nodes) {
        let start = writer.range(implementation.syntax()).start;
        writer.edits.insert(start, format!("mod {} {{}} ", name_of(&implementation)), start..start);
    }
    let marked = statements.nodes.iter().filter(|node| marked && !has_no_place(node));
    for token in marked.filter_map(first_token) {
        let range = writer.shift(token.text_range());
        writer.edits.insert(range.end, cell_lines::mark(cell, line_of(source, range.start)), range);
    }
    if !prelude.is_empty() {
        writer.edits.insert(base, opening(source, base, prelude), base..base);
    }
    for (&at, symbol) in form.statics {
        writer.edits.insert(at, format!("#[unsafe(export_name = \"{symbol}\")] "), at..at);
    }
    let (items, own): (Vec<&SyntaxNode>, Vec<&SyntaxNode>) = statements.nodes.iter().partition(|node| is_item(node));
    for item in items {
        writer.foreign(item);
    }
    let (Some(first), Some(last)) = (own.first(), own.last()) else {
        writer.places(&statements.nodes);
        return Rewritten { edited: writer.edits.apply(source), runs: false, unseen: None, types: Types::Given };
    };
    let start = writer.range(first).start;
    // Without the leading `::`: evcxr takes a line that starts with a colon for a command.
    writer.edits.insert(start, "machine::cell::enter(); ", start..start);
    let tail = statements.tail.filter(|tail| tail.syntax() == *last);
    let shown = tail.as_ref().filter(|tail| is_shown(tail)).map(|tail| writer.range(tail.syntax()));
    let mut called = false;
    for node in &own {
        if std::mem::replace(&mut called, calls_something(node)) {
            writer.look_before(node);
        }
        // Openings at one place are written outermost first, so this one before those inside of the expression.
        if let Some(range) = shown.as_ref().filter(|_| node == last) {
            writer.edits.insert(range.start, "match (", range.clone());
        }
        writer.statement(node);
    }
    let (types, asking) = writer.variables(&own, form.variables);
    let end = writer.range(last);
    let close = match (shown, tail) {
        (Some(_), _) => ") { ref value => { ::machine::cell::last(); value.evcxr_display(); } }",
        (None, Some(_)) => ";",
        (None, None) => "",
    };
    writer.edits.insert(end.end, format!("{close} {asking}::machine::cell::leave();"), end);
    // Last: what is inserted where such a macro starts stands around it.
    writer.places(&statements.nodes);
    Rewritten { edited: writer.edits.apply(source), runs: true, unseen: writer.unseen, types }
}

/// Whether Rust code, rewritten, has async closures in slots: they need the crate `machine-async`.
pub fn is_async(rewritten: &str) -> bool {
    rewritten.contains("machine_async")
}

/// A cell for completion: only what the parser of a half-written cell can still understand.
pub fn annotated(source: &str, prelude: &str) -> Edited {
    let base = rust_start(source);
    let mut writer = Writer::new(source, base, 0, ErrorText::Best);
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

/// The prelude as it stands at the start of the Rust code: on its own line, if only commands come before it.
fn opening(source: &str, base: usize, prelude: &str) -> String {
    let line_is_open = source.get(..base).is_some_and(|head| !head.is_empty() && !head.ends_with('\n'));
    format!("{}{prelude}", if line_is_open { "\n" } else { "" })
}

/// Whether evcxr makes something else of it, or nothing in it runs.
fn has_no_place(node: &SyntaxNode) -> bool {
    ast::Attr::can_cast(node.kind()) || ast::Use::can_cast(node.kind()) || ast::ExternCrate::can_cast(node.kind())
}

/// The first token that is no comment: one that documents is part of what it documents.
fn first_token(node: &SyntaxNode) -> Option<SyntaxToken> {
    node.descendants_with_tokens().filter_map(NodeOrToken::into_token).find(|token| !token.kind().is_trivia())
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

#[cfg(test)]
mod tests;
