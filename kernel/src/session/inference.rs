//! The types of a cell's variables, asked of the compiler.
//!
//! evcxr keeps a variable by its type's name. Where the user wrote none, the cell is compiled once in a form that
//! borrows each variable and moves out of the borrow ([`machine::cell::type_of`]). The compiler refuses that with an
//! error that names the inferred type, after inference and its fallbacks, and before it generates any code, so asking
//! costs some 40 ms of compiler time. The stand-in for rustc recognises that form, runs the compiler with full paths in its
//! messages, and writes the types into a file instead of passing the errors on. Errors of the cell itself are passed on
//! as the compiler gives them.
//!
//! Not every type has a name: closures and `impl Trait` do not, and `!` may not be written in stable Rust.

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the types are written to, in the session's directory.
const FILE: &str = "machine-types.json";
/// What the form that asks has, and no other.
const MARK: &str = "::machine::cell::type_of(&";
/// The type that the compiler's answer wraps.
const ANSWER: &str = "machine::cell::TypeOf<";
/// Longer type names are abbreviated by the compiler.
const WIDTH: &str = "--diagnostic-width=1000000";

/// The statement that asks for the type of a variable.
pub fn question(variable: &str) -> String {
    format!("drop(*{MARK}{variable}));")
}

/// The types of variables by name, as the compiler prints them.
pub type VariableTypes = BTreeMap<String, String>;

/// Removes the answer to an earlier question.
pub fn forget(directory: &Path) {
    let _ = fs::remove_file(directory.join(FILE));
}

/// The answer, if there is one.
pub fn answer(directory: &Path) -> Option<VariableTypes> {
    serde_json::from_slice(&fs::read(directory.join(FILE)).ok()?).ok()
}

/// A variable whose type cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Nameless {
    /// A closure, or something that holds one.
    #[error(
        "the variable `{0}` holds a closure, whose type has no name, so later cells could not use it: box it (`let {0}: \
         Box<dyn Fn(i32) -> i32> = Box::new(…);`), make it a function, or put braces around the code"
    )]
    Closure(String),
    /// `impl Trait` or an async block.
    #[error(
        "the variable `{0}` has the type `{1}`, which has no name, so later cells could not use it: convert it (an \
         iterator: `.collect::<Vec<_>>()`), box it (`Box<dyn …>`), or put braces around the code"
    )]
    Opaque(String, String),
}

/// All types as they can be written.
///
/// # Errors
/// If one cannot.
pub fn all_written(types: VariableTypes) -> Result<VariableTypes, Nameless> {
    let named = |(name, of): (String, String)| match written(&of) {
        Some(written) => Ok((name, written)),
        None if of.contains("{closure@") => Err(Nameless::Closure(name)),
        None => Err(Nameless::Opaque(name, of)),
    };
    types.into_iter().map(named).collect()
}

/// In the stand-in for rustc: if the source asks, compiles it and returns the exit code, which is never success.
///
/// `directory` is where the answer goes. `None` if the source does not ask.
pub fn run_if_asking(rustc: &OsStr, arguments: &[OsString], directory: &Path) -> Option<i32> {
    let source = arguments.iter().find(|argument| Path::new(argument).extension() == Some(OsStr::new("rs")))?;
    if !fs::read_to_string(source).ok()?.contains(MARK) {
        return None;
    }
    Some(ask(rustc, arguments, directory).unwrap_or_else(|error| super::rustc_wrapper::not_started(rustc, &error)))
}

#[expect(clippy::print_stderr, reason = "cargo reads it")]
fn ask(rustc: &OsStr, arguments: &[OsString], directory: &Path) -> io::Result<i32> {
    let compile = |more: &[&str]| {
        let mut command = Command::new(rustc);
        command.args(without_incremental(arguments)).args(more).stdin(Stdio::null()).stdout(Stdio::null());
        // Full paths in messages are an unstable option; nothing else becomes possible by it, since nothing is compiled.
        if !more.is_empty() {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command.output()
    };
    let output = compile(&["-Ztrim-diagnostic-paths=no", WIDTH])?;
    if let Some(types) = types(&String::from_utf8_lossy(&output.stderr)) {
        let text = serde_json::to_vec(&types)?;
        fs::write(directory.join(FILE), text)?;
        return Ok(1);
    }
    // The cell has errors: they are shown with the paths that the compiler chooses.
    let output = compile(&[])?;
    for line in String::from_utf8_lossy(&output.stderr).lines().filter(|line| !line.contains(MARK)) {
        eprintln!("{line}");
    }
    Ok(output.status.code().filter(|code| *code != 0).unwrap_or(1))
}

/// The incremental state is that of cells that compile.
fn without_incremental(arguments: &[OsString]) -> impl Iterator<Item = &OsString> {
    let is_incremental = |argument: &OsString| argument.to_string_lossy().starts_with("incremental=");
    let mut kept: Vec<&OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if is_incremental(argument) {
            kept.pop();
        } else {
            kept.push(argument);
        }
    }
    kept.into_iter()
}

