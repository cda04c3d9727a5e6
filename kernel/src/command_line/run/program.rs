//! A file as the program that is built.
//!
//! | the file | the program |
//! |---|---|
//! | has `fn main` | the same; `main` gets another name, and a `main` of ours hands it to `machine_engine::run` |
//! | has none: a script | its statements, edited as those of a cell, in a function that is handed to `machine_engine::script::run` |
//!
//! What belongs to notebooks alone is blanked: `:dep` lines become dependencies, magics are left out with a note.
//! No edit adds or removes a line before the last.

use super::super::outcome::Failed;
use super::front_matter;
use crate::session::Script;
use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode, Edition, SourceFile};
use std::path::Path;
use toml::Table;

/// What `main` is called in the program: of the same length, so that its line keeps its columns, and no word of the
/// file's own.
fn name_of_main(rust: &str) -> String {
    let mut names = ('b'..='z').map(|letter| format!("ma{letter}_"));
    names.find(|name| !rust.contains(name.as_str())).unwrap_or_else(|| "main_of_file".to_owned())
}

/// The program and what it needs.
#[derive(Debug)]
pub struct Program {
    /// Its source.
    pub text: String,
    /// The front matter.
    pub front: Option<Table>,
    /// The dependencies of `:dep` lines.
    pub dependencies: Table,
    /// What was left out: line, and what to know about it.
    pub notes: Vec<String>,
    /// The statements of a file without `main`.
    pub script: Option<Script>,
}

/// Makes the program of a file.
///
/// # Errors
/// If its head is not as it should be.
pub fn make(source: &str, path: &Path) -> Result<Program, Failed> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let front_matter::Split { front, rust } = front_matter::split(source, &name)?;
    let mut program =
        Program { text: String::new(), front, dependencies: Table::new(), notes: Vec::new(), script: None };
    crate::nesting::check(&rust).map_err(|why| Failed::Usage(format!("{name}: {why}")))?;
    if let Some(main) = main_of(&rust) {
        let (before, after) = rust.split_at(main);
        let after = after.strip_prefix("main").unwrap_or(after);
        let name = name_of_main(&rust);
        program.text = format!(
            "{before}{name}{after}\n#[allow(clippy::all)] fn main() -> ::std::process::ExitCode {{ \
             ::machine_engine::run({name}) }}\n"
        );
        return Ok(program);
    }
    let rust = program.without_commands(&rust, &name)?;
    let prelude = "#[allow(unused_imports)] use ::machine::prelude::*; #[allow(unused_imports, unused_parens, unused_braces, unused_variables, unused_assignments, unreachable_code, \
                   unreachable_patterns)] fn script() { ";
    let script = Script::new(&rust, prelude);
    // A script without a statement has its prelude at the end.
    program.text = format!(
        "{}\n}}\n#[allow(clippy::all)] fn main() -> ::std::process::ExitCode {{ \
         ::machine_engine::script::columns(file!(), {:?}); \
         ::machine_engine::script::run({name:?}, script) }}\n",
        script.text(),
        script.columns(),
    );
    program.script = Some(script);
    Ok(program)
}

/// Where the name of the function `main` stands, if the file has one.
fn main_of(rust: &str) -> Option<usize> {
    let file = SourceFile::parse(rust, Edition::Edition2024).syntax_node();
    let functions = file.children().filter_map(ast::Fn::cast);
    let name = functions.filter_map(|function| function.name()).find(|name| name.text() == "main")?;
    Some(usize::from(name.syntax().text_range().start()))
}

impl Program {
    /// Blanks what a notebook's kernel does itself.
    fn without_commands(&mut self, rust: &str, name: &str) -> Result<String, Failed> {
        let mut kept = String::with_capacity(rust.len());
        let magics = crate::magic::lines(rust);
        let mut start = 0;
        for (index, line) in rust.split_inclusive('\n').enumerate() {
            let number = index + 1;
            let is_magic = magics.contains(&start);
            start += line.len();
            if let Some(dependency) = line.strip_prefix(":dep ") {
                self.dependency(dependency.trim()).map_err(|why| {
                    Failed::Usage(format!(
                        "{name}:{number}: {why}; expected `:dep name = \"version\"`, as in Cargo.toml"
                    ))
                })?;
            } else if is_magic || is_command(line) {
                let what = line.split_whitespace().next().unwrap_or_default();
                self.notes.push(format!("{number}: {what} is for notebooks, left out"));
            } else {
                kept.push_str(line);
                continue;
            }
            kept.push('\n');
        }
        Ok(kept)
    }

    fn dependency(&mut self, text: &str) -> Result<(), String> {
        let named = if text.contains('=') { text.to_owned() } else { format!("{text} = \"*\"") };
        let table: Table = named.parse().map_err(|bad: toml::de::Error| bad.message().replace('\n', ", "))?;
        self.dependencies.extend(table);
        Ok(())
    }
}

/// `:opt 3`: at the beginning of a line no Rust looks so, as it is formatted.
fn is_command(line: &str) -> bool {
    line.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(source: &str) -> Program {
        make(source, Path::new("/dir/p.rs")).unwrap_or_else(|error| Program {
            text: format!("{error:?}"),
            front: None,
            dependencies: Table::new(),
            notes: Vec::new(),
            script: None,
        })
    }

    #[test]
    fn a_main_is_handed_on_and_keeps_its_lines() {
        let program = made("use machine::prelude::*;\n\nfn main() -> Result<(), Error> {\n    Ok(())\n}");
        let lines: Vec<&str> = program.text.lines().collect();
        assert_eq!(lines.get(2), Some(&"fn mab_() -> Result<(), Error> {"));
        assert!(program.text.contains("::machine_engine::run(mab_)"));
        assert!(made("fn main() { mab_() }\nfn mab_() {}").text.contains("::machine_engine::run(mac_)"));
    }

    #[test]
    fn a_script_is_edited_as_a_cell_and_keeps_its_lines() {
        let program = made(":dep a = \"1\"\n:dep b\nMACHINE[0] = |x| x;\n%status\nMACHINE.put(1)?; // end");
        let lines: Vec<&str> = program.text.lines().collect();
        assert!(lines.get(2).is_some_and(|line| line.contains("cell::assign(&MACHINE[0]")), "{}", program.text);
        assert!(lines.get(4).is_some_and(|line| line.contains("cell::tried(MACHINE.put(1)")), "{}", program.text);
        assert!(program.text.contains("::machine_engine::script::run(\"p.rs\", script)"));
        assert_eq!(program.dependencies.to_string(), "a = \"1\"\nb = \"*\"\n");
        assert_eq!(program.notes, ["4: %status is for notebooks, left out"]);
        let text = "let s = \"\n%status\n\";";
        assert!(made(text).notes.is_empty() && made(text).text.contains("\n%status\n"));
    }

    #[test]
    fn a_main_inside_of_something_is_none() {
        assert_eq!(main_of("mod a { fn main() {} }\nlet main = 1;"), None);
        assert_eq!(main_of("MACHINE[0] = |x| x;"), None);
        assert_eq!(main_of("async fn main() {}"), Some(9));
    }
}
