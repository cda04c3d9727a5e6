//! What cargo has not downloaded yet.
//!
//! Everything that evcxr and rust-analyzer ask of cargo is asked offline: what is in the local cache is enough, versions
//! stay what they are, and no keystroke waits for a network. Where that fails for lack of a crate, all that the session
//! needs is resolved and downloaded here, and asked of cargo offline once more. So there is one place that waits for the
//! registry, and it says so.

use super::manifest::Base;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toml::{Table, Value};

/// What cargo says when it may not ask the registry for what it lacks.
const LACKS: [&str; 6] = [
    "no matching package",
    "failed to select a version",
    "failed to download",
    "offline mode",
    "--offline was specified",
    "can't checkout from",
];

/// What it says when the registry does not answer.
const UNREACHABLE: [&str; 6] = [
    "spurious network error",
    "failed to download from `",
    "failed to fetch `",
    "download of config.json failed",
    "offline mode",
    "--offline was specified",
];

/// Connecting to a registry that does not answer ends after so many seconds, and is tried once more, unless the user
/// has set it otherwise.
const BOUNDS: [(&str, &str); 2] = [("CARGO_HTTP_TIMEOUT", "10"), ("CARGO_NET_RETRY", "1")];

/// Which packages are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// Those of all platforms: `cargo metadata` wants them.
    All,
    /// Those that are compiled on this one.
    Host,
}

/// Why a crate cannot be had.
#[derive(Debug)]
pub enum Unavailable {
    /// It is not in the local cache, and the registry cannot be reached, or may not be.
    Offline {
        /// Its name, if cargo said it.
        name: Option<String>,
        /// Why.
        why: String,
    },
    /// Cargo refuses it: there is no such crate, or no such version.
    Refused(String),
    /// Cargo does not start, or files cannot be written.
    Io(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Unavailable {
    /// The crate that it is about.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Offline { name, .. } => name.as_deref(),
            Self::Refused(text) => named(text),
            Self::Io(_) => None,
        }
    }
}

/// The first line says what is wrong, the others why and what to do.
impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offline { name, why } => {
                match name {
                    Some(name) => write!(f, "offline: crate `{name}` is not in the local cache")?,
                    None => write!(f, "offline: a crate is not in the local cache")?,
                }
                write!(f, "\nthe registry was not reached: {why}\nconnect to the network, then try again")
            }
            Self::Refused(text) => f.write_str(text),
            Self::Io(error) => write!(f, "cargo cannot download crates: {error}"),
        }
    }
}

/// Whether cargo failed, offline, for lack of a crate.
pub fn is_lacking(text: &str) -> bool {
    LACKS.iter().any(|sign| text.contains(sign))
}

/// Downloads what a manifest's dependencies need, if something of it is not in the local cache. `tell` is given what
/// cargo says meanwhile: `Downloaded serde v1.0.0`. Without `allowed` the registry is not asked.
///
/// # Errors
/// If a crate cannot be had.
pub fn provide(
    manifest: &Path,
    platforms: Platforms,
    allowed: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Unavailable> {
    let Err(lacking) = fetch(manifest, platforms, true, &mut |_| {})? else { return Ok(()) };
    if !is_lacking(&lacking) {
        return Err(Unavailable::Refused(words(&lacking)));
    }
    if !allowed {
        let why = "the session is in offline mode (`:offline 0` ends it)".to_owned();
        return Err(Unavailable::Offline { name: named(&lacking).map(str::to_owned), why });
    }
    let Err(text) = fetch(manifest, platforms, false, tell)? else { return Ok(()) };
    if UNREACHABLE.iter().any(|sign| text.contains(sign)) {
        let name = named(&lacking).or_else(|| named(&text)).map(str::to_owned);
        return Err(Unavailable::Offline { name, why: cause(&text) });
    }
    Err(Unavailable::Refused(words(&text)))
}

/// Runs `cargo fetch`; gives what it said if it failed.
fn fetch(
    manifest: &Path,
    platforms: Platforms,
    offline: bool,
    tell: &mut dyn FnMut(&str),
) -> io::Result<Result<(), String>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["fetch", "--color", "never", "--manifest-path"]).arg(manifest);
    cargo.args(offline.then_some("--offline"));
    if platforms == Platforms::Host {
        cargo.args(["--target", "host-tuple"]);
    }
    // A session's directory has a configuration that says offline; a file's is that of where the user is.
    if platforms == Platforms::All
        && let Some(outside) = manifest.parent().and_then(Path::parent).and_then(Path::parent)
    {
        cargo.current_dir(outside);
    }
    cargo.envs(BOUNDS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()));
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = String::new();
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        tell(line.trim());
        said.push_str(&line);
        said.push('\n');
    }
    let status = child.wait()?;
    if said.is_empty() {
        said = format!("cargo fetch ended with {status}");
    }
    Ok(if status.success() { Ok(()) } else { Err(said) })
}

