//! The command line, from which help, shell completions and a page of the book come ([`arguments`]).
//!
//! What is asked of a running machine is what a magic asks: one table has both ([`table`]). It is sent to another process
//! ([`attached`]), and shown as the magic shows it, in its text form. With `--json`, standard output is one JSON document: what the magic gives, or
//! `{"error": {"code", "message"}}`.

mod arguments;
mod attached;
mod book;
mod cat;
mod control;
mod interrupt;
mod log;
mod machines;
mod metrics;
mod outcome;
mod run;
mod subscriber;
mod table;
mod top;
mod usage;
mod verify;

use crate::display;
use crate::server;
use crate::session::{self, SessionConfig};
use arguments::{Commands, First, Kernel, Rest};
use std::process::ExitCode;

/// Carries out what the process's arguments say.
pub fn run() -> ExitCode {
    match arguments::parse(std::env::args_os()) {
        Ok(Commands::First(command)) => first(command),
        Ok(Commands::Magic(magic, given)) => table::carry_out(magic, &given),
        Ok(Commands::Rest(command)) => rest(command),
        Err(error) => usage::report(&error),
    }
}

fn first(command: First) -> ExitCode {
    match command {
        First::Run(run) => outcome::end(run::run(&run), false),
        First::Machines { json } => outcome::end(machines::list(json), json),
        First::Top { name } => outcome::end(top::run(name.as_deref()), false),
    }
}

fn rest(command: Rest) -> ExitCode {
    match command {
        Rest::Kernel(Kernel { connection_file }) => outcome::prepared(server::run(&connection_file)),
        Rest::Warm => {
            outcome::prepared(SessionConfig::prepare_template(display::from_show).and_then(session::headless::warm))
        }
        Rest::Query => crate::query::serve(),
        Rest::Analyse { directory } => session::analyser::serve(&directory),
        Rest::Cells => outcome::prepared(SessionConfig::prepare(display::from_show).and_then(session::headless::run)),
        Rest::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut arguments::command(), "machine", &mut script);
            outcome::print(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
        Rest::Book { page } => {
            outcome::print(&page.text());
            ExitCode::SUCCESS
        }
        Rest::Clear(named) => outcome::end(control::clear(&named), named.json),
        Rest::Log(log) => outcome::end(log::run(&log), false),
        Rest::Metrics { port } => outcome::end(metrics::run(port), false),
        Rest::Verify(verify) => outcome::end(verify::run(&verify), verify.json),
        Rest::Cat(cat) => outcome::end(cat::run(&cat), false),
    }
}
