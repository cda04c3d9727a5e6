//! Which type is which, across the libraries of a session.
//!
//! A type redefined in a later cell keeps its name and its `TypeId` and has another layout. So a type of the user's
//! is its name *and* the hash of its definition. The kernel sends the definitions before each cell runs; the
//! cell's library is bound to them when the cell starts (`enter`), and never again: a thread of an earlier cell
//! that first uses a type later still means the definition that it was compiled with.

use crate::core::hook::InSlot;
use crate::core::raw;
use machine::abi::{Kind, TypeDesc, Wrapper};
use machine::shim::short;
use machine_protocol::command::Cell;
use std::cell::Cell as Flag;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The name of the crate that evcxr compiles cells into.
const CELL_CRATE: &str = "ctx::";

/// What the engine knows of a type.
#[derive(Debug)]
pub(crate) struct TypeInfo {
    /// The functions that handle its values.
    pub desc: &'static TypeDesc,
    /// Its id, as its library gives it.
    pub id: u64,
    /// Equal for equal types.
    identity: u64,
    /// Equal for types of the same name and definition. Weaker than `identity`; of what is inside a wrapper all that is
    /// known before there is one.
    by_name: u64,
    /// As people write it, without paths. For a `Result` what is in `Ok`.
    pub name: String,
    /// What it converts as. For a wrapper what is inside.
    pub kind: Kind,
    /// Whether it is an `Option`, of which `None` is a missing value.
    pub is_option: bool,
    /// Whether it is an `Option` by its own name: where it is taken, by reference, `None` is a value.
    pub takes_none: bool,
    /// Whether it reads a bare number, `bool` or text, once somebody has asked.
    reads: [OnceLock<bool>; 3],
}

/// What is no object and no list, by its place in [`TypeInfo::reads`].
#[derive(Clone, Copy, Debug)]
enum Bare {
    Number,
    Bool,
    Text,
}

/// How a value of one type becomes one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// It is one.
    Same,
    /// It is inside, behind `payload`, if what is there has the same id; otherwise as `Json`.
    Inside,
    /// Both are numbers.
    Number,
    /// It is written as JSON and read again.
    Json,
}

impl TypeInfo {
    /// How this becomes `to`, or `None` if no value of it can.
    pub fn becomes(&self, to: &TypeInfo) -> Option<Conversion> {
        if self.identity == to.identity {
            return Some(Conversion::Same);
        }
        let inside = self.desc.payload.is_some();
        if inside && self.by_name == to.by_name {
            return Some(Conversion::Inside);
        }
        match (self.kind, to.kind) {
            (from, to) if from.is_number() && to.is_number() => Some(Conversion::Number),
            (_, Kind::Json) | (Kind::Json, _) => Some(Conversion::Json),
            (Kind::Bool, to) if to.is_number() => None,
            (from, Kind::Bool) if from.is_number() => None,
            (Kind::String, Kind::Bool) | (Kind::Bool, Kind::String) => None,
            (Kind::String, to) if to.is_number() => None,
            (from, Kind::String) if from.is_number() => None,
            (from, Kind::Other) if from.is_number() => to.reads(Bare::Number).then_some(Conversion::Json),
            (Kind::Bool, Kind::Other) => to.reads(Bare::Bool).then_some(Conversion::Json),
            (Kind::String, Kind::Other) => to.reads(Bare::Text).then_some(Conversion::Json),
            _ => Some(Conversion::Json),
        }
    }

    /// Whether this may be read from something bare, which a type's `Deserialize` alone knows: it is tried. That is code
    /// of the user's, so nothing is locked here, and it is tried once.
    fn reads(&self, bare: Bare) -> bool {
        thread_local! {
            static ASKING: Flag<bool> = const { Flag::new(false) };
        }
        let known = self.reads.get(bare as usize);
        if let Some(&known) = known.and_then(OnceLock::get) {
            return known;
        }
        // It may use a machine itself, for which it would be asked again, and again: for now it reads nothing.
        if ASKING.replace(true) {
            return false;
        }
        let in_slot = InSlot::enter();
        let samples: &[&str] = match bare {
            Bare::Number => &["1", "0", "1.5"],
            Bare::Bool => &["true"],
            Bare::Text => &["\"\""],
        };
        let wrong_type =
            |sample: &&str| matches!(raw::parse_check(self.desc, sample), Err(e) if e.starts_with("invalid type"));
        let reads = !samples.iter().all(wrong_type);
        drop(in_slot);
        ASKING.set(false);
        known.is_none_or(|known| *known.get_or_init(|| reads))
    }
}

#[derive(Default)]
struct Registry {
    /// By the address of the descriptor. Descriptors are never freed: libraries stay loaded.
    known: HashMap<usize, &'static TypeInfo>,
    /// By the base address of the library.
    libraries: HashMap<usize, Arc<Cell>>,
    current: Arc<Cell>,
}

fn registry() -> &'static Mutex<Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default)
}

fn lock() -> std::sync::MutexGuard<'static, Registry> {
    registry().lock().unwrap_or_else(PoisonError::into_inner)
}

/// From the kernel: the cell that runs next, and what the session then defines.
pub(crate) fn announce(cell: Cell) {
    lock().current = Arc::new(cell);
}

/// The number of the cell announced last; 0 outside of a notebook.
pub(crate) fn current_cell() -> u32 {
    lock().current.number
}

/// From a cell: the library that `address` is in belongs to the cell announced last.
pub(crate) fn bind(address: usize) {
    let base = raw::library_of(address);
    let mut registry = lock();
    let current = registry.current.clone();
    registry.libraries.entry(base).or_insert(current);
}

