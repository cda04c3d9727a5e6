//! Where processes listen: one directory a user, that nobody else can enter, and one socket a process in it.

use super::peer;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Names the directory, before all other places.
pub const DIRECTORY_VARIABLE: &str = "MACHINE_RUNTIME_DIR";

/// How many sockets of one process number there can be: processes of several containers may share a directory.
const ATTEMPTS: u32 = 16;

/// How the names of publishers' sockets end.
const PUBLISHED: &str = "pub";
/// How the names of kernels' control sockets end.
const CONTROL: &str = "control";
/// How the names of all sockets here end; a new one has the last until somebody listens.
const KINDS: [&str; 4] = ["sock", PUBLISHED, CONTROL, "new"];
/// How often a directory is made again that a process which ended has removed in the meantime.
const DIRECTORY_ATTEMPTS: u32 = 8;

/// Where this user's processes listen, the best place first: `$MACHINE_RUNTIME_DIR` alone if it is set; otherwise
/// `$XDG_RUNTIME_DIR/machine`, then `machine-UID` in the directory for temporary files. Which of the two a process
/// has used depends on how it was started, so clients look into both.
pub fn candidates() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(directory) = set(DIRECTORY_VARIABLE) {
        return vec![directory];
    }
    let runtime = set("XDG_RUNTIME_DIR").map(|directory| directory.join("machine"));
    runtime.into_iter().chain([in_temporary()]).collect()
}

fn in_temporary() -> PathBuf {
    std::env::temp_dir().join(format!("machine-{}", peer::own_user()))
}

/// Whether a directory is one, this user's, and closed to all others.
fn is_private(directory: &Path) -> bool {
    fs::symlink_metadata(directory)
        .is_ok_and(|found| found.is_dir() && found.uid() == peer::own_user() && found.mode() & 0o077 == 0)
}

/// Does something in the first of the candidates where it can be done, once that is private.
///
/// # Errors
/// If it can be done in none: why it cannot in the last one.
fn in_first<T>(directories: &[PathBuf], attempt: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let mut why = io::Error::other("no directory for it");
    for directory in directories {
        let mut done = make_private(directory).and_then(|()| attempt(directory));
        for _ in 0..DIRECTORY_ATTEMPTS {
            if !done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                break;
            }
            done = make_private(directory).and_then(|()| attempt(directory));
        }
        match done {
            Ok(done) => return Ok(done),
            Err(error) => why = io::Error::new(error.kind(), format!("{}: {error}", directory.display())),
        }
    }
    Err(why)
}

/// Listens for the runtime processes of a kernel, whatever the length of the usual places' paths: a socket's path has
/// about a hundred bytes at most.
///
/// # Errors
/// If that can be done nowhere: why not in the last place.
pub fn control() -> io::Result<(UnixListener, PathBuf)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let short = PathBuf::from(format!("/tmp/machine-{}", peer::own_user()));
    let directories: Vec<PathBuf> = candidates().into_iter().chain([in_temporary(), short]).collect();
    in_first(&directories, |directory| {
        // Relaxed: only the number counts. A process that has this one's number elsewhere may share the directory.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        for attempt in 0..ATTEMPTS {
            let path = directory.join(format!("{pid}-{count}-{attempt}.{CONTROL}"));
            match UnixListener::bind(&path) {
                Ok(listener) => {
                    own(&path);
                    return Ok((listener, path));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for the control socket"))
    })
}

/// Listens for those who watch and control this process.
///
/// # Errors
/// If that can be done nowhere: why the last candidate cannot be had.
pub fn listen() -> io::Result<(UnixListener, PathBuf)> {
    in_first(&candidates(), listen_in)
}

/// Makes a directory that only this user can enter, or checks one that is there.
fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if is_private(directory) {
        Ok(())
    } else {
        Err(io::Error::other("it is not this user's own directory with mode 0700"))
    }
}

/// Where a publisher without an endpoint listens: a socket named after its machine. If another one listens there, the
/// number of this process is in the name.
///
/// # Errors
/// If that can be done nowhere: why the last candidate cannot be had.
pub fn publish(name: &str) -> io::Result<(UnixListener, PathBuf)> {
    in_first(&candidates(), |directory| publish_in(directory, name))
}

