//! The manifest of a file's project: what every pipeline has, and what its file asks for.

use super::super::outcome::Failed;
use sha2::{Digest, Sha256};
use std::path::Path;
use toml::{Table, Value};

/// What a file has unless it says otherwise. As in cells, arithmetic that overflows is an error of the slot.
const PROFILE: &str = "\
[profile.release]
debug = false
strip = \"debuginfo\"
overflow-checks = true

[profile.release.package.\"*\"]
overflow-checks = false
";

/// The name of the package and the executable: the file's own with a hash of its path, since all files share a target
/// directory.
pub fn package_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let letters: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    // A package begins with a letter.
    format!("run-{}-{hash}", letters.trim_matches('-'))
}

/// What the file is called in its project: as outside, so that errors name it so.
pub fn source_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a program needs of the machine's crates.
#[derive(Clone, Copy, Debug)]
pub struct Engine<'a> {
    /// The directory that they are in.
    pub crates: &'a Path,
    /// Features of `machine-engine`.
    pub features: &'a [&'a str],
    /// Whether it has async slots.
    pub asynchronous: bool,
}

/// The manifest. Features of `machine-engine` that the file's own front matter asks for are added.
///
/// # Errors
/// If the front matter says something that cannot be merged.
pub fn make(
    name: &str,
    path: &Path,
    engine: &Engine<'_>,
    front: Option<&Table>,
    dependencies: &Table,
) -> Result<String, Failed> {
    let text = |value: &Path| Value::String(value.to_string_lossy().into_owned());
    let of = |entries: Vec<(&str, Value)>| -> Table {
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    };
    let mut manifest: Table = PROFILE.parse().map_err(|error| Failed::new("manifest", format!("{error}")))?;
    let mut package = of(vec![("edition", "2024".into())]);
    let mut all = of(vec![
        ("serde", Value::Table(of(vec![("version", "1".into()), ("features", Value::Array(vec!["derive".into()]))]))),
        (
            "serde_json",
            Value::Table(of(vec![("version", "1".into()), ("features", Value::Array(vec!["raw_value".into()]))])),
        ),
    ]);
    all.extend(dependencies.clone());
    for (key, value) in front.into_iter().flatten() {
        match (key.as_str(), value) {
            ("package", Value::Table(own)) => package.extend(own.clone()),
            ("dependencies", Value::Table(own)) => all.extend(own.clone()),
            ("profile", Value::Table(own)) => {
                merge(manifest.entry("profile").or_insert(Value::Table(Table::new())), own);
            }
            (_, value @ Value::Table(_)) => drop(manifest.insert(key.clone(), value.clone())),
            _ => return Err(Failed::Usage(format!("{}: front matter: `{key}` is no table", path.display()))),
        }
    }
    // Paths in a file are meant from where the file is.
    for dependency in all.iter_mut().filter_map(|(_, value)| value.as_table_mut()) {
        if let Some(Value::String(own)) = dependency.get_mut("path")
            && let Some(directory) = path.parent()
        {
            *own = directory.join(&*own).to_string_lossy().into_owned();
        }
    }
    let machine = of(vec![("package", "rust-machine".into()), ("path", text(&engine.crates.join("api")))]);
    all.insert("machine".to_owned(), Value::Table(machine));
    let own = all.get("machine-engine").and_then(|own| own.get("features")).and_then(Value::as_array).cloned();
    let features = engine.features.iter().map(|feature| Value::from(*feature)).chain(own.into_iter().flatten());
    let machine_engine = of(vec![
        ("path", text(&engine.crates.join("engine"))),
        ("default-features", false.into()),
        ("features", Value::Array(features.collect())),
    ]);
    all.insert("machine-engine".to_owned(), Value::Table(machine_engine));
    if engine.asynchronous {
        all.insert("machine-async".to_owned(), Value::Table(of(vec![("path", text(&engine.crates.join("async")))])));
    }
    package.extend(of(vec![
        ("name", name.into()),
        ("version", "0.0.0".into()),
        ("publish", false.into()),
        ("autobins", false.into()),
    ]));
    manifest.insert("package".to_owned(), Value::Table(package));
    manifest.insert("dependencies".to_owned(), Value::Table(all));
    let program = of(vec![("name", name.into()), ("path", source_name(path).into())]);
    manifest.insert("bin".to_owned(), Value::Array(vec![Value::Table(program)]));
    // The project belongs to no workspace that may lie around the cache.
    manifest.insert("workspace".to_owned(), Value::Table(Table::new()));
    toml::to_string(&manifest).map_err(|error| Failed::new("manifest", error.to_string()))
}

/// Puts what the user says over what is there.
fn merge(base: &mut Value, own: &Table) {
    let Value::Table(base) = base else { return };
    for (key, value) in own {
        match (base.get_mut(key), value) {
            (Some(old @ Value::Table(_)), Value::Table(own)) => merge(old, own),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_goes_first_but_the_engine_stays() -> Result<(), Box<dyn std::error::Error>> {
        let front = "[dependencies]\nserde_json = \"1.0.1\"\nown = { path = \"../own\" }\nmachine-engine = { features = [\"zeromq\"] }\n[profile.release]\nlto = true\n\
                     [package]\nedition = \"2021\"\nname = \"mine\"";
        let path = Path::new("/home/me/A b.rs");
        let name = package_name(path);
        let engine = Engine { crates: Path::new("/src/machine"), features: &["http"], asynchronous: true };
        let text = make(&name, path, &engine, Some(&front.parse()?), &Table::new());
        let manifest: Value = toml::from_str(&text.map_err(|error| format!("{error:?}"))?)?;
        let at = |path: &[&str]| path.iter().try_fold(&manifest, |value, key| value.get(key)).cloned();
        assert!(name.starts_with("run-a-b-"), "{name}");
        assert_eq!(at(&["package", "name"]), Some(name.into()));
        assert_eq!(at(&["package", "edition"]), Some("2021".into()));
        assert_eq!(at(&["dependencies", "serde_json"]), Some("1.0.1".into()));
        assert_eq!(at(&["dependencies", "own", "path"]), Some("/home/me/../own".into()));
        assert_eq!(at(&["dependencies", "machine", "path"]), Some("/src/machine/api".into()));
        assert_eq!(at(&["dependencies", "machine-engine", "path"]), Some("/src/machine/engine".into()));
        assert_eq!(at(&["dependencies", "machine-engine", "features"]), Some(vec!["http", "zeromq"].into()));
        assert_eq!(at(&["dependencies", "machine-async", "path"]), Some("/src/machine/async".into()));
        assert_eq!(at(&["profile", "release", "lto"]), Some(true.into()));
        assert_eq!(at(&["profile", "release", "overflow-checks"]), Some(true.into()));
        Ok(())
    }
}