/// The crate that an error of cargo's is about.
pub fn named(text: &str) -> Option<&str> {
    let signs = [
        "no matching package named `",
        "no matching package for `",
        "for the requirement `",
        "failed to get `",
        "failed to download `",
        "package `",
    ];
    let found = signs.iter().find_map(|sign| text.split_once(sign))?.1;
    let end = found.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(found.len());
    found.get(..end).filter(|name| !name.is_empty())
}

/// The last cause that cargo gives.
fn cause(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("As a reminder"));
    let last = lines.next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// An error of cargo's without what it says of its progress and of the project that is ours.
fn words(text: &str) -> String {
    let ours = |line: &&str| {
        let bare = line.trim_start();
        ![
            "Updating ",
            "Locking ",
            "Downloading ",
            "Downloaded ",
            "Adding ",
            "warning: ",
            "required by package `registry",
        ]
        .iter()
        .any(|prefix| bare.starts_with(prefix))
    };
    let kept: Vec<&str> = text.lines().filter(ours).collect();
    let kept = kept.join("\n");
    let kept = kept.trim();
    kept.strip_prefix("error: ").unwrap_or(kept).to_owned()
}

/// The crates of one session.
pub struct Registry {
    session: PathBuf,
    /// The versions that the kernel itself was built with.
    seed: PathBuf,
    /// What the session's cells have named.
    dependencies: Table,
    allowed: bool,
}

impl Registry {
    /// For the session in a directory. `crates` is the directory of the machine's crates.
    pub fn new(session: &Path, crates: &Path) -> Self {
        let _ = fs::remove_file(project(session).join("Cargo.lock"));
        Self {
            session: session.to_owned(),
            seed: crates.with_file_name("Cargo.lock"),
            dependencies: Table::new(),
            allowed: true,
        }
    }

    /// Whether the registry may be asked at all.
    pub fn allow(&mut self, allowed: bool) {
        self.allowed = allowed;
    }

    /// Notes what a cell that succeeded has named, and the versions with which it was compiled: the next download
    /// brings no others.
    pub fn keep(&mut self, code: &str) {
        self.dependencies.extend(named_in(code, &self.session));
        let project = project(&self.session);
        let _ = fs::create_dir_all(&project);
        let _ = fs::copy(self.session.join("Cargo.lock"), project.join("Cargo.lock"));
    }

    /// Forgets what cells have named.
    pub fn clear(&mut self) {
        self.dependencies.clear();
    }

    /// Downloads what every session has, what this one's cells have named, and what this cell names.
    ///
    /// # Errors
    /// If a crate cannot be had.
    pub fn provide(&self, base: &Base, code: &str, tell: &mut dyn FnMut(&str)) -> Result<(), Unavailable> {
        let mut manifest: Table = base.dependencies().parse().map_err(io::Error::other)?;
        if let Some(Value::Table(all)) = manifest.get_mut("dependencies") {
            all.extend(self.dependencies.clone());
            all.extend(named_in(code, &self.session));
        }
        let head = "[package]\nname = \"registry\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
                    [workspace]\n";
        let project = project(&self.session);
        fs::create_dir_all(&project)?;
        fs::write(project.join("lib.rs"), "")?;
        fs::write(project.join("Cargo.toml"), format!("{head}\n{manifest}"))?;
        let versions = project.join("Cargo.lock");
        if !versions.exists() && self.seed.exists() {
            fs::copy(&self.seed, versions)?;
        }
        provide(&project.join("Cargo.toml"), Platforms::All, self.allowed, tell)
    }
}

