//! `machine run`: a pipeline built as its own program, and run in the place of this process.
//!
//! A file becomes a cargo project in the user's cache, `run/projects/STEM-HASH` with the hash of the file's path, so
//! that each file has one and only what changed is compiled again; all share `run/target`, so that the engine is
//! compiled once. The program is the file itself, edited without adding or removing a line ([`program`]).
//! A cargo project is built where it is.
//!
//! The process becomes the pipeline: signals, standard streams and the exit code are its own.

mod build;
mod features;
mod front_matter;
mod manifest;
mod program;

use super::arguments::Run;
use super::outcome::{Failed, Outcome};
use crate::session;
use crate::session::registry::{self, Platforms, Unavailable};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the engine is told of the options, in words with commas between.
const OPTIONS_VARIABLE: &str = "MACHINE_RUN";
/// What the engine is told of what it runs, for the list of machines.
const TITLE_VARIABLE: &str = "MACHINE_TITLE";

/// The largest file that is taken for a pipeline, bytes.
const MAX_SOURCE: u64 = 16 << 20;

/// Builds and runs. Returns only if that fails.
pub fn run(arguments: &Run) -> Outcome {
    let grace = crate::input::duration(&arguments.grace, "5s").map_err(Failed::Usage)?;
    let path = arguments.path.canonicalize().map_err(|error| {
        Failed::Usage(format!("{}: {error}; expected a Rust file or a Cargo project", arguments.path.display()))
    })?;
    let executable = if path.is_dir() {
        build::project(&path.join("Cargo.toml"), arguments.bin.as_deref())?
    } else if path.file_name().is_some_and(|name| name == "Cargo.toml") {
        build::project(&path, arguments.bin.as_deref())?
    } else {
        file(&path)?
    };
    let grace = format!("grace={}", grace.as_secs_f64());
    let mut options = vec![grace.as_str()];
    options.extend(arguments.fail_on_error.then_some("fail-on-error"));
    options.extend(arguments.json.then_some("json"));
    let error = Command::new(&executable)
        .args(&arguments.arguments)
        .env(OPTIONS_VARIABLE, options.join(","))
        .env(TITLE_VARIABLE, &path)
        .exec();
    Err(Failed::new("not_started", format!("{} does not start: {error}", executable.display())))
}

/// Builds the project of one file.
fn file(path: &Path) -> Result<PathBuf, Failed> {
    let source = read(path).map_err(|error| Failed::Usage(format!("{}: {error}", path.display())))?;
    // The compiler leaves the mark of the byte order out, too.
    let program = program::make(source.strip_prefix('\u{feff}').unwrap_or(&source), path)?;
    for note in &program.notes {
        crate::server::log(&format!("{}:{note}", path.display()));
    }
    let crates = session::crates().map_err(|error| Failed::new("no_sources", error.to_string()))?;
    let cache = session::directory::cache().join("run");
    let name = manifest::package_name(path);
    let asynchronous = session::is_async(&program.text);
    let features = features::used(&program.text, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let engine = manifest::Engine { crates: &crates, features: &features, asynchronous };
    let manifest = manifest::make(&name, path, &engine, program.front.as_ref(), &program.dependencies)?;
    let place = cache.join("projects").join(&name);
    let unwritable = |error: io::Error| Failed::new("no_cache", format!("{}: {error}", place.display()));
    let written = || -> io::Result<File> {
        session::directory::create_private(&cache)?;
        fs::create_dir_all(&place)?;
        // Another process that runs the same file at this moment builds it first.
        let lock = File::create(place.join("lock"))?;
        lock.lock()?;
        write_if_new(&place.join("Cargo.toml"), &manifest)?;
        write_if_new(&place.join(manifest::source_name(path)), &program.text)?;
        // The versions that the engine was built with, so that nothing is fetched that is there already.
        let versions = place.join("Cargo.lock");
        if let Some(own) = crates.parent().map(|root| root.join("Cargo.lock"))
            && !versions.exists()
            && own.exists()
        {
            fs::copy(own, versions)?;
        }
        Ok(lock)
    };
    let _lock = written().map_err(unwritable)?;
    let offline = is_complete(&place.join("Cargo.toml"))?;
    build::file(&place, &cache.join("target"), path, program.script.as_ref(), offline)
}

/// Downloads what a project lacks. Whether everything is there then: otherwise cargo says what is wrong with the project.
fn is_complete(manifest: &Path) -> Result<bool, Failed> {
    let tell = &mut |line: &str| crate::server::log(line);
    match registry::provide(manifest, Platforms::Host, true, tell) {
        Ok(()) => Ok(true),
        Err(Unavailable::Refused(_) | Unavailable::Io(_)) => Ok(false),
        Err(offline @ Unavailable::Offline { .. }) => {
            Err(Failed::new("offline", offline.to_string().replace('\n', "; ")))
        }
    }
}

/// The text of a pipeline.
fn read(path: &Path) -> io::Result<String> {
    // Before it is opened: opening a pipe waits for its writer, and a device may have no end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file; expected a Rust file or a Cargo project"));
    }
    let mut source = String::new();
    // A file may also have no end where the system makes it up as it is read.
    File::open(path)?.take(MAX_SOURCE + 1).read_to_string(&mut source)?;
    if source.len() as u64 > MAX_SOURCE {
        let message = format!("larger than {} MiB; expected a Rust file", MAX_SOURCE >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(source)
}

/// Cargo looks at the time of a file: one that is the same is left alone.
fn write_if_new(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) { Ok(()) } else { fs::write(path, text) }
}
