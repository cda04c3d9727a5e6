//! The engine's queue with nothing around it: its own files, compiled into the benchmark.
//!
//! What a machine without slots costs beside this is its frames and counters; this is the ceiling of the machine.
#![allow(dead_code, reason = "the engine uses more of it than a benchmark does")]

#[path = "../../engine/src/core/asymmetric.rs"]
mod asymmetric;
#[path = "../../engine/src/core/queue/mod.rs"]
mod queue;
#[path = "../../engine/src/core/ring.rs"]
mod ring;
#[path = "../../engine/src/core/sync.rs"]
mod sync;

mod oid {
    /// As in the engine.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Oid {
        pub seconds: u32,
        pub counter: u32,
    }
}

/// A message as large as the engine's.
mod raw {
    use std::mem::ManuallyDrop;

    #[derive(Debug)]
    pub struct Message {
        pub number: u64,
        pub value: f64,
        pub rest: [u64; 5],
    }

    pub struct InPlace<'m>(pub &'m Message);

    impl<'m> InPlace<'m> {
        pub fn new(message: &'m ManuallyDrop<Message>) -> Self {
            Self(message)
        }
    }
}

use machine_protocol::command::Policy;
use queue::{CLAIM, Claim, Mode, Queue, Span};
use raw::Message;
use std::hint::black_box;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// `n` messages through a queue of the default size. Workers take them as the engine's do, and do nothing with them.
pub fn through(n: u32, producers: u32, workers: usize) {
    // There is memory for so small a one.
    let Some(queue) = Queue::new(1024, workers, Policy::Reject) else { return };
    std::thread::scope(|scope| {
        {
            let mut control = queue.control();
            queue.set_mode(&mut control, Mode::Running);
            while let Some(index) = queue.spawn_worker(&mut control) {
                let queue = &queue;
                scope.spawn(move || work(queue, index));
            }
        }
        std::thread::scope(|scope| {
            for _ in 0..producers {
                scope.spawn(|| put(&queue, n / producers));
            }
        });
        let left = || queue.accepted() - queue.done();
        queue.wait_idle(None, || false, |_| left() == 0);
        queue.set_mode(&mut queue.control(), Mode::Stopped);
        queue.wake_all();
    });
}

fn put(queue: &Queue, n: u32) {
    for i in 0..n {
        let message = |number| Message { number, value: f64::from(i), rest: [0; 5] };
        while queue.try_put(1, message) == 0 {
            queue.wait_for_room(None, || false);
        }
    }
}

fn work(queue: &Queue, index: usize) {
    let Some(progress) = queue.progress_of(index) else { return };
    loop {
        let mut claim = queue.claim(CLAIM, || false);
        if matches!(claim, Claim::Nothing) {
            if queue.is_paused() && !queue.park(index) {
                return;
            }
            continue;
        }
        let begin = |message: raw::InPlace<'_>| {
            progress.begun.store(progress.begun.load(Relaxed) + 1, Release);
            message.0.value
        };
        while let Some(value) = claim.next_in_place(begin) {
            black_box(value);
            progress.finish();
        }
    }
}
