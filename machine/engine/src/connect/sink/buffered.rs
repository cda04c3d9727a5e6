//! Lines on their way to where they are written: workers append them to a buffer, and one thread writes all of it at once.
//!
//! The buffer is bounded: a worker waits while the writer is slower than the machine, so no line is dropped but those
//! that cannot be written. These are counted, and the status has the last error.

use crate::core::backpressure::BackpressureGuard;
use crate::core::interrupt::interrupted_here;
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Workers wait while more than this is buffered.
const MAX_BUFFERED: usize = 8 << 20;
/// The writer is woken early when so much is buffered.
const WAKE_THRESHOLD: usize = 256 << 10;
/// How long the writer lets lines gather after it has written.
const GATHER: Duration = Duration::from_millis(20);
/// How long a waiting worker sleeps before it looks whether it still has to wait.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What became of a batch of lines.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// How many of them were written.
    pub lines: u64,
    /// What kept the writer from writing the others.
    pub error: Option<String>,
    /// Nothing can be written any more.
    pub is_over: bool,
}

/// What the mutex protects.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is set and asked for independently")]
struct BufferState {
    /// Whole lines.
    bytes: Vec<u8>,
    /// How many.
    lines: u64,
    /// Lines that the writer has taken and not yet written.
    writing: u64,
    sent: u64,
    lost: u64,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// Somebody waits until all is written.
    hurry: bool,
    closed: bool,
    /// The writer has let go of what it writes to.
    ended: bool,
    error: String,
}

impl BufferState {
    fn left(&self) -> u64 {
        self.lines + self.writing
    }
}

/// A bounded buffer of lines.
#[derive(Debug, Default)]
pub(crate) struct Buffered {
    state: Mutex<BufferState>,
    /// For the writer.
    work: Condvar,
    /// For those who wait for the writer.
    written: Condvar,
}

impl Buffered {
    fn lock(&self) -> MutexGuard<'_, BufferState> {
        // No user code runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line; waits while there is no room. A line after the end is lost.
    pub fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        // A cell that steps and is interrupted waits no longer: its line goes beyond the bound.
        while state.bytes.len() > MAX_BUFFERED && !state.closed && !interrupted_here() {
            let _waiting = BackpressureGuard::begin();
            state = self.written.wait_timeout(state, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closed {
            state.lost += 1;
            return;
        }
        state.bytes.extend_from_slice(line);
        let full = state.bytes.len() > WAKE_THRESHOLD;
        state.lines += 1;
        if state.asleep || (full && !state.hurry) {
            state.asleep = false;
            state.hurry |= full;
            self.work.notify_one();
        }
    }

    /// Counts a line that there is none of: why.
    pub fn lose(&self, why: String) {
        let mut state = self.lock();
        state.lost += 1;
        state.error = why;
    }

    pub fn status(&self, kind: SinkKind, endpoint: String) -> SinkStatus {
        let state = self.lock();
        SinkStatus {
            kind,
            endpoint,
            sent: state.sent,
            waiting: state.left(),
            lost: state.lost,
            error: state.error.clone(),
            ..SinkStatus::default()
        }
    }

    /// Waits until all lines are written, and after `close` until the writer has let go, or until the deadline.
    pub fn flush(&self, deadline: Instant) {
        let mut state = self.lock();
        while state.left() > 0 || (state.closed && !state.ended) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state.hurry = true;
            self.work.notify_one();
            state = self.written.wait_timeout(state, left.min(POLL_INTERVAL)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes no more lines; those that are there are written.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
        self.written.notify_all();
    }

    /// The writer's thread: gives batches of lines, and how many each has, to `write`, until the buffer is closed and
    /// empty, or nothing can be written any more. Then it drops `to`.
    pub fn write_all<T>(&self, mut to: T, mut write: impl FnMut(&mut T, &[u8], u64) -> Written) {
        let mut batch = Vec::new();
        let mut state = self.lock();
        loop {
            while state.lines == 0 && !state.closed {
                state.hurry = false;
                state.asleep = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.lines == 0 {
                break;
            }
            state.asleep = false;
            state.hurry = false;
            batch.clear();
            std::mem::swap(&mut batch, &mut state.bytes);
            let lines = std::mem::take(&mut state.lines);
            state.writing = lines;
            drop(state);
            let written = write(&mut to, &batch, lines);
            state = self.lock();
            state.sent += written.lines;
            state.lost += lines.saturating_sub(written.lines);
            state.writing = 0;
            if let Some(error) = written.error {
                state.error = error;
            }
            if written.is_over {
                state.closed = true;
                state.lost += std::mem::take(&mut state.lines);
                state.bytes = Vec::new();
            }
            self.written.notify_all();
            // Lines gather for a moment: a call of the system for each of them would cost more than they do.
            if state.bytes.len() < WAKE_THRESHOLD && !state.hurry && !state.closed {
                state = self
                    .work
                    .wait_timeout_while(state, GATHER, |state| !state.hurry && !state.closed)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
        drop(state);
        // It may be user code.
        drop(to);
        self.lock().ended = true;
        self.written.notify_all();
    }
}
