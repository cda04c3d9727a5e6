//! A load on all cores beside what is measured: as many processes that never rest.

use std::os::unix::process::parent_id;
use std::process::{Child, Command};

/// The argument that makes this executable one of those processes.
pub const SPIN: &str = "spin";
/// The option that has all measured beside them.
pub const OPTION: &str = "--loaded";

/// Never rests, as long as the process that started it is there.
pub fn spin() {
    let parent = parent_id();
    while parent_id() == parent {
        for _ in 0..1_000_000 {
            std::hint::spin_loop();
        }
    }
}

/// The processes; they end with it.
pub struct Load(Vec<Child>);

impl Load {
    /// One for each core. `None` if they cannot be started.
    pub fn start() -> Option<Self> {
        let cores = std::thread::available_parallelism().ok()?.get();
        let here = std::env::current_exe().ok()?;
        let mut load = Self(Vec::new());
        for _ in 0..cores {
            load.0.push(Command::new(&here).arg(SPIN).spawn().ok()?);
        }
        Some(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that is gone need not be ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
