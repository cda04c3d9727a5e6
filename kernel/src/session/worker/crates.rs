//! Crates that the session lacks: downloaded from the registry, which is shown, for nothing else takes as long and looks
//! like a hang.

use super::super::errors;
use super::super::registry::{self, Unavailable};
use super::Worker;
use crate::output::CellError;
use evcxr::Error;
use machine::progress_bar::Bar;
use std::time::Instant;

impl Worker {
    /// Downloads what the session and a cell need, after cargo failed with an error for lack of it.
    pub(super) fn download(&mut self, error: &Error, code: &str) -> Result<(), Unavailable> {
        let text = error.to_string();
        let name = registry::named(&text).map_or("a crate".to_owned(), |name| format!("crate `{name}`"));
        self.events.warn(&format!("{name} is not in the local cache: asking the registry"));
        let began = Instant::now();
        self.downloads += 1;
        let mut bar = Bar { id: format!("download-{}-{}", self.downloads, std::process::id()), ..Bar::default() };
        let events = &self.events;
        let show = |bar: &mut Bar| {
            bar.seconds = began.elapsed().as_secs_f64();
            if let Ok(json) = serde_json::to_string(bar) {
                events.show_progress(&json);
            }
        };
        let outcome = self.registry.provide(&self.base, code, &mut |line| {
            if let Some(downloaded) = line.strip_prefix("Downloaded ") {
                bar.done += 1;
                bar.name = format!("downloading crates: {downloaded}");
            } else if line.starts_with("Updating") || line.starts_with("Downloading") {
                "downloading crates".clone_into(&mut bar.name);
            } else {
                return;
            }
            show(&mut bar);
        });
        if !bar.name.is_empty() {
            bar.is_over = true;
            "downloading crates".clone_into(&mut bar.name);
            show(&mut bar);
        }
        outcome
    }

    /// That a crate cannot be had, marked where the cell names it.
    pub(super) fn unavailable(&self, why: &Unavailable, source: &str, name: &str) -> CellError {
        let text = why.to_string();
        let names = |line: &str| {
            let named = line.trim_start().strip_prefix(":dep ").map(|rest| rest.trim_start().split(['=', ' ']).next());
            named.flatten().is_some_and(|named| why.name() == Some(named))
        };
        let Some(index) = source.lines().position(names) else { return errors::plain("DependencyError", &text) };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let line = u32::try_from(index + 1).unwrap_or_default();
        let mut error = errors::at_line("DependencyError", first, source, name, Some((line, 0)), &self.renderer);
        error.traceback.extend(rest.lines().map(str::to_owned));
        error
    }
}
