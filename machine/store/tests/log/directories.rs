//! Directories that are not what a log needs: each is one line that says what to do.

use machine_store::{Directory, Entry, ErrorKind, Options, look_at};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn refused(path: &std::path::Path) -> (ErrorKind, String) {
    let error = Directory::claim(path, "a test").unwrap_err();
    assert!(!error.to_string().contains('\n'));
    (error.kind(), error.to_string())
}

#[test]
fn is_private_and_kept_out_of_repositories_and_backups() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data/log");
    let directory = Directory::claim(&path, "a test").unwrap();
    let mut opened = directory.open(Options::default()).unwrap();
    opened.log.append(&Entry { payload: b"1", ..Entry::default() }).unwrap();
    opened.log.sync().unwrap();
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["00000000000000000001.log", "acked.log", "lock", ".gitignore", "CACHEDIR.TAG"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
    assert!(
        fs::read_to_string(path.join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with("Signature: 8a477f597d28d172789f06886806bc55\n")
    );
    let on = directory.file_system().unwrap();
    assert!(on.free > 0 && !on.name.is_empty(), "{on:?}");
}

#[test]
fn one_in_use_names_its_process() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("log");
    let first = Directory::claim(&path, "tweets.ipynb").unwrap();
    let (kind, text) = refused(&path);
    assert_eq!(kind, ErrorKind::InUse);
    assert!(text.contains(&format!("in use by process {}, tweets.ipynb", std::process::id())), "{text}");
    // It can be looked at.
    drop(first.open(Options::default()).unwrap());
    assert_eq!(machine_store::verify(&look_at(&path).unwrap()).unwrap().records, 0);
    drop(first);
    Directory::claim(&path, "again").unwrap();
}

#[test]
fn what_is_no_directory_of_a_log_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    fs::write(at("file"), "").unwrap();
    assert!(refused(&at("file")).1.contains("is a file"));
    fs::create_dir(at("foreign")).unwrap();
    fs::write(at("foreign/thesis.tex"), "").unwrap();
    let (kind, text) = refused(&at("foreign"));
    assert_eq!(kind, ErrorKind::Directory);
    assert!(text.contains("thesis.tex") && text.contains("an empty or a new directory"), "{text}");
    assert_eq!(fs::read_dir(at("foreign")).unwrap().count(), 1, "nothing was made in it");
    fs::create_dir(at("target")).unwrap();
    symlink(at("target"), at("link")).unwrap();
    assert!(refused(&at("link")).1.contains("symbolic link"));
    fs::create_dir(at("open")).unwrap();
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&at("open")).1.contains("chmod go-w"));
    assert!(look_at(&at("foreign")).unwrap_err().to_string().contains("is not the directory of a log"));
    assert!(look_at(&at("nowhere")).unwrap_err().to_string().contains("cannot open the directory"));
    assert!(look_at(&at("file")).unwrap_err().to_string().contains("is a file"));
}

#[test]
fn one_that_cannot_be_written_says_so() {
    if rustix::process::geteuid().is_root() {
        // Root can write everywhere but in a file system that is read-only.
        let error = Directory::claim(std::path::Path::new("/proc/log"), "a test").unwrap_err();
        assert!(error.to_string().contains("/proc/log"), "{error}");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert!(refused(&temporary.path().join("log")).1.contains("cannot make the directory"));
}

#[test]
fn one_in_memory_is_volatile() {
    let memory = std::path::Path::new("/dev/shm");
    if !memory.is_dir() {
        println!("skipped: there is no /dev/shm");
        return;
    }
    let temporary = tempfile::tempdir_in(memory).unwrap();
    let on = Directory::claim(&temporary.path().join("log"), "a test").unwrap().file_system().unwrap();
    assert!(on.is_volatile, "{on:?}");
}
