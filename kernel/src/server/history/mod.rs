//! The cells that were run: in memory, and in a file that outlives the kernel.
//!
//! Layout of the file: one JSON object a line, `{"session":3,"line":1,"source":"…","output":"…"}`, oldest first. A line
//! that is not such an object is passed over. Kernels that run side by side append to the same file.

use super::contents::HistoryAccess;
use crate::session::directory::create_private;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How many cells of earlier sessions are kept in memory.
const KEPT: usize = 10_000;

/// One cell that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The session, counting from 1.
    pub session: i64,
    /// The execution count.
    pub line: i64,
    /// The cell as it was written.
    pub source: String,
    /// The text of its value, if it had one.
    #[serde(default)]
    pub output: Option<String>,
}

/// All cells that are known, oldest first.
#[derive(Debug)]
pub struct History {
    entries: Vec<Entry>,
    session: i64,
    file: Option<File>,
}

impl History {
    /// The history in a file, which is made if need be. Without a file, or if it cannot be used, in memory only.
    #[must_use]
    pub fn open(path: Option<&Path>) -> Self {
        let mut entries: Vec<Entry> = path
            .and_then(|path| File::open(path).ok())
            .map(|file| BufReader::new(file).lines().map_while(Result::ok).collect::<Vec<_>>())
            .unwrap_or_default()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        entries.drain(..entries.len().saturating_sub(KEPT));
        let session = entries.iter().map(|entry| entry.session).max().unwrap_or(0) + 1;
        let file = path.and_then(|path| {
            create_private(path.parent()?).ok()?;
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()?;
            // One that an earlier version has made; cells may have secrets in them.
            let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
            Some(file)
        });
        Self { entries, session, file }
    }

    /// Keeps a cell.
    pub fn push(&mut self, line: u32, source: &str, output: Option<String>) {
        let entry = Entry { session: self.session, line: i64::from(line), source: source.to_owned(), output };
        if let (Some(file), Ok(mut text)) = (&mut self.file, serde_json::to_vec(&entry)) {
            text.push(b'\n');
            // One write, so that lines of two kernels do not mix. A full disk costs the history, not the cell.
            let _ = file.write_all(&text);
        }
        self.entries.push(entry);
    }

    /// The cells that are asked for, oldest first.
    #[must_use]
    pub fn get(&self, access: &HistoryAccess) -> Vec<&Entry> {
        match access {
            HistoryAccess::Tail { n } => last(self.entries.iter().collect(), *n),
            HistoryAccess::Range { session, start, stop } => {
                let session = if *session > 0 { *session } else { self.session + session };
                let lines = *start..stop.unwrap_or(i64::MAX);
                self.entries.iter().filter(|it| it.session == session && lines.contains(&it.line)).collect()
            }
            HistoryAccess::Search { n, pattern, unique } => {
                let pattern: Vec<char> = pattern.as_deref().unwrap_or("*").chars().collect();
                let mut seen = std::collections::HashSet::new();
                let mut found: Vec<_> = self
                    .entries
                    .iter()
                    .rev()
                    .filter(|it| matches(&pattern, &it.source.chars().collect::<Vec<_>>()))
                    .filter(|it| !unique || seen.insert(&it.source))
                    .collect();
                found.reverse();
                last(found, *n)
            }
        }
    }

    /// The cells as the protocol wants them: `[session, line, source]` or `[session, line, [source, output]]`.
    #[must_use]
    pub fn reply(&self, access: &HistoryAccess, output: bool) -> Value {
        let entry = |it: &Entry| {
            if output {
                json!([it.session, it.line, [it.source, it.output]])
            } else {
                json!([it.session, it.line, it.source])
            }
        };
        json!({ "status": "ok", "history": self.get(access).into_iter().map(entry).collect::<Vec<_>>() })
    }
}

/// Where the history of this user is kept: the user's data directory. None if there is no home directory.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let data = var("XDG_DATA_HOME").or_else(|| {
        let home = var("HOME")?;
        Some(home.join(if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" }))
    })?;
    Some(data.join("rust-machine").join("history.jsonl"))
}

fn last(mut entries: Vec<&Entry>, n: Option<i64>) -> Vec<&Entry> {
    let n = n.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(0));
    entries.drain(..entries.len().saturating_sub(n));
    entries
}

/// Whether the whole text matches a pattern: `*` is any text, `?` any character.
fn matches(mut pattern: &[char], mut text: &[char]) -> bool {
    // Where to go on if what followed the last star does not match: one character later.
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        match (pattern, text) {
            (['*', rest @ ..], _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            ([wanted, rest @ ..], [found, after @ ..]) if *wanted == '?' || wanted == found => {
                (pattern, text) = (rest, after);
            }
            ([], []) => return true,
            _ => match retry {
                Some((rest, [_, after @ ..])) => {
                    retry = Some((rest, after));
                    (pattern, text) = (rest, after);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
