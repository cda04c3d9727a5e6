//! The executable: Jupyter kernel, runtime process of the cells, and command line.

mod arguments;
mod control;
mod display;
mod magic;
mod output;
mod runtime;
mod server;
mod session;
mod wire;

use arguments::Arguments;
use session::SessionConfig;
use std::io::Write;
use std::process::ExitCode;

/// The exit code for bad arguments and files, and ports in use.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    runtime::run_if_asked();
    match Arguments::parse() {
        Ok(Arguments::Kernel { connection_file }) => end(server::run(&connection_file)),
        Ok(Arguments::Warm) => end(SessionConfig::prepare_template(display::from_show).and_then(session::driver::warm)),
        Ok(Arguments::Cells) => end(SessionConfig::prepare(display::from_show).and_then(session::driver::run)),
        Ok(Arguments::Print(text)) => {
            // Whoever closed standard output does not want to read it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => end(Err::<(), _>(error)),
    }
}

/// Tells an error in one line, causes included.
fn end<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    server::log(&line.replace('\n', " "));
    ExitCode::from(UNUSABLE)
}
