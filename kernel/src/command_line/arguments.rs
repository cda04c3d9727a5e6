//! The command line: which commands there are, and what they take.

use super::table;
use crate::magic::Magic;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
pub enum Commands {
    /// What begins and finds machines.
    First(First),
    /// What a magic does, to a machine of another process.
    Magic(&'static Magic, ArgMatches),
    /// All else.
    Rest(Rest),
}

/// The command line: what begins, the table of magics, and all else.
pub fn command() -> Command {
    let command = Command::new("machine")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "A runtime for pipelines of slots: in notebooks (the kernel `Rust (Machine)` for Jupyter) and as programs",
        )
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    Rest::augment_subcommands(First::augment_subcommands(command).subcommands(table::commands()))
}

/// What the words of a command line ask for, the program's name first.
///
/// # Errors
/// A mistake in them, or help that is asked for.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Commands, clap::Error> {
    let matches = command().try_get_matches_from(words)?;
    if let Some((name, given)) = matches.subcommand()
        && let Some(magic) = table::find(name)
    {
        return Ok(Commands::Magic(magic, given.clone()));
    }
    First::from_arg_matches(&matches)
        .map(Commands::First)
        .or_else(|_| Rest::from_arg_matches(&matches).map(Commands::Rest))
}

/// What begins and finds machines.
#[derive(Debug, Subcommand)]
pub enum First {
    /// Run a pipeline outside of Jupyter: a file or a cargo project
    ///
    /// A file without `fn main` is a script: statements as they stand in a notebook's cells. One with `fn main` is a
    /// program; both may use `machine::prelude::*`, serde and serde_json, and name more in front matter as cargo scripts
    /// have it, or in `:dep` lines. It is built optimised, and runs until its sources have ended and all is processed.
    /// Ctrl-C, SIGTERM and SIGHUP end the sources and process what waits; a second one ends it at once. The counts of its machines are
    /// printed to standard error at the end. A project is built by cargo and run as it is; its `main` calls
    /// `machine_engine::run` to have the same.
    #[command(after_help = "Examples:\n  \
        machine run pipeline.rs\n  \
        machine run pipeline.rs --fail-on-error -- data/tweets.tsv\n  \
        machine run project/")]
    Run(Run),
    /// List the machines that run, of all processes of this user
    #[command(after_help = "Example:\n  machine machines --json")]
    Machines {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show a machine live, in a terminal: its slots, queue, rates and dead letters; `?` shows the keys
    #[command(after_help = "Examples:\n  machine top\n  machine top main@1234")]
    Top {
        /// The machine; NAME@PID if several processes have one of this name; without it, the only one, or a list
        name: Option<String>,
    },
}

/// All that is done neither to one machine nor to begin with.
#[derive(Debug, Subcommand)]
pub enum Rest {
    /// Discard what waits in the queue
    #[command(after_help = "Example:\n  machine clear main")]
    Clear(Named),
    /// Print what a machine publishes, one line a message
    #[command(after_help = "Examples:\n  \
        machine log main -n 10\n  \
        machine log tcp://127.0.0.1:5555 --slot f1 --json | head")]
    Log(Log),
    /// Check every byte of a log, and say what a recovery would find
    ///
    /// Nothing is changed; the log may be in use. The exit code is 1 if something that was synced is damaged.
    #[command(after_help = "Examples:\n  machine verify data/tweets\n  machine verify data/tweets --json")]
    Verify(Verify),
    /// Print the records of a log, one JSON object per line, oldest first
    ///
    /// Nothing is changed; the log may be in use. Damaged records are left out and counted on standard error.
    #[command(
        after_help = "Examples:\n  machine cat data/tweets | jq .payload\n  machine cat data/tweets --waiting --raw"
    )]
    Cat(Cat),
    /// Serve Prometheus metrics for all of your machines on a local port
    ///
    /// A process with machines does the same for its own if `MACHINE_METRICS` names a port.
    #[command(after_help = "Example:\n  machine metrics 9464 & curl -s http://127.0.0.1:9464/metrics")]
    Metrics {
        /// The port; 0 for any
        port: u16,
    },
    /// Write a script of completions for a shell
    #[command(after_help = "Examples:\n  \
        source <(machine completions bash)\n  \
        machine completions zsh > ~/.zfunc/_machine\n  \
        machine completions fish > ~/.config/fish/completions/machine.fish")]
    Completions {
        /// Which shell
        #[arg(value_parser = clap::value_parser!(clap_complete::Shell))]
        shell: clap_complete::Shell,
    },
    /// Run a kernel; front ends do this
    Kernel(Kernel),
    /// Pre-build the session cache so that the first cell starts quickly
    Warm,
    /// Print a generated page of the book, in Markdown.
    #[command(hide = true)]
    Book {
        /// Which
        page: super::book::Page,
    },
    /// Run cells from standard input, without Jupyter: for tests of the session.
    #[command(hide = true)]
    Cells,
    /// Run one query, for a kernel that asks on standard input.
    #[command(hide = true)]
    Query,
    /// Answer a kernel's questions about the code of a session.
    #[command(hide = true)]
    Analyse {
        /// The session's directory
        directory: std::path::PathBuf,
    },
}

/// A machine.
#[derive(Debug, Args)]
pub struct Named {
    /// The machine; NAME@PID if several processes have one of this name
    pub name: String,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// What a machine publishes.
#[derive(Debug, Args)]
pub struct Log {
    /// A ZeroMQ endpoint (tcp://… or ipc://…), or the machine that publishes
    #[arg(value_name = "ENDPOINT|NAME")]
    pub endpoint: String,
    /// End after so many messages
    #[arg(short = 'n', value_name = "COUNT")]
    pub count: Option<u64>,
    /// Only what this slot gave, or `in` for the message itself: f1 or 1
    #[arg(long)]
    pub slot: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// A log to check.
#[derive(Debug, Args)]
pub struct Verify {
    /// The directory of the log
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// A log to print.
#[derive(Debug, Args)]
pub struct Cat {
    /// The directory of the log
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Only the payloads, one per line, as they were stored
    #[arg(long)]
    pub raw: bool,
    /// Only records that are not finished
    #[arg(long)]
    pub waiting: bool,
    /// From this sequence number on
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub from: u64,
}

/// A pipeline to run.
#[derive(Debug, Args)]
pub struct Run {
    /// A file, or the directory of a cargo project
    #[arg(value_name = "FILE|PROJECT")]
    pub path: PathBuf,
    /// Exit with 1 if a message errored that was not retried with success, a source failed, or outputs were lost
    ///
    /// Without it, the exit code is 1 if an output cannot be written, or work is left when the grace time is over; and 141
    /// if the reader of standard output has gone.
    #[arg(long)]
    pub fail_on_error: bool,
    /// The last state of all machines in JSON, as the last line of standard output
    #[arg(long)]
    pub json: bool,
    /// How long to finish queued messages after the first Ctrl-C or SIGTERM: 5s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub grace: String,
    /// Which program of a project that has several
    #[arg(long, value_name = "NAME")]
    pub bin: Option<String>,
    /// For the pipeline itself: `std::env::args`
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<std::ffi::OsString>,
}

/// Where a kernel listens.
#[derive(Debug, Args)]
pub struct Kernel {
    /// The file that says where to listen
    #[arg(short = 'f', long, value_name = "FILE")]
    pub connection_file: PathBuf,
}
