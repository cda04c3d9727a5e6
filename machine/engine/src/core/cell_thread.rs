//! The thread that runs the cells of a notebook, and what tells it to stop.
//!
//! A cell that cannot be stopped keeps its thread: the thread is *abandoned*, and another one runs the next cells. An
//! abandoned thread may wake up at any time. It has no part in the cells any more: code that asks about the calling
//! thread gets `false` there, and the code of its cell stops at the next place where it looks.
//!
//! Each library of a cell has a flag that its loops read. All of them are set while an interrupt is pending; the one
//! that an abandoned thread was running stays set for good, so that loops of later cells stay fast.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why the calling thread has to stop.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It goes on.
    No = 0,
    /// The user interrupted the cell.
    Interrupted = 1,
    /// The cell was abandoned.
    Abandoned = 2,
}

/// Set while the user wants the running cell to stop.
static INTERRUPT: AtomicBool = AtomicBool::new(false);
static RUNS_CELLS: AtomicBool = AtomicBool::new(false);
/// The number of the thread that runs cells now; smaller ones were abandoned.
static CURRENT: AtomicU32 = AtomicU32::new(0);
/// The number of a thread that stops when it is asked to and is never abandoned: the main thread of a pipeline.
const PIPELINE: u32 = u32::MAX;

thread_local! {
    /// The number of this thread; 0 if it never ran cells.
    static HERE: Cell<u32> = const { Cell::new(0) };
}

static FLAGS: Mutex<Flags> = Mutex::new(Flags { all: Vec::new(), running: None });

struct Flags {
    /// Those of all libraries but those that were running when their thread was abandoned.
    all: Vec<&'static AtomicBool>,
    /// That of the library whose cell runs, or ran last.
    running: Option<&'static AtomicBool>,
}

/// Makes the calling thread the one that runs the cells of a notebook. The one before is abandoned.
pub fn set_cell_thread() {
    // Relaxed: the flag carries nothing but itself.
    RUNS_CELLS.store(true, Ordering::Relaxed);
    let number = next_number();
    HERE.with(|here| here.set(number));
}

/// Abandons the thread that runs the cells. There is none until the next call of [`set_cell_thread`].
pub fn abandon_cell_thread() {
    let mut flags = flags();
    next_number();
    if let Some(running) = flags.running.take() {
        flags.all.retain(|flag| !std::ptr::eq(*flag, running));
        // Relaxed, here and wherever a flag is used: it carries nothing but itself.
        running.store(true, Ordering::Relaxed);
    }
}

/// Whether the calling thread runs the cells of a notebook, or is the main thread of a pipeline. Not an abandoned one.
pub fn is_cell_thread() -> bool {
    match here() {
        0 => false,
        PIPELINE => true,
        // Relaxed: a thread sees its abandonment late, or not at all in time, as if it had come a moment later.
        number => number == CURRENT.load(Ordering::Relaxed),
    }
}

/// Whether the calling thread ran the cells of a notebook and was abandoned.
pub fn is_abandoned_thread() -> bool {
    !matches!(here(), 0 | PIPELINE) && !is_cell_thread()
}

/// Makes what waits on the calling thread stop when the user asks for it: the thread that sets a pipeline up.
pub(crate) fn set_interruptible() {
    HERE.with(|here| here.set(PIPELINE));
}

/// Whether this process runs the cells of a notebook.
pub(crate) fn runs_cells() -> bool {
    RUNS_CELLS.load(Ordering::Relaxed)
}

/// Whether the calling thread runs a cell that the user has interrupted, or one that was abandoned.
pub fn has_to_stop() -> bool {
    must_stop() != Stop::No
}

/// Whether, and why, the calling thread has to stop.
pub(crate) fn must_stop() -> Stop {
    if is_abandoned_thread() {
        Stop::Abandoned
    } else if INTERRUPT.load(Ordering::Relaxed) && is_cell_thread() {
        Stop::Interrupted
    } else {
        Stop::No
    }
}

/// Sets or clears the interrupt.
pub(crate) fn interrupt(on: bool) {
    let flags = flags();
    INTERRUPT.store(on, Ordering::Relaxed);
    for flag in &flags.all {
        flag.store(on, Ordering::Relaxed);
    }
}

/// From a cell that begins: `flag` is what the loops of its library read.
pub(crate) fn enter(flag: &'static AtomicBool) {
    let mut flags = flags();
    if !is_cell_thread() {
        return;
    }
    if !flags.all.iter().any(|known| std::ptr::eq(*known, flag)) {
        flags.all.push(flag);
    }
    flags.running = Some(flag);
    // Under the lock, so that an interrupt that comes now is not missed.
    flag.store(INTERRUPT.load(Ordering::Relaxed), Ordering::Relaxed);
}

fn here() -> u32 {
    HERE.try_with(Cell::get).unwrap_or(0)
}

fn next_number() -> u32 {
    CURRENT.fetch_add(1, Ordering::Relaxed) + 1
}

fn flags() -> MutexGuard<'static, Flags> {
    FLAGS.lock().unwrap_or_else(PoisonError::into_inner)
}