/// Where the manifest is written by which crates are downloaded.
fn project(session: &Path) -> PathBuf {
    session.join("registry")
}

/// The dependencies of a cell's `:dep` lines. What cannot be read is left out: evcxr says what is wrong with it.
fn named_in(code: &str, session: &Path) -> Table {
    let mut all = Table::new();
    for line in code.lines() {
        let Some(named) = line.trim_start().strip_prefix(":dep ").map(str::trim) else { continue };
        let mut one = if named.starts_with(['.', '/']) {
            let read = fs::read_to_string(Path::new(named).join("Cargo.toml")).ok();
            let package = read.and_then(|text| text.parse::<Table>().ok());
            let name = package.as_ref().and_then(|all| all.get("package")?.get("name")?.as_str());
            let path = Value::Table(Table::from_iter([("path".to_owned(), named.into())]));
            name.map(|name| Table::from_iter([(name.to_owned(), path)])).unwrap_or_default()
        } else if named.contains('=') {
            named.parse().unwrap_or_default()
        } else {
            Table::from_iter([(named.to_owned(), "*".into())])
        };
        // evcxr's manifest is in the session's directory.
        for dependency in one.iter_mut().filter_map(|(_, value)| value.as_table_mut()) {
            if let Some(Value::String(path)) = dependency.get_mut("path") {
                *path = session.join(&*path).to_string_lossy().into_owned();
            }
        }
        all.extend(one);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_lacking_in_each_of_cargos_words() {
        for (text, name) in [
            ("error: no matching package named `roman` found\nlocation searched: crates.io index", "roman"),
            ("failed to select a version for the requirement `fnv = \"^9\"`\ncandidate versions found", "fnv"),
            (
                "error: failed to download `windows-sys v0.61.2`\nattempting to make an HTTP request, but --offline was \
              specified",
                "windows-sys",
            ),
            (
                "error: failed to get `mine` as a dependency of package `ctx v1.0.0`\ncan't checkout from 'file:///x': you \
              are in the offline mode (--offline)",
                "mine",
            ),
        ] {
            assert!(is_lacking(text), "{text}");
            assert_eq!(named(text), Some(name), "{text}");
        }
        assert!(!is_lacking("error[E0425]: cannot find value `offline` in this scope"));
    }

    #[test]
    fn the_words_name_the_crate_why_and_what_to_do() {
        let why = cause("error: failed to get `a`\n\nCaused by:\n  [6] Could not resolve hostname (index.crates.io)\n");
        let offline = Unavailable::Offline { name: Some("roman".to_owned()), why };
        assert_eq!(
            offline.to_string(),
            "offline: crate `roman` is not in the local cache\n\
             the registry was not reached: [6] Could not resolve hostname (index.crates.io)\n\
             connect to the network, then try again"
        );
        let refused = words(
            "    Updating crates.io index\nerror: no matching package named `rooman` found\n\
             location searched: crates.io index\nrequired by package `registry v0.0.0 (/x/registry)`\n",
        );
        assert_eq!(refused, "no matching package named `rooman` found\nlocation searched: crates.io index");
    }

    #[test]
    fn what_a_cell_names_is_read_as_evcxr_reads_it() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("Cargo.toml"), "[package]\nname = \"mine\"\n")?;
        let own = directory.path().display().to_string();
        let code = format!(
            ":dep a\n  :dep b = \"1\"\n:dep c = {{ path = \"../c\", features = [\"x\"] }}\n:dep {own}\nlet x = 1;"
        );
        let found = named_in(&code, Path::new("/s/1"));
        let text = |name: &str| found.get(name).map(ToString::to_string).unwrap_or_default();
        assert_eq!([text("a"), text("b")], ["\"*\"", "\"1\""]);
        assert!(text("c").contains("/s/1/../c") && text("c").contains('x'), "{found}");
        assert!(text("mine").contains(&own), "{found}");
        assert_eq!(found.len(), 4);
        Ok(())
    }
}
