//! Compiled crates that all sessions of a user share.
//!
//! The sources of a crate from a registry, or of a git revision, never change. So what the compiler makes of them depends
//! on its arguments, on what its dependencies were compiled to, on the files that its build script wrote, and on variables
//! of the environment that it read. A hash of the first three names an entry, and the entry lists the variables. What lies
//! in a directory of the user's may be edited at any time, and is never shared.
//!
//! An entry is a directory, renamed into place once it is complete, so whatever is killed leaves no half of one. Each file
//! in it is compared with its hash when it is used: an entry that is damaged counts as missing and is written anew. Files
//! are copied into a session, not linked: cargo goes by their times, and a session that is damaged damages nothing else.
//!
//! Sessions that want the same crate at the same moment wait for the one that began, by a file lock that goes with its
//! process.

use super::directory;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

/// Grows when entries are made in another way.
const FORMAT: &str = "1";
/// What an entry consists of; beside its files.
const CONTENTS: &str = "contents.json";
/// Stands for the session's directory where an entry names it.
const SESSION: &str = "<session>";
/// What is not used for so long is removed.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// What is longest unused is removed beyond so many bytes.
const MOST: u64 = 8 << 30;

/// Where the entries are.
pub fn place() -> PathBuf {
    directory::cache().join("crates")
}

/// One call of the compiler whose result can be shared.
#[derive(Debug)]
pub struct Unit {
    key: String,
    name: String,
    /// What makes the names of its files unique: `-0123456789abcdef`.
    suffix: String,
    out: PathBuf,
    session: String,
    /// Directories below which files never change, or belong to the key.
    known: Vec<PathBuf>,
}

/// What an entry consists of.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    files: Vec<Stored>,
    /// The variables that the compiler read.
    variables: BTreeMap<String, Option<String>>,
}

/// A file of an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    name: String,
    digest: String,
    executable: bool,
}

impl Unit {
    /// What a call of the compiler in a session's directory makes; `None` if it cannot be shared.
    pub fn of(rustc: &OsStr, arguments: &[OsString], session: &Path) -> Option<Self> {
        Self::below(&immutable(), rustc, arguments, session)
    }

    fn below(roots: &[PathBuf], rustc: &OsStr, arguments: &[OsString], session: &Path) -> Option<Self> {
        let session = session.to_str()?;
        let arguments = arguments.iter().map(|argument| argument.to_str()).collect::<Option<Vec<&str>>>()?;
        let source =
            Path::new(arguments.iter().find(|argument| Path::new(argument).extension() == Some(OsStr::new("rs")))?);
        let root = roots.iter().find(|root| source.starts_with(root))?;
        let (mut name, mut out, mut suffix) = (None, None, None);
        let mut key = Sha256::new();
        let mut add = |text: &str| {
            key.update(text.replace(session, SESSION));
            key.update([0]);
        };
        add(FORMAT);
        add(&rustc.to_string_lossy());
        add(&stamp(Path::new(rustc)));
        add(&std::env::var("RUSTC_BOOTSTRAP").unwrap_or_default());
        let mut before = "";
        for &argument in &arguments {
            match (before, argument) {
                // How errors are written.
                (_, how)
                    if ["--json=", "--error-format=", "--diagnostic-width="].iter().any(|it| how.starts_with(it)) => {}
                ("--extern", of) => match of.split_once('=') {
                    Some((of, file)) => {
                        add(of);
                        add(&digest(&fs::read(file).ok()?));
                    }
                    None => add(of),
                },
                ("-C", value) if value.starts_with("incremental=") => return None,
                (_, "--test") => return None,
                (option, value) => {
                    match option {
                        "--crate-name" => name = Some(value),
                        "--out-dir" => out = Some(value),
                        "-C" => suffix = value.strip_prefix("extra-filename=").or(suffix),
                        _ => {}
                    }
                    add(value);
                }
            }
            before = argument;
        }
        let mut known = vec![root.clone()];
        if let Some(written) = std::env::var_os("OUT_DIR").map(PathBuf::from) {
            for (name, path) in tree(&written).ok()? {
                add(&name);
                add(&digest(&fs::read(path).ok()?));
            }
            known.push(written);
        }
        let is_described = arguments.iter().any(|it| it.starts_with("--emit=") && it.contains("dep-info"));
        let suffix = suffix.filter(|suffix| is_described && suffix.len() > 8)?.to_owned();
        let key = hex(&key.finalize());
        Some(Self { key, name: name?.to_owned(), suffix, out: out?.into(), session: session.to_owned(), known })
    }

