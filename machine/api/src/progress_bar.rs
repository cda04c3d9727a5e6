//! How far a loop is.

use crate::show;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The MIME type of a [`Bar`].
pub const PROGRESS: &str = "application/vnd.machine.progress+json";

/// How often a bar moves at most.
const PACE: Duration = Duration::from_millis(100);

/// What a bar shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Which bar: the same one is shown in the same place.
    pub id: String,
    /// What it is about; empty for nothing.
    pub name: String,
    /// What is done.
    pub done: u64,
    /// What there is to do, if that is known.
    pub total: Option<u64>,
    /// How long it has taken, seconds.
    pub seconds: f64,
    /// Whether it is over.
    pub is_over: bool,
}

/// An iterator that shows how far it is.
#[derive(Debug)]
pub struct ProgressBar<I> {
    inner: I,
    bar: Bar,
    /// Whether the loop has an item in hand.
    out: bool,
    began: Instant,
    shown: Instant,
    /// Items until the next look at the clock, and how many there were the last time: few for slow loops.
    left: u64,
    stride: u64,
}

/// The same items, and a bar in the notebook that moves with them: `for line in progress(lines) { … }`.
///
/// The bar has an end if the iterator knows how many items there are. It moves at most ten times a second, and costs a
/// fast loop next to nothing.
///
/// ```
/// machine_engine::init(); // in a notebook the kernel has done that
/// let mut sum = 0;
/// for x in machine::progress(0..10) {
///     sum += x;
/// }
/// assert_eq!(sum, 45);
/// ```
pub fn progress<I: IntoIterator>(items: I) -> ProgressBar<I::IntoIter> {
    static BARS: AtomicU64 = AtomicU64::new(0);
    let inner = items.into_iter();
    let now = Instant::now();
    // Relaxed: a number that nobody else has, nothing more.
    let id = format!("{}-{}", std::process::id(), BARS.fetch_add(1, Ordering::Relaxed));
    let total = match inner.size_hint() {
        (least, Some(most)) if least == most => Some(least as u64),
        _ => None,
    };
    let bar = Bar { id, total, ..Bar::default() };
    let progress = ProgressBar { inner, bar, out: false, began: now, shown: now, left: 0, stride: 1 };
    progress.show();
    progress
}

impl<I> ProgressBar<I> {
    /// What the bar is about: `progress(lines).named("tweets")`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.bar.name = name.into();
        self.show();
        self
    }

    fn show(&self) {
        show::json(PROGRESS, &self.bar);
    }

    #[cold]
    fn look(&mut self) {
        let now = Instant::now();
        let since = now.duration_since(self.shown);
        // Few for slow items: the bar moves. Never many: a fast loop can become a slow one.
        self.stride = if since < PACE / 10 { (self.stride * 2).min(64) } else { (self.stride / 2).max(1) };
        self.left = self.stride;
        if since >= PACE {
            self.shown = now;
            self.bar.seconds = now.duration_since(self.began).as_secs_f64();
            self.show();
        }
    }
}

impl<I: Iterator> Iterator for ProgressBar<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        // An item is done when the next one is asked for.
        self.bar.done += u64::from(self.out);
        if self.left == 0 {
            self.look();
        }
        self.left -= 1;
        let item = self.inner.next();
        self.out = item.is_some();
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for ProgressBar<I> {}

impl<I> Drop for ProgressBar<I> {
    fn drop(&mut self) {
        self.bar.seconds = self.began.elapsed().as_secs_f64();
        self.bar.is_over = true;
        self.show();
    }
}
