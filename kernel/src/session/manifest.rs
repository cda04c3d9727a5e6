//! What evcxr is told before it starts: where its crate lies, and which dependencies every cell has.
//!
//! evcxr evaluates a first expression while it starts. Dependencies added after that would load and compile the
//! crate a second time, which costs a second or two of the first cell. evcxr reads its start-up configuration from
//! `evcxr.toml` and writes `opt_level` verbatim into the profile of the crate's manifest, so the dependencies are
//! given there, as tables that follow the profile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The dependencies that every session has, unless the user names the crate himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    crates: PathBuf,
    level: String,
    serde: bool,
    serde_json: bool,
    asynchronous: bool,
}

impl Base {
    /// The crate `machine` in a directory of the machine's crates, serde and `serde_json`; optimised as far as `opt-level = 2`.
    pub fn new(crates: &Path) -> Self {
        Self { crates: crates.to_owned(), level: "2".to_owned(), serde: true, serde_json: true, asynchronous: false }
    }

    /// Takes away what the user names himself in a `:dep`. Returns whether that changed something.
    pub fn without(&mut self, name: &str) -> bool {
        match name {
            "serde" => std::mem::take(&mut self.serde),
            "serde_json" => std::mem::take(&mut self.serde_json),
            _ => false,
        }
    }

    /// Adds the crate for async slots, which brings tokio: too much for sessions that have none. Returns whether that
    /// changed something.
    pub fn with_async(&mut self) -> bool {
        !std::mem::replace(&mut self.asynchronous, true)
    }

    /// Sets how far cells are optimised.
    pub fn set_level(&mut self, level: &str) {
        level.clone_into(&mut self.level);
    }

    /// The value of `opt-level` with all that follows it.
    pub fn opt_level(&self) -> String {
        // What evcxr writes behind `opt-level` belongs to the last profile, which nobody builds with.
        format!(
            "{}\ndebug = false\nstrip = \"debuginfo\"\nrpath = true\nlto = \"off\"\ndebug-assertions = false\n\
             codegen-units = 16\npanic = \"unwind\"\nincremental = true\noverflow-checks = true\n{}\
             \n[profile.dev.package.machine-protocol]\nopt-level = 0\n\
             \n[profile.unused]\ninherits = \"dev\"",
            self.level,
            self.dependencies()
        )
    }

    /// The dependencies, each as a table of the manifest.
    pub fn dependencies(&self) -> String {
        let path = toml_string(&self.crates.join("api").to_string_lossy());
        let mut text = format!("\n[dependencies.machine]\npackage = \"rust-machine\"\npath = {path}\n");
        if self.serde {
            text.push_str("\n[dependencies.serde]\nversion = \"1\"\nfeatures = [\"derive\"]\n");
        }
        if self.serde_json {
            text.push_str("\n[dependencies.serde_json]\nversion = \"1\"\n");
        }
        if self.asynchronous {
            let path = toml_string(&self.crates.join("async").to_string_lossy());
            text.push_str(&format!("\n[dependencies.machine-async]\npath = {path}\n"));
        }
        text
    }

    /// Writes the start-up configuration into the session's directory.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let text = format!(
            "[evcxr]\ntmpdir = {}\noffline_mode = true\npreserve_vars_on_panic = true\nallow_static_linking = true\n\
             opt_level = {}\n",
            toml_string(&directory.to_string_lossy()),
            toml_string(&self.opt_level()),
        );
        fs::write(directory.join("evcxr.toml"), text)
    }
}

fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            character if character.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(character))),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
