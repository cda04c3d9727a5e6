//! Subshells: names under which a front end may send requests that do not wait for the main shell.
//!
//! Here no request waits for a running cell except another cell of Rust, so a subshell is but a name that is known.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The subshells that there are.
#[derive(Debug, Default)]
pub struct Subshells(Mutex<BTreeSet<String>>);

impl Subshells {
    /// Makes one; the content of the reply.
    pub fn create(&self) -> Value {
        let name = uuid::Uuid::new_v4().to_string();
        self.with(|names| names.insert(name.clone()));
        json!({ "status": "ok", "subshell_id": name })
    }

    /// Whether there was one of this name.
    pub fn delete(&self, name: &str) -> bool {
        self.with(|names| names.remove(name))
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.with(|names| names.contains(name))
    }

    /// All of them; the content of the reply.
    pub fn list(&self) -> Value {
        self.with(|names| json!({ "status": "ok", "subshell_id": names }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
