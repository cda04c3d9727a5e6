//! Four producers, two workers: the machine beside its own queue, and beside a channel.

use crossbeam_channel::bounded;
use machine::prelude::*;
use std::hint::black_box;

const PRODUCERS: u32 = 4;
const WORKERS: u32 = 2;

/// The machine, without slots: what its queue, counters and workers cost.
pub fn machine(m: &Machine, n: u32) {
    std::thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            scope.spawn(|| {
                for i in 0..n / PRODUCERS {
                    let _ = m.put_wait(f64::from(i));
                }
            });
        }
    });
    m.drain();
}

/// The machine's queue, with nothing around it.
pub fn queue(n: u32) {
    queue_alone::through(n, PRODUCERS, WORKERS as usize);
}

/// A channel that as many threads receive from, which do nothing.
pub fn channel(n: u32) {
    let (sender, receiver) = bounded::<f64>(1024);
    std::thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            let sender = sender.clone();
            scope.spawn(move || {
                for i in 0..n / PRODUCERS {
                    if sender.send(f64::from(i)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for _ in 0..WORKERS {
            let receiver = receiver.clone();
            scope.spawn(move || {
                receiver.iter().for_each(|message| {
                    black_box(message);
                });
            });
        }
    });
}
