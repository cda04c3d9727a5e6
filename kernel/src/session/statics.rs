//! Statics that cells share.
//!
//! Each cell is a library with all of the session's items in it, so a `static` would be another one in each. The dynamic
//! linker makes them one: a static is exported under a name made of its place, its text and its type's definitions, the
//! runtime process loads cells' libraries with `RTLD_GLOBAL`, and then all of them use the first.
//!
//! That is sound only while all libraries agree on the type. So a static is shared if its type is made of the standard
//! library's types and of the session's own, and a cell that redefines one of those has to define the static, too. Others
//! stay separate, each cell's its own: types of dependencies, whose layout may change with any other dependency, and what
//! macros such as `thread_local!` make. The use in a later cell of one that can change is refused, since it would read a
//! fresh copy; of all others a notice says so.

use super::definitions::{Definitions, defined_names, identifiers};
use super::rewrite::{Statements, is_item, rust_start};
use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode, NodeOrToken, SyntaxKind, SyntaxNode};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How the names of exported statics begin.
const SYMBOL: &str = "machine_static_";

/// The name under which each static of a cell is exported, by the byte offset of its `static` or visibility.
pub type Exports = BTreeMap<usize, String>;

/// The statics of a session, as of the last cell that compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statics {
    /// By owner and name: the item at the top of a cell, and the static in it or the same.
    shared: BTreeMap<(String, String), Shared>,
    /// By the name of the item.
    separate: BTreeMap<String, Separate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shared {
    cell: u32,
    symbol: String,
    /// The names in its type, and a hash of what the session defines by them.
    names: BTreeSet<String>,
    layout: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Separate {
    cell: u32,
    why: String,
}

/// What a cell makes of the session's statics.
#[derive(Debug, PartialEq, Eq)]
pub struct Next {
    /// The statics if the cell compiles.
    pub statics: Statics,
    /// What of the cell is exported.
    pub exports: Exports,
    /// What the user is to know.
    pub notices: Vec<String>,
}

/// Why a cell is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It redefines what a static holds.
    #[error(
        "this cell redefines what the static `{name}` of cell [{cell}] holds; define `{owner}` again in the same cell"
    )]
    Redefined {
        /// The static.
        name: String,
        /// The item that defines it.
        owner: String,
        /// Where.
        cell: u32,
    },
    /// It uses what each cell has for itself.
    #[error(
        "`{name}` of cell [{cell}] {why}, so this cell would see a fresh copy of it: use it in the cell that defines it, \
         or keep the value in a variable (`let shared = std::sync::Arc::new(…);`)"
    )]
    Separate {
        /// The item.
        name: String,
        /// Where it is defined.
        cell: u32,
        /// Why it is not shared.
        why: String,
    },
}

impl Statics {
    /// What the statics are after a cell. `definitions` are those after it.
    ///
    /// # Errors
    /// If the cell cannot have the statics of earlier ones.
    pub fn with_cell(&self, source: &str, cell: u32, definitions: &Definitions) -> Result<Next, Refused> {
        let base = rust_start(source);
        let mut next = Next { statics: self.clone(), exports: Exports::new(), notices: Vec::new() };
        let nodes = Statements::parse(source, base).map(|statements| statements.nodes).unwrap_or_default();
        let mut defined = BTreeSet::new();
        let mut used = BTreeSet::new();
        for node in &nodes {
            used.extend(identifiers(node));
            let Some(item) = ast::Item::cast(node.clone()).filter(|_| is_item(node)) else { continue };
            let names = defined_names(&item);
            let owner = names.first().cloned().unwrap_or_else(|| header(&item));
            for name in &names {
                next.statics.separate.remove(name);
            }
            next.statics.shared.retain(|(of, _), _| !names.contains(of));
            defined.extend(names);
            next.item(node, &owner, cell, definitions, base);
        }
        for (name, separate) in &next.statics.separate {
            if separate.cell != cell && definitions.reached(&used).contains(name) {
                let (name, why) = (name.clone(), separate.why.clone());
                return Err(Refused::Separate { name, cell: separate.cell, why });
            }
        }
        for ((owner, name), shared) in &next.statics.shared {
            if shared.cell != cell && definitions.layout(&shared.names) != shared.layout {
                return Err(Refused::Redefined { name: name.clone(), owner: owner.clone(), cell: shared.cell });
            }
        }
        for ((owner, name), shared) in next.statics.shared.iter().filter(|(_, shared)| shared.cell == cell) {
            match self.shared.get(&(owner.clone(), name.clone())) {
                Some(before) if before.symbol == shared.symbol => {
                    next.notices.push(format!("the static `{name}` is defined as before, and keeps its value"));
                }
                Some(_) => next.notices.push(format!(
                    "the static `{name}` is another one now; slots and threads of earlier cells still use the old one"
                )),
                None => {}
            }
        }
        Ok(next)
    }
}

