//! Schedules of the queue's threads, drawn at random by shuttle, with everything that can be done to a queue at the same
//! time. A thread that nobody wakes is a deadlock here: shuttle's waits know no time.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(dead_code, reason = "the engine uses more of it than a model does")]

#[path = "../../src/core/queue/mod.rs"]
mod queue;
#[path = "../../src/core/ring.rs"]
mod ring;

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) const ZEROES_ARE_EMPTY: bool = false;
    /// Few, so that threads do go to sleep.
    pub(crate) const SPIN_LIMIT: u32 = 1;
    pub(crate) const POLL_INTERVAL: std::time::Duration = std::time::Duration::ZERO;
    pub(crate) const LOOKS: u32 = 2;
    pub(crate) const TURNS: u32 = 1;
    pub(crate) const ALONE: u32 = 1;

    pub(crate) fn register_fences() {}

    pub(crate) fn light_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn spin() {
        shuttle::thread::yield_now();
    }

    pub(crate) fn yield_now() {
        shuttle::thread::yield_now();
    }

    /// Shuttle checks no accesses to memory; loom does, in `ring.rs`.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

mod oid {
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Oid {
        pub seconds: u32,
        pub counter: u32,
    }
}

/// A message is its number.
mod raw {
    use std::mem::ManuallyDrop;

    #[derive(Debug)]
    pub(crate) struct Message {
        pub number: u64,
    }

    pub(crate) struct InPlace<'m>(pub &'m Message);

    impl<'m> InPlace<'m> {
        pub fn new(message: &'m ManuallyDrop<Message>) -> Self {
            Self(message)
        }
    }
}

use machine_protocol::command::Policy;
use queue::{CLAIM, Claim, Mode, Queue, Span};
use raw::Message;
use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicU64;
use shuttle::thread;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What a worker does with the queue, as in the engine's `worker.rs`; its slots write down the number. The version is
/// that of the machine's plan.
fn work(queue: &Queue, version: &AtomicU64, index: usize, ran: &std::sync::Mutex<Vec<u64>>) {
    let progress = queue.progress_of(index).unwrap();
    let mut seen = 0;
    loop {
        let mut claim = queue.claim(CLAIM, || false);
        if matches!(claim, Claim::Nothing) {
            if queue.is_paused() && !queue.park(index) {
                return;
            }
            continue;
        }
        if claim.len() > 1 {
            progress.claim(claim.len());
        }
        while claim.len() > 0 {
            let now = version.load(Acquire);
            if std::mem::replace(&mut seen, now) != now || queue.is_paused() {
                drop(queue.give_back(progress, claim));
                break;
            }
            let begin = |message: raw::InPlace<'_>| {
                progress.begun.store(progress.begun.load(Relaxed) + 1, Release);
                message.0.number
            };
            let Some(number) = claim.next_in_place(begin) else { break };
            thread::yield_now();
            ran.lock().unwrap().push(number);
            progress.finish();
        }
    }
}

type Handles = std::sync::Mutex<Vec<thread::JoinHandle<()>>>;

fn spawn_workers(
    queue: &Arc<Queue>,
    version: &Arc<AtomicU64>,
    ran: &Arc<std::sync::Mutex<Vec<u64>>>,
    handles: &Handles,
) {
    let mut control = queue.control();
    while let Some(index) = queue.spawn_worker(&mut control) {
        let (queue, version, ran) = (queue.clone(), version.clone(), ran.clone());
        handles.lock().unwrap().push(thread::spawn(move || work(&queue, &version, index, &ran)));
    }
}

fn set_mode(queue: &Queue, mode: Mode) {
    queue.set_mode(&mut queue.control(), mode);
    queue.wake_all();
}

/// What `clear` does, as in the engine's `control.rs`.
fn clear(queue: &Queue, version: &AtomicU64) {
    queue.begin_peek();
    version.fetch_add(1, Release);
    queue.wake_all();
    drop(queue.take_all());
    queue.end_look();
}

/// Two threads put, one waiting for room and one in batches, while two others pause, stop, clear, look at what waits,
/// and change the number of workers. In the end all is run, once, or counted.
fn everything_at_once() {
    let queue = Arc::new(Queue::new(2, 2, Policy::Reject).unwrap());
    let version = Arc::new(AtomicU64::new(0));
    let ran = Arc::new(std::sync::Mutex::new(Vec::new()));
    let handles = Handles::default();
    set_mode(&queue, Mode::Running);
    spawn_workers(&queue, &version, &ran, &handles);
    let message = |number| Message { number };
    let one = {
        let queue = queue.clone();
        thread::spawn(move || {
            for _ in 0..4 {
                while queue.try_put(1, message) == 0 {
                    queue.wait_for_room(None, || false);
                }
            }
        })
    };
    let batches = {
        let queue = queue.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                queue.try_put(2, message);
            }
        })
    };
    let looks = {
        let (queue, version) = (queue.clone(), version.clone());
        thread::spawn(move || {
            let lent = queue.peek_take(1);
            thread::yield_now();
            drop(queue.return_first(lent));
            clear(&queue, &version);
        })
    };
    set_mode(&queue, Mode::Paused);
    queue.set_workers(&mut queue.control(), 1);
    queue.wake_all();
    set_mode(&queue, Mode::Running);
    clear(&queue, &version);
    set_mode(&queue, Mode::Stopped);
    queue.set_workers(&mut queue.control(), 2);
    let _oldest = queue.take_oldest();
    set_mode(&queue, Mode::Running);
    spawn_workers(&queue, &version, &ran, &handles);
    queue.wake_all();
    one.join().unwrap();
    batches.join().unwrap();
    looks.join().unwrap();
    let left = || queue.accepted() - queue.done() - queue.discarded.load(Relaxed);
    queue.wait_idle(None, || false, |_| left() == 0);
    set_mode(&queue, Mode::Stopped);
    for handle in std::mem::take(&mut *handles.lock().unwrap()) {
        handle.join().unwrap();
    }
    let mut ran = ran.lock().unwrap().clone();
    ran.sort_unstable();
    let once = ran.windows(2).all(|two| two.first() < two.last());
    assert!(once, "a message ran twice: {ran:?}");
    assert_eq!(ran.len() as u64 + queue.discarded.load(Relaxed), queue.accepted());
    assert_eq!(queue.done(), ran.len() as u64);
}

#[test]
fn nothing_is_lost_or_run_twice_and_nobody_sleeps_for_ever() {
    shuttle::check_random(everything_at_once, 3_000);
}

#[test]
fn nor_with_few_changes_of_thread_at_the_worst_places() {
    shuttle::check_pct(everything_at_once, 3_000, 4);
}
