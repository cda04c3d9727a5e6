//! Stands in for rustc where cargo compiles a cell, so that the types of a session stay what they are.
//!
//! The `TypeId` of a type covers the `-C metadata` of its crate, into which cargo hashes all dependencies. So one that
//! came later, by a `:dep` or with the first async slot, would make other types of all that the session defines, and
//! evcxr would lose the variables of these types. Here the metadata stays what it was in the first cell, as long as no
//! dependency is another one than before: what is in a type is from those and from the session, so it has not changed.
//! Another version, other features or another profile of a dependency is another file, and then cargo's metadata holds.
//!
//! A dependency from a registry is taken from the store that all sessions share ([`super::store`]), or put there.
//!
//! A dependency that is a directory, and was edited, is the same file compiled anew, of which cargo's metadata says
//! nothing. So a dependency gets its own metadata each time that it is compiled: its types are other ones then. And a
//! cell whose dependency has another length or time than before gets other metadata, too.
//!
//! Cargo starts a link to this executable, by the name [`NAME`], in the place of rustc. A user's own wrapper in the
//! environment comes first: then dependencies are compiled as it likes.

use super::store::{self, Unit};
use super::{cell_lines, ignored, inference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::SystemTime;

/// Tells cargo what to start in the place of rustc for the crate of the cells.
pub const VARIABLE: &str = "RUSTC_WORKSPACE_WRAPPER";
/// The same for all crates, also around the one before.
pub const OF_ALL: &str = "RUSTC_WRAPPER";
/// The name of the link in the session's directory.
const NAME: &str = "machine-rustc";
/// What is remembered, beside the link.
const REMEMBERED: &str = "machine-rustc.json";
/// What the compiler said of a cell that it refused, beside the link.
const SAID: &str = "machine-rustc.said";
/// The crate that evcxr makes of a cell.
const CELL: &str = "ctx";

/// What cells were compiled with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Compiled {
    metadata: String,
    /// Every dependency that a cell had: its name, its file, and of when the file is.
    dependencies: BTreeMap<String, Dependency>,
}

/// The file of a dependency, and a hash of its length and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Dependency {
    file: String,
    stamp: u64,
}

impl Dependency {
    fn of(file: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        if let Ok(metadata) = fs::metadata(file) {
            (metadata.len(), metadata.modified().ok()).hash(&mut hasher);
        }
        Self { file: file.to_owned(), stamp: hasher.finish() }
    }
}

/// What is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crate {
    Cell,
    /// A library.
    Dependency,
}

impl Compiled {
    /// What a call of rustc says of a cell, or of a dependency; `None` if it compiles neither.
    fn of(arguments: &[OsString]) -> Option<(Crate, Self)> {
        let mut compiled = Self::default();
        let (mut krate, mut is_linked) = (None, false);
        for pair in arguments.windows(2) {
            let [option, value] = pair else { continue };
            let Some(value) = value.to_str() else { continue };
            match option.to_str() {
                Some("--crate-name") if value == CELL => krate = Some(Crate::Cell),
                Some("--crate-type") if value == "lib" => krate = krate.or(Some(Crate::Dependency)),
                Some("-C") => {
                    if let Some(metadata) = value.strip_prefix("metadata=") {
                        metadata.clone_into(&mut compiled.metadata);
                    }
                }
                Some("--extern") => {
                    let (name, file) = value.split_once('=')?;
                    compiled.dependencies.insert(name.to_owned(), Dependency::of(file));
                }
                _ => {}
            }
            is_linked |= value.strip_prefix("--emit=").is_some_and(|all| all.split(',').any(|one| one == "link"));
        }
        krate.filter(|_| is_linked && !compiled.metadata.is_empty()).map(|krate| (krate, compiled))
    }

    /// What a cell is to be compiled with after those `before`: as they were, unless a dependency is another one.
    fn after(mut self, mut before: Self) -> Self {
        let was = |(name, now)| before.dependencies.get(name).map(|was: &Dependency| (was, now));
        let both: Vec<(&Dependency, &Dependency)> = self.dependencies.iter().filter_map(was).collect();
        if before.metadata.is_empty() || both.iter().any(|(was, now)| was.file != now.file) {
            return self;
        }
        if both.iter().any(|(was, now)| was.stamp != now.stamp) {
            let mut hasher = DefaultHasher::new();
            self.dependencies.values().for_each(|now| now.stamp.hash(&mut hasher));
            self.metadata = format!("{}{:016x}", self.metadata, hasher.finish());
            return self;
        }
        before.dependencies.extend(self.dependencies);
        before
    }

    /// A dependency that is compiled at this time.
    fn anew(mut self, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metadata = format!("{}{:016x}", self.metadata, since.as_nanos());
        self
    }
}

