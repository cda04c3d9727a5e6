//! The machine's log: an append-only, checksummed, segmented file of records that survives a crash.
//!
//! Two words are kept apart everywhere:
//!
//! | word | survives | from when |
//! |---|---|---|
//! | *written* | the end of the process: `kill -9`, out of memory, panic | [`Log::flush`] has returned |
//! | *synced* | a power cut | [`Log::sync`] has returned |
//!
//! ```
//! use machine_store::{Directory, Entry, Options};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path().join("tweets");
//! let directory = Directory::claim(&path, "an example")?;
//! let mut opened = directory.open(Options::default())?;
//! let first = opened.log.append(&Entry { payload: br#"{"text":"hello"}"#, ..Entry::default() })?;
//! opened.log.append(&Entry { payload: br#"{"text":"again"}"#, ..Entry::default() })?;
//! opened.log.flush()?;
//! opened.acks.finish(&[first..first + 1])?;
//! drop(opened);
//!
//! // After a crash: the second one is waiting.
//! let opened = directory.open(Options::default())?;
//! assert_eq!(opened.recovery.waiting, 1);
//! let mut reader = opened.log.reader(first + 1)?;
//! assert_eq!(reader.read()?.unwrap().entry.payload, br#"{"text":"again"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A directory has:
//!
//! | file | |
//! |---|---|
//! | `00000000000000000001.log` | a segment; its name is the first sequence number |
//! | `acked.log` | what is finished, and checkpoints |
//! | `*.bad` | damaged bytes that a recovery has found, as they were |
//! | `lock` | names the process that has the log, which holds its lock |
//! | `.gitignore`, `CACHEDIR.TAG` | keep it out of repositories and backups |
//!
//! Rooms, lowest first: `error`, `frame`, `header`, `disk`, `record`, `scan`, `acks`, `recovery`, `reader`, `log`, `directory`.
#![forbid(unsafe_code)]

mod acks;
mod directory;
mod disk;
mod error;
mod frame;
mod header;
mod log;
mod reader;
mod record;
mod recovery;
mod scan;

pub use acks::{Acknowledged, Acks, Checkpoint};
pub use directory::{Directory, FileSystem, look_at};
pub use disk::{Disk, DiskFile, OsDisk};
pub use error::{Error, ErrorKind, Result};
pub use log::{Log, Opened, Options, Sync};
pub use machine_protocol::Oid;
pub use reader::Reader;
pub use record::{Entry, Kind, MAX_RECORD, Provenance, Record};
pub use recovery::{Recovery, Segment};
pub use scan::Gap;

/// Reads all of a log and checks every checksum; says what a recovery would find. Changes nothing.
///
/// # Errors
/// If a file cannot be read, is of another log, or is of a newer version.
pub fn verify(disk: &dyn Disk) -> Result<Recovery> {
    recovery::inspect(disk).map(|(recovery, _)| recovery)
}

fn newer(name: &str, version: u32) -> Error {
    let text = format!(
        "{name} has version {version} of the format, and this program reads versions up to {}: use a newer program",
        header::VERSION
    );
    Error::new(ErrorKind::Newer, text)
}
