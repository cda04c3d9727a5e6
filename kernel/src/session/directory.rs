//! The pool of directories in which sessions are compiled.
//!
//! `sessions/N` under the user's cache directory holds one evcxr crate with its `target`, so dependencies stay
//! compiled from one session to the next. A directory belongs to the process that holds the lock of
//! `sessions/N.lock`; the lock goes with the process. `sessions/0` is the template that `machine warm` builds:
//! a new directory starts as a copy of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A directory that is ours for as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

/// How many sessions there can be at one time.
const POOL: u32 = 1000;

impl Directory {
    /// Takes the first free directory of the pool, or makes one.
    ///
    /// # Errors
    /// If the cache directory cannot be written.
    pub fn claim(pool: &Path) -> io::Result<Self> {
        for number in 1..POOL {
            if let Some(directory) = Self::try_claim(pool, number)? {
                return Ok(directory);
            }
        }
        Err(io::Error::other(format!("{POOL} sessions are running already, their locks are in {}", pool.display())))
    }

    /// Takes the template, to build it.
    ///
    /// # Errors
    /// If the cache directory cannot be written, or another process is building the template.
    pub fn claim_template(pool: &Path) -> io::Result<Self> {
        Self::try_claim(pool, 0)?
            .ok_or_else(|| io::Error::other("another process is preparing the session cache at the moment"))
    }

    fn try_claim(pool: &Path, number: u32) -> io::Result<Option<Self>> {
        fs::create_dir_all(pool)?;
        let lock = File::create(pool.join(format!("{number}.lock")))?;
        match lock.try_lock() {
            Ok(()) => {
                let path = pool.join(number.to_string());
                fs::create_dir_all(&path)?;
                Ok(Some(Self { path: path.canonicalize()?, _lock: lock }))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the libraries of cells: each has a number, so they are of no use to another session.
    pub fn sweep(&self) {
        let entries = fs::read_dir(self.path.join("target/debug/deps")).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("libcode_")) {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Fills a new directory from the template, if there is one; what is there already, such as the configuration that
    /// names this directory, stays. A copy that fails is no error: everything is compiled anew then.
    pub fn fill(&self) {
        let Some(template) = self.path.parent().map(|pool| pool.join("0")) else { return };
        if self.path.join("target").exists() || !template.join("target").exists() {
            return;
        }
        if copy(&template, &self.path).is_err() {
            let _ = fs::remove_dir_all(self.path.join("target"));
        }
    }
}

/// Where everything is kept that can be made again: `$MACHINE_CACHE_DIR`, or `machine` in the usual place for caches.
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("MACHINE_CACHE_DIR").map(PathBuf::from);
    let cache = cache.or_else(|| dirs::cache_dir().map(|cache| cache.join("machine")));
    cache.unwrap_or_else(|| std::env::temp_dir().join("machine"))
}

/// The pool of this user: `sessions` in the cache.
pub fn pool() -> PathBuf {
    cache().join("sessions")
}

/// Copies a tree and keeps the times, by which cargo sees what is up to date. What the compiler never writes in
/// place is linked, not copied; it replaces such files by new ones.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // A link belongs to the session that made it.
        if target.is_file() || entry.file_type()?.is_symlink() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            // The incremental state of the cell's own crate depends on the directory's path.
            if entry.file_name() != "incremental" {
                copy(&source, &target)?;
            }
        } else if !(is_immutable(&source) && fs::hard_link(&source, &target).is_ok()) {
            fs::copy(&source, &target)?;
            let modified = fs::metadata(&source)?.modified()?;
            File::options().write(true).open(&target)?.set_modified(modified)?;
        }
    }
    Ok(())
}

fn is_immutable(path: &Path) -> bool {
    // The cell's own library is linked anew with each cell.
    let own = path.file_stem().is_some_and(|name| name == "libctx" || name.to_string_lossy().starts_with("libcode_"));
    !own && path.extension().is_some_and(|extension| extension == "rlib" || extension == "rmeta" || extension == "so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_session_and_starts_as_the_template() -> io::Result<()> {
        let pool = tempfile::tempdir()?;
        let template = Directory::claim_template(pool.path())?;
        fs::create_dir_all(template.path().join("target/debug"))?;
        fs::write(template.path().join("target/debug/a.rlib"), "a")?;
        fs::write(template.path().join("target/debug/a.d"), "d")?;
        fs::write(template.path().join("evcxr.toml"), "the template's")?;
        std::os::unix::fs::symlink(template.path(), template.path().join("library"))?;
        let first = Directory::claim(pool.path())?;
        let second = Directory::claim(pool.path())?;
        assert_ne!(first.path(), second.path());
        fs::write(first.path().join("evcxr.toml"), "its own")?;
        first.fill();
        assert_eq!(fs::read_to_string(first.path().join("evcxr.toml"))?, "its own");
        assert!(!first.path().join("library").exists());
        for file in ["target/debug/a.rlib", "target/debug/a.d"] {
            let time = |directory: &Directory| fs::metadata(directory.path().join(file))?.modified();
            assert_eq!(time(&first)?, time(&template)?);
        }
        let [cell, dependency] =
            ["libcode_7.so", "libserde-1.rlib"].map(|name| first.path().join("target/debug/deps").join(name));
        fs::create_dir_all(first.path().join("target/debug/deps"))?;
        fs::write(&cell, "")?;
        fs::write(&dependency, "")?;
        first.sweep();
        assert!(!cell.exists() && dependency.exists());
        let path = first.path().to_owned();
        drop(first);
        assert_eq!(Directory::claim(pool.path())?.path(), path);
        Ok(())
    }
}
