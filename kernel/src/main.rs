//! The executable: Jupyter kernel, runtime process of the cells, and command line.

mod control;
mod display;
mod magic;
mod output;
mod runtime;
mod server;
mod session;
mod wire;

use session::SessionConfig;
use std::io;

fn main() -> io::Result<()> {
    runtime::run_if_asked();
    match std::env::args().nth(1).as_deref() {
        Some("cells") => session::driver::run(SessionConfig::prepare(display::from_show)?),
        Some("warm") => session::driver::warm(SessionConfig::prepare_template(display::from_show)?),
        _ => Ok(()),
    }
}
