//! What a session defines: a hash of each of the user's items, and of all that it reaches.
//!
//! A type redefined in a later cell keeps its name and its `TypeId` but not its layout, so the engine tells types
//! apart by their name and this hash. It covers the item's text and that of every item whose name occurs in it,
//! directly or through others. Associated types can change a layout too, so an `impl` with one counts as part of
//! the type and of the trait that it names.
//!
//! From the same items is known what a name means in the session: see [`Definitions::meaning`].

use super::rewrite::{Statements, rust_start};
use ra_ap_syntax::ast::{self, HasGenericParams, HasName};
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

/// One item: a hash of its text, and the names that occur in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    hash: u64,
    names: BTreeSet<String>,
}

/// What a name means, as far as that can be told without a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What it means in every Rust program: the session does not define it, or imports it from std.
    Usual,
    /// A struct or an enum of the session's own, without parameters.
    PlainType,
    /// Something else.
    Other,
}

/// All items of a session, as of the last cell that compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    items: BTreeMap<String, Vec<Item>>,
    /// Those names that do not mean what they usually do.
    meanings: BTreeMap<String, Meaning>,
    /// The names of all functions, those of types and traits included.
    functions: BTreeSet<String>,
    /// Glob imports, macro calls that may define something, implementations.
    unnamed: Vec<u64>,
    /// The `:dep` lines by crate.
    dependencies: BTreeMap<String, String>,
}

impl Definitions {
    /// What the session defines if `source` compiles.
    #[must_use]
    pub fn with_cell(&self, source: &str) -> Self {
        let mut next = self.clone();
        let base = rust_start(source);
        for line in source.get(..base).unwrap_or_default().lines() {
            if let Some(dependency) = line.trim().strip_prefix(":dep ") {
                let name = dependency.split('=').next().unwrap_or_default().trim();
                next.dependencies.insert(name.to_owned(), dependency.trim().to_owned());
            }
        }
        let mut parts: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for node in Statements::parse(source, base).map(|statements| statements.nodes).unwrap_or_default() {
            let item = Item { hash: hash(&node.text().to_string()), names: identifiers(&node) };
            let names = defined_names(&node);
            next.understand(&node, &names);
            if names.is_empty() && (ast::Item::can_cast(node.kind())) {
                next.unnamed.push(item.hash);
            }
            for name in names {
                parts.entry(name).or_default().push(item.clone());
            }
        }
        next.items.extend(parts);
        next
    }

    /// What a name of a type or a macro means.
    #[must_use]
    pub fn meaning(&self, name: &str) -> Meaning {
        self.meanings.get(name).copied().unwrap_or(Meaning::Usual)
    }

    /// Whether the session has a function of that name, in whatever type or trait.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    fn understand(&mut self, node: &SyntaxNode, names: &[String]) {
        let functions = node.descendants().filter_map(ast::Fn::cast).filter_map(|it| it.name());
        self.functions.extend(functions.map(|name| name.text().to_string()));
        let meaning = match ast::Item::cast(node.clone()) {
            Some(ast::Item::Struct(item)) if item.generic_param_list().is_none() => Meaning::PlainType,
            Some(ast::Item::Enum(item)) if item.generic_param_list().is_none() => Meaning::PlainType,
            Some(ast::Item::Use(item)) if is_from_std(&item) => Meaning::Usual,
            // It does not change what the names of its header mean.
            Some(ast::Item::Impl(_)) => return,
            _ => Meaning::Other,
        };
        self.meanings.extend(names.iter().map(|name| (name.clone(), meaning)));
    }

    /// Each item's name with its hash.
    #[must_use]
    pub fn hashes(&self) -> BTreeMap<String, u64> {
        self.items.keys().map(|name| (name.clone(), self.hash_of(name))).collect()
    }

    /// A hash of all there is.
    #[must_use]
    pub fn everything(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, parts) in &self.items {
            (name, parts.iter().map(|part| part.hash).collect::<Vec<_>>()).hash(&mut hasher);
        }
        self.unnamed.hash(&mut hasher);
        self.dependencies.hash(&mut hasher);
        hasher.finish()
    }

    fn hash_of(&self, name: &str) -> u64 {
        let mut reached = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some((name, parts)) = self.items.get_key_value(name) else { continue };
            if reached.insert(name.as_str()) {
                open.extend(parts.iter().flat_map(|part| &part.names).map(String::as_str));
            }
        }
        let mut hasher = DefaultHasher::new();
        for name in reached {
            name.hash(&mut hasher);
            for part in self.items.get(name).into_iter().flatten() {
                part.hash.hash(&mut hasher);
            }
        }
        self.dependencies.hash(&mut hasher);
        hasher.finish()
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn identifiers(node: &SyntaxNode) -> BTreeSet<String> {
    let tokens = node.descendants_with_tokens().filter_map(ra_ap_syntax::NodeOrToken::into_token);
    tokens.filter(|token| token.kind() == SyntaxKind::IDENT).map(|token| token.text().to_owned()).collect()
}

