//! The executable: Jupyter kernel, runtime process of the cells, and command line.

mod command_line;
mod control;
mod display;
mod logging;
mod magic;
mod output;
mod query;
mod runtime;
mod server;
mod session;
mod watch;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_if_asked();
    logging::init();
    command_line::run()
}
