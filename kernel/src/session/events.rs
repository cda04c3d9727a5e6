//! What the runtime says, handed to the notebook, and what of it belongs to the running cell.

use crate::control::{Event, Printed};
use crate::output::{Display, Output, Stream};
use machine::progress_bar::{Bar, PROGRESS};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How a cell said that it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellFailure {
    /// An error that it met: name, text, line in the cell (0: unknown).
    Failed(String, String, u32),
    /// It panicked: message, file as the compiler names it, line in it, column.
    Panicked(String, String, u32, u32),
}

/// What happened in a cell.
#[derive(Debug, Default)]
pub struct CellOutcome {
    /// The first way in which it failed.
    pub said: Option<CellFailure>,
    /// The value of its final expression.
    pub result: Option<Display>,
    /// Whether its own code has run.
    pub entered: bool,
    /// When it began to.
    pub began: Option<Instant>,
    /// Whether it has come to its end.
    pub left: bool,
}

/// Takes the runtime's events.
pub struct Events {
    output: Arc<dyn Output>,
    render: fn(&str, &str) -> Display,
    state: Mutex<CellState>,
    /// Whether a cell waits that shows what it waits for.
    expected: AtomicBool,
}

#[derive(Default)]
struct CellState {
    running: bool,
    silent: bool,
    /// The next thing shown is the result.
    last: bool,
    /// Names of the bars that the cell has shown.
    bars: BTreeSet<String>,
    happened: CellOutcome,
}

impl Events {
    /// Hands what happens to `output`.
    pub fn new(output: Arc<dyn Output>, render: fn(&str, &str) -> Display) -> Self {
        // What evcxr evaluates while it starts is nobody's output.
        let state = CellState { silent: true, ..CellState::default() };
        Self { output, render, state: Mutex::new(state), expected: AtomicBool::new(false) }
    }

    /// A cell waits for the session: it may have to be prepared first.
    pub fn expect(&self, silent: bool) {
        // Relaxed: what is shown is a bar that moves, sooner or later.
        self.expected.store(!silent, Ordering::Relaxed);
    }

    /// A cell begins.
    pub fn begin(&self, silent: bool) {
        self.expected.store(false, Ordering::Relaxed);
        *self.lock() = CellState { running: true, silent, ..CellState::default() };
    }

    /// A cell is over.
    pub fn end(&self) -> CellOutcome {
        std::mem::take(&mut *self.lock()).happened
    }

    /// Whether the running cell's own code has begun to run.
    pub fn has_entered(&self) -> bool {
        self.lock().happened.entered
    }

    /// Takes one event. Called in the order in which things happened.
    pub fn happen(&self, event: Event) {
        match event {
            Event::Stream { stream: Printed::Stdout, text } => self.output.stream(Stream::Stdout, &text),
            Event::Stream { stream: Printed::Stderr, text } => self.output.stream(Stream::Stderr, &text),
            Event::Notice { text } => self.warn(&text),
            Event::Clear => self.clear(),
            Event::Show { mime, content } if mime == PROGRESS => self.show_progress(&content),
            Event::Show { mime, content } => {
                let display = (self.render)(&mime, &content);
                let mut state = self.lock();
                if state.silent {
                    return;
                }
                if std::mem::take(&mut state.last) && state.running {
                    state.happened.result = Some(display);
                } else {
                    drop(state);
                    self.output.display(display);
                }
            }
            Event::Last => self.lock().last = true,
            Event::Entered => {
                let happened = &mut self.lock().happened;
                happened.entered = true;
                happened.began.get_or_insert_with(Instant::now);
            }
            Event::Left => self.lock().happened.left = true,
            Event::Fail { ename, evalue, line } => self.say(CellFailure::Failed(ename, evalue, line)),
            Event::Panic { message, file, line, column } => {
                self.say(CellFailure::Panicked(message, file, line, column));
            }
            Event::Hello { .. } => {}
        }
    }

    /// A bar of a cell's own, or of the compiler.
    pub fn show_progress(&self, json: &str) {
        let Ok(bar) = serde_json::from_str::<Bar>(json) else { return };
        let mut state = self.lock();
        if state.silent && !self.expected.load(Ordering::Relaxed) {
            return;
        }
        let is_new = state.bars.insert(bar.id.clone());
        drop(state);
        self.output.display_as(&bar.id, is_new, (self.render)(PROGRESS, json));
    }

    fn clear(&self) {
        if !self.lock().silent {
            self.output.clear(false);
        }
    }

    /// A line on standard error.
    pub fn warn(&self, text: &str) {
        self.output.stream(Stream::Stderr, &format!("{}\n", text.trim_end_matches('\n')));
    }

    fn say(&self, said: CellFailure) {
        self.lock().happened.said.get_or_insert(said);
    }

    fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
