//! The thread on which the futures of this library run.
//!
//! Started with the first flight, ended with the last closure: a cell that is run again and again leaves no threads
//! behind.

use crate::shim::Job;
use machine::abi::host;
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
    /// Whether there is a thread that looks here.
    running: bool,
}

static INBOX: Mutex<Inbox> = Mutex::new(Inbox { jobs: Vec::new(), waker: None, closures: 0, running: false });

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