    /// Takes the crate from the store, or compiles it and puts it there; returns how the compiler ended. `run` starts
    /// it with arguments.
    ///
    /// # Errors
    /// If the compiler does not start.
    pub fn make(
        &self,
        store: &Path,
        arguments: &[OsString],
        run: impl FnOnce(Vec<OsString>) -> io::Result<ExitStatus>,
    ) -> io::Result<ExitStatus> {
        if self.take(store, arguments).is_some() {
            return Ok(ExitStatus::default());
        }
        // Without a lock, or a store, the crate is compiled here.
        let lock = self.lock(store);
        if lock.is_ok() && self.take(store, arguments).is_some() {
            return Ok(ExitStatus::default());
        }
        // What is there may be linked to the template's.
        for file in self.outputs() {
            let _ = fs::remove_file(file);
        }
        let status = run(self.identified(arguments))?;
        if status.success() {
            let _ = self.put(store);
        }
        Ok(status)
    }

    /// The arguments with an identity that covers all of the key. Cargo's does not say what dependencies were compiled to,
    /// and types must not be taken for those of an edited dependency's.
    fn identified(&self, arguments: &[OsString]) -> Vec<OsString> {
        let key = self.key.get(..16).unwrap_or_default();
        let mut arguments = arguments.to_vec();
        for argument in &mut arguments {
            if argument.to_str().is_some_and(|text| text.starts_with("metadata=")) {
                argument.push(key);
            }
        }
        arguments
    }

    fn lock(&self, store: &Path) -> io::Result<File> {
        let locks = store.join("locks");
        fs::create_dir_all(&locks)?;
        // So many files that two crates seldom share one, and no more.
        let lock = File::create(locks.join(self.key.get(..2).unwrap_or_default()))?;
        lock.lock()?;
        Ok(lock)
    }

    /// The files that the compiler has made.
    fn outputs(&self) -> Vec<PathBuf> {
        let names = [format!("{}{}", self.name, self.suffix), format!("lib{}{}", self.name, self.suffix)];
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            names
                .iter()
                .any(|own| name.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        fs::read_dir(&self.out).into_iter().flatten().flatten().map(|entry| entry.path()).filter(ours).collect()
    }

    /// Copies an entry into the session. `None` if there is none, or it is damaged or of another environment.
    fn take(&self, store: &Path, arguments: &[OsString]) -> Option<()> {
        let entry = store.join(&self.key);
        let contents = entry.join(CONTENTS);
        let read: Contents = serde_json::from_slice(&fs::read(&contents).ok()?).ok()?;
        let as_here = |(name, value): (&String, &Option<String>)| {
            let here = std::env::var(name).ok();
            here == value.as_ref().map(|value| value.replace(SESSION, &self.session))
        };
        if !read.variables.iter().all(as_here) {
            return None;
        }
        let mut files = Vec::new();
        for file in &read.files {
            let bytes = fs::read(entry.join(&file.name)).ok().filter(|bytes| digest(bytes) == file.digest)?;
            files.push((file, bytes));
        }
        fs::create_dir_all(&self.out).ok()?;
        for (file, bytes) in files {
            let bytes = if is_text(&file.name) {
                String::from_utf8(bytes).ok()?.replace(SESSION, &self.session).into_bytes()
            } else {
                bytes
            };
            write(&self.out.join(&file.name), &bytes, file.executable).ok()?;
        }
        // That it was used. Once a day is enough.
        let file = File::options().append(true).open(&contents).ok();
        let old =
            |file: &File| file.metadata().and_then(|it| it.modified()).is_ok_and(|time| is_older(time, KEPT / 30));
        if let Some(file) = file.filter(old) {
            let _ = file.set_modified(SystemTime::now());
        }
        self.announce(&read, arguments);
        Some(())
    }

    /// Says what was made, as the compiler does if it is asked to.
    #[expect(clippy::print_stderr, reason = "cargo reads it")]
    fn announce(&self, contents: &Contents, arguments: &[OsString]) {
        let is_asked =
            |it: &OsString| it.to_str().is_some_and(|it| it.starts_with("--json=") && it.contains("artifacts"));
        if !arguments.iter().any(is_asked) {
            return;
        }
        for kind in ["dep-info", "metadata", "link"] {
            for file in contents.files.iter().filter(|file| kind_of(&file.name) == kind) {
                let path = self.out.join(&file.name);
                let line = serde_json::json!({"$message_type": "artifact", "artifact": path, "emit": kind});
                eprintln!("{line}");
            }
        }
    }

    /// Makes an entry of what the compiler has made. What it read must be known to stay the same.
    fn put(&self, store: &Path) -> io::Result<()> {
        let new = store.join(format!("new-{}-{}", self.key, std::process::id()));
        let _ = fs::remove_dir_all(&new);
        fs::create_dir_all(&new)?;
        let written = self.put_into(&new);
        if written.is_ok() {
            let entry = store.join(&self.key);
            let _ = fs::remove_dir_all(&entry);
            fs::rename(&new, entry)?;
        } else {
            let _ = fs::remove_dir_all(&new);
        }
        written
    }

    fn put_into(&self, new: &Path) -> io::Result<()> {
        let mut contents = Contents::default();
        for path in self.outputs() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut bytes = fs::read(&path)?;
            if is_text(&name) {
                let text = String::from_utf8(bytes).map_err(io::Error::other)?;
                contents.variables.extend(self.read_by(&text)?);
                bytes = text.replace(&self.session, SESSION).into_bytes();
            }
            let executable = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path)?.permissions()) & 0o100 != 0;
            write(&new.join(&name), &bytes, executable)?;
            contents.files.push(Stored { name, digest: digest(&bytes), executable });
        }
        if !contents.files.iter().any(|file| is_text(&file.name)) {
            return Err(io::Error::other("it is not known what the compiler read"));
        }
        fs::write(new.join(CONTENTS), serde_json::to_vec(&contents)?)
    }

    /// The variables that the compiler read, by its own list, in which no file may be that can change.
    fn read_by(&self, list: &str) -> io::Result<BTreeMap<String, Option<String>>> {
        let mut variables = BTreeMap::new();
        for line in list.lines() {
            if let Some(variable) = line.strip_prefix("# env-dep:") {
                let (name, value) = match variable.split_once('=') {
                    Some((name, value)) => (name, Some(value.replace(&self.session, SESSION))),
                    None => (variable, None),
                };
                variables.insert(name.to_owned(), value);
            } else if let Some(file) = line.strip_suffix(':') {
                let file = PathBuf::from(file.replace("\\ ", " "));
                if file.is_absolute() && !self.known.iter().chain([&self.out]).any(|root| file.starts_with(root)) {
                    return Err(io::Error::other(format!("{} may change", file.display())));
                }
            }
        }
        Ok(variables)
    }
}

