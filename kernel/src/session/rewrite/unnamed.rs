//! Implementations that stand alone in a cell.
//!
//! evcxr replaces an item by its name, and with it the implementations that stand behind it in its cell. One that
//! stands behind nothing has no name to be replaced by: the cell run again would implement twice. So it gets a module
//! without content before it, whose name stands for what is implemented.

use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, SyntaxNode};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The implementations among the statements of a cell that stand behind no item with a name.
pub fn implementations(statements: &[SyntaxNode]) -> Vec<ast::Impl> {
    let before = statements.iter().take_while(|node| !ast::Item::cast((*node).clone()).is_some_and(|it| is_named(&it)));
    before.cloned().filter_map(ast::Impl::cast).collect()
}

/// Whether evcxr keeps what stands behind an item with it.
fn is_named(item: &ast::Item) -> bool {
    !matches!(
        item,
        ast::Item::Impl(_)
            | ast::Item::Use(_)
            | ast::Item::ExternCrate(_)
            | ast::Item::ExternBlock(_)
            | ast::Item::MacroRules(_)
            | ast::Item::MacroCall(_)
            | ast::Item::AsmExpr(_)
    )
}

/// The name of the module before an implementation: the same for the same trait and type, or for the same type and
/// first function.
pub fn name_of(implementation: &ast::Impl) -> String {
    let mut hasher = DefaultHasher::new();
    for part in [implementation.trait_(), implementation.self_ty()] {
        part.map(|part| part.syntax().text().to_string()).hash(&mut hasher);
    }
    if implementation.trait_().is_none() {
        let mut items = implementation.assoc_item_list().into_iter().flat_map(|list| list.assoc_items());
        let name = items.find_map(|item| match item {
            ast::AssocItem::Fn(item) => ast::HasName::name(&item),
            ast::AssocItem::Const(item) => ast::HasName::name(&item),
            _ => None,
        });
        name.map(|name| name.text().to_string()).hash(&mut hasher);
    }
    format!("__impl_{:016x}", hasher.finish())
}
