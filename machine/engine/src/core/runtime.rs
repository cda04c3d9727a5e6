//! The threads that wait for sockets, shared by all machines: sources and outputs of the network run on them.
//!
//! Two threads, started when the first of these is set: a machine without them has none. User code never runs here,
//! so nothing here blocks for long.

use crate::core::command_error::failed;
use machine_protocol::{Error, ErrorKind};
use std::io;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Handle, Runtime};

/// How many threads wait for sockets.
const THREADS: usize = 2;

/// Where tasks that wait for sockets run. Lives as long as the process.
///
/// # Errors
/// If the system gives no threads or no poll; the next call gives the same answer.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(THREADS).thread_name("machine/io").enable_all().build()
    });
    match runtime {
        Ok(runtime) => Ok(runtime.handle()),
        Err(error) => Err(failed(ErrorKind::NoRuntime, format!("no threads that wait for sockets: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::handle;

    #[test]
    fn tasks_run_beside_the_caller() {
        let handle = handle().ok();
        let answer = handle.map(|handle| handle.block_on(async { handle.spawn(async { 42 }).await.ok() }));
        assert_eq!(answer, Some(Some(42)));
    }
}
