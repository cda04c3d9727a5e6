//! The outputs as a cell takes them: a bounded queue, what did not fit in it counted.

use crate::core::backpressure::BackpressureGuard;
use crate::core::command_error::failed;
use crate::core::interrupt::interrupted_here;
use crate::core::output::{Finished, Held, Sink, SinkDemand};
use machine_protocol::command::SinkConfig;
use machine_protocol::status::SinkKind;
use machine_protocol::status::SinkStatus;
use machine_protocol::{Error, ErrorKind};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a waiting cell sleeps before it looks whether it should give up.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How long a waiting cell looks for an output before it sleeps, if it waited for the last one no longer than that. To
/// wake a thread on an idle processor takes some 60 µs. Where worker and cell both sleep, each message finds both asleep
/// again; so to get out of that, a cell has to look for longer than two of these. A cell that waits longer for its outputs
/// looks for the first of them, and sleeps at once for the next ones.
const LOOKS: Duration = Duration::from_micros(200);
/// How long it looks before other threads may have the processor between two looks: one may be the worker.
const ALONE: Duration = Duration::from_micros(20);
/// Turns of waiting between two looks, less than a microsecond.
const TURNS: u32 = 24;

/// What a cell finds when it asks for the next output.
#[derive(Debug)]
pub(crate) enum Next {
    /// An output.
    Output(Box<Held>),
    /// None came in the time that was given.
    TimedOut,
    /// None will come: the machine is stopped, and all outputs were taken.
    Closed,
    /// The user interrupted the cell.
    Interrupted,
}

#[derive(Debug, Default)]
struct TapState {
    queue: VecDeque<Box<Held>>,
    /// A thread has taken an output and has not asked for the next one: it is at work on it.
    in_hand: bool,
    /// A cell waits.
    waits: bool,
    /// How many workers wait for room.
    blocked: usize,
    /// Nobody takes outputs any more.
    ended: bool,
    error: String,
}

/// Finished messages that wait for a cell.
#[derive(Debug)]
pub(crate) struct Tap {
    /// `outputs` or `on_output`.
    kind: SinkKind,
    state: Mutex<TapState>,
    arrived: Condvar,
    /// For workers that wait for room.
    room: Condvar,
    /// Workers wait for room instead of dropping outputs.
    no_loss: AtomicBool,
    /// How many outputs wait, for those who look without the lock.
    waiting: AtomicUsize,
    /// The cell did not wait long for the last output.
    is_brisk: AtomicBool,
    most: usize,
    taken: AtomicU64,
    lost: AtomicU64,
    is_closed: AtomicBool,
}

