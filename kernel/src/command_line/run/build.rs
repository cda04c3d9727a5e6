//! Builds with cargo, which shows its progress and its errors itself.

use super::super::outcome::Failed;
use crate::session::Script;
use serde_json::Value;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds the project of one file. What the compiler says names the file itself, not its copy, and is drawn on what
/// stands there, not on what became of it. With `offline` cargo does not ask the registry: all crates are there.
///
/// # Errors
/// If there is no cargo, or the file does not compile.
pub fn file(
    project: &Path,
    target: &Path,
    original: &Path,
    script: Option<&Script>,
    offline: bool,
) -> Result<PathBuf, Failed> {
    let name = super::manifest::source_name(original);
    let mut remap = std::ffi::OsString::from(format!("--remap-path-prefix={name}="));
    remap.push(original);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = match (script, colours) {
        (None, _) => RENDERED,
        (Some(_), false) => "json",
        (Some(_), true) => "json-diagnostic-rendered-ansi",
    };
    let mut cargo = cargo("rustc", format, &project.join("Cargo.toml"));
    cargo.args(offline.then_some("--offline"));
    // A target directory that is set is the user's own choice.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        cargo.arg("--target-dir").arg(target);
    }
    cargo.arg("--").arg(remap);
    let file = original.to_string_lossy();
    let tell = |diagnostic: &Value| {
        let rendered = || diagnostic.get("rendered").and_then(Value::as_str).map(|text| text.trim_end().to_owned());
        let message = diagnostic.get("message").and_then(Value::as_str).unwrap_or_default();
        // Cargo ends with the same.
        let is_end = message.starts_with("aborting due to");
        let told = script.and_then(|script| script.told(diagnostic, &file, colours)).or_else(rendered);
        if let Some(text) = told.filter(|_| !is_end) {
            // A reader that closed standard error does not want to read it.
            let _ = writeln!(std::io::stderr(), "{text}\n");
        }
    };
    one(executables(cargo, &tell)?, original)
}

/// Builds a cargo project, or one program of it.
///
/// # Errors
/// If there is no cargo or no project, or it does not compile, or it has several programs and none was named.
pub fn project(manifest: &Path, program: Option<&str>) -> Result<PathBuf, Failed> {
    if !manifest.is_file() {
        let directory = manifest.parent().unwrap_or(manifest).display();
        return Err(Failed::Usage(format!("{directory} is not a Cargo project (no Cargo.toml)")));
    }
    let mut cargo = cargo("build", RENDERED, manifest);
    match program {
        Some(name) => cargo.args(["--bin", name]),
        None => cargo.arg("--bins"),
    };
    // Cargo tells all itself.
    one(executables(cargo, &|_| {})?, manifest)
}

/// Messages are for us, diagnostics are told by cargo.
const RENDERED: &str = "json-render-diagnostics";

fn cargo(command: &str, format: &str, manifest: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([command, "--release", "--message-format", format, "--manifest-path"]).arg(manifest);
    cargo
}

/// What was built: the executables, by name. `tell` is given what the compiler says, if cargo does not tell it itself.
fn executables(mut cargo: Command, tell: &dyn Fn(&Value)) -> Result<Vec<(String, PathBuf)>, Failed> {
    // Standard input is the pipeline's.
    let started = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| {
        let hint = "the Rust toolchain builds pipelines; https://rustup.rs installs it";
        Failed::new("no_toolchain", format!("cargo does not start: {error}: {hint}"))
    })?;
    let mut found = Vec::new();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(diagnostic) = message.get("message").filter(|message| message.is_object()) {
            tell(diagnostic);
        }
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        if let Some((name, path)) = text("/target/name").zip(text("/executable")) {
            found.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(found),
        // Cargo has said why.
        Ok(_) => Err(Failed::new("not_built", "build failed (see above)")),
        Err(error) => Err(Failed::new("not_built", format!("cargo was lost: {error}"))),
    }
}

fn one(mut found: Vec<(String, PathBuf)>, what: &Path) -> Result<PathBuf, Failed> {
    match (found.pop(), found.as_slice()) {
        (Some((_, path)), []) => Ok(path),
        (None, _) => Err(Failed::Usage(format!("{} has no program to run", what.display()))),
        (Some((last, _)), others) => {
            let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).chain([last.as_str()]).collect();
            Err(Failed::Usage(format!(
                "{} has several programs; say which: --bin {}",
                what.display(),
                names.join(" | --bin ")
            )))
        }
    }
}
