//! Start, pause, stop and drain; how many workers there are.

use super::{Machine, guard};
use crate::core::command_error::bad_number;
use crate::core::hook::InSlot;
use crate::core::queue::{Control, MAX_WORKERS, Mode};
use crate::core::worker;
use machine_protocol::Error;
use machine_protocol::command::Undrained;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long `pause`, `stop` and `workers` wait for a slow slot, and `clear` for a sink, before they answer all the same.
const CLAIM_TIMEOUT: Duration = Duration::from_millis(250);
/// How long `drain` sleeps before it looks again whether outputs in order have left.
const LOOK_UP: Duration = Duration::from_millis(10);

impl Machine {
    /// Takes messages, and items from the source. A message in hand goes on with a worker.
    pub fn start(&'static self) {
        let mut place = self.held.lock();
        // Before the machine runs, so that no worker begins a later message first.
        if let Some(in_hand) = place.take() {
            in_hand.resume(self);
        }
        let mut control = self.queue.control();
        let was = control.mode;
        self.queue.set_mode(&mut control, Mode::Running);
        // Workers that a slow slot keeps from ending count too: they go on.
        self.spawn_workers(&mut control);
        drop(control);
        drop(place);
        self.queue.wake_all();
        let source = guard(&self.source).clone();
        if let Some(feed) = source.filter(|_| was == Mode::Stopped) {
            feed.resume(self);
        }
    }

    /// Like `start`, and the source runs from now on although no slot has a function and nothing takes the outputs.
    pub fn start_empty(&'static self) {
        self.runs_empty.store(true, Ordering::Relaxed);
        self.edit_plan(|_| {});
        self.start();
    }

    /// Starts the workers that are wanted and not there.
    fn spawn_workers(&'static self, control: &mut Control) {
        while let Some(index) = self.queue.spawn_worker(control) {
            let name = format!("{}/{index}", self.config.name);
            let thread = std::thread::Builder::new().name(name).stack_size(8 << 20);
            if thread.spawn(move || worker::run(self, index)).is_err() {
                // As many as the system gives.
                self.queue.retire_worker(control, index);
                return;
            }
        }
    }

    /// Changes how many workers there are.
    pub fn set_workers(&'static self, workers: usize, cancel: impl Fn() -> bool) -> Result<(), Error> {
        bad_number("workers", workers, 1, MAX_WORKERS)?;
        let mut control = self.queue.control();
        self.queue.set_workers(&mut control, workers);
        self.spawn_workers(&mut control);
        drop(control);
        self.queue.wake_all();
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        self.queue.wait_idle(Some(deadline), cancel, |control| control.alive <= control.wanted);
        Ok(())
    }

    /// Holds between two messages, or ends the workers. Returns once none holds a message, or when its patience is over;
    /// at once if it was held or ended so before. Returns whether it was not.
    pub fn halt(&self, mode: Mode, cancel: impl Fn() -> bool) -> bool {
        let mut control = self.queue.control();
        if control.mode == Mode::Stopped || control.mode == mode {
            return false;
        }
        if mode == Mode::Stopped {
            // Release: pairs with the Acquire of the source, which begins anew after it.
            self.stops.fetch_add(1, Ordering::Release);
        }
        self.queue.set_mode(&mut control, mode);
        drop(control);
        self.queue.wake_all();
        let deadline = Instant::now() + CLAIM_TIMEOUT;
        self.queue.wait_idle(Some(deadline), cancel, |control| match control.mode {
            Mode::Stopped => control.alive == 0,
            Mode::Running | Mode::Paused => control.resting == control.alive,
        });
        true
    }

    /// Waits until nothing waits, nothing is in the slots, a source that has an end has come to it, and outputs in order
    /// have left.
    ///
    /// # Errors
    /// What is left.
    pub fn drain(&'static self, timeout: Option<Duration>, cancel: impl Fn() -> bool) -> Result<(), Undrained> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || {
            let given_up = self.queue.given_up.load(Ordering::Acquire);
            let gone = self.queue.done() + given_up + self.queue.discarded.load(Ordering::Acquire);
            self.queue.accepted().saturating_sub(gone)
        };
        let runs = || guard(&self.source).as_ref().is_some_and(|feed| feed.is_awaited());
        // Nor is a source that waits for a slot: the thread that could set one may be the one that waits here.
        let is_awaited = || !self.waits_for_slot() && runs();
        // Outputs in order leave a moment after what they wait for is counted as discarded.
        let outputs = || {
            let waiting = self.sequence.as_ref().map_or(0, |sequence| sequence.counts().1);
            let leave = waiting > 0 && left() == 0 && self.queue.control().mode == Mode::Running;
            if leave { waiting } else { 0 }
        };
        let is_late = || cancel() || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        loop {
            let is_over = |control: &Control| control.mode != Mode::Running || (!is_awaited() && left() == 0);
            self.queue.wait_idle(deadline, &cancel, is_over);
            self.flush_withdrawn(deadline, &cancel);
            if outputs() == 0 || is_late() {
                break;
            }
            std::thread::sleep(LOOK_UP);
        }
        // The source first: what it has put before its end is among the messages then.
        let source_runs = runs();
        let left = Undrained { messages: left(), source_runs, outputs: outputs() };
        if left == Undrained::default() { Ok(()) } else { Err(left) }
    }

    /// Whether no output can come any more until it is started again: it is stopped, and no worker has a message.
    pub fn is_over(&self) -> bool {
        let control = self.queue.control();
        control.mode == Mode::Stopped && control.alive == 0
    }

    /// Discards what waits, and gives up what is in flight if the machine is stopped; returns how many messages that
    /// were.
    pub fn clear_queue(&'static self) -> u64 {
        let stopped = self.queue.control().mode == Mode::Stopped;
        let before = self.queue.accepted();
        // The destructors are user code.
        let _in_slot = InSlot::enter();
        self.queue.begin_peek();
        // Another plan, though the same: a worker that comes back from a slow message gives back its claim.
        self.edit_plan(|_| {});
        let (discarded, messages) = self.queue.take_all();
        self.queue.end_look();
        self.withdraw(messages.iter().map(|message| message.number));
        drop(messages);
        let given_up = if stopped { self.cancel_in_flight(before) } else { 0 };
        self.flush_withdrawn(Some(Instant::now() + CLAIM_TIMEOUT), || false);
        discarded + given_up
    }
}