impl Next {
    /// Finds the statics of an item.
    fn item(&mut self, node: &SyntaxNode, owner: &str, cell: u32, definitions: &Definitions, base: usize) {
        for found in node.descendants() {
            if let Some(call) = ast::MacroCall::cast(found.clone()) {
                if has_static(&call) {
                    let name = call.path().map(|path| path.syntax().text().to_string()).unwrap_or_default();
                    let changes = name.ends_with("thread_local") || can_change(call.syntax());
                    let why = format!("has a static made by `{name}!`, of which each cell has a copy");
                    self.separate(owner, cell, why, changes);
                }
            } else if let Some(found) = ast::Static::cast(found) {
                self.found(&found, node, owner, cell, definitions, base);
            }
        }
    }

    fn found(
        &mut self,
        found: &ast::Static,
        item: &SyntaxNode,
        owner: &str,
        cell: u32,
        definitions: &Definitions,
        base: usize,
    ) {
        let (Some(name), Some(ty)) = (found.name(), found.ty()) else { return };
        let name = name.text().to_string();
        let names = identifiers(ty.syntax());
        let changes = found.mut_token().is_some() || can_change(ty.syntax());
        if cfg!(not(target_os = "linux")) {
            return self.separate(owner, cell, "is a static, which cells share on Linux alone".to_owned(), changes);
        }
        if let Some(foreign) = foreign_in(&ty, &names, definitions) {
            let why = format!("has a static whose type holds `{foreign}` of another crate, so each cell has a copy");
            return self.separate(owner, cell, why, changes);
        }
        let layout = definitions.layout(&names);
        let mut hasher = DefaultHasher::new();
        let scopes = found.syntax().ancestors().take_while(|it| it != item);
        scopes.chain([item.clone()]).filter_map(|it| scope(&it)).for_each(|scope| scope.hash(&mut hasher));
        (owner, found.syntax().text().to_string(), layout).hash(&mut hasher);
        // Two of one text in one scope are two.
        let mut symbol = format!("{SYMBOL}{:016x}", hasher.finish());
        while self.exports.values().any(|other| *other == symbol) {
            symbol.push('_');
        }
        let first = found.syntax().children_with_tokens().find(|it| match it {
            NodeOrToken::Node(node) => ast::Visibility::can_cast(node.kind()),
            NodeOrToken::Token(token) => token.kind() == SyntaxKind::STATIC_KW,
        });
        let Some(first) = first else { return };
        let start = usize::from(first.text_range().start());
        self.exports.insert((start + base).saturating_sub(Statements::OFFSET), symbol.clone());
        self.statics.shared.insert((owner.to_owned(), name), Shared { cell, symbol, names, layout });
    }

    /// A static that each cell has for itself: that matters only if it can change.
    fn separate(&mut self, owner: &str, cell: u32, why: String, changes: bool) {
        if changes {
            self.notices.push(format!("`{owner}` {why}: later cells cannot use it"));
            self.statics.separate.insert(owner.to_owned(), Separate { cell, why });
        } else {
            self.notices.push(format!("`{owner}` {why}: what one cell changes in it, another does not see"));
        }
    }
}

/// Whether a type, or what a macro is given, names one of the standard library's cells and locks.
fn can_change(node: &SyntaxNode) -> bool {
    const CELLS: [&str; 8] = ["Mutex", "RwLock", "OnceLock", "OnceCell", "Cell", "RefCell", "UnsafeCell", "Condvar"];
    identifiers(node).iter().any(|name| CELLS.contains(&name.as_str()) || name.starts_with("Atomic"))
}

/// Whether a macro is given a `static` to make.
fn has_static(call: &ast::MacroCall) -> bool {
    let tokens = call.token_tree().into_iter().flat_map(|tree| tree.syntax().descendants_with_tokens());
    let mut tokens = tokens.filter_map(NodeOrToken::into_token);
    tokens.any(|token| token.kind() == SyntaxKind::STATIC_KW)
}

