//! The sources of dependencies that are directories: `:dep mine = { path = "../mine" }`.
//!
//! Cargo compiles such a crate anew when it was edited, under the same name and the same metadata, so its types keep
//! their names and their `TypeId`s. Only its sources tell that they may be other ones.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The directory that a `:dep` line names, behind the word.
pub fn directory(dependency: &str) -> Option<PathBuf> {
    let table: Table = toml::from_str(dependency).ok()?;
    let path = table.values().next()?.get("path")?.as_str()?;
    Path::new(path).canonicalize().ok()
}

/// A hash of the names, lengths and times of the sources in these directories, and in those that they depend on.
pub fn stamp(directories: impl IntoIterator<Item = PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(directories));
    while let Some(package) = open.pop() {
        if !seen.insert(package.clone()) {
            continue;
        }
        note(&package, &mut hasher);
        if let Some(manifest) = manifest(&package) {
            named_in(&package, &Value::Table(manifest), &mut open);
        }
        // What a package inherits is named in the manifest of its workspace.
        let workspace = package.ancestors().skip(1).find_map(|root| Some((root, manifest(root)?.remove("workspace")?)));
        if let Some((root, workspace)) = workspace {
            named_in(root, &workspace, &mut open);
        }
    }
    hasher.finish()
}

fn manifest(package: &Path) -> Option<Table> {
    toml::from_str(&fs::read_to_string(package.join("Cargo.toml")).ok()?).ok()
}

/// The packages that are named as `path = "…"` anywhere in a manifest.
fn named_in(package: &Path, value: &Value, to: &mut Vec<PathBuf>) {
    match value {
        Value::Table(table) => {
            if let Some(path) = table.get("path").and_then(Value::as_str)
                && let Ok(path) = package.join(path).canonicalize()
                && path.is_dir()
            {
                to.push(path);
            }
            table.values().for_each(|value| named_in(package, value, to));
        }
        Value::Array(values) => values.iter().for_each(|value| named_in(package, value, to)),
        _ => {}
    }
}

/// Notes the sources and manifests below a directory; not what was compiled, and nothing hidden.
fn note(directory: &Path, to: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link may lead back here.
            if name != "target" && !path.is_symlink() {
                note(&path, to);
            }
        } else if (name.ends_with(".rs") || name == "Cargo.toml")
            && let Ok(metadata) = path.metadata()
        {
            (path, metadata.len(), metadata.modified().ok()).hash(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(at: &Path, manifest: &str) {
        fs::create_dir_all(at.join("src/inner")).unwrap();
        fs::write(at.join("Cargo.toml"), format!("[package]\nname = \"p\"\n{manifest}")).unwrap();
        fs::write(at.join("src/inner/mod.rs"), "pub struct S(u64);").unwrap();
    }

    #[test]
    fn an_edit_of_a_source_is_seen_wherever_it_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("Cargo.toml"), "[workspace]\n[workspace.dependencies]\nthird = { path = \"third\" }").unwrap();
        package(&at("first"), "[dependencies]\nsecond = { path = \"../second\" }\nthird.workspace = true\n");
        package(&at("second"), "[dependencies]\nfirst = { path = \"../first\" }\n");
        package(&at("third"), "");
        package(&at("fourth"), "");
        let line = format!("first = {{ version = \"1\", path = {:?} }}", at("first"));
        let now = || stamp(directory(&line));
        let mut before = now();
        for (file, is_seen) in [
            ("first/src/inner/mod.rs", true),
            ("second/src/inner/mod.rs", true),
            ("third/src/new.rs", true),
            ("third/Cargo.toml", true),
            ("fourth/src/inner/mod.rs", false),
            ("first/src/data.csv", false),
        ] {
            assert_eq!(now(), before);
            fs::write(at(file), "").unwrap();
            assert_eq!(now() != before, is_seen, "{file}");
            before = now();
        }
        for other in ["serde = \"1\"", "serde", "first = { version = \"1\" }", "first = { path = \"/nothing/there\" }"]
        {
            assert_eq!(directory(other), None, "{other}");
        }
    }
}