/// Makes the link in a session's directory, where an earlier session's types are of no interest; returns its path, for
/// [`VARIABLE`].
///
/// # Errors
/// If the directory cannot be written.
pub fn link(directory: &Path, executable: &Path) -> io::Result<PathBuf> {
    let link = directory.join(NAME);
    for old in [&link, &directory.join(REMEMBERED), &directory.join(SAID)] {
        match fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::os::unix::fs::symlink(executable, &link)?;
    Ok(link)
}

/// A process that is started compiles as the user likes: with what stood in the environment before.
pub fn leave_out(command: &mut Command) {
    command.env_remove(VARIABLE);
    if std::env::var_os(OF_ALL).is_some_and(|path| Path::new(&path).file_name() == Some(OsStr::new(NAME))) {
        command.env_remove(OF_ALL);
    }
}

/// If cargo started this process in the place of rustc, does that and does not return.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os();
    let link = PathBuf::from(arguments.next().unwrap_or_default());
    if link.file_name() != Some(OsStr::new(NAME)) {
        return;
    }
    let Some(rustc) = arguments.next() else { std::process::exit(2) };
    std::process::exit(run(&rustc, arguments.collect(), &link.with_file_name(REMEMBERED)));
}

/// Compiles; returns the exit code. Does not return if rustc takes the place of this process.
fn run(rustc: &OsStr, mut arguments: Vec<OsString>, remembered: &Path) -> i32 {
    // Around the one that is meant for cells, and knows more.
    let is_outer = Path::new(rustc).file_name() == Some(OsStr::new(NAME));
    let directory = remembered.parent().unwrap_or(Path::new("."));
    if !is_outer && let Some(unit) = Unit::of(rustc, &arguments, directory) {
        let status = unit.make(&store::place(), &arguments, |arguments| Command::new(rustc).args(arguments).status());
        return status.map_or_else(|error| not_started(rustc, &error), exit_code);
    }
    let Some((krate, now)) = Compiled::of(&arguments).filter(|_| !is_outer) else {
        return not_started(rustc, &Command::new(rustc).args(arguments).exec());
    };
    let before = fs::read(remembered).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let cargos = OsString::from(format!("metadata={}", now.metadata));
    let compiled = match krate {
        Crate::Cell => now.after(before),
        Crate::Dependency => now.anew(SystemTime::now()),
    };
    for argument in arguments.iter_mut().filter(|argument| **argument == cargos) {
        *argument = format!("metadata={}", compiled.metadata).into();
    }
    if krate == Crate::Dependency {
        return not_started(rustc, &Command::new(rustc).args(arguments).exec());
    }
    if let Some(code) = inference::run_if_asking(rustc, &arguments, directory) {
        return code;
    }
    // Cells' libraries see each other's symbols, for the sake of statics ([`super::statics`]). A function that a user
    // exports and redefines is the new one all the same.
    let own_functions = cfg!(target_os = "linux").then_some("-Clink-arg=-Wl,-Bsymbolic-functions");
    match compile_cell(Command::new(rustc).args(&arguments).args(own_functions), directory) {
        Ok(status) => {
            // Of a cell that was not compiled there is nothing, whatever it was to be compiled with. If it cannot be
            // written, types are other ones after the next dependency.
            if status.success() {
                place(&arguments);
                let _ = serde_json::to_vec(&compiled).map(|text| fs::write(remembered, text));
            }
            exit_code(status)
        }
        Err(error) => not_started(rustc, &error),
    }
}

/// Compiles a cell, and keeps what the compiler says of what is not used, and all of it if the cell is refused: evcxr does
/// not show that.
fn compile_cell(compiler: &mut Command, directory: &Path) -> io::Result<ExitStatus> {
    let mut child = compiler.stderr(Stdio::piped()).spawn()?;
    let mut text = Vec::new();
    for mut line in
        child.stderr.take().map(BufReader::new).into_iter().flat_map(|it| it.split(b'\n')).map_while(Result::ok)
    {
        line.push(b'\n');
        let _ = io::stderr().write_all(&line);
        text.append(&mut line);
    }
    let status = child.wait()?;
    ignored::keep(&text, directory);
    let said = directory.join(SAID);
    let _ = if status.success() { fs::remove_file(said) } else { fs::write(said, text) };
    Ok(status)
}

/// Puts beside a cell's library which cell its places are in. Without that, a panic in a slot names the compiled line.
fn place(arguments: &[OsString]) {
    let source = arguments.iter().find(|argument| Path::new(argument).extension() == Some(OsStr::new("rs")));
    let out = arguments.iter().skip_while(|argument| *argument != "--out-dir").nth(1);
    if let (Some(source), Some(out)) = (source, out)
        && let Ok(source) = fs::read_to_string(source)
    {
        let _ = cell_lines::write(&source, Path::new(out));
    }
}

/// What the compiler said of the last cell in a session's directory, if it refused it.
pub fn said(directory: &Path) -> Option<String> {
    fs::read(directory.join(SAID)).ok().map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// The compiler's exit code; if it has none, says why on standard error, which cargo shows.
#[expect(clippy::print_stderr, reason = "cargo reads it")]
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| {
        eprintln!("error: rustc was ended by {status}; if nobody did that, the system may be out of memory");
        1
    })
}