fn publish_in(directory: &Path, name: &str) -> io::Result<(UnixListener, PathBuf)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    for attempt in 0..ATTEMPTS {
        let path = directory.join(match attempt {
            0 => format!("{name}.{PUBLISHED}"),
            1 => format!("{name}-{pid}.{PUBLISHED}"),
            more => format!("{name}-{pid}-{more}.{PUBLISHED}"),
        });
        // Under another name first, as below; a link, unlike a new name, never takes the place of another socket.
        // Relaxed: only the number counts, as several threads publish at the same time.
        let new = directory.join(format!("{pid}p{}.new", COUNT.fetch_add(1, Ordering::Relaxed)));
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        let mut linked = fs::hard_link(&new, &path);
        if linked.is_err() && sweep_one(&path) {
            linked = fs::hard_link(&new, &path);
        }
        let _ = fs::remove_file(&new);
        match linked {
            Ok(()) => {
                own(&path);
                return Ok((listener, path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{name} is published too often")))
}

/// Removes the sockets of processes that are gone. Connecting to one that hangs may take forever.
pub fn sweep() {
    candidates().iter().filter(|directory| is_private(directory)).for_each(|directory| sweep_in(directory));
}

/// Removes the sockets of processes that are gone, on a separate thread; waits for that, at most for a time.
pub fn sweep_within(limit: Duration) {
    let (done, swept) = mpsc::channel();
    let sweep = move || {
        sweep();
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("sweep-sockets".to_owned()).spawn(sweep).is_ok() {
        let _ = swept.recv_timeout(limit);
    }
}

fn sweep_in(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in entries.filter(|path| path.extension().is_some_and(|it| KINDS.iter().any(|kind| it == *kind))) {
        sweep_one(&path);
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Removes a socket that nobody listens on any more; returns whether it was one. What is no socket refuses connections,
/// too, and stays.
pub fn sweep_one(path: &Path) -> bool {
    is_socket(path)
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        && fs::remove_file(path).is_ok()
}

/// Sockets of this process, to be removed when it ends.
static OWN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A socket is removed when the process ends.
pub fn own(path: &Path) {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// Removes a socket of this process. What has taken its place and is no socket stays.
pub fn remove(path: &Path) {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| own != path);
    if is_socket(path) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(path);
    }
}

/// Removes all sockets of this process. What is bound from now on is not removed.
pub fn remove_all() {
    let own = std::mem::take(&mut *OWN.lock().unwrap_or_else(PoisonError::into_inner));
    for path in own {
        remove(&path);
    }
    // A directory that a user has named is his; one in which others listen is not empty.
    if std::env::var_os(DIRECTORY_VARIABLE).is_none() {
        candidates().iter().filter(|directory| is_private(directory)).for_each(|directory| {
            let _ = fs::remove_dir(directory);
        });
    }
}

fn listen_in(directory: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let pid = std::process::id();
    for attempt in 0..ATTEMPTS {
        let name = if attempt == 0 { format!("{pid}.sock") } else { format!("{pid}-{attempt}.sock") };
        let path = directory.join(name);
        let is_file = fs::symlink_metadata(&path).is_ok() && !is_socket(&path);
        if is_file || UnixStream::connect(&path).is_ok() {
            continue;
        }
        // Bound under another name first: a socket is seen under its own only once somebody listens, so a client that
        // finds one that refuses may remove it.
        let new = directory.join(format!("{pid}-{attempt}.new"));
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        // Another process may have taken it for one that nobody listens on, and removed it: then there is none to rename.
        fs::rename(&new, &path)?;
        own(&path);
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
        // What is no socket refuses connections, too: it belongs to somebody.
        if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) {
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
    fn sockets_of_publishers_that_are_gone_are_removed_and_others_kept() -> io::Result<()> {
        let base = std::env::temp_dir().join(format!("machine-publish-test-{}", std::process::id()));
        make_private(&base)?;
        let (first, one) = publish_in(&base, "main")?;
        let (_second, two) = publish_in(&base, "main")?;
        fs::write(base.join("other"), "not ours")?;
        assert_eq!(one, base.join("main.pub"));
        assert_eq!(two, base.join(format!("main-{}.pub", std::process::id())));
        drop(first);
        sweep_in(&base);
        assert!(!one.exists() && two.exists());
        let (third, three) = publish_in(&base, "main")?;
        assert!(one == three && UnixStream::connect(&three).is_ok());
        drop(third);
        let (_fourth, four) = publish_in(&base, "main")?;
        assert!(four == three && UnixStream::connect(&three).is_ok());
        remove(&three);
        assert!(!three.exists());
        remove(&base.join("other"));
        let mut left: Vec<_> = fs::read_dir(&base)?.flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, [two.file_name().unwrap_or_default(), std::ffi::OsStr::new("other")]);
        fs::remove_dir_all(&base)
    }

    #[test]
    fn a_file_that_is_no_socket_stays() -> io::Result<()> {
        let base = std::env::temp_dir().join(format!("machine-file-test-{}", std::process::id()));
        make_private(&base)?;
        let file = base.join(format!("{}.sock", std::process::id()));
        fs::write(&file, "not ours")?;
        let refused = connect(&file);
        let (_listener, path) = listen_in(&base)?;
        let left = fs::read_to_string(&file);
        fs::remove_dir_all(&base)?;
        assert!(refused.is_err());
        assert_ne!(path, file);
        assert_eq!(left?, "not ours");
        Ok(())
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() -> io::Result<()> {
        let base = std::env::temp_dir().join(format!("machine-place-test-{}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&base)?;
        let listen = |directory: &Path| make_private(directory).and_then(|()| listen_in(directory));
        let (open, closed) = (listen(&base), listen(&base.join("own")));
        let mode = fs::metadata(base.join("own"))?.mode() & 0o777;
        fs::remove_dir_all(&base)?;
        assert!(open.is_err_and(|error| error.to_string().contains("0700")));
        assert_eq!(mode, 0o700);
        let (_listener, path) = closed?;
        assert!(path.ends_with(format!("own/{}.sock", std::process::id())), "{}", path.display());
        Ok(())
    }
}