/// A name in a type, or in what it reaches, that is of neither the standard library nor the session.
fn foreign_in(ty: &ast::Type, names: &BTreeSet<String>, definitions: &Definitions) -> Option<String> {
    super::definitions::foreign_path(ty.syntax()).or_else(|| definitions.foreign(names))
}

/// What an item is called, or begins with, if it has a static inside.
fn scope(node: &SyntaxNode) -> Option<String> {
    let item = ast::Item::cast(node.clone())?;
    Some(defined_names(&item).into_iter().next().unwrap_or_else(|| header(&item)))
}

/// What an implementation says before its braces.
fn header(item: &ast::Item) -> String {
    let text = item.syntax().text().to_string();
    text.split('{').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session's statics after cells, the last of which gives the result.
    fn after(cells: &[&str]) -> Result<Next, Refused> {
        let (mut statics, mut definitions) = (Statics::default(), Definitions::default());
        let mut last = Ok(Next { statics: Statics::default(), exports: Exports::new(), notices: Vec::new() });
        for (cell, source) in (1..).zip(cells) {
            definitions = definitions.with_cell(source);
            let next = statics.with_cell(source, cell, &definitions)?;
            statics = next.statics.clone();
            last = Ok(next);
        }
        last
    }

    fn symbols(cells: &[&str]) -> Vec<String> {
        after(cells).map(|next| next.exports.into_values().collect()).unwrap_or_default()
    }

    #[test]
    fn a_static_of_the_same_text_is_the_same() {
        let cell = "static HITS: AtomicU64 = AtomicU64::new(0);";
        let [one, two] = [symbols(&[cell]), symbols(&[cell, "1 + 1", cell])];
        assert!(one.len() == 1 && one == two, "{one:?} {two:?}");
        assert_ne!(one, symbols(&["static HITS: AtomicU64 = AtomicU64::new(1);"]));
        let next = after(&[cell, cell]);
        assert!(next.is_ok_and(|next| next.notices == ["the static `HITS` is defined as before, and keeps its value"]));
    }

    #[test]
    fn statics_in_functions_are_told_apart() {
        let cell = "fn a() { static N: AtomicU8 = AtomicU8::new(0); }\nfn b() { static N: AtomicU8 = AtomicU8::new(0); }\n\
                    impl A { fn c() { { static N: u8 = 0; } static N: u8 = 0; } }";
        let all: BTreeSet<String> = symbols(&[cell]).into_iter().collect();
        assert_eq!(all.len(), 4);
        let exports = after(&[cell]).map(|next| next.exports).unwrap_or_default();
        assert!(exports.keys().all(|at| cell.get(*at..).is_some_and(|rest| rest.starts_with("static N"))));
    }

    #[test]
    fn what_a_static_holds_is_redefined_with_it() {
        let (ty, of) = ("struct Held { x: u8 }", "static ALL: Mutex<Vec<Held>> = Mutex::new(Vec::new());");
        let other = "struct Held { x: u64 }";
        let refused = after(&[ty, of, other]);
        assert!(matches!(refused, Err(Refused::Redefined { cell: 2, .. })), "{refused:?}");
        assert_ne!(symbols(&[ty, of]), symbols(&[ty, of, &format!("{other}\n{of}")]));
        assert!(after(&[ty, of, ty, ":dep late = \"1\"\n2"]).is_ok());
    }

    #[test]
    fn what_is_separate_is_used_in_its_own_cell_alone() {
        for cell in [
            "use later::Part;\nstatic MAP: Mutex<Option<Part>> = Mutex::new(None);",
            "static mut MAP: Option<later::Part> = None;",
            "fn MAP() { thread_local! { static N: Cell<u8> = Cell::new(0); } }",
            "struct Own(later::Part);\nstatic MAP: Mutex<Option<Own>> = Mutex::new(None);",
        ] {
            let here = after(&[&format!("{cell}\nMAP")]);
            assert!(
                here.as_ref().is_ok_and(|next| next.notices.len() == 1 && next.exports.is_empty()),
                "{cell}: {here:?}"
            );
            assert!(after(&[cell, "other()"]).is_ok());
            for later in ["MAP", "fn through() { MAP }\nthrough()"] {
                let refused = after(&[cell, later]);
                assert!(matches!(refused, Err(Refused::Separate { cell: 1, .. })), "{cell}: {refused:?}");
            }
        }
        let regex = "static RE: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(\"a\").unwrap());";
        assert!(after(&[regex]).is_ok_and(|next| next.notices.len() == 1 && next.exports.is_empty()));
        assert!(after(&[regex, "RE.is_match(\"a\")"]).is_ok());
    }
}
