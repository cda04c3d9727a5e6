//! The thread that owns evcxr: one request after the other.

mod bug;
mod cell_history;
mod commands;
mod completion;
mod crates;
mod damage;
mod error_report;
mod failed;
mod idle;
mod interrupted;
mod job;
mod runtime_restart;
mod toolchain;

use super::analyser::Analyser;
use super::definitions::Definitions;
use super::errors;
use super::events::Events;
use super::inference;
use super::interrupt::Interrupt;
use super::manifest::Base;
use super::progress::{self, For};
use super::registry::{self, Registry};
use super::rewrite::{ErrorText, Form, Rewritten, Types, Variables, is_async, rewrite_with_places, rust_start};
use super::rustc_wrapper;
use super::sources;
use super::statics::{Exports, Statics};
use super::store;
use super::{Cell, SessionConfig};
use crate::control::client::Client;
use crate::output::{CellError, Display};
use annotate_snippets::Renderer;
use annotate_snippets::renderer::DecorStyle;
use cell_history::PastCells;
use damage::first_line;
use evcxr::{CommandContext, Error, EvalContext, EvalContextOutputs};
use failed::Failed;
use idle::Idle;
pub use job::{Answer, Job};
use machine_protocol::ErrorKind;
use machine_protocol::command::{Command, Reply};
use machine_protocol::status::Status;
use runtime_restart::died;
use serde_json::Value;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;
use toolchain::{find_libstd, is_toolchain_missing, sources_of, unprepared};

/// What every session uses; put before the first cell that compiles.
const PRELUDE: &str = "use machine::prelude::*; ";
/// The state of the thread.
pub struct Worker {
    config: SessionConfig,
    client: Client,
    events: Arc<Events>,
    interrupt: Arc<Interrupt>,
    base: Base,
    registry: Registry,
    /// How often crates were downloaded.
    downloads: u32,
    /// Whether the session cache was damaged, and built anew.
    healed: bool,
    renderer: Renderer,
    context: Option<CommandContext>,
    /// Whether the prelude has been compiled in.
    prelude: bool,
    idle: Idle,
    analyser: Analyser,
    definitions: Definitions,
    statics: Statics,
    past: PastCells,
    /// The machines before the last cell, to say what is lost with the runtime.
    machines: Vec<Status>,
}

impl Worker {
    /// A session that is not started yet.
    pub fn new(config: SessionConfig, client: Client, events: Arc<Events>, interrupt: Arc<Interrupt>) -> Self {
        let base = Base::new(&config.crates);
        let analyser = Analyser::new(&config.executable, config.directory.path(), None);
        let registry = Registry::new(config.directory.path(), &config.crates);
        let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
        Self {
            config,
            client,
            events,
            interrupt,
            base,
            registry,
            downloads: 0,
            healed: false,
            renderer,
            context: None,
            prelude: false,
            idle: Idle::Fresh,
            analyser,
            definitions: Definitions::default(),
            statics: Statics::default(),
            past: PastCells::default(),
            machines: Vec::new(),
        }
    }

