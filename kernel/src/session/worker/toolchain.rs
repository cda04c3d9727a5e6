//! The toolchain that compiles the cells: where it is, and what to do if there is none.

use super::super::errors;
use super::damage::explained;
use crate::output::CellError;
use evcxr::Error;
use std::path::{Path, PathBuf};

/// What is wrong when evcxr does not start.
pub(super) fn unprepared(error: &Error) -> CellError {
    let text = error.to_string();
    if is_toolchain_missing(error) {
        return errors::plain(
            "ToolchainMissing",
            &format!(
                "no Rust toolchain found: looked for `rustup`, `cargo` and `rustc` on the PATH\n{text}\n\
                 Install it from https://rustup.rs, then run the cell again; the kernel need not be restarted."
            ),
        );
    }
    errors::plain("SessionError", &format!("the session cannot start: {}", explained(&text)))
}

/// Whether evcxr does not start for lack of cargo or rustc.
pub(super) fn is_toolchain_missing(error: &Error) -> bool {
    let text = error.to_string();
    ["Cannot find `", "Failed to run rustc", "No such file"].iter().any(|sign| text.contains(sign))
}

/// Lets the runtime process find the dynamic libstd that the cells share.
///
/// The path to it inside a cell's library is relative to `deps/`, where cargo links the library, and leads nowhere from
/// where evcxr loads it if the session's directory and the toolchain have a parent directory in common.
///
/// Returns where it is.
pub(super) fn find_libstd(command: &mut std::process::Command) -> Option<PathBuf> {
    let variable = if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    let said = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    // Looking is faster than asking the compiler, but there is not always a rustup.
    let seen = said("rustup", &["which", "rustc"]).and_then(|rustc| libstd_of(rustc.parent()?.parent()?));
    let found = seen.or_else(|| said("rustc", &["--print", "target-libdir"]));
    let directory = found?;
    let others = std::env::var_os(variable).unwrap_or_default();
    let all = std::iter::once(directory.clone())
        .chain(std::env::split_paths(&others).filter(|it| !it.as_os_str().is_empty()));
    if let Ok(value) = std::env::join_paths(all) {
        command.env(variable, value);
    }
    Some(directory)
}

/// The sources of the standard library that belong to a libstd, if the toolchain has them: the component `rust-src`.
pub(super) fn sources_of(libstd: &Path) -> Option<PathBuf> {
    let library = libstd.parent()?.parent()?.join("src/rust/library");
    library.join("core/src/lib.rs").is_file().then_some(library)
}

/// Where a toolchain has the dynamic libstd; `None` if that is not plain to see.
fn libstd_of(toolchain: &Path) -> Option<PathBuf> {
    let targets = std::fs::read_dir(toolchain.join("lib/rustlib")).ok()?.flatten();
    let own = targets.filter(|target| target.file_name().to_string_lossy().starts_with(std::env::consts::ARCH));
    let mut found = own.map(|target| target.path().join("lib")).filter(|directory| {
        let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
        files
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .any(|name| name.starts_with("libstd-") && name.ends_with(std::env::consts::DLL_SUFFIX))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
