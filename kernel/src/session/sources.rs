//! Which sources of the standard library an analyser sees.
//!
//! evcxr's own analyser, on the session's thread, would read and resolve the whole standard library before the first cell
//! with a `let`, which takes seconds. It sees an empty one: types of variables come from the compiler
//! ([`super::inference`]), completions from a process beside ([`super::analyser`]), which sees the toolchain's.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The variable by which rust-analyzer can be pointed at the sources.
pub const VARIABLE: &str = "RUST_SRC_PATH";

/// The crates whose types a variable can have. With these alone, without the workspace's manifest, rust-analyzer asks
/// cargo nothing and reads a third of the files: no tests, and no vendor's intrinsics, which are more than the rest.
const CRATES: [&str; 4] = ["core", "alloc", "std", "proc_macro"];

/// Makes a standard library without anything in it in a session's directory, for evcxr; returns where it is.
///
/// # Errors
/// If the session's directory cannot be written.
pub fn empty(directory: &Path) -> io::Result<PathBuf> {
    let library = directory.join("library-empty");
    let core = library.join("core/src");
    fs::create_dir_all(&core)?;
    fs::write(core.join("lib.rs"), "")?;
    Ok(library)
}

/// Makes a standard library of links to a toolchain's in a session's directory; returns where it is.
///
/// # Errors
/// If the session's directory cannot be written.
pub fn linked(directory: &Path, library: &Path) -> io::Result<PathBuf> {
    let linked = directory.join("library-linked");
    fs::create_dir_all(&linked)?;
    for name in CRATES {
        lead(&linked.join(name), &library.join(name))?;
    }
    Ok(linked)
}

/// Makes a link, or lets it lead elsewhere.
fn lead(link: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(to, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_analyser_sees_nothing_and_the_other_what_the_toolchain_has() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let library = directory.path().join("toolchain");
        fs::create_dir_all(library.join("core/src"))?;
        fs::write(library.join("core/src/lib.rs"), "//! The real one.")?;
        // The second time in a directory that has been used.
        for _ in 0..2 {
            let seen = |library: PathBuf| fs::read_to_string(library.join("core/src/lib.rs"));
            assert_eq!(seen(empty(directory.path())?)?, "");
            assert_eq!(seen(linked(directory.path(), &library)?)?, "//! The real one.");
        }
        Ok(())
    }
}