/// What is known of a type.
pub(crate) fn info(desc: &'static TypeDesc) -> &'static TypeInfo {
    let address = std::ptr::from_ref(desc).addr();
    if let Some(info) = lock().known.get(&address) {
        return info;
    }
    let base = raw::library_of(address);
    let full = raw::type_name(desc);
    let mut registry = lock();
    let library = registry.libraries.get(&base).cloned();
    let info = Box::leak(Box::new(describe(desc, full, library.as_deref())));
    registry.known.entry(address).or_insert(info)
}

fn describe(desc: &'static TypeDesc, full: &str, library: Option<&Cell>) -> TypeInfo {
    let definitions = library.map_or(0, |cell| definitions_in(full, cell));
    let outer =
        if matches!(desc.wrapper, Wrapper::OfResult | Wrapper::OfResultOfOption) { ok_type(full) } else { full };
    let is_option = matches!(desc.wrapper, Wrapper::OfOption | Wrapper::OfResultOfOption);
    let inner = if is_option { some_type(outer) } else { outer };
    let inner_definitions = library.map_or(0, |cell| definitions_in(inner, cell));
    let id = (desc.id)();
    TypeInfo {
        desc,
        id,
        identity: hash(&(id, desc.size, full, definitions)),
        by_name: hash(&(inner, inner_definitions)),
        name: short(outer),
        is_option,
        takes_none: full.starts_with(OPTION),
        kind: if desc.payload.is_some() { kind_by_name(inner) } else { (desc.kind)() },
        reads: Default::default(),
    }
}

/// A hash of the definitions of all types of the user's that `name` mentions.
fn definitions_in(name: &str, cell: &Cell) -> u64 {
    let mut mentioned = Vec::new();
    for path in name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        let Some(path) = path.strip_prefix(CELL_CRATE) else { continue };
        let known: Vec<_> = path.split("::").filter_map(|part| cell.definitions.get(part)).collect();
        if known.is_empty() {
            mentioned.push(cell.everything);
        }
        mentioned.extend(known);
    }
    if mentioned.is_empty() { 0 } else { hash(&mentioned) }
}

/// `T` of `core::result::Result<T, E>`.
fn ok_type(name: &str) -> &str {
    let Some(inside) = name.strip_prefix("core::result::Result<") else { return name };
    let mut depth = 0_u32;
    for (at, c) in inside.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return inside.get(..at).unwrap_or(inside),
            _ => {}
        }
    }
    inside
}

/// How the name of an `Option` begins.
const OPTION: &str = "core::option::Option<";

/// `T` of `core::option::Option<T>`.
fn some_type(name: &str) -> &str {
    name.strip_prefix(OPTION).and_then(|inside| inside.strip_suffix('>')).unwrap_or(name)
}

/// Whether a type is an `Option` in an `Option`, also in a `Result` or behind a reference: what a missing output is of
/// these two cannot be said.
pub(crate) fn is_nested_option(full: &str) -> bool {
    let outer = ok_type(full.trim_start_matches('&'));
    let inside = some_type(outer);
    inside != outer && inside.trim_start_matches('&').starts_with(OPTION)
}

fn kind_by_name(name: &str) -> Kind {
    match name {
        "i128" => Kind::I128,
        "u128" => Kind::U128,
        "f64" => Kind::F64,
        "f32" => Kind::F32,
        "i64" => Kind::I64,
        "u64" => Kind::U64,
        "i32" => Kind::I32,
        "u32" => Kind::U32,
        "i16" => Kind::I16,
        "u16" => Kind::U16,
        "i8" => Kind::I8,
        "u8" => Kind::U8,
        "isize" => Kind::Isize,
        "usize" => Kind::Usize,
        "bool" => Kind::Bool,
        "alloc::string::String" | "&str" => Kind::String,
        "serde_json::value::Value" => Kind::Json,
        _ => Kind::Other,
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{definitions_in, is_nested_option, ok_type};
    use machine_protocol::command::Cell;

    #[test]
    fn finds_what_is_in_ok() {
        assert_eq!(ok_type("core::result::Result<f64, alloc::string::String>"), "f64");
        assert_eq!(ok_type("core::result::Result<(a, b<c, d>), e>"), "(a, b<c, d>)");
        assert_eq!(ok_type("f64"), "f64");
    }

    #[test]
    fn an_option_in_an_option_is_found() {
        assert!(is_nested_option("core::option::Option<core::option::Option<u8>>"));
        assert!(is_nested_option("core::result::Result<core::option::Option<core::option::Option<u8>>, e>"));
        assert!(!is_nested_option("core::option::Option<alloc::vec::Vec<core::option::Option<u8>>>"));
        assert!(is_nested_option("&core::option::Option<&core::option::Option<u8>>"));
        assert!(!is_nested_option("core::option::Option<u8>") && !is_nested_option("u8"));
    }

    #[test]
    fn a_definition_counts_wherever_it_is_mentioned() {
        let mut cell = Cell { everything: 9, ..Cell::default() };
        cell.definitions.insert("Tweet".into(), 1);
        let before = definitions_in("alloc::vec::Vec<ctx::Tweet>", &cell);
        assert_ne!(before, 0);
        cell.definitions.insert("Tweet".into(), 2);
        assert_ne!(before, definitions_in("alloc::vec::Vec<ctx::Tweet>", &cell));
        assert_eq!(definitions_in("alloc::vec::Vec<f64>", &cell), 0);
        let unknown = definitions_in("ctx::made_by_a_macro", &cell);
        cell.everything = 10;
        assert_ne!(unknown, definitions_in("ctx::made_by_a_macro", &cell));
    }
}
