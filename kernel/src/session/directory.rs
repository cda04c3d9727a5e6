//! The pool of directories in which sessions are compiled.
//!
//! `sessions/N` under the user's cache directory holds one evcxr crate with its `target`, so dependencies stay
//! compiled from one session to the next. A directory belongs to the process that holds the lock of
//! `sessions/N.lock`; the lock goes with the process. `sessions/0` is the template that `machine warm` builds:
//! a new directory starts as a copy of it, and an old one begins anew as a copy when the template is another one than
//! before. A template counts from when it is sealed: the seal lists its files, so that a damaged one is not copied.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A directory that is ours for as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

/// Lies in a sealed template, and in what was copied from it.
const SEAL: &str = "seal.json";

/// The files of a template that are linked, not copied: their lengths and hashes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seal(BTreeMap<String, (u64, u64)>);

/// How a template is looked at before it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Lengths,
    Contents,
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

    /// Takes the template, to build it from nothing. Waits while another process builds it, or copies it.
    ///
    /// The libraries of an earlier version would stay beside the new ones and be copied into every session. Crates from a
    /// registry are in the store, so only the machine's own are compiled again.
    ///
    /// # Errors
    /// If the cache directory cannot be written.
    pub fn claim_template(pool: &Path) -> io::Result<Self> {
        create_private(pool)?;
        let lock = File::create(pool.join("0.lock"))?;
        lock.lock()?;
        let path = pool.join("0");
        fs::create_dir_all(&path)?;
        remove(&path.join(SEAL))?;
        remove_tree(&path.join("target"))?;
        Ok(Self { path: path.canonicalize()?, _lock: lock })
    }

    fn try_claim(pool: &Path, number: u32) -> io::Result<Option<Self>> {
        create_private(pool)?;
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
        let entries = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten();
        // evcxr names the target, so cargo puts what it builds for it into a directory of that name.
        for target in entries(self.path.join("target")) {
            for entry in entries(target.path().join("debug")) {
                if entry.file_name().to_string_lossy().starts_with("libcode_") {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// Fills the directory from the template if it is new, or was filled from another template; what is there already,
    /// such as the configuration that names this directory, stays. Without a whole template, or if the copy fails, that is
    /// no error: everything is compiled anew then.
    pub fn fill(&self) {
        let Some(template) = self.template() else { return };
        let seal = |directory: &Path| fs::read(directory.join(SEAL)).ok();
        if self.is_used() && seal(&template).is_none_or(|now| Some(now) == seal(&self.path)) {
            return;
        }
        let _ = self.begin_anew(Check::Lengths);
    }

    /// Whether something was compiled here.
    pub fn is_used(&self) -> bool {
        self.path.join("target").exists()
    }

    /// Lets nothing remain of what was compiled here, and fills the directory from the template if every byte of that is
    /// what it was. Returns whether it did.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn renew(&self) -> io::Result<bool> {
        self.begin_anew(Check::Contents)
    }

    fn begin_anew(&self, check: Check) -> io::Result<bool> {
        remove_tree(&self.path.join("target"))?;
        for name in ["Cargo.toml", "Cargo.lock", SEAL] {
            remove(&self.path.join(name))?;
        }
        let Some(template) = self.template() else { return Ok(false) };
        // Not while the template is built: then it is neither the old nor the new one.
        let lock = File::create(template.with_extension("lock"))?;
        if lock.try_lock_shared().is_err() || !Seal::is_whole(&template, check) {
            return Ok(false);
        }
        if copy(&template, &self.path).is_err() {
            fs::remove_dir_all(self.path.join("target"))?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Where the template is; `None` for the template itself.
    fn template(&self) -> Option<PathBuf> {
        Some(self.path.parent()?.join("0")).filter(|template| *template != self.path)
    }
}

/// Notes that a template is complete.
///
/// # Errors
/// If its files cannot be read, or the seal not be written.
pub fn seal(template: &Path) -> io::Result<()> {
    let seal = serde_json::to_vec(&Seal::of(template)?)?;
    let new = template.join("seal.new");
    fs::write(&new, seal)?;
    fs::rename(new, template.join(SEAL))
}

impl Seal {
    fn of(template: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut open = vec![template.join("target")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if is_immutable(&path) {
                    let name = path.strip_prefix(template).unwrap_or(&path).to_string_lossy().into_owned();
                    files.insert(name, (fs::metadata(&path)?.len(), hash(&path)?));
                }
            }
        }
        Ok(Self(files))
    }

    /// Whether a template is sealed, and its files are as they were then.
    fn is_whole(template: &Path, check: Check) -> bool {
        let read = fs::read(template.join(SEAL)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(Self(files)) = read else { return false };
        files.iter().all(|(name, (length, content))| {
            let path = template.join(name);
            let is_long = || fs::metadata(&path).is_ok_and(|data| data.len() == *length);
            is_long() && (check == Check::Lengths || hash(&path).is_ok_and(|hash| hash == *content))
        })
    }
}

/// Against damage, not against forgery.
fn hash(path: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(path)?);
    Ok(hasher.finish())
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory, with those above it, or takes one that is there, and closes it to other users: there is what a
/// user has written.
///
/// # Errors
/// If it cannot be made.
pub fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // One that is not ours stays as it is.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    Ok(())
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
        seal(template.path())?;
        std::os::unix::fs::symlink(template.path(), template.path().join("library"))?;
        let path = template.path().to_owned();
        drop(template);
        let first = Directory::claim(pool.path())?;
        let second = Directory::claim(pool.path())?;
        assert_ne!(first.path(), second.path());
        fs::write(first.path().join("evcxr.toml"), "its own")?;
        first.fill();
        assert_eq!(fs::read_to_string(first.path().join("evcxr.toml"))?, "its own");
        assert!(!first.path().join("library").exists());
        for file in ["target/debug/a.rlib", "target/debug/a.d"] {
            let time = |directory: &Path| fs::metadata(directory.join(file))?.modified();
            assert_eq!(time(first.path())?, time(&path)?);
        }
        let [cell, dependency] =
            ["libcode_7.so", "libserde-1.rlib"].map(|name| first.path().join("target/some-host/debug").join(name));
        fs::create_dir_all(first.path().join("target/some-host/debug"))?;
        fs::write(&cell, "")?;
        fs::write(&dependency, "")?;
        first.sweep();
        assert!(!cell.exists() && dependency.exists());
        let path = first.path().to_owned();
        drop(first);
        assert_eq!(Directory::claim(pool.path())?.path(), path);
        Ok(())
    }
    #[test]
    fn a_directory_begins_anew_with_another_template_and_not_with_a_damaged_one() -> io::Result<()> {
        let pool = tempfile::tempdir()?;
        let build = |content: &str| -> io::Result<()> {
            let template = Directory::claim_template(pool.path())?;
            assert!(!template.path().join("target").exists(), "what an earlier version compiled is still there");
            fs::create_dir_all(template.path().join("target"))?;
            fs::write(template.path().join("target/a.rlib"), content)?;
            seal(template.path())
        };
        build("1")?;
        let session = Directory::claim(pool.path())?;
        session.fill();
        let content = || fs::read_to_string(session.path().join("target/a.rlib"));
        fs::write(session.path().join("target/own"), "")?;
        session.fill();
        assert!(session.path().join("target/own").exists(), "the same template");
        build("2")?;
        session.fill();
        assert_eq!(content()?, "2");
        assert!(!session.path().join("target/own").exists());
        // One file is both the session's and the template's: neither is used, however the damage looks.
        for damaged in ["", "3"] {
            build("2")?;
            session.renew()?;
            assert_eq!(content()?, "2");
            fs::write(pool.path().join("0/target/a.rlib"), damaged)?;
            assert!(!session.renew()?);
            assert!(!session.is_used());
        }
        Ok(())
    }

    #[test]
    fn a_template_that_is_being_built_is_not_copied() -> io::Result<()> {
        let pool = tempfile::tempdir()?;
        let template = Directory::claim_template(pool.path())?;
        fs::create_dir_all(template.path().join("target"))?;
        let session = Directory::claim(pool.path())?;
        session.fill();
        assert!(!session.is_used());
        seal(template.path())?;
        drop(template);
        session.fill();
        assert!(session.is_used());
        Ok(())
    }
}
