//! The engine allocates nothing for a small message: not on the thread that puts it, not in the worker, not anywhere
//! else. All allocations of the process are counted, so nothing else runs here, not even the test harness, and nobody
//! attaches.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where it fails, and says that it passed")]

use machine::prelude::*;
use machine_testkit::{Barrier, Drained, eventually};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// The system's allocator, with a count of what is asked of it.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages before the count, and counted ones.
const WARM_UP: u64 = 20_000;
const COUNTED: u64 = 100_000;
/// Always the same: the last outputs are kept as text, in buffers as long as the longest text so far.
const MESSAGE: f64 = 14.0;

/// While it is set, messages wait in the last slot until there are two of them.
static IN_PAIRS: AtomicBool = AtomicBool::new(false);

/// W8-A: eight trivial slots over `f64`. The last one counts, so that nothing has to be asked of the machine.
fn w8() -> (Machine, Arc<AtomicU64>) {
    let m = Machine::builder("w8").start().unwrap();
    let (through, pair) = (Arc::new(AtomicU64::new(0)), Barrier::new(2));
    let count = through.clone();
    m[0].set(|x: f64| x * x).unwrap();
    m[1].set(|a: f64| a + 1.0).unwrap();
    m[2].set(|b: f64, a: f64| b - a).unwrap();
    for slot in 3..7 {
        m[slot].set(|x: f64| x * 1.5).unwrap();
    }
    m[7].set(move |x: f64| {
        if IN_PAIRS.load(Relaxed) {
            pair.wait();
        }
        count.fetch_add(1, SeqCst);
        x * 1.5
    })
    .unwrap();
    (m, through)
}

/// Waits until so many messages have reached the last slot.
fn wait(through: &AtomicU64, messages: u64) {
    eventually!(through.load(SeqCst) >= messages);
}

/// How many allocations there are while `put` puts that many messages and the worker takes them.
fn allocations(name: &str, m: &Machine, through: &AtomicU64, mut put: impl FnMut(u64)) {
    let before = through.load(SeqCst);
    put(WARM_UP);
    m.drained();
    put(WARM_UP);
    wait(through, before + 2 * WARM_UP);
    let allocated = ALLOCATIONS.load(SeqCst);
    put(COUNTED);
    wait(through, before + 2 * WARM_UP + COUNTED);
    let allocated = ALLOCATIONS.load(SeqCst) - allocated;
    m.drained();
    assert_eq!(allocated, 0, "{name}: so many allocations for {COUNTED} messages");
    println!("{name}: no allocation for {COUNTED} messages");
}

/// An iterator that looks at the count itself, when it gives the first and the last of the counted items.
fn from_a_source(m: &Machine, through: &AtomicU64) {
    static BEGIN: AtomicU64 = AtomicU64::new(0);
    static END: AtomicU64 = AtomicU64::new(0);
    const LAST: u64 = WARM_UP + COUNTED;
    let before = through.load(SeqCst);
    let items = (0..=LAST).map(|item| {
        match item {
            WARM_UP => BEGIN.store(ALLOCATIONS.load(SeqCst), Relaxed),
            LAST => END.store(ALLOCATIONS.load(SeqCst), Relaxed),
            _ => {}
        }
        MESSAGE
    });
    m.source(items).unwrap();
    wait(through, before + LAST + 1);
    m.drained();
    let allocated = END.load(Relaxed) - BEGIN.load(Relaxed);
    assert_eq!(allocated, 0, "source: so many allocations for {COUNTED} messages");
    println!("source: no allocation for {COUNTED} messages");
}

/// A thread that starts allocates: those of the engine have started after this.
fn wait_for_threads() {
    MACHINE.put(MESSAGE).unwrap();
    MACHINE.drained();
    #[cfg(target_os = "linux")]
    eventually!(std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let name = task.and_then(|task| std::fs::read_to_string(task.path().join("comm")));
        name.is_ok_and(|name| name.trim() == "machine/clock")
    }));
}

fn main() -> ExitCode {
    // The socket's threads do as they like: they are left out.
    if std::env::var_os("MACHINE_REMOTE").is_none_or(|switch| switch != "off") {
        let alone = Command::new(std::env::current_exe().unwrap()).env("MACHINE_REMOTE", "off").status().unwrap();
        return if alone.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    machine_engine::init();
    wait_for_threads();
    let (m, through) = w8();
    let one_by_one = |messages| (0..messages).for_each(|_| m.put_wait(MESSAGE).unwrap());
    allocations("put", &m, &through, one_by_one);
    let mut batch: Vec<f64> = Vec::with_capacity(500);
    allocations("try_put_batch", &m, &through, |messages| {
        let mut left = messages;
        while left > 0 || !batch.is_empty() {
            let more = left.min(500 - batch.len() as u64);
            batch.extend((0..more).map(|_| MESSAGE));
            left -= more;
            m.try_put_batch(&mut batch).unwrap();
        }
    });
    from_a_source(&m, &through);
    m.workers(2).unwrap();
    // Each of the two has its first message now.
    IN_PAIRS.store(true, Relaxed);
    one_by_one(2);
    m.drained();
    IN_PAIRS.store(false, Relaxed);
    allocations("put, two workers", &m, &through, one_by_one);
    ExitCode::SUCCESS
}
