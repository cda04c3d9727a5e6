//! Where processes listen: one directory a user, that nobody else can enter, and one socket a process in it.

use super::peer;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Names the directory, before all other places.
pub const DIRECTORY_VARIABLE: &str = "MACHINE_RUNTIME_DIR";

/// How many sockets of one process number there can be: processes of several containers may share a directory.
const ATTEMPTS: u32 = 16;

/// Where this user's processes listen, the best place first: `$MACHINE_RUNTIME_DIR` alone if it is set; otherwise
/// `$XDG_RUNTIME_DIR/machine`, then `machine-UID` in the directory for temporary files. Which of the two a process
/// has used depends on how it was started, so clients look into both.
pub fn candidates() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(directory) = set(DIRECTORY_VARIABLE) {
        return vec![directory];
    }
    let runtime = set("XDG_RUNTIME_DIR").map(|directory| directory.join("machine"));
    let temporary = std::env::temp_dir().join(format!("machine-{}", peer::own_user()));
    runtime.into_iter().chain([temporary]).collect()
}

/// Whether a directory is one, this user's, and closed to all others.
fn is_private(directory: &Path) -> bool {
    fs::symlink_metadata(directory)
        .is_ok_and(|found| found.is_dir() && found.uid() == peer::own_user() && found.mode() & 0o077 == 0)
}

/// Listens in the first of the candidates that can be had.
///
/// # Errors
/// If none can: why the last one cannot.
pub fn listen() -> io::Result<(UnixListener, PathBuf)> {
    let mut why = io::Error::other("no directory for it");
    for directory in candidates() {
        match listen_in(&directory) {
            Ok(found) => return Ok(found),
            Err(error) => why = io::Error::new(error.kind(), format!("{}: {error}", directory.display())),
        }
    }
    Err(why)
}

fn listen_in(directory: &Path) -> io::Result<(UnixListener, PathBuf)> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !is_private(directory) {
        return Err(io::Error::other("it is not this user's own directory with mode 0700"));
    }
    let pid = std::process::id();
    for attempt in 0..ATTEMPTS {
        let name = if attempt == 0 { format!("{pid}.sock") } else { format!("{pid}-{attempt}.sock") };
        let path = directory.join(name);
        if UnixStream::connect(&path).is_ok() {
            continue;
        }
        // Bound under another name first: a socket is seen under its own only once somebody listens, so whoever
        // finds one that refuses may remove it.
        let new = directory.join(format!("{pid}-{attempt}.new"));
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        fs::rename(&new, &path)?;
        return Ok((listener, path));
    }
    Err(io::Error::other("no free name for the socket"))
}

/// The sockets that there are, whether somebody listens or not.
pub fn sockets() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in candidates().into_iter().filter(|directory| is_private(directory)) {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "sock")));
    }
    found
}

/// Connects. A socket that nobody listens on any more is removed.
///
/// # Errors
/// If nobody listens, or another user does.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path).inspect_err(|error| {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            let _ = fs::remove_file(path);
        }
    })?;
    peer::check(&stream)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused() -> io::Result<()> {
        let base = std::env::temp_dir().join(format!("machine-place-test-{}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&base)?;
        let (open, closed) = (listen_in(&base), listen_in(&base.join("own")));
        let mode = fs::metadata(base.join("own"))?.mode() & 0o777;
        fs::remove_dir_all(&base)?;
        assert!(open.is_err_and(|error| error.to_string().contains("0700")));
        assert_eq!(mode, 0o700);
        let (_listener, path) = closed?;
        assert!(path.ends_with(format!("own/{}.sock", std::process::id())), "{}", path.display());
        Ok(())
    }
}
