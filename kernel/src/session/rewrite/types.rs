//! Types that are plain to see in an expression's text.
//!
//! A guess may be wrong where a name is not what it seems. So it is only ever written into the cell, where the
//! compiler checks it. It must not help the compiler either: where parameters of a type are left out, or a function
//! gives whatever is wanted, a written type would decide what the code alone does not. So only types are guessed that
//! have no parameters, or all of them written out, and only by functions that are those of std, as far as names tell.

use super::super::definitions::{Definitions, Meaning};
use super::statements::Statements;
use ra_ap_syntax::ast::{self, HasGenericArgs};
use ra_ap_syntax::{AstNode, SyntaxKind};

/// Types of std without parameters.
const PLAIN: [&str; 17] = [
    "String",
    "OsString",
    "PathBuf",
    "Instant",
    "SystemTime",
    "Duration",
    "File",
    "AtomicBool",
    "AtomicU8",
    "AtomicU32",
    "AtomicU64",
    "AtomicUsize",
    "AtomicI32",
    "AtomicI64",
    "AtomicIsize",
    "Barrier",
    "Condvar",
];
/// Types of std that a function which makes one says all about, if it is given their parameters.
const GENERIC: [&str; 8] =
    ["Vec", "VecDeque", "HashMap", "HashSet", "BTreeMap", "BTreeSet", "BinaryHeap", "LinkedList"];
/// Those whose `new` takes the one value that they hold.
const HOLDERS: [&str; 6] = ["Arc", "Rc", "Box", "Mutex", "RwLock", "RefCell"];
/// Functions that give their own type, by convention.
const CONSTRUCTORS: [&str; 7] =
    ["new", "with_capacity", "now", "from_secs", "from_millis", "from_micros", "from_nanos"];

/// What is looked at.
pub struct Plain<'a> {
    /// What names mean in the session.
    pub names: &'a Definitions,
    /// Whether nothing else in the cell can decide the type of a number without one.
    pub alone: bool,
}

