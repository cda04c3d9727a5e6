//! The thread on which the futures of this library run.
//!
//! Started with the first flight, ended with the last closure: a cell that is run again and again leaves no threads
//! behind.

use crate::shim::Job;
use machine::abi::host;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

/// What the thread and those who post share.
struct Inbox {
    /// Flights that have not begun, in order.
    jobs: Vec<Job>,
    /// Wakes the thread.
    waker: Option<Waker>,
    /// Async closures of this library that have not been dropped.
    closures: usize,
    /// Limits of flights have changed.
    changed: bool,
    /// Whether there is a thread that looks here.
    running: bool,
}

static INBOX: Mutex<Inbox> =
    Mutex::new(Inbox { jobs: Vec::new(), waker: None, closures: 0, changed: false, running: false });

thread_local! {
    /// The tasks of flights that wait: on the thread of the futures, and empty on all others.
    static TASKS: RefCell<Vec<Option<Waker>>> = const { RefCell::new(Vec::new()) };
    /// The free places among them.
    static FREE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// No user code runs under this lock.
fn inbox() -> MutexGuard<'static, Inbox> {
    INBOX.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A closure's share in the thread.
#[derive(Debug)]
pub(crate) struct Lease(());

impl Lease {
    pub(crate) fn new() -> Self {
        inbox().closures += 1;
        Self(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let waker = {
            let mut inbox = inbox();
            inbox.closures -= 1;
            if inbox.closures > 0 { None } else { inbox.waker.take() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Hands a flight to the thread.
pub(crate) fn post(job: Job) {
    let mut inbox = inbox();
    inbox.jobs.push(job);
    let waker = inbox.waker.take();
    let start = !std::mem::replace(&mut inbox.running, true);
    drop(inbox);
    if start && let Err(error) = spawn() {
        give_up(&error);
    } else if let Some(waker) = waker {
        waker.wake();
    }
}

/// Limits of flights have changed: each of them looks. Called from any thread.
pub(crate) extern "C" fn look() {
    let waker = {
        let mut inbox = inbox();
        inbox.changed = true;
        inbox.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A flight's place among those that are woken when limits have changed. Stays on the thread of the futures.
#[derive(Debug, Default)]
pub(crate) struct Location(Option<usize>);

impl Location {
    /// Is woken from here on; a task keeps its waker for life.
    pub(crate) fn take(&mut self, waker: &Waker) {
        if self.0.is_some() {
            return;
        }
        self.0 = TASKS.with_borrow_mut(|tasks| {
            let free = FREE.with_borrow_mut(Vec::pop).unwrap_or(tasks.len());
            match tasks.get_mut(free) {
                Some(place) => *place = Some(waker.clone()),
                None => tasks.push(Some(waker.clone())),
            }
            Some(free)
        });
    }
}

impl Drop for Location {
    fn drop(&mut self) {
        let Some(at) = self.0.take() else { return };
        // The thread may be ending: then nobody is woken any more.
        let waker = TASKS.try_with(|tasks| tasks.borrow_mut().get_mut(at).and_then(Option::take));
        let _ = FREE.try_with(|free| free.borrow_mut().push(at));
        drop(waker);
    }
}

/// Wakes all flights.
fn wake_all() {
    // Waking a task of this thread runs nothing of it.
    TASKS.with_borrow(|tasks| tasks.iter().flatten().for_each(Waker::wake_by_ref));
}

fn spawn() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("machine/async".to_owned()).stack_size(8 << 20);
    thread.spawn(move || run(runtime)).map(drop)
}

/// There is no thread: every flight ends with this error.
#[cold]
fn give_up(error: &io::Error) {
    let jobs = {
        let mut inbox = inbox();
        inbox.running = false;
        std::mem::take(&mut inbox.jobs)
    };
    for job in jobs {
        job.refuse(&format!("no thread for async slots: {error}"));
    }
}

fn run(runtime: Runtime) {
    (host().slot_thread)();
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        while let Some(jobs) = next().await {
            for job in jobs {
                tokio::task::spawn_local(job.fly());
            }
        }
    });
    // What the user spawned is dropped here, on its thread.
    drop(tasks);
    // Does not wait for blocking work of the user's.
    runtime.shutdown_background();
}

/// Waits for flights; `None` once there are no closures and so no more flights.
async fn next() -> Option<Vec<Job>> {
    poll_fn(|context| {
        let mut inbox = inbox();
        if std::mem::take(&mut inbox.changed) {
            wake_all();
        }
        if !inbox.jobs.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut inbox.jobs)));
        }
        if inbox.closures == 0 {
            inbox.running = false;
            inbox.waker = None;
            return Poll::Ready(None);
        }
        inbox.waker = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}
