//! The command line: one table of commands ([`arguments`]), from which parsing, help and shell completions come.
//!
//! What is asked of a running machine is what a magic asks, sent to another process ([`attached`]), and shown as the
//! magic shows it, in its text form. With `--json`, standard output is one JSON document: what the magic gives, or
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
mod tap;
mod top;
mod usage;
mod verify;

use crate::display;
use crate::server;
use crate::session::{self, SessionConfig};
use arguments::{Commands, Kernel};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// Carries out what the process's arguments say.
pub fn run() -> ExitCode {
    match arguments::CommandLine::try_parse() {
        Ok(line) => carry_out(line.command),
        Err(error) => usage::report(&error),
    }
}

fn carry_out(command: Commands) -> ExitCode {
    match command {
        Commands::Kernel(Kernel { connection_file }) => outcome::prepared(server::run(&connection_file)),
        Commands::Warm => {
            outcome::prepared(SessionConfig::prepare_template(display::from_show).and_then(session::headless::warm))
        }
        Commands::Query => crate::query::serve(),
        Commands::Analyse { directory } => session::analyser::serve(&directory),
        Commands::Cells => {
            outcome::prepared(SessionConfig::prepare(display::from_show).and_then(session::headless::run))
        }
        Commands::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut arguments::CommandLine::command(), "machine", &mut script);
            outcome::print(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
        Commands::Book { page } => {
            outcome::print(&page.text());
            ExitCode::SUCCESS
        }
        Commands::Machines { json } => outcome::end(machines::list(json), json),
        Commands::Log(log) => outcome::end(log::run(&log), false),
        Commands::Verify(verify) => outcome::end(verify::run(&verify), verify.json),
        Commands::Cat(cat) => outcome::end(cat::run(&cat), false),
        Commands::Metrics { port } => outcome::end(metrics::run(port), false),
        Commands::Tap(tap) => outcome::end(tap::run(&tap), tap.json),
        Commands::Top { name } => outcome::end(top::run(name.as_deref()), false),
        Commands::Run(run) => outcome::end(run::run(&run), false),
        command => control::carry_out(command),
    }
}