impl Tap {
    /// At most `most` outputs wait.
    pub fn new(kind: SinkKind, most: usize) -> Self {
        Self {
            kind,
            state: Mutex::default(),
            arrived: Condvar::new(),
            room: Condvar::new(),
            no_loss: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            is_brisk: AtomicBool::new(true),
            most: most.max(1),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, TapState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next output. `ended` says whether none can come any more, `cancel` whether the cell should stop.
    pub fn next(&self, timeout: Option<Duration>, ended: impl Fn() -> bool, cancel: impl Fn() -> bool) -> Next {
        let mut state = self.lock();
        self.put_down(&mut state);
        if let Some(held) = self.take(&mut state) {
            return Next::Output(held);
        }
        drop(state);
        let began = Instant::now();
        let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
        if self.is_brisk.load(Ordering::Relaxed) {
            self.look(began, deadline);
        }
        let mut state = self.lock();
        loop {
            // Asked before the queue: what ends the machine comes after the last output.
            let ended = self.is_closed.load(Ordering::Acquire) || (self.is_of_cell() && ended());
            if let Some(held) = self.take(&mut state) {
                self.is_brisk.store(began.elapsed() < LOOKS, Ordering::Relaxed);
                return Next::Output(held);
            }
            if ended {
                return Next::Closed;
            }
            if cancel() {
                return Next::Interrupted;
            }
            let left = deadline.map_or(LOOK_UP, |at| at.saturating_duration_since(Instant::now()).min(LOOK_UP));
            if left.is_zero() {
                return Next::TimedOut;
            }
            state.waits = true;
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waits = false;
        }
    }

    fn take(&self, state: &mut TapState) -> Option<Box<Held>> {
        let held = state.queue.pop_front()?;
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
        // Not for each place: that would be one exchange between the two threads for each message.
        if state.blocked > 0 && state.queue.len() <= self.most / 2 {
            self.room.notify_all();
        }
        if self.is_of_cell() {
            self.taken.fetch_add(1, Ordering::Relaxed);
        } else {
            // What a thread has in hand still waits: who ends the process lets it finish.
            state.in_hand = true;
        }
        Some(held)
    }

    /// The thread is through with the output that it has taken.
    fn put_down(&self, state: &mut TapState) {
        if std::mem::take(&mut state.in_hand) {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks for an output, without the lock, so that no worker waits for it.
    fn look(&self, began: Instant, deadline: Option<Instant>) {
        let most = deadline.map_or(LOOKS, |deadline| deadline.saturating_duration_since(began).min(LOOKS));
        // Relaxed: what is there is taken under the lock.
        while self.waiting.load(Ordering::Relaxed) == 0 {
            let looked = began.elapsed();
            if looked >= most {
                return;
            }
            if looked >= ALONE {
                std::thread::yield_now();
            }
            (0..TURNS).for_each(|_| std::hint::spin_loop());
        }
    }

    /// How many outputs did not fit.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Nobody takes outputs any more; why, if that is an error. What waits is dropped, and counts as lost, as does what
    /// comes later.
    pub fn end(&self, why: &str) {
        self.is_closed.store(true, Ordering::Release);
        let mut state = self.lock();
        why.clone_into(&mut state.error);
        state.ended = true;
        if !why.is_empty() && std::mem::take(&mut state.in_hand) {
            // The one that it failed on.
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.put_down(&mut state);
        let left = std::mem::take(&mut state.queue);
        self.waiting.store(0, Ordering::Relaxed);
        // Under the lock, so that none is seen neither waiting nor lost.
        self.lost.fetch_add(left.len() as u64, Ordering::Relaxed);
        drop(state);
        self.room.notify_all();
        drop(left);
    }

    /// Waits until there is room for an output; false if it is to be dropped instead.
    #[cold]
    fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        state.blocked += 1;
        // Relaxed: `configure` notifies under the lock.
        let waits = |state: &TapState| {
            state.queue.len() >= self.most
                && self.no_loss.load(Ordering::Relaxed)
                && !state.ended
                && !self.is_closed.load(Ordering::Acquire)
                && !interrupted_here()
        };
        while waits(&state) {
            let _waiting = BackpressureGuard::begin();
            state = self.room.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.blocked -= 1;
        state.queue.len() < self.most && !state.ended && !self.is_closed.load(Ordering::Acquire)
    }

    /// A cell takes the outputs itself. A thread goes on after the machine was stopped: it may be started again.
    fn is_of_cell(&self) -> bool {
        self.kind == SinkKind::Outputs
    }
}

impl Sink for Tap {
    fn wants(&self) -> SinkDemand {
        // What is only counted needs no values. At its making it is open: its place among the sinks is that of a tap.
        if self.is_closed.load(Ordering::Relaxed) { SinkDemand::Nothing } else { SinkDemand::Values }
    }

    fn reads_json(&self, _message: &mut Finished<'_>, is_last: bool) -> bool {
        let is_kept = self.waiting.load(Ordering::Relaxed) < self.most || self.no_loss.load(Ordering::Relaxed);
        !is_last && self.wants() == SinkDemand::Values && is_kept
    }

    fn accept(&self, message: &mut Finished<'_>) {
        if self.is_closed.load(Ordering::Acquire) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Two workers may both find the last place free: the bound is exceeded by less than the number of workers.
        if self.waiting.load(Ordering::Relaxed) >= self.most && !self.wait_for_room() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let held = Box::new(message.hold());
        let mut state = self.lock();
        if state.ended {
            self.lost.fetch_add(1, Ordering::Relaxed);
            drop(state);
            drop(held);
            return;
        }
        state.queue.push_back(held);
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
        let waits = state.waits;
        drop(state);
        if waits {
            self.arrived.notify_one();
        }
    }

    fn status(&self) -> SinkStatus {
        let state = self.lock();
        SinkStatus {
            kind: self.kind,
            sent: self.taken.load(Ordering::Relaxed),
            waiting: state.queue.len() as u64 + u64::from(state.in_hand),
            lost: self.lost(),
            error: state.error.clone(),
            ..SinkStatus::default()
        }
    }

    fn configure(&self, config: &SinkConfig) -> Result<(), Error> {
        match config {
            SinkConfig::OnOutput { no_loss } if !self.is_of_cell() => {
                let state = self.lock();
                self.no_loss.store(*no_loss, Ordering::Relaxed);
                drop(state);
                self.room.notify_all();
                Ok(())
            }
            _ => Err(failed(
                ErrorKind::WrongSink,
                "outputs that a cell takes have no settings: drop them and take them anew",
            )),
        }
    }

    fn flush(&self, _deadline: Instant) {}

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        drop(self.lock());
        self.arrived.notify_all();
        self.room.notify_all();
    }

    fn is_cleared(&self) -> bool {
        !self.is_of_cell()
    }

    fn comes_last(&self) -> bool {
        true
    }
}