/// Says on standard error, which cargo shows, why rustc could not be started; returns the exit code.
#[expect(clippy::print_stderr, reason = "cargo reads it")]
pub fn not_started(rustc: &OsStr, error: &io::Error) -> i32 {
    eprintln!("{} cannot be started: {error}", rustc.display());
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> Vec<OsString> {
        arguments.split(' ').map(OsString::from).collect()
    }

    fn compiled(metadata: &str, dependencies: &[(&str, &str)]) -> Compiled {
        let dependencies = dependencies.iter().map(|(name, file)| ((*name).to_owned(), Dependency::of(file))).collect();
        Compiled { metadata: metadata.to_owned(), dependencies }
    }

    #[test]
    fn a_cell_is_told_from_its_dependencies_and_from_a_check() {
        let cell = "--crate-name ctx --edition=2024 src/lib.rs --crate-type cdylib --emit=dep-info,link \
                    -C embed-bitcode=no -C metadata=12ab --out-dir a --extern machine=a/libmachine-1.rlib -L b";
        let all = compiled("12ab", &[("machine", "a/libmachine-1.rlib")]);
        assert_eq!(Compiled::of(&call(cell)), Some((Crate::Cell, all.clone())));
        let library = cell.replace("ctx", "mine").replace("cdylib", "lib");
        assert_eq!(Compiled::of(&call(&library)), Some((Crate::Dependency, all)));
        for other in [cell.replace("link", "metadata"), library.replace("lib ", "proc-macro "), "-vV".to_owned()] {
            assert_eq!(Compiled::of(&call(&other)), None, "{other}");
        }
    }

    #[test]
    fn metadata_stays_until_a_dependency_is_another_one() {
        let first = compiled("1", &[("machine", "m-1"), ("serde", "s-1")]);
        assert_eq!(first.clone().after(Compiled::default()), first);
        let more = compiled("2", &[("machine", "m-1"), ("serde", "s-1"), ("chrono", "c-1")]).after(first.clone());
        assert_eq!(more, compiled("1", &[("machine", "m-1"), ("serde", "s-1"), ("chrono", "c-1")]));
        // A cell without it leaves it known.
        assert_eq!(first.after(more.clone()), more);
        let other = compiled("3", &[("machine", "m-1"), ("serde", "s-1"), ("chrono", "c-2")]);
        assert_eq!(other.clone().after(more), other);
    }

    #[test]
    fn a_dependency_that_was_compiled_anew_is_another_one() {
        let of_time = |stamp| {
            let mut compiled = compiled("1", &[("machine", "m-1"), ("mine", "l-1")]);
            compiled.dependencies.insert("mine".to_owned(), Dependency { file: "l-1".to_owned(), stamp });
            compiled
        };
        let first = of_time(1).after(Compiled::default());
        assert_eq!(first.metadata, "1");
        assert_eq!(of_time(1).after(first.clone()), first);
        let edited = of_time(2).after(first.clone());
        assert!(edited.metadata.starts_with('1') && edited.metadata.len() == 17, "{edited:?}");
        assert_eq!(of_time(2).after(edited.clone()), edited, "until it is edited again");
        let again = of_time(3).after(edited.clone());
        assert!(again.metadata != edited.metadata && again.metadata != first.metadata);
    }

    #[test]
    fn a_dependency_has_metadata_of_its_own_each_time_it_is_compiled() {
        let at = |nanos| compiled("1", &[]).anew(SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(nanos));
        assert_eq!([at(1), at(255)].map(|it| it.metadata), ["10000000000000001", "100000000000000ff"]);
    }

    #[test]
    fn a_session_begins_anew() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        for _ in 0..2 {
            let link = link(directory.path(), Path::new("/bin/true"))?;
            assert_eq!(fs::read_link(link)?, Path::new("/bin/true"));
            assert!(!directory.path().join(REMEMBERED).exists());
            fs::write(directory.path().join(REMEMBERED), "of an earlier session")?;
        }
        Ok(())
    }

    #[test]
    fn what_was_compiled_is_remembered_unless_it_failed() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let (remembered, seen) = (directory.path().join("r"), directory.path().join("seen"));
        let rustc = directory.path().join("rustc");
        let compile = |script: &str, metadata: &str| -> io::Result<(i32, String)> {
            fs::write(&rustc, format!("#!/bin/sh\necho \"$@\" > '{}'\n{script}\n", seen.display()))?;
            fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            let arguments = format!("--crate-name ctx --emit=link -C metadata={metadata} --extern a=a-{metadata}");
            let code = run(rustc.as_os_str(), call(&arguments), &remembered);
            Ok((code, fs::read_to_string(&seen)?))
        };
        let (code, arguments) = compile("exit 7", "1")?;
        assert!(code == 7 && arguments.contains("metadata=1 ") && !remembered.exists());
        assert_eq!(compile("exit 0", "2")?.0, 0);
        assert_eq!(serde_json::from_slice::<Compiled>(&fs::read(&remembered)?)?, compiled("2", &[("a", "a-2")]));
        let missing = run(OsStr::new("/nothing/rustc"), call("-vV"), &remembered);
        assert_eq!(missing, 1);
        Ok(())
    }
}
