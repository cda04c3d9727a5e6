//! The directory of a log: who may have it, and on what it lies.

use crate::disk::OsDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::recovery::segment_first;
use crate::{acks, log};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who has the log says so in this file, and holds its lock.
const LOCK: &str = "lock";
const IGNORED: &str = ".gitignore";
const TAG: &str = "CACHEDIR.TAG";
/// As <https://bford.info/cachedir/> has it: backups leave the directory out.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# The log of a machine. See machine-store.\n";

/// A log's directory, which no other process can open as long as this lives.
#[derive(Debug)]
pub struct Directory {
    disk: OsDisk,
    _lock: File,
}

/// On what a directory lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystem {
    /// Its type, as far as it is known here: `ext4`, `tmpfs`; else a number.
    pub name: String,
    /// Whether it is in memory alone: nothing in it survives a power cut.
    pub is_volatile: bool,
    /// Bytes that are free for this user.
    pub free: u64,
}

impl Directory {
    /// Takes a directory, and makes it if it is not there. `title` is what another process is told that wants it too.
    ///
    /// # Errors
    /// If another process has it, it is not a log's or somebody else's, or it cannot be written.
    pub fn claim(path: &Path, title: &str) -> Result<Self> {
        check(path)?;
        let making = |error| Error::io(format_args!("make the directory {}", path.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(making)?;
        check_content(path)?;
        let lock = lock(path, title)?;
        for (name, text) in [(IGNORED, "*\n"), (TAG, TAG_TEXT)] {
            let writing = |error| Error::io(format_args!("write {}", path.join(name).display()), error);
            match create(&path.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => created.and_then(|mut file| file.write_all(text.as_bytes())).map_err(writing)?,
            }
        }
        Ok(Self { disk: OsDisk::new(path), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Its files.
    pub fn disk(&self) -> Arc<OsDisk> {
        Arc::new(self.disk.clone())
    }

    /// On what it lies.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn file_system(&self) -> Result<FileSystem> {
        file_system(self.path()).map_err(|error| Error::io(format_args!("look at {}", self.path().display()), error))
    }

    /// Opens its log.
    ///
    /// # Errors
    /// As [`Log::open`](log::Log::open).
    pub fn open(&self, options: log::Options) -> Result<log::Opened> {
        log::Log::open(self.disk(), options)
    }
}

/// The files of a log that is only looked at: nothing is locked or made.
///
/// # Errors
/// If the directory is not a log's.
pub fn look_at(path: &Path) -> Result<OsDisk> {
    let opening = |error| Error::io(format_args!("open the directory {}", path.display()), error);
    let metadata = fs::metadata(path).map_err(opening)?;
    if !metadata.is_dir() {
        return Err(not_a_directory(path));
    }
    if !names(path).map_err(opening)?.iter().any(|name| is_ours(name)) {
        let text = format!("{} is not the directory of a log: it has no file like {}", path.display(), log_file());
        return Err(Error::new(ErrorKind::Directory, text));
    }
    Ok(OsDisk::new(path))
}

fn log_file() -> String {
    crate::recovery::segment_name(1)
}

fn not_a_directory(path: &Path) -> Error {
    Error::new(
        ErrorKind::Directory,
        format!("{} is a file, and a log needs a directory: name another path", path.display()),
    )
}

/// What can be told of a path before it is made.
fn check(path: &Path) -> Result<()> {
    let looking = |error| Error::io(format_args!("look at {}", path.display()), error);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(looking)?,
    };
    let refuse = |text: String| Err(Error::new(ErrorKind::Directory, text));
    if metadata.is_symlink() {
        let target = fs::read_link(path).unwrap_or_else(|_| PathBuf::from("?"));
        let (path, target) = (path.display(), target.display());
        return refuse(format!(
            "{path} is a symbolic link, which could lead elsewhere tomorrow: name its target, {target}"
        ));
    }
    if !metadata.is_dir() {
        return Err(not_a_directory(path));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        let (path, owner) = (path.display(), metadata.uid());
        return refuse(format!(
            "{path} belongs to user {owner}, and this process runs as user {user}: name another directory"
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        let path = path.display();
        return refuse(format!("others can write to {path}, and so to the log: run chmod go-w {path}"));
    }
    Ok(())
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn is_ours(name: &str) -> bool {
    [LOCK, acks::NAME, acks::NEW].contains(&name) || segment_first(name).is_some()
}

/// A directory with files that are not a log's, and none that is, was named by mistake.
fn check_content(path: &Path) -> Result<()> {
    let reading = |error| Error::io(format_args!("read the directory {}", path.display()), error);
    let names = names(path).map_err(reading)?;
    let foreign = names.iter().filter(|name| ![IGNORED, TAG].contains(&name.as_str())).min();
    match foreign {
        Some(foreign) if !names.iter().any(|name| is_ours(name)) => {
            let path = path.display();
            let text = format!(
                "{path} has files in it that are not a log's, such as {foreign}: name an empty or a new directory"
            );
            Err(Error::new(ErrorKind::Directory, text))
        }
        _ => Ok(()),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn lock(path: &Path, title: &str) -> Result<File> {
    let file = path.join(LOCK);
    let locking = |error| Error::io(format_args!("lock {}", file.display()), error);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&file)
        .map_err(locking)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            let mut text = format!("{} is in use", path.display());
            match holder.trim() {
                "" => {}
                holder => drop(write!(text, " by {holder}")),
            }
            text.push_str(": end that process, or name another directory");
            return Err(Error::new(ErrorKind::InUse, text));
        }
        Err(TryLockError::Error(error)) => return Err(locking(error)),
    }
    lock.set_len(0).map_err(locking)?;
    writeln!(lock, "process {}, {title}", std::process::id()).map_err(locking)?;
    Ok(lock)
}

fn file_system(path: &Path) -> io::Result<FileSystem> {
    let volume = rustix::fs::statvfs(path)?;
    let name = type_name(path)?;
    let is_volatile = ["tmpfs", "ramfs"].contains(&name.as_str());
    Ok(FileSystem { name, is_volatile, free: volume.f_bavail.saturating_mul(volume.f_frsize) })
}

/// The type of a file system; numbers from `linux/magic.h`.
#[cfg(target_os = "linux")]
fn type_name(path: &Path) -> io::Result<String> {
    let number = rustix::fs::statfs(path)?.f_type;
    Ok(match number {
        0x0102_1994 => "tmpfs".to_owned(),
        0x8584_58f6 => "ramfs".to_owned(),
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x2fc1_2fc1 => "zfs".to_owned(),
        0x794c_7630 => "overlay".to_owned(),
        0x6969 => "nfs".to_owned(),
        other => format!("type {other:#x}"),
    })
}

#[cfg(not(target_os = "linux"))]
fn type_name(_: &Path) -> io::Result<String> {
    Ok("unknown".to_owned())
}
