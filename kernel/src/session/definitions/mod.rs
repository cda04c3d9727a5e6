//! What a session defines: a hash of each of the user's items, and of all that it reaches.
//!
//! A type redefined in a later cell keeps its name and its `TypeId` but not its layout, so the engine tells types
//! apart by their name and this hash. It covers the item's text and that of every item whose name occurs in it,
//! directly or through others. Associated types and constants can change a layout too, so an `impl` with one counts as
//! part of all that its header names. What a glob import brings is not known by its names: it counts as part of every
//! item. So a hash changes rather too often than too seldom.
//!
//! From the same items is known what a name means in the session: see [`Definitions::meaning`].

use super::rewrite::{Statements, implementations, name_of, rust_start};
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
    /// A path in it that leads into another crate than the standard library's.
    foreign: Option<String>,
}

/// Items without a name: an implementation, a glob import.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unnamed {
    /// The names of what it is part of; `None`: of all there is.
    of: Option<BTreeSet<String>>,
    part: Item,
}

/// Items without a name, by the names of what they are part of.
type Parts<'d> = BTreeMap<&'d str, Vec<&'d Item>>;

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
    /// What has no name, by a hash of its text; and that by the item that it stands behind in its cell, with which it is
    /// replaced, as evcxr does it. An implementation that stands alone is replaced by one of the same; what else stands
    /// behind no name stays.
    unnamed: BTreeMap<String, BTreeMap<u64, Unnamed>>,
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
        let mut behind = String::new();
        let nodes = Statements::parse(source, base).map(|statements| statements.nodes).unwrap_or_default();
        for alone in implementations(&nodes) {
            next.unnamed.remove(&name_of(&alone));
        }
        for node in nodes {
            let Some(item) = ast::Item::cast(node.clone()) else { continue };
            let part =
                Item { hash: hash(&node.text().to_string()), names: identifiers(&node), foreign: foreign_path(&node) };
            let names = defined_names(&item);
            next.record_item(&node, &names);
            for name in &names {
                next.unnamed.remove(name);
                parts.entry(name.clone()).or_default().push(part.clone());
            }
            if let Some(unnamed) = unnamed(&item, &part) {
                let place = match &item {
                    ast::Item::Use(_) => String::new(),
                    ast::Item::Impl(alone) if behind.is_empty() => name_of(alone),
                    _ => behind.clone(),
                };
                next.unnamed.entry(place).or_default().insert(part.hash, unnamed);
            }
            if let [name] = names.as_slice()
                && !matches!(item, ast::Item::Use(_) | ast::Item::ExternCrate(_) | ast::Item::MacroRules(_))
            {
                behind.clone_from(name);
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

    fn record_item(&mut self, node: &SyntaxNode, names: &[String]) {
        let functions = node.descendants().filter_map(ast::Fn::cast).filter_map(|it| it.name());
        self.functions.extend(functions.map(|name| name.text().to_string()));
        let meaning = match ast::Item::cast(node.clone()) {
            Some(ast::Item::Struct(item)) if item.generic_param_list().is_none() => Meaning::PlainType,
            Some(ast::Item::Enum(item)) if item.generic_param_list().is_none() => Meaning::PlainType,
            Some(ast::Item::Use(item)) if is_from_std(&item) => Meaning::Usual,
            _ => Meaning::Other,
        };
        self.meanings.extend(names.iter().map(|name| (name.clone(), meaning)));
    }

    /// Each item's name with its hash.
    #[must_use]
    pub fn hashes(&self) -> BTreeMap<String, u64> {
        let (mut parts, mut everywhere) = (Parts::new(), Vec::new());
        for unnamed in self.unnamed.values().flat_map(BTreeMap::values) {
            match &unnamed.of {
                Some(of) => of.iter().for_each(|name| parts.entry(name).or_default().push(&unnamed.part)),
                None => everywhere.push(&unnamed.part),
            }
        }
        self.items.keys().map(|name| (name.clone(), self.hash_of(name, &parts, &everywhere))).collect()
    }

    /// A hash of all there is.
    #[must_use]
    pub fn everything(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, parts) in &self.items {
            (name, parts.iter().map(|part| part.hash).collect::<Vec<_>>()).hash(&mut hasher);
        }
        for unnamed in self.unnamed.values() {
            for text in unnamed.keys() {
                text.hash(&mut hasher);
            }
        }
        self.dependencies.hash(&mut hasher);
        hasher.finish()
    }

    /// A hash of what the session defines by names, directly or through others; dependencies do not count.
    #[must_use]
    pub fn layout(&self, names: &BTreeSet<String>) -> u64 {
        let alone = Self { dependencies: BTreeMap::new(), ..self.clone() };
        let mut hasher = DefaultHasher::new();
        alone.hashes().iter().filter(|(name, _)| names.contains(*name)).for_each(|it| it.hash(&mut hasher));
        hasher.finish()
    }

    /// The names of the session's items that occur in others, directly or through others, beginning with these.
    #[must_use]
    pub fn reached(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if let Some(items) = self.items.get(name)
                && reached.insert(name.to_owned())
            {
                open.extend(items.iter().flat_map(|item| &item.names).map(String::as_str));
            }
        }
        reached
    }

    /// A name or path of another crate than the standard library's among these and what they reach.
    #[must_use]
    pub fn foreign(&self, names: &BTreeSet<String>) -> Option<String> {
        let reached = self.reached(names);
        let items = || reached.iter().filter_map(|name| self.items.get(name)).flatten();
        let is_foreign = |name: &&String| self.meaning(name) == Meaning::Other;
        let name = names.iter().chain(items().flat_map(|item| &item.names)).find(is_foreign);
        name.cloned().or_else(|| items().find_map(|item| item.foreign.clone()))
    }

    fn hash_of(&self, name: &str, parts: &Parts<'_>, everywhere: &[&Item]) -> u64 {
        let (mut reached, mut unnamed) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![name];
        for part in everywhere {
            unnamed.insert(part.hash);
            open.extend(part.names.iter().map(String::as_str));
        }
        while let Some(name) = open.pop() {
            if !reached.insert(name) {
                continue;
            }
            open.extend(self.items.get(name).into_iter().flatten().flat_map(|item| &item.names).map(String::as_str));
            for part in parts.get(name).into_iter().flatten() {
                unnamed.insert(part.hash);
                open.extend(part.names.iter().map(String::as_str));
            }
        }
        let mut hasher = DefaultHasher::new();
        for (name, items) in reached.into_iter().filter_map(|name| self.items.get_key_value(name)) {
            name.hash(&mut hasher);
            for item in items {
                item.hash.hash(&mut hasher);
            }
        }
        unnamed.hash(&mut hasher);
        self.dependencies.hash(&mut hasher);
        hasher.finish()
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The identifiers in a node.
pub fn identifiers(node: &SyntaxNode) -> BTreeSet<String> {
    let tokens = node.descendants_with_tokens().filter_map(ra_ap_syntax::NodeOrToken::into_token);
    tokens.filter(|token| token.kind() == SyntaxKind::IDENT).map(|token| token.text().to_owned()).collect()
}

/// The names that an item defines.
pub fn defined_names(item: &ast::Item) -> Vec<String> {
    let name = match item {
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
        ast::Item::ExternCrate(item) => {
            let name = item.name_ref().map(|name| name.text().to_string());
            let rename = item.rename().map(|rename| rename.name().map(|name| name.text().to_string()));
            return rename.unwrap_or(name).into_iter().collect();
        }
        ast::Item::Use(item) => return leaves(item).flatten().collect(),
        _ => None,
    };
    name.map(|name| name.text().to_string()).into_iter().collect()
}

/// A path in a node that leads into another crate than the standard library's.
pub fn foreign_path(node: &SyntaxNode) -> Option<String> {
    let paths = node.descendants().filter_map(ast::Path::cast).filter(|path| path.qualifier().is_some());
    let mut foreign = paths.filter(|path| {
        let first = path.first_segment().and_then(|segment| segment.name_ref());
        first.is_some_and(|first| {
            // An associated function or a variant of a type is no path into a crate.
            let is_crate = first.text().starts_with(char::is_lowercase);
            is_crate && !matches!(first.text(), "std" | "core" | "alloc" | "crate" | "self" | "super")
        })
    });
    foreign.next().map(|path| path.syntax().text().to_string())
}

/// Whether an import brings names of the standard library, under their own names.
fn is_from_std(item: &ast::Use) -> bool {
    let Some(tree) = item.use_tree() else { return false };
    let first = tree.path().and_then(|path| path.first_segment()).and_then(|it| it.name_ref());
    first.is_some_and(|name| matches!(name.text(), "std" | "core" | "alloc"))
        && !tree.syntax().descendants().any(|node| ast::Rename::can_cast(node.kind()))
}

/// The names that an import brings; `None` for each glob, and for each trait without a name.
fn leaves(item: &ast::Use) -> impl Iterator<Item = Option<String>> {
    let leaves = item.syntax().descendants().filter_map(ast::UseTree::cast);
    leaves.filter(|leaf| leaf.use_tree_list().is_none()).map(|leaf| match leaf.rename() {
        _ if leaf.star_token().is_some() => None,
        Some(rename) => rename.name().map(|name| name.text().to_string()),
        None => leaf.path()?.segment()?.name_ref().map(|name| name.text().to_string()),
    })
}

/// What an item is besides what it defines by name.
fn unnamed(item: &ast::Item, part: &Item) -> Option<Unnamed> {
    match item {
        ast::Item::Impl(item) => {
            let header = [item.trait_(), item.self_ty()].into_iter().flatten();
            let header: BTreeSet<String> = header.flat_map(|part| identifiers(part.syntax())).collect();
            let parameters = item.generic_param_list().map(|list| identifiers(list.syntax())).unwrap_or_default();
            let part = if takes_part(item) {
                part.clone()
            } else if item.trait_().is_some() {
                // The trait may bring its own constant.
                Item { hash: 0, names: header.clone(), foreign: None }
            } else {
                Item { hash: 0, names: BTreeSet::new(), foreign: None }
            };
            // One for all types is part of whatever there is.
            let is_for_all = item.self_ty().is_some_and(|own| parameters.contains(&own.syntax().text().to_string()));
            Some(Unnamed { of: (!is_for_all).then_some(header), part })
        }
        ast::Item::Use(item) if leaves(item).all(|name| name.is_some()) => None,
        ast::Item::Use(_) | ast::Item::ExternBlock(_) => Some(Unnamed { of: None, part: part.clone() }),
        _ => None,
    }
}

/// Whether what an implementation says can change the layout of a type, or has its own types.
fn takes_part(item: &ast::Impl) -> bool {
    item.assoc_item_list().into_iter().flat_map(|list| list.assoc_items()).any(|item| match item {
        ast::AssocItem::Const(_) | ast::AssocItem::TypeAlias(_) | ast::AssocItem::MacroCall(_) => true,
        ast::AssocItem::Fn(function) => {
            function.const_token().is_some()
                || function.syntax().descendants().any(|node| ast::Adt::can_cast(node.kind()))
        }
    })
}

#[cfg(test)]
mod tests;
