//! When the analyser reads the sources of the standard library.
//!
//! evcxr asks rust-analyzer for the types of new variables, and rust-analyzer first reads and resolves the whole
//! standard library, seconds of work. A cell without a `let` has no use for it. So a session starts with an empty
//! library in its place, which `RUST_SRC_PATH` names, and the real one is read when the first variable, completion or
//! inspection needs it, or nobody needs anything else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The variable by which rust-analyzer can be told where the sources are.
pub const VARIABLE: &str = "RUST_SRC_PATH";

/// Marks the manifest of a session that knows the standard library: rust-analyzer reads everything anew when the
/// manifest has changed.
const MARK: &str = "\n# Types of the standard library are known.";

/// The empty library of one session.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `None` if the user has said himself where the sources are.
    empty: Option<PathBuf>,
    manifest: PathBuf,
    known: bool,
}

impl Sources {
    /// For the session in a directory.
    pub fn new(directory: &Path) -> Self {
        let empty = directory.join("no-sources");
        let own = std::env::var_os(VARIABLE).is_some_and(|path| Path::new(&path) != empty);
        Self { empty: (!own).then_some(empty), manifest: directory.join("Cargo.toml"), known: own }
    }

    /// What the variable is to say.
    pub fn place(&self) -> Option<&Path> {
        self.empty.as_deref()
    }

    /// Hides the standard library from an analyser that is about to start.
    ///
    /// # Errors
    /// If the session's directory cannot be written. The library is seen then.
    pub fn hide(&mut self) -> io::Result<()> {
        if let Some(empty) = &self.empty {
            self.known = true;
            let library = empty.join("core/src");
            fs::create_dir_all(&library)?;
            fs::write(library.join("lib.rs"), "")?;
            self.known = false;
        }
        Ok(())
    }

    /// Lets the analyser see the standard library from the next cell on; `level` is what evcxr writes into the manifest
    /// as the level of optimisation. Returns what it is to write from now on, if that changes.
    ///
    /// # Errors
    /// If the session's directory cannot be written.
    pub fn show(&mut self, level: &str) -> io::Result<Option<String>> {
        if std::mem::replace(&mut self.known, true) {
            return Ok(None);
        }
        if let Some(empty) = &self.empty {
            fs::remove_dir_all(empty)?;
        }
        let marked = self.mark(level.to_owned());
        // Completion does not write the manifest, but looks whether it has changed.
        let manifest = fs::read_to_string(&self.manifest)?;
        fs::write(&self.manifest, manifest.replacen(level, &marked, 1))?;
        Ok(Some(marked))
    }

    /// The level of optimisation, marked if the standard library is seen.
    pub fn mark(&self, level: String) -> String {
        if self.known && self.empty.is_some() { level + MARK } else { level }
    }

    /// Whether the standard library is seen.
    pub fn is_known(&self) -> bool {
        self.known
    }
}

/// Whether the code may define a variable, whose type evcxr asks for.
pub fn defines_variables(code: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "let")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_hidden_until_it_is_asked_for_once() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let manifest = directory.path().join("Cargo.toml");
        fs::write(&manifest, "opt-level = 2\ndebug = false\n")?;
        let mut sources = Sources::new(directory.path());
        if sources.place().is_none() {
            // Whoever runs the test has set the variable.
            return Ok(());
        }
        sources.hide()?;
        assert!(directory.path().join("no-sources/core/src/lib.rs").is_file());
        assert!(!sources.is_known());
        assert_eq!(sources.mark("2".into()), "2");
        let marked = sources.show("2")?;
        assert_eq!(marked.as_deref(), Some(sources.mark("2".into()).as_str()));
        assert!(!directory.path().join("no-sources").exists());
        assert!(fs::read_to_string(&manifest)?.starts_with("opt-level = 2\n# Types"));
        assert_eq!(sources.show("2")?, None);
        Ok(())
    }

    #[test]
    fn a_let_is_a_word() {
        assert!(defines_variables("let x = 1;"));
        assert!(defines_variables("MACHINE.drain();\nlet(a, b) = c;"));
        assert!(!defines_variables("MACHINE[0] = |letter: &str| letter.len();"));
    }
}