impl Plain<'_> {
    /// The type of an expression.
    pub fn of(&self, expr: &ast::Expr) -> Option<String> {
        match expr {
            ast::Expr::Literal(literal) => literal_type(literal, self.alone).map(str::to_owned),
            ast::Expr::ParenExpr(paren) => self.of(&paren.expr()?),
            ast::Expr::PrefixExpr(prefix) => match prefix.op_kind()? {
                ast::UnaryOp::Neg => self.of(&prefix.expr()?).filter(|ty| is_signed(ty)),
                ast::UnaryOp::Not => self.of(&prefix.expr()?).filter(|ty| ty == "bool"),
                ast::UnaryOp::Deref => None,
            },
            ast::Expr::CastExpr(cast) => full(&cast.ty()?),
            ast::Expr::BinExpr(binary) => match binary.op_kind()? {
                ast::BinaryOp::LogicOp(_) | ast::BinaryOp::CmpOp(_) => Some("bool".to_owned()),
                _ => None,
            },
            ast::Expr::MacroExpr(call) => self.of_macro(&call.macro_call()?),
            ast::Expr::MethodCallExpr(call) => self.of_method(call),
            ast::Expr::TryExpr(tried) => self.of_tried(&tried.expr()?),
            ast::Expr::CallExpr(call) => self.of_call(call),
            ast::Expr::RecordExpr(record) => self.plain(&record.path()?),
            _ => None,
        }
    }

    fn of_macro(&self, call: &ast::MacroCall) -> Option<String> {
        let name = call.path()?.segment()?.name_ref()?;
        self.usual(name.text())?;
        match name.text() {
            "format" => Some("String".to_owned()),
            "vec" => {
                // Its text with the brackets is an array.
                let text = call.token_tree()?.syntax().text().to_string();
                let ast::Expr::ArrayExpr(array) = Statements::expression(&text, 0..text.len())? else { return None };
                let first = self.of(&array.exprs().next()?)?;
                Some(format!("Vec<{first}>"))
            }
            _ => None,
        }
    }

    fn of_method(&self, call: &ast::MethodCallExpr) -> Option<String> {
        let name = call.name_ref()?;
        if self.names.has_function(name.text()) {
            return None;
        }
        match name.text() {
            "len" | "count" => Some("usize".to_owned()),
            "to_string" | "to_uppercase" | "to_lowercase" => Some("String".to_owned()),
            "to_owned" => match call.receiver()? {
                ast::Expr::Literal(literal) if matches!(literal.kind(), ast::LiteralKind::String(_)) => {
                    Some("String".to_owned())
                }
                _ => None,
            },
            "collect" | "sum" | "product" => argument(&call.generic_arg_list()?),
            "unwrap" | "expect" => self.of_tried(&call.receiver()?),
            _ => None,
        }
    }

    /// The type of a value out of the `Result` that an expression is.
    fn of_tried(&self, expr: &ast::Expr) -> Option<String> {
        match expr {
            ast::Expr::MethodCallExpr(call) => {
                let name = call.name_ref()?;
                let known = matches!(name.text(), "parse" | "get") && !self.names.has_function(name.text());
                known.then(|| argument(&call.generic_arg_list()?)).flatten()
            }
            ast::Expr::CallExpr(call) => {
                let path = path_of(call)?;
                let name = path.segment()?.name_ref()?;
                if self.names.has_function(name.text()) {
                    return None;
                }
                match name.text() {
                    "from_str" | "from_slice" | "from_reader" => argument(&path.segment()?.generic_arg_list()?),
                    "read_to_string" => Some("String".to_owned()),
                    "open" | "create" => self.plain(&path.qualifier()?),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn of_call(&self, call: &ast::CallExpr) -> Option<String> {
        let path = path_of(call)?;
        let qualifier = path.qualifier()?;
        let name = path.segment()?.name_ref()?;
        let of = qualifier.segment()?;
        let holder = of.name_ref()?;
        if name.text() == "new" && of.generic_arg_list().is_none() && HOLDERS.contains(&holder.text()) {
            self.usual(holder.text())?;
            let arguments = ast::HasArgList::arg_list(call)?;
            let held = self.of(&arguments.args().next()?)?;
            return Some(format!("{}<{held}>", qualifier.syntax().text()));
        }
        if name.text() == "from" && holder.text() == "String" {
            return self.plain(&qualifier);
        }
        if !CONSTRUCTORS.contains(&name.text()) {
            return None;
        }
        self.plain(&qualifier).or_else(|| self.generic(&qualifier))
    }

    /// The type that a path names, if it has no parameters: what parameters are left out is for the compiler to infer.
    fn plain(&self, path: &ast::Path) -> Option<String> {
        let last = path.segment()?;
        if last.generic_arg_list().is_some() {
            return None;
        }
        let name = last.name_ref()?;
        let known = match self.names.meaning(name.text()) {
            Meaning::Usual => PLAIN.contains(&name.text()) && is_of_std(path),
            Meaning::PlainType => path.qualifier().is_none(),
            Meaning::Other => false,
        };
        known.then(|| path.syntax().text().to_string()).filter(|text| !text.contains('\n'))
    }

    /// The type of std that a path names with its parameters.
    fn generic(&self, path: &ast::Path) -> Option<String> {
        let last = path.segment()?;
        let name = last.name_ref()?;
        self.usual(name.text())?;
        let mut arguments = last.generic_arg_list()?.generic_args();
        let given =
            arguments.all(|it| matches!(&it, ast::GenericArg::TypeArg(it) if it.ty().is_some_and(|ty| is_full(&ty))));
        let known = given && GENERIC.contains(&name.text()) && is_of_std(path);
        known.then(|| path.syntax().text().to_string().replace("::<", "<")).filter(|text| !text.contains('\n'))
    }

    fn usual(&self, name: &str) -> Option<()> {
        (self.names.meaning(name) == Meaning::Usual).then_some(())
    }
}

/// Whether a path is a bare name, or one that leads into std.
fn is_of_std(path: &ast::Path) -> bool {
    let first = path.first_segment().and_then(|it| it.name_ref());
    path.qualifier().is_none() || first.is_some_and(|name| name.text() == "std")
}

/// Whether a type leaves nothing to infer.
pub fn is_full(ty: &ast::Type) -> bool {
    ty.syntax().descendants().all(|node| {
        !matches!(node.kind(), SyntaxKind::INFER_TYPE | SyntaxKind::IMPL_TRAIT_TYPE | SyntaxKind::MACRO_TYPE)
    })
}

fn full(ty: &ast::Type) -> Option<String> {
    is_full(ty).then(|| ty.syntax().text().to_string()).filter(|text| !text.contains('\n'))
}

fn is_signed(ty: &str) -> bool {
    matches!(ty, "f32" | "f64" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize")
}

fn literal_type(literal: &ast::Literal, alone: bool) -> Option<&'static str> {
    const INTEGERS: [&str; 14] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"];
    let of_suffix = |suffix: Option<&str>, default| match suffix {
        Some(suffix) => INTEGERS.into_iter().find(|name| *name == suffix),
        None => Some(default).filter(|_| alone),
    };
    match literal.kind() {
        ast::LiteralKind::IntNumber(number) => of_suffix(number.suffix(), "i32"),
        ast::LiteralKind::FloatNumber(number) => of_suffix(number.suffix(), "f64"),
        ast::LiteralKind::String(_) => Some("&'static str"),
        ast::LiteralKind::Char(_) => Some("char"),
        ast::LiteralKind::Byte(_) => Some("u8"),
        ast::LiteralKind::Bool(_) => Some("bool"),
        _ => None,
    }
}

/// The one type in `::<T>`.
fn argument(list: &ast::GenericArgList) -> Option<String> {
    let mut arguments = list.generic_args();
    let (Some(ast::GenericArg::TypeArg(only)), None) = (arguments.next(), arguments.next()) else { return None };
    let only = only.ty()?;
    // To these other types are converted without a word.
    let converts = only.syntax().descendants().any(|node| {
        matches!(
            node.kind(),
            SyntaxKind::REF_TYPE
                | SyntaxKind::PTR_TYPE
                | SyntaxKind::FN_PTR_TYPE
                | SyntaxKind::DYN_TRAIT_TYPE
                | SyntaxKind::NEVER_TYPE
        )
    });
    full(&only).filter(|_| !converts)
}

fn path_of(call: &ast::CallExpr) -> Option<ast::Path> {
    match call.expr()? {
        ast::Expr::PathExpr(path) => path.path(),
        _ => None,
    }
}
