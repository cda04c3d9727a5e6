//! What can go wrong with a log.

use std::fmt;
use std::io;

/// The result of an operation on a log.
pub type Result<T> = std::result::Result<T, Error>;

/// An operation on a log that failed: one line that says what is wrong and what to do, and its cause as the source.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: String,
    source: Option<io::Error>,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The directory is not a log's, or cannot be used.
    Directory,
    /// Another process has the log open.
    InUse,
    /// The log was written by a newer version.
    Newer,
    /// A record is larger than a log takes.
    TooLarge,
    /// The file system has no room. Nothing was written, and the log goes on.
    Full,
    /// Reading or writing failed. Nothing was written, and the log goes on.
    Io,
    /// What was written may be lost, since syncing failed once; this log takes nothing any more.
    Poisoned,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    pub(crate) fn io(doing: impl fmt::Display, source: io::Error) -> Self {
        let is_full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if is_full { ErrorKind::Full } else { ErrorKind::Io };
        let remedy = if is_full { "; free some space and try again" } else { "" };
        Self { kind, text: format!("cannot {doing}{remedy}"), source: Some(source) }
    }

    pub(crate) fn poisoned() -> Self {
        let text = "an earlier sync of this log failed: what was written since may be lost, so it takes nothing any more; \
                    check the disk, then open the log again";
        Self::new(ErrorKind::Poisoned, text)
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
