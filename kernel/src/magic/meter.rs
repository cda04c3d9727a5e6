//! A bar for a magic that takes long.

use crate::display;
use crate::output::Output;
use machine::progress_bar::Bar;
use std::time::{Duration, Instant};

/// How long a magic may take before it tells how far it is.
const QUIET: Duration = Duration::from_millis(500);
/// How often the bar moves at most.
const PACE: Duration = Duration::from_millis(200);

/// Shows how far a magic is, if it takes long.
pub struct Meter<'a> {
    output: &'a dyn Output,
    name: String,
    id: String,
    began: Instant,
    shown: Option<Instant>,
    last: (u64, Option<u64>),
}

impl<'a> Meter<'a> {
    /// One that shows nothing yet.
    pub fn new(output: &'a dyn Output, name: impl Into<String>) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        Self { output, name: name.into(), id, began: Instant::now(), shown: None, last: (0, None) }
    }

    /// It is so far.
    pub fn at(&mut self, done: u64, total: Option<u64>) {
        self.last = (done, total);
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= PACE);
        if self.began.elapsed() >= QUIET && is_due {
            self.show(false);
        }
    }

    fn show(&mut self, is_over: bool) {
        let (done, total) = self.last;
        let seconds = self.began.elapsed().as_secs_f64();
        let bar = Bar { id: self.id.clone(), name: self.name.clone(), done, total, seconds, is_over };
        self.output.display_as(&self.id, self.shown.is_none(), display::bar(&bar));
        self.shown = Some(Instant::now());
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if self.shown.is_some() {
            self.show(true);
        }
    }
}
