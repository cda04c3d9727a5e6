//! What evcxr is sent, on the real standard output.

use std::fs::File;
use std::io::Write;

/// The way to evcxr, which waits for the end of a run. If it is gone, so is the kernel, and nothing sent matters.
#[derive(Debug)]
pub struct Evcxr(File);

impl Evcxr {
    /// Sends to this file.
    pub fn new(stdout: File) -> Self {
        Self(stdout)
    }

    /// The library's function is through. If the cell ended early, none of its new variables has been stored.
    pub fn complete(&mut self, ended_early: bool) {
        let lines = if ended_early {
            "EVCXR_PANIC_NOTIFICATION\nEVCXR_EXECUTION_COMPLETE\n"
        } else {
            "EVCXR_EXECUTION_COMPLETE\n"
        };
        let _ = self.0.write_all(lines.as_bytes());
    }

    /// A variable of the session is lost: evcxr forgets it, and compiles the cell again without it.
    pub fn forget(&mut self, name: &str) {
        let _ = self.0.write_all(format!("EVCXR_VARIABLE_CHANGED_TYPE:{name}\n").as_bytes());
    }
}