/// Removes what nobody has used for long, and what is too much.
pub fn prune(store: &Path) {
    let mut entries = Vec::new();
    for path in fs::read_dir(store).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "locks" {
            continue;
        }
        let file = if name.starts_with("new-") { path.clone() } else { path.join(CONTENTS) };
        let used = fs::metadata(file).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let sizes = fs::read_dir(&path).into_iter().flatten().flatten().filter_map(|it| it.metadata().ok());
        entries.push((used, sizes.map(|it| it.len()).sum::<u64>(), path));
    }
    entries.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
    let mut total = 0;
    for (used, size, path) in entries {
        total += size;
        let is_half = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("new-"));
        if total > MOST || is_older(used, if is_half { KEPT / 30 } else { KEPT }) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Where cargo puts sources that never change.
fn immutable() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| dirs::home_dir().map(|home| home.join(".cargo"))) else { return Vec::new() };
    let homes = [home.canonicalize().ok(), Some(home)];
    homes.into_iter().flatten().flat_map(|home| [home.join("registry/src"), home.join("git/checkouts")]).collect()
}

/// All files below a directory, in order, with their names in it.
fn tree(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
            found.insert(name, path);
        }
    }
    Ok(found)
}

/// Writes a file beside and puts it into place, with the time of now.
fn write(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    fs::write(&new, bytes)?;
    if executable {
        fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    fs::rename(&new, path)
}

/// What a compiler is without reading it: another one of the same path has another length or time.
fn stamp(file: &Path) -> String {
    fs::metadata(file).map(|it| format!("{} {:?}", it.len(), it.modified().ok())).unwrap_or_default()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The list of what the compiler read.
fn is_text(name: &str) -> bool {
    kind_of(name) == "dep-info"
}

/// What the compiler calls a file of this name.
fn kind_of(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("d") => "dep-info",
        Some("rmeta") => "metadata",
        _ => "link",
    }
}

fn is_older(time: SystemTime, than: Duration) -> bool {
    time.elapsed().is_ok_and(|age| age > than)
}

#[cfg(test)]
mod tests;
