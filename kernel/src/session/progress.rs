//! How far cargo is with the crates that a cell needs, shown while the cell waits for them.
//!
//! Cargo tells how far it is to terminals alone, so this looks at what it keeps of each crate: a directory
//! `.fingerprint/NAME-HASH` that has `invoked.timestamp` when its compilation begins, and `lib-NAME` when it is done.

use super::events::Events;
use machine::progress_bar::Bar;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(150);
/// The crate that evcxr makes of the cells.
const OWN: &str = "ctx";

/// Shows a bar as long as it lives, if crates are compiled.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// What crates are compiled for.
#[derive(Clone, Copy, Debug)]
pub enum For {
    /// The session, before its first cell.
    Session,
    /// The cell of this number.
    Cell(u32),
}

/// Watches the crates that are compiled from now on.
#[must_use]
pub fn watch(directory: &Path, events: Arc<Events>, what: For) -> Watch {
    let (stop, stopped) = mpsc::channel();
    let directory = directory.to_owned();
    let run = move || {
        let mut crates = Crates::new(&directory);
        let began = Instant::now();
        let (number, why) = match what {
            For::Session => (0, "preparing the session: "),
            For::Cell(number) => (number, ""),
        };
        let bar = |crates: &Crates, is_over: bool| Bar {
            id: format!("crates-{number}-{}", std::process::id()),
            name: match crates.current() {
                Some(name) if !is_over => format!("{why}compiling {name}"),
                _ => format!("{why}compiling crates"),
            },
            done: crates.done.len() as u64,
            total: crates.total.map(|total| total.max(crates.begun.len()) as u64),
            seconds: began.elapsed().as_secs_f64(),
            is_over,
        };
        let show = |bar: &Bar| {
            if let Ok(json) = serde_json::to_string(bar) {
                events.show_progress(&json);
            }
        };
        while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if !events.has_entered() && crates.look() {
                show(&bar(&crates, false));
            }
        }
        // Most cells are compiled before the first look.
        if began.elapsed() >= LOOK && crates.look() {
            show(&bar(&crates, true));
        }
    };
    // Without a thread there is no bar.
    let thread = std::thread::Builder::new().name("progress".into()).spawn(run).ok();
    Watch { stop: Some(stop), thread }
}

/// What cargo has compiled since a moment.
struct Crates {
    directory: PathBuf,
    since: SystemTime,
    /// Crates that were there at that moment.
    old: BTreeSet<String>,
    begun: BTreeSet<String>,
    done: BTreeSet<String>,
    /// How many there are to compile, once that is known.
    total: Option<usize>,
}

impl Crates {
    fn new(directory: &Path) -> Self {
        let now = SystemTime::now();
        let mut crates = Self {
            directory: directory.to_owned(),
            since: now,
            old: BTreeSet::new(),
            begun: BTreeSet::new(),
            done: BTreeSet::new(),
            total: None,
        };
        crates.old = crates
            .fingerprints()
            .into_iter()
            .filter(|(_, path)| is_compiled(path, None))
            .map(|(name, _)| name)
            .collect();
        crates
    }

    /// What is compiled at the moment.
    fn current(&self) -> Option<&str> {
        self.begun.difference(&self.done).next().map(String::as_str)
    }

    /// Looks what cargo has done. Whether there is something to show.
    fn look(&mut self) -> bool {
        for (name, path) in self.fingerprints() {
            if is_since(&path.join("invoked.timestamp"), self.since) {
                if is_compiled(&path, Some(self.since)) {
                    self.done.insert(name.clone());
                }
                self.begun.insert(name);
            }
        }
        if self.total.is_none() && !self.begun.is_empty() {
            // Asked once: what is not known now will not be.
            let needed = needed(&self.directory);
            self.total = Some(needed.difference(&self.old).count());
        }
        !self.begun.is_empty()
    }

    /// Each crate's name, and what cargo keeps of it.
    fn fingerprints(&self) -> Vec<(String, PathBuf)> {
        let target = self.directory.join("target");
        let triples = read(&target).filter(|path| path.join("debug").is_dir());
        let profiles = std::iter::once(target.clone()).chain(triples).map(|path| path.join("debug/.fingerprint"));
        let named = |path: PathBuf| {
            let (name, _) = path.file_name()?.to_str()?.rsplit_once('-')?;
            (name != OWN).then(|| (name.to_owned(), path.clone()))
        };
        profiles.flat_map(|profile| read(&profile)).filter_map(named).collect()
    }
}

fn read(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_since(file: &Path, since: SystemTime) -> bool {
    file.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= since)
}

fn is_compiled(fingerprint: &Path, since: Option<SystemTime>) -> bool {
    read(fingerprint).any(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_library = name.starts_with("lib-") && !name.ends_with(".json");
        is_library && since.is_none_or(|since| is_since(&file, since))
    })
}

/// The names of all crates that the cells need.
fn needed(directory: &Path) -> BTreeSet<String> {
    let tree = Command::new("cargo")
        .args(["tree", "--offline", "--quiet", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(tree) = tree else { return BTreeSet::new() };
    let text = String::from_utf8_lossy(&tree.stdout);
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != OWN).map(str::to_owned).collect()
}
