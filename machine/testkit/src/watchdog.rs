//! The last guard: a test program ends.

use std::fs;
use std::sync::Once;
use std::thread;
use std::time::Duration;

/// The longest that a test program may take, with sanitizers and beside others.
const LIMIT: Duration = Duration::from_mins(15);

/// Ends this process with a message if it is still there after a quarter of an hour. The message names the threads:
/// a test's thread has the name of the test.
///
/// What waits for room in a queue, or for a socket, has no separate deadline in most tests.
#[allow(clippy::print_stderr, reason = "the process ends here")]
pub fn watchdog() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::spawn(|| {
            thread::sleep(LIMIT);
            eprintln!("this test program still runs after {LIMIT:?}, with these threads: {}", threads().join(", "));
            std::process::abort();
        });
    });
}

/// The names of this process's threads, cut at 15 bytes; only where there is `/proc`.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut names: Vec<String> =
        tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).map(|it| it.trim().into()).collect();
    names.sort();
    names.dedup();
    names
}