/// The types in the compiler's JSON lines; `None` if there are other errors, or none that answers.
fn types(lines: &str) -> Option<VariableTypes> {
    let mut types = VariableTypes::new();
    for message in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if message.get("level").and_then(Value::as_str) != Some("error") {
            continue;
        }
        match type_in(&message) {
            Some((name, of)) => {
                types.insert(name, of);
            }
            // "aborting due to 3 previous errors" is about no place.
            None if message.get("spans").and_then(Value::as_array).is_none_or(Vec::is_empty) => {}
            None => return None,
        }
    }
    (!types.is_empty()).then_some(types)
}

/// The variable and the type that an error is about.
fn type_in(message: &Value) -> Option<(String, String)> {
    let spans = message.get("spans")?.as_array()?;
    let text = |span: &Value| span.pointer("/text/0/text").and_then(Value::as_str).map(str::to_owned);
    let label = spans.iter().filter_map(|span| span.get("label")?.as_str()).find(|label| label.contains(ANSWER))?;
    let of = label.split_once(ANSWER)?.1.rsplit_once(">`")?.0;
    let span = spans.iter().find(|span| span.get("is_primary") == Some(&Value::Bool(true)))?;
    let column = usize::try_from(span.get("column_start")?.as_u64()?).ok()?.saturating_sub(1);
    let rest: String = text(span)?.chars().skip(column).collect();
    let name = rest.split_once(MARK)?.1.split_once(')')?.0;
    Some((name.to_owned(), of.to_owned()))
}

/// The type as it can be written in a cell, where its lifetimes are those of a session's variable; `None` if the type
/// has no name, or none that stable Rust accepts.
fn written(of: &str) -> Option<String> {
    let mut written = String::with_capacity(of.len());
    let mut rest = of;
    while let Some(next) = rest.chars().next() {
        let tail = rest.get(next.len_utf8()..)?;
        match next {
            // A function item's type coerces to a pointer; a closure's or an async block's has no name.
            '{' if written.ends_with(' ') && !tail.split_once('}')?.0.contains('@') => {
                written.pop();
                rest = tail.split_once('}')?.1;
                continue;
            }
            '{' => return None,
            '&' if tail.starts_with('\'') => written.push('&'),
            '&' => written.push_str("&'static "),
            '\'' if tail.starts_with('_') && !tail.get(1..)?.starts_with(is_name) => {
                written.push_str("'static");
                rest = tail.get(1..)?;
                continue;
            }
            '!' => written.push_str("<fn() -> ! as ::machine::cell::Function>::Output"),
            next => written.push(next),
        }
        rest = tail;
    }
    let opaque = written.split(|c: char| !is_name(c)).any(|word| word == "impl");
    (!opaque).then_some(written)
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_a_later_cell_can_name_them() {
        for (of, expected) in [
            ("std::vec::Vec<i32>", Some("std::vec::Vec<i32>")),
            ("&str", Some("&'static str")),
            ("(&mut u8, &'static str)", Some("(&'static mut u8, &'static str)")),
            ("std::str::Chars<'_>", Some("std::str::Chars<'static>")),
            ("for<'a> fn(&'a str) -> &'a [u8; 4]", Some("for<'a> fn(&'a str) -> &'a [u8; 4]")),
            ("fn(u8) -> u8 {double}", Some("fn(u8) -> u8")),
            (
                "std::thread::JoinHandle<!>",
                Some("std::thread::JoinHandle<<fn() -> ! as ::machine::cell::Function>::Output>"),
            ),
            ("{closure@src/lib.rs:3:9: 3:12}", None),
            ("std::option::Option<{closure@src/lib.rs:3:9: 3:12}>", None),
            ("impl std::iter::Iterator<Item = u8>", None),
            ("std::iter::Map<std::iter::Once<i32>, {closure@src/lib.rs:3:9: 3:12}>", None),
            ("std::vec::Vec<implied::T>", Some("std::vec::Vec<implied::T>")),
        ] {
            assert_eq!(written(of).as_deref(), expected, "{of}");
        }
    }

    #[test]
    fn an_error_of_the_cell_is_no_answer() {
        let answer = r#"{"level":"error","spans":[{"is_primary":true,"column_start":6,"label":"move occurs because value has type `machine::cell::TypeOf<Vec<u8>>`, which does not implement the `Copy` trait","text":[{"text":"drop(*::machine::cell::type_of(&v));"}]}]}"#;
        let sum = r#"{"level":"error","spans":[],"message":"aborting due to 1 previous error"}"#;
        let other =
            r#"{"level":"error","spans":[{"is_primary":true,"column_start":1,"label":"no","text":[{"text":"x"}]}]}"#;
        let warning =
            r#"{"level":"warning","spans":[{"is_primary":true,"column_start":1,"label":"no","text":[{"text":"x"}]}]}"#;
        let types_of = |lines: &[&str]| types(&lines.join("\n"));
        let expected = VariableTypes::from([("v".to_owned(), "Vec<u8>".to_owned())]);
        assert_eq!(types_of(&[answer, warning, sum, "not JSON"]), Some(expected));
        assert_eq!(types_of(&[answer, other, sum]), None);
        assert_eq!(types_of(&[sum]), None);
    }
}
