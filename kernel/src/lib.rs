//! Jupyter kernel, runtime process of the cells, and command line: one executable.
//!
//! Rooms, lowest first: `nesting`, `output`, `display`, `input`, `wire`, `control`, `query`, `watch`, `magic`, `session`, `runtime`,
//! `server`, `command_line`.

mod command_line;
mod control;
mod display;
mod input;
mod logging;
mod magic;
mod nesting;
mod output;
mod query;
mod runtime;
mod server;
mod session;
mod watch;
mod wire;

use std::process::ExitCode;

/// Does what the arguments and the environment ask for; returns how the process ends.
pub fn main() -> ExitCode {
    session::rustc_wrapper::run_if_asked();
    runtime::run_if_asked();
    logging::init();
    let code = command_line::run();
    machine_remote::close();
    code
}