    /// Serves requests until the session ends.
    pub fn run(mut self, queue: &Receiver<Job>) {
        // What a session that was killed has left.
        self.config.directory.sweep();
        self.config.directory.fill();
        // Without a thread the store is pruned by another session.
        let _ = std::thread::Builder::new().name("store".into()).spawn(|| store::prune(&store::place()));
        if let Err(error) = self.prepare() {
            self.client.set_unavailable(Some(machine_protocol::Error::new(ErrorKind::NoSession, error.evalue)));
        }
        loop {
            let job = match self.idle.patience().filter(|_| self.context.is_some()) {
                Some(patience) => match queue.recv_timeout(patience) {
                    Err(RecvTimeoutError::Timeout) => {
                        self.carefully("while nothing was asked", Self::use_idleness);
                        continue;
                    }
                    job => job.ok(),
                },
                None => queue.recv().ok(),
            };
            match job {
                Some(Job::Execute { cell, reply }) => {
                    let _ = reply.send(self.execute(&cell));
                }
                Some(Job::Complete { code, offset, reply }) if reply.is_wanted() => {
                    self.carefully("completion", |this| drop(reply.to.send(this.complete(&code, offset))));
                }
                Some(Job::Inspect { code, offset, reply }) if reply.is_wanted() => {
                    self.carefully("inspection", |this| drop(reply.to.send(this.inspect(&code, offset))));
                }
                Some(Job::Complete { .. } | Job::Inspect { .. }) => {}
                Some(Job::RuntimeLost { pid }) => {
                    self.carefully("a lost runtime process", |this| this.runtime_lost(pid));
                }
                Some(Job::Shutdown { done }) => {
                    drop(self.context.take());
                    self.config.directory.sweep();
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// Starts evcxr, and with it the runtime process.
    fn prepare(&mut self) -> Result<(), CellError> {
        let start = Instant::now();
        let directory = &self.config.directory;
        let (watch, was_used) =
            (progress::watch(directory.path(), Arc::clone(&self.events), For::Session), directory.is_used());
        let mut started = self.start();
        if let Err(error) = &started
            && registry::is_lacking(&error.to_string())
        {
            self.download(error, "").map_err(|why| errors::plain("SessionError", &why.to_string()))?;
            started = self.start();
        }
        if let Err(error) = &started
            && was_used
            && !is_toolchain_missing(error)
            && self.begin_anew(&first_line(&error.to_string()))
        {
            started = self.start();
        }
        drop(watch);
        let (context, outputs) = started.map_err(|error| unprepared(&error))?;
        self.listen(outputs);
        self.client.ping();
        self.context = Some(CommandContext::with_eval_context(context));
        self.registry.keep("");
        tracing::debug!(took = ?start.elapsed(), "session ready");
        Ok(())
    }

    fn start(&mut self) -> Result<(EvalContext, EvalContextOutputs), Error> {
        let mut command = std::process::Command::new(&self.config.executable);
        // What a cell starts compiles with the user's own compiler.
        rustc_wrapper::leave_out(&mut command);
        self.client.configure(&mut command);
        let library = find_libstd(&mut command).and_then(|libstd| sources_of(&libstd));
        let directory = self.config.directory.path();
        // Where the user has named the sources, evcxr and the analyser see those.
        let linked =
            library.filter(|_| self.config.hides_library).and_then(|library| sources::linked(directory, &library).ok());
        self.analyser = Analyser::new(&self.config.executable, directory, linked.as_deref());
        EvalContext::with_subprocess_command(command)
    }

    /// Hands on what the runtime prints without us: before it has its own way to the kernel, and when it dies.
    fn listen(&self, outputs: EvalContextOutputs) {
        let events = Arc::clone(&self.events);
        let stderr = move || {
            for line in outputs.stderr {
                events.warn(&line);
            }
        };
        let stdout = move || outputs.stdout.into_iter().for_each(drop);
        let _ = std::thread::Builder::new().name("runtime-stderr".into()).spawn(stderr);
        let _ = std::thread::Builder::new().name("runtime-stdout".into()).spawn(stdout);
    }

    /// Starts the session if it is not there, and executes. `began` becomes when the cell's own code began to run.
    fn execute_prepared(&mut self, cell: &Cell, began: &mut Option<Instant>) -> Result<Option<Display>, CellError> {
        if self.context.is_none() {
            self.prepare()?;
        }
        let _span = tracing::debug_span!("cell", number = cell.number).entered();
        self.interrupt.begin();
        self.events.begin(cell.silent);
        let before = self.variables();
        let outcome = self.attempt(cell, began);
        let reach = self.interrupt.finish();
        let result = self.conclude(outcome, reach, &before);
        // What would be lost if the process died between this cell and the next.
        if let Ok(Reply::Machines(machines)) = self.client.command_now(Command::Machines) {
            self.machines = machines;
        }
        result
    }

    fn attempt(&mut self, cell: &Cell, began: &mut Option<Instant>) -> Result<Option<Display>, Failed> {
        let base = self.base.clone();
        let code = self.commands(&cell.code).map_err(Failed::Cell)?;
        let prelude = if self.prelude { "" } else { PRELUDE };
        let definitions = self.definitions.with_cell(&code);
        let name = format!("cell [{}]", cell.number);
        let statics = self.statics.with_cell(&code, cell.number, &definitions);
        let statics = statics.map_err(|refused| Failed::Cell(errors::plain("CompileError", &refused.to_string())))?;
        let entry = machine_protocol::command::Cell {
            number: cell.number,
            source: cell.code.clone(),
            definitions: definitions.hashes(),
            everything: definitions.everything(),
        };
        // A runtime that has died since is noticed, and restarted, by the evaluation itself.
        let _ = self.client.command_now(Command::Interrupt { on: self.interrupt.is_requested() });
        if let Ok(Reply::Machines(machines)) = self.client.command_now(Command::Machines) {
            self.machines = machines;
        }
        let variables = self.variables();
        self.client.announce(variables.iter().cloned());
        let _ = self.client.command_now(Command::Enter(entry));
        let start = Instant::now();
        let watch = progress::watch(self.config.directory.path(), Arc::clone(&self.events), For::Cell(cell.number));
        let (mut rewritten, mut result) =
            self.evaluate_cell(&code, cell.number, prelude, &definitions, &statics.exports);
        let mut lacking = None;
        if let Err(error) = &result
            && !self.interrupt.is_requested()
            && registry::is_lacking(&error.to_string())
        {
            match self.download(error, &rewritten.edited.text) {
                Ok(()) => {
                    (rewritten, result) =
                        self.evaluate_cell(&code, cell.number, prelude, &definitions, &statics.exports);
                }
                Err(why) => lacking = Some(why),
            }
        }
        if let Err(error) = &result
            && lacking.is_none()
            && !self.interrupt.is_requested()
            && !self.has_entered()
            && self.heal(error)
        {
            (rewritten, result) = self.evaluate_cell(&code, cell.number, prelude, &definitions, &statics.exports);
        }
        drop(watch);
        let over = Instant::now();
        self.client.ping();
        let happened = self.events.end();
        *began = happened.began;
        tell_times(start, happened.began, over, result.is_ok());
        if let Some(why) = lacking {
            // What the cell asked for would be asked for by each one after it.
            self.base = base;
            self.apply_base().map_err(Failed::Cell)?;
            let error = self.unavailable(&why, &cell.code, &name);
            return Err(Failed::Compile { error, ran: false });
        }
        match result {
            Ok(outputs) => {
                self.prelude |= rewritten.runs || rust_start(&code) < code.len();
                self.definitions = definitions;
                self.statics = statics.statics;
                statics.notices.iter().for_each(|notice| self.events.warn(notice));
                self.past.remember(name.clone(), rewritten.edited.clone());
                self.warn_of_unused(&name);
                if self.base != base || code.contains(":dep ") {
                    self.registry.keep(&rewritten.edited.text);
                }
                let shown = happened.result.clone().or_else(|| Self::command_output(outputs));
                match self.said(&happened, &cell.code, &name) {
                    Some(error) => Err(Failed::Cell(error)),
                    None => match rewritten.unseen.filter(|_| happened.entered && !happened.left) {
                        Some(line) => Err(Failed::Cell(self.ended_unseen(&cell.code, &name, line))),
                        None => Ok(shown),
                    },
                }
            }
            Err(Error::SubprocessTerminated(text)) => {
                Err(Failed::Died { how: died(&text), lost: self.lost(&variables) })
            }
            Err(error) if happened.said.is_none() => {
                Err(Failed::Compile { error: self.refused(&error, &rewritten.edited, &name), ran: happened.entered })
            }
            Err(error) => {
                let said = self.said(&happened, &cell.code, &name);
                Err(Failed::Cell(said.unwrap_or_else(|| self.refused(&error, &rewritten.edited, &name))))
            }
        }
    }

    /// Evaluates a cell in the form that is fastest to compile, and in another one if that does not compile: of a cell
    /// that is evaluated again nothing has run. `names` are those of the session and of the cell.
    fn evaluate_cell(
        &mut self,
        code: &str,
        number: u32,
        prelude: &str,
        names: &Definitions,
        statics: &Exports,
    ) -> (Rewritten, Result<evcxr::EvalOutputs, Error>) {
        let inferred = OnceCell::new();
        let mut form = Form { errors: ErrorText::Best, variables: Variables::Plain(names), statics };
        loop {
            let rewritten = rewrite_with_places(code, number, prelude, form);
            if rewritten.types == Types::Unknown && matches!(form.variables, Variables::Plain(_)) {
                form.variables = Variables::Asked;
                continue;
            }
            if is_async(&rewritten.edited.text)
                && self.base.with_async()
                && let Err(error) = self.apply_base()
            {
                // The compiler will say that the crate is not there.
                self.events.warn(&error.evalue);
            }
            let asks = form.variables == Variables::Asked;
            if asks {
                inference::forget(self.config.directory.path());
            }
            let result = self.evaluate(&rewritten.edited.text);
            match &result {
                _ if self.interrupt.is_requested() => {}
                Err(_) if asks && let Some(types) = inference::answer(self.config.directory.path()) => {
                    match inference::all_written(types) {
                        Ok(types) => form.variables = Variables::Known(inferred.get_or_init(|| types)),
                        Err(error) => return (rewritten, Err(Error::Message(error.to_string()))),
                    }
                    continue;
                }
                // What is wrong is shown in the words of the cell as the user wrote it.
                Err(error)
                    if matches!(form.variables, Variables::Plain(_))
                        && rewritten.types == Types::Added
                        && self.has_not_run(error) =>
                {
                    form.variables = Variables::Asked;
                    continue;
                }
                Err(Error::CompilationErrors(list))
                    if form.errors == ErrorText::Best && list.iter().any(errors::takes_display_for_granted) =>
                {
                    form.errors = ErrorText::Debug;
                    continue;
                }
                _ => {}
            }
            return (rewritten, result);
        }
    }

    /// Whether an error came before any of the cell's code ran.
    fn has_not_run(&self, error: &Error) -> bool {
        match error {
            Error::CompilationErrors(_) => true,
            // evcxr's own words on a type: not of a crate that is not there.
            Error::Message(text) => text.contains("type") && !self.has_entered(),
            Error::TypeRedefinedVariablesLost(_) | Error::SubprocessTerminated(_) => false,
        }
    }

    /// Whether the cell's own code has begun to run.
    fn has_entered(&self) -> bool {
        self.client.ping();
        self.events.has_entered()
    }

    fn evaluate(&mut self, text: &str) -> Result<evcxr::EvalOutputs, Error> {
        let Some(context) = &mut self.context else {
            return Err(Error::Message("the session is not there".to_owned()));
        };
        context.execute(text)
    }

    /// What evcxr's own commands give (`:vars`, `:help`).
    fn command_output(outputs: evcxr::EvalOutputs) -> Option<Display> {
        let mut data = serde_json::Map::new();
        for (mime, content) in outputs.content_by_mime_type {
            data.insert(mime, Value::String(content));
        }
        (!data.is_empty()).then(|| Display { data, ..Display::default() })
    }
}

/// Tells the log how long a cell took to compile and to run: its own code tells when it begins.
fn tell_times(start: Instant, began: Option<Instant>, over: Instant, ok: bool) {
    let compile = began.unwrap_or(over).saturating_duration_since(start);
    let run = began.map(|began| over.saturating_duration_since(began)).unwrap_or_default();
    tracing::debug!(?compile, ?run, ok, "evaluated");
}
