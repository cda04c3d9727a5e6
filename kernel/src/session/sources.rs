//! When the analyser reads the sources of the standard library.
//!
//! evcxr asks rust-analyzer for the types of new variables, and rust-analyzer first reads and resolves the whole
//! standard library, seconds of work. A cell without a `let` has no use for it. So a session starts with an empty
//! library in its place, which `RUST_SRC_PATH` names, and the real one is read when the first variable whose type is not
//! plain to see, completion or inspection needs it, or nobody needs anything else.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The variable by which rust-analyzer can be told where the sources are.
pub const VARIABLE: &str = "RUST_SRC_PATH";

/// Marks the manifest of a session that knows the standard library: rust-analyzer reads everything anew when the
/// manifest has changed.
const MARK: &str = "\n# Types of the standard library are known.";

/// The crates whose types a variable can have. With these alone, without the workspace's manifest, rust-analyzer asks
/// cargo nothing and reads a third of the files: no tests, and no vendor's intrinsics, which are more than the rest.
const CRATES: [&str; 4] = ["core", "alloc", "std", "proc_macro"];

/// The standard library that one session's analyser sees: a link, which leads to an empty one or to the toolchain's.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `None` if the user has said himself where the sources are.
    link: Option<PathBuf>,
    directory: PathBuf,
    known: bool,
}

impl Sources {
    /// For the session in a directory.
    pub fn new(directory: &Path) -> Self {
        let link = directory.join("library");
        let own = std::env::var_os(VARIABLE).is_some_and(|path| Path::new(&path) != link);
        Self { link: (!own).then_some(link), directory: directory.to_owned(), known: own }
    }

    /// What the variable is to say.
    pub fn place(&self) -> Option<&Path> {
        self.link.as_deref()
    }

    /// Hides the standard library from an analyser that is about to start.
    ///
    /// # Errors
    /// If the session's directory cannot be written. The library is seen then.
    pub fn hide(&mut self) -> io::Result<()> {
        if let Some(link) = &self.link {
            self.known = true;
            // Nothing is ever written in a directory that has links in it.
            let empty = self.directory.join("library-empty");
            let core = empty.join("core/src");
            fs::create_dir_all(&core)?;
            fs::write(core.join("lib.rs"), "")?;
            lead(link, &empty)?;
            self.known = false;
        }
        Ok(())
    }

    /// Lets the analyser see the standard library from the next cell on; `level` is what evcxr writes into the manifest
    /// as the level of optimisation, `library` the toolchain's sources if it has them. Returns what evcxr is to write
    /// from now on, if that changes.
    ///
    /// # Errors
    /// If the session's directory cannot be written.
    pub fn show(&mut self, level: &str, library: Option<&Path>) -> io::Result<Option<String>> {
        if std::mem::replace(&mut self.known, true) {
            return Ok(None);
        }
        if let Some(link) = &self.link {
            match library {
                Some(library) => {
                    let linked = self.directory.join("library-linked");
                    fs::create_dir_all(&linked)?;
                    for name in CRATES {
                        lead(&linked.join(name), &library.join(name))?;
                    }
                    lead(link, &linked)?;
                }
                // rust-analyzer looks for itself.
                None => remove(link)?,
            }
        }
        let marked = self.mark(level.to_owned());
        // Completion does not write the manifest, but looks whether it has changed.
        let manifest = self.directory.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        fs::write(&manifest, text.replacen(level, &marked, 1))?;
        Ok(Some(marked))
    }

    /// The level of optimisation, marked if the standard library is seen.
    pub fn mark(&self, level: String) -> String {
        if self.known && self.link.is_some() { level + MARK } else { level }
    }

    /// Whether the standard library is seen.
    pub fn is_known(&self) -> bool {
        self.known
    }
}

/// Makes a link, or lets it lead elsewhere.
fn lead(link: &Path, to: &Path) -> io::Result<()> {
    remove(link)?;
    symlink(to, link)
}

fn remove(link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_hidden_until_it_is_asked_for_once() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let library = directory.path().join("toolchain");
        fs::create_dir_all(library.join("core/src"))?;
        fs::write(library.join("core/src/lib.rs"), "//! The real one.")?;
        let manifest = directory.path().join("Cargo.toml");
        let seen = || fs::read_to_string(directory.path().join("library/core/src/lib.rs"));
        // The second time in a directory that has been used.
        for _ in 0..2 {
            fs::write(&manifest, "opt-level = 2\ndebug = false\n")?;
            let mut sources = Sources::new(directory.path());
            if sources.place().is_none() {
                // Whoever runs the test has set the variable.
                return Ok(());
            }
            sources.hide()?;
            assert_eq!(seen()?, "");
            assert!(!sources.is_known());
            assert_eq!(sources.mark("2".into()), "2");
            let marked = sources.show("2", Some(&library))?;
            assert_eq!(marked.as_deref(), Some(sources.mark("2".into()).as_str()));
            assert_eq!(seen()?, "//! The real one.");
            assert!(fs::read_to_string(&manifest)?.starts_with("opt-level = 2\n# Types"));
            assert_eq!(sources.show("2", Some(&library))?, None);
        }
        Ok(())
    }

    #[test]
    fn without_the_sources_the_analyser_looks_for_itself() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("Cargo.toml"), "opt-level = 2\n")?;
        let mut sources = Sources::new(directory.path());
        sources.hide()?;
        sources.show("2", None)?;
        assert!(sources.is_known() && !directory.path().join("library").exists());
        Ok(())
    }
}