/// The names that an item defines or takes part in.
fn defined_names(node: &SyntaxNode) -> Vec<String> {
    let Some(item) = ast::Item::cast(node.clone()) else { return Vec::new() };
    let name = match &item {
        ast::Item::Struct(item) => item.name(),
        ast::Item::Enum(item) => item.name(),
        ast::Item::Union(item) => item.name(),
        ast::Item::Fn(item) => item.name(),
        ast::Item::Trait(item) => item.name(),
        ast::Item::TypeAlias(item) => item.name(),
        ast::Item::Const(item) => item.name(),
        ast::Item::Static(item) => item.name(),
        ast::Item::Module(item) => item.name(),
        ast::Item::MacroRules(item) => item.name(),
        ast::Item::MacroDef(item) => item.name(),
        ast::Item::Impl(item) if has_associated_type(item) => {
            let header = [item.trait_(), item.self_ty()].into_iter().flatten();
            return header.flat_map(|part| identifiers(part.syntax())).collect();
        }
        ast::Item::Use(item) => {
            let leaves = item.syntax().descendants().filter_map(ast::UseTree::cast);
            return leaves
                .filter(|leaf| leaf.use_tree_list().is_none() && leaf.star_token().is_none())
                .filter_map(|leaf| match leaf.rename() {
                    Some(rename) => rename.name().map(|name| name.text().to_string()),
                    None => leaf.path()?.segment()?.name_ref().map(|name| name.text().to_string()),
                })
                .collect();
        }
        _ => None,
    };
    name.map(|name| name.text().to_string()).into_iter().collect()
}

/// Whether an import brings names of the standard library, under their own names.
fn is_from_std(item: &ast::Use) -> bool {
    let Some(tree) = item.use_tree() else { return false };
    let first = tree.path().and_then(|path| path.first_segment()).and_then(|it| it.name_ref());
    first.is_some_and(|name| matches!(name.text(), "std" | "core" | "alloc"))
        && !tree.syntax().descendants().any(|node| ast::Rename::can_cast(node.kind()))
}

fn has_associated_type(item: &ast::Impl) -> bool {
    item.assoc_item_list()
        .is_some_and(|list| list.assoc_items().any(|item| matches!(item, ast::AssocItem::TypeAlias(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cells: &[&str]) -> Definitions {
        cells.iter().fold(Definitions::default(), |all, cell| all.with_cell(cell))
    }

    fn hash_after(cells: &[&str], name: &str) -> Option<u64> {
        after(cells).hashes().get(name).copied()
    }

    #[test]
    fn a_redefinition_changes_the_item_and_all_that_use_it() {
        let before = ["struct A { b: B }", "struct B(u8);", "struct C;"];
        let later = ["struct A { b: B }", "struct B(u8);", "struct C;", "struct B(u64);"];
        assert_ne!(hash_after(&before, "A"), hash_after(&later, "A"));
        assert_ne!(hash_after(&before, "B"), hash_after(&later, "B"));
        assert_eq!(hash_after(&before, "C"), hash_after(&later, "C"));
        assert_ne!(after(&before).everything(), after(&later).everything());
    }

    #[test]
    fn cycles_end_and_the_same_text_has_the_same_hash() {
        let cells = ["struct A(Option<Box<B>>);\nstruct B(Option<Box<A>>);"];
        assert_eq!(hash_after(&cells, "A"), hash_after(&[cells[0], cells[0]], "A"));
        assert!(hash_after(&cells, "B").is_some());
    }

    #[test]
    fn imports_aliases_dependencies_and_associated_types_count() {
        let plain = ["struct A(Inner);", "use std::rc::Rc as Inner;"];
        assert_ne!(hash_after(&plain, "A"), hash_after(&[plain[0], "use std::sync::Arc as Inner;"], "A"));
        assert_ne!(hash_after(&plain, "A"), hash_after(&[plain[0], plain[1], ":dep serde = \"1\""], "A"));
        let with = |out: &str| {
            let cells = ["trait T { type O; }", "struct U;", "struct A(<U as T>::O);", out].map(str::to_owned);
            after(&cells.each_ref().map(String::as_str)).hashes().get("A").copied()
        };
        assert_ne!(with("impl T for U { type O = u8; }"), with("impl T for U { type O = u64; }"));
    }

    #[test]
    fn a_name_means_what_the_last_item_makes_of_it() {
        let all = after(&[
            "use std::{time::Instant, path::PathBuf};\nuse std::sync::Arc as Vec;",
            "struct Point { x: f64 }\nimpl Point { fn new() -> Self { Self { x: 0.0 } } }",
            "struct Held<T = f32>(T);",
            "struct Duration<T>(T);",
            "macro_rules! vec { () => {} }",
            "type Text = &'static str;",
        ]);
        for (name, meaning) in [
            ("Instant", Meaning::Usual),
            ("String", Meaning::Usual),
            ("Point", Meaning::PlainType),
            ("Vec", Meaning::Other),
            ("Held", Meaning::Other),
            ("Duration", Meaning::Other),
            ("vec", Meaning::Other),
            ("Text", Meaning::Other),
        ] {
            assert_eq!(all.meaning(name), meaning, "{name}");
        }
        assert!(all.has_function("new") && !all.has_function("len"));
        assert_eq!(all.with_cell("use std::time::Duration;").meaning("Duration"), Meaning::Usual);
    }

    #[test]
    fn statements_define_nothing() {
        assert_eq!(after(&["let x = 1; x + 1"]), Definitions::default());
    }
}
