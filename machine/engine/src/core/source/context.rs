//! The way of a source's items into the queue, and everything that it waits for on the way.

use super::SourceTask;
use super::pace::Pacer;
use crate::core::machine::Machine;
use crate::core::queue::{CLAIM, Control, Mode};
use crate::decode;
use crate::decode::lines::Line;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long an item waits for its time before it is looked whether the machine runs.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Why a source stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was cleared.
    Ended,
    /// It cannot go on.
    Failed(String),
}

/// Whether a source should end, for threads and for tasks that wait.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    ended: AtomicBool,
    /// How many items were put so far, counted where they are put: once [`end`](Self::end) has returned it stays.
    taken: Mutex<u64>,
    changed: Condvar,
    notify: Notify,
}

impl Shutdown {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn end(&self) {
        // SeqCst: before the wake-ups; a thread that misses them sees this.
        self.ended.store(true, Ordering::SeqCst);
        drop(self.lock());
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    /// Like [`end`](Self::end), for a source that does not run: there is nobody to wake.
    pub fn forbid(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Puts unless the source has ended; once `end` has returned, nothing is put any more.
    pub fn unless_ended(&self, put: impl FnOnce() -> usize) -> usize {
        let mut taken = self.lock();
        if self.is_ended() {
            return 0;
        }
        let count = put();
        *taken += count as u64;
        count
    }

    /// How many items were put. Never less than how many of them were processed before the call.
    pub fn taken(&self) -> u64 {
        *self.lock()
    }

    /// Sleeps, unless the source ends first.
    pub(crate) fn sleep_until(&self, due: Instant) -> Result<(), Stop> {
        let mut lock = self.lock();
        loop {
            if self.is_ended() {
                return Err(Stop::Ended);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            lock = self.changed.wait_timeout(lock, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns when the source ends.
    pub async fn ended(&self) {
        let mut told = std::pin::pin!(self.notify.notified());
        // Listening first: an end between the look and the wait is told.
        told.as_mut().enable();
        if !self.is_ended() {
            told.await;
        }
    }
}

/// Where a source puts its items.
#[derive(Debug)]
pub(crate) struct SourceContext<'f> {
    pub machine: &'static Machine,
    pub feed: &'f Arc<SourceTask>,
    pacer: Pacer,
    /// Lines that are put together, since that costs less than one by one.
    heap: Vec<String>,
}

impl<'f> SourceContext<'f> {
    pub fn new(machine: &'static Machine, feed: &'f Arc<SourceTask>, pacer: Pacer) -> Self {
        Self { machine, feed, pacer, heap: Vec::new() }
    }

    pub fn into_pacer(self) -> Pacer {
        self.pacer
    }

    /// The pacer, for a source that goes its own ways.
    pub fn take_pacer(&mut self) -> Pacer {
        std::mem::take(&mut self.pacer)
    }

    /// The items begin anew, and so do the times in them.
    pub fn begin_anew(&mut self) {
        self.pacer.begin_anew();
    }

    /// Whether items may be taken in heaps.
    pub fn is_paced(&self) -> bool {
        !self.pacer.is_idle()
    }

    pub fn is_ended(&self) -> bool {
        self.feed.shutdown.is_ended()
    }

    /// Waits while the machine does not run, or has no slot to run.
    pub fn wait_running(&mut self) -> Result<(), Stop> {
        if self.is_ended() {
            return Err(Stop::Ended);
        }
        if !self.machine.queue().is_paused() && !self.machine.waits_for_slot() {
            return Ok(());
        }
        let before = Instant::now();
        let queue = self.machine.queue();
        let may_run = |control: &Control| control.mode == Mode::Running && !self.machine.waits_for_slot();
        let runs = queue.wait_idle(None, || self.is_ended(), may_run);
        self.pacer.shift(before.elapsed());
        if runs && !self.is_ended() { Ok(()) } else { Err(Stop::Ended) }
    }

    /// Waits until the next item is due, which `json` is the text of. Once items without a time are common, each is an
    /// error of the source; it is given all the same.
    pub fn wait_due<J: AsRef<str>>(&mut self, json: impl Fn() -> Option<J>) -> Result<(), Stop> {
        if self.pacer.is_idle() {
            return Ok(());
        }
        let untimed = |pacer: &Pacer| pacer.untimed().map_or(0, |(count, _)| count);
        let before = untimed(&self.pacer);
        let mut written = None;
        let due = self.pacer.due(Instant::now(), |clock| {
            let json = json()?;
            let time = clock.of(json.as_ref());
            if time.is_none() {
                written = clock.written(json.as_ref());
            }
            time
        });
        if let Some((count, field)) = self.pacer.untimed().filter(|(count, _)| *count > before) {
            self.feed.set_note(format!("{count} items without a time in {field}: given at once"));
            if self.pacer.lacks_times() {
                let given = written.map_or_else(
                    || "there is no such field".to_owned(),
                    |written| format!("cannot read {} as a time", written.chars().take(100).collect::<String>()),
                );
                let known = decode::time::KNOWN;
                let why = format!("{given}; expected {known}; name another with .format(\"%d/%m/%Y %H:%M:%S\")");
                let item = json().map(|json| json.as_ref().to_owned()).unwrap_or_default();
                self.bad(&format!("replay by {field}"), &why, item.as_bytes());
            }
        }
        if self.pacer.untimed().is_none() {
            return self.feed.shutdown.sleep_until(due);
        }
        // Time in which the machine does not run does not count.
        let mut due = due;
        loop {
            let now = Instant::now();
            if now >= due {
                return Ok(());
            }
            self.feed.shutdown.sleep_until(due.min(now + LOOK_UP))?;
            if self.machine.queue().is_paused() {
                let held = Instant::now();
                self.wait_running()?;
                due = due.checked_add(held.elapsed()).unwrap_or(due);
            }
        }
    }

    pub fn sleep(&self, time: Duration) -> Result<(), Stop> {
        let now = Instant::now();
        self.feed.shutdown.sleep_until(now.checked_add(time).unwrap_or(now))
    }

    /// Puts a message of JSON, in its time.
    pub fn json(&mut self, json: String) -> Result<(), Stop> {
        let waited = self.wait_due(|| Some(json.as_str())).and_then(|()| self.wait_running());
        let put = waited.and_then(|()| {
            if self.machine.put_source_text(json, &self.feed.shutdown) { Ok(()) } else { Err(Stop::Ended) }
        });
        if put.is_err() {
            self.drop_items(1);
        }
        put
    }

    /// Puts the lines that are held back. To be called before anything is waited for.
    pub fn flush(&mut self) -> Result<(), Stop> {
        let held = self.heap.len();
        if held == 0 {
            return Ok(());
        }
        let mut put = self.wait_running();
        if put.is_ok() {
            let count = self.machine.put_source_texts(&mut self.heap, &self.feed.shutdown);
            self.drop_items(held - count);
            if count < held {
                put = Err(Stop::Ended);
            }
        } else {
            self.drop_items(held);
            self.heap.clear();
        }
        put
    }

    /// Puts a line, as JSON or as text, with others: [`flush`](Self::flush) puts what is held back.
    pub fn line(&mut self, line: &Line<'_>, json: bool) -> Result<(), Stop> {
        let text = if json {
            match line.json() {
                None => return Ok(()),
                Some(text) => text.map(str::to_owned),
            }
        } else {
            line.text.as_ref().map(|text| decode::quote(text)).map_err(ToString::to_string)
        };
        match text {
            Ok(text) if self.pacer.is_idle() => {
                self.heap.push(text);
                if self.heap.len() < CLAIM { Ok(()) } else { self.flush() }
            }
            Ok(text) => self.json(text),
            Err(why) => {
                self.flush()?;
                self.bad(&format!("line {}", line.number), &why, line.bytes);
                self.wait_running()
            }
        }
    }

    /// What came is no message.
    pub fn bad(&self, place: &str, why: &str, bytes: &[u8]) {
        self.feed.bad(self.machine, place, why, bytes);
    }

    /// Items in hand had no place when the source was cleared.
    pub fn drop_items(&self, items: usize) {
        self.machine.count_dropped_items(items);
    }
}
