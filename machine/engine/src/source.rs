//! A source: an iterator that a machine takes its messages from, by itself.

use crate::machine::Machine;
use crate::queue::{CLAIM, Mode};
use crate::raw::Buffer;
use machine::abi::SourceDesc;
use machine::status::SourceStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An iterator that takes longer than this for an item is asked for one at a time.
const QUICK: Duration = Duration::from_micros(2);

/// What feeds a machine.
#[derive(Debug)]
pub(crate) struct Feed {
    iterator: Mutex<Option<Buffer>>,
    ended: AtomicBool,
    running: AtomicBool,
    taken: AtomicU64,
    error: Mutex<String>,
}

impl Feed {
    pub fn new(desc: SourceDesc) -> Self {
        Self {
            iterator: Mutex::new(Some(Buffer::new(desc, CLAIM))),
            ended: AtomicBool::new(false),
            running: AtomicBool::new(true),
            taken: AtomicU64::new(0),
            error: Mutex::default(),
        }
    }

    /// Whether items may still come.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Takes no further item. One that the iterator is about to give is still put.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub fn status(&self) -> SourceStatus {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = match (self.is_running(), error.is_empty()) {
            (true, _) => "running",
            (false, true) => "exhausted",
            (false, false) => "failed",
        };
        SourceStatus { state: state.to_owned(), taken: self.taken.load(Ordering::Relaxed), error }
    }

    /// Puts what the iterator gives until it ends. Waits while the queue is full or the machine does not run.
    pub fn run(&self, machine: &Machine) {
        let iterator = self.iterator.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut buffer) = iterator {
            self.feed(machine, &mut buffer);
        }
        self.running.store(false, Ordering::Release);
        machine.queue.wake_all();
    }

    fn feed(&self, machine: &Machine, buffer: &mut Buffer) {
        let mut most = 1;
        loop {
            machine.queue.wait_idle(
                None,
                || self.ended.load(Ordering::Acquire),
                |control| control.mode == Mode::Running,
            );
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let before = Instant::now();
            let filled = buffer.fill(most);
            let slow = before.elapsed() > QUICK * u32::try_from(filled.max(1)).unwrap_or(1);
            self.taken.fetch_add(filled as u64, Ordering::Relaxed);
            buffer.empty_into(machine);
            if let Some(panic) = buffer.panic() {
                let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                *error = format!("the source panicked: {panic}");
                return;
            }
            if filled < most {
                return;
            }
            // Only an iterator that has its items at hand is asked for many: others would keep the first ones back.
            most = if !slow && buffer.is_exact() { (most * 2).min(CLAIM) } else { 1 };
        }
    }
}
