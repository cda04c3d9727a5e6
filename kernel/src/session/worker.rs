//! The thread that owns evcxr: one request after the other.

use super::definitions::Definitions;
use super::edits::Edited;
use super::errors;
use super::events::{Events, Happened, Said};
use super::interrupt::{Interrupt, Reach};
use super::manifest::Base;
use super::rewrite::{ErrorText, Rewritten, annotated, rewrite, rust_start};
use super::sources::{Sources, defines_variables};
use super::{Cell, Completion, Completions, SessionConfig};
use crate::control::client::Client;
use crate::output::{CellError, Display};
use annotate_snippets::Renderer;
use annotate_snippets::renderer::DecorStyle;
use evcxr::{CommandContext, Error, EvalContext, EvalContextOutputs};
use machine::command::{Command, Failure, Reply};
use machine::status::Status;
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// What every session uses; put before the first cell that compiles.
const PRELUDE: &str = "use machine::prelude::*; ";
/// What compiles like a cell that assigns a slot, and does nothing.
const LIKE_AN_ASSIGNMENT: &str = "if std::hint::black_box(false) { \
    ::machine::cell::assign(&MACHINE[0], |x: f64| x * x, \"\", 0, 0); }";
/// How many cells are remembered to find the place of a panic.
const REMEMBERED: usize = 200;

/// A request to the thread.
pub enum Job {
    /// Run a cell.
    Execute {
        /// The cell.
        cell: Cell,
        /// Where its end is told.
        reply: Sender<Result<Option<Display>, CellError>>,
    },
    /// Propose what could stand at a byte offset.
    Complete {
        /// The text.
        code: String,
        /// The place.
        offset: usize,
        /// Where the proposals go.
        reply: Answer<Completions>,
    },
    /// Tell about the thing at a byte offset.
    Inspect {
        /// The text.
        code: String,
        /// The place.
        offset: usize,
        /// Where it is told.
        reply: Answer<Option<Display>>,
    },
    /// A runtime process has died.
    RuntimeLost {
        /// Its number.
        pid: u32,
    },
    /// End.
    Shutdown {
        /// Told when it is done.
        done: Sender<()>,
    },
}

/// Where an answer goes that nobody waits for after a while.
pub struct Answer<T> {
    to: Sender<T>,
    until: Instant,
}

impl<T> Answer<T> {
    /// An answer that is worth nothing after `patience`.
    pub fn new(patience: Duration) -> (Self, Receiver<T>) {
        let (to, from) = mpsc::channel();
        (Self { to, until: Instant::now() + patience }, from)
    }

    fn is_wanted(&self) -> bool {
        Instant::now() < self.until
    }
}

/// What has been done while nobody wanted anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    Fresh,
    /// A cell has been compiled.
    Compiled,
    /// The analyser knows the standard library.
    Awake,
}

impl Idle {
    /// How long nobody must want anything before more is done.
    fn patience(self) -> Option<Duration> {
        match self {
            Self::Fresh => Some(Duration::from_millis(100)),
            // Takes seconds, in which a cell would have to wait.
            Self::Compiled => Some(Duration::from_millis(1500)),
            Self::Awake => None,
        }
    }
}

/// A cell that has compiled.
struct Past {
    name: String,
    edited: Edited,
}

/// The state of the thread.
pub struct Worker {
    config: SessionConfig,
    client: Client,
    events: Arc<Events>,
    interrupt: Arc<Interrupt>,
    base: Base,
    renderer: Renderer,
    context: Option<CommandContext>,
    /// Whether the prelude has been compiled in.
    prelude: bool,
    idle: Idle,
    sources: Sources,
    definitions: Definitions,
    past: Vec<Past>,
    /// The machines before the last cell, to say what is lost with the runtime.
    machines: Vec<Status>,
}

impl Worker {
    /// A session that is not started yet.
    pub fn new(config: SessionConfig, client: Client, events: Arc<Events>, interrupt: Arc<Interrupt>) -> Self {
        let base = Base::new(&config.machine_crate);
        let sources = Sources::new(config.directory.path());
        let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
        Self {
            config,
            client,
            events,
            interrupt,
            base,
            renderer,
            context: None,
            prelude: false,
            idle: Idle::Fresh,
            sources,
            definitions: Definitions::default(),
            past: Vec::new(),
            machines: Vec::new(),
        }
    }

    /// Serves requests until the session ends.
    pub fn run(mut self, queue: &Receiver<Job>) {
        self.config.directory.fill();
        if let Err(error) = self.prepare() {
            self.client.set_unavailable(Some(Failure::new("no_session", error.evalue)));
        }
        loop {
            let job = match self.idle.patience().filter(|_| self.context.is_some()) {
                Some(patience) => match queue.recv_timeout(patience) {
                    Err(RecvTimeoutError::Timeout) => {
                        self.use_idleness();
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
                    let _ = reply.to.send(self.complete(&code, offset));
                }
                Some(Job::Inspect { code, offset, reply }) if reply.is_wanted() => {
                    let _ = reply.to.send(self.inspect(&code, offset));
                }
                Some(Job::Complete { .. } | Job::Inspect { .. }) => {}
                Some(Job::RuntimeLost { pid }) => self.runtime_lost(pid),
                Some(Job::Shutdown { done }) => {
                    drop(self.context.take());
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
        let mut command = std::process::Command::new(&self.config.executable);
        self.client.configure(&mut command);
        find_libstd(&mut command);
        let _ = self.sources.hide();
        let (context, outputs) = EvalContext::with_subprocess_command(command).map_err(|error| unprepared(&error))?;
        self.listen(outputs);
        self.client.ping();
        self.context = Some(CommandContext::with_eval_context(context));
        trace("session ready", start);
        Ok(())
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

    /// Does what the first cells would have to wait for, a piece at a time.
    fn use_idleness(&mut self) {
        let start = Instant::now();
        match self.idle {
            Idle::Fresh => {
                self.idle = Idle::Compiled;
                if self.prelude {
                    return;
                }
                // Makes the runtime process look for the cell's end in what it prints.
                let _ = self.client.command_now(Command::Enter(machine::command::Cell::default()));
                if let Some(context) = &mut self.context {
                    self.prelude = context.execute(&format!("{PRELUDE}{LIKE_AN_ASSIGNMENT}")).is_ok();
                    self.client.ping();
                }
                trace("compiler warm", start);
            }
            Idle::Compiled => {
                self.idle = Idle::Awake;
                self.show_sources();
                let code = "let machine_warm = vec![1.0]; machine_warm.le";
                let _ = self.complete(code, code.len());
                trace("analyser awake", start);
            }
            Idle::Awake => {}
        }
    }

    /// Lets the analyser see the standard library.
    fn show_sources(&mut self) {
        let (level, known) = (self.level(), self.sources.is_known());
        // If the library cannot be seen, the error that evcxr gives for a type says what to do.
        if let Ok(Some(level)) = self.sources.show(&level)
            && let Some(context) = &mut self.context
        {
            let _ = context.set_opt_level(&level);
        }
        if !known {
            trace("standard library in sight", Instant::now());
        }
    }

    fn level(&self) -> String {
        self.sources.mark(self.base.opt_level())
    }

    fn execute(&mut self, cell: &Cell) -> Result<Option<Display>, CellError> {
        if self.context.is_none() {
            self.prepare()?;
        }
        let start = Instant::now();
        self.interrupt.begin();
        self.events.begin(cell.silent);
        let outcome = self.attempt(cell);
        let reach = self.interrupt.finish();
        if reach != Reach::None {
            let _ = self.client.command_now(Command::Interrupt { on: false });
        }
        // What would be lost if the process died between this cell and the next.
        if let Ok(Reply::Machines(machines)) = self.client.command_now(Command::Machines) {
            self.machines = machines;
        }
        trace("cell", start);
        match outcome {
            // Whoever interrupts wants nothing more to run, although this cell has come to its end.
            Ok(_) if reach != Reach::None => Err(errors::plain(
                "KeyboardInterrupt",
                "interrupted; all variables, the machine and its queue are kept",
            )),
            outcome => outcome.map_err(|failure| failure.told(reach)),
        }
    }

    fn attempt(&mut self, cell: &Cell) -> Result<Option<Display>, Failed> {
        let code = self.commands(&cell.code).map_err(Failed::Cell)?;
        let prelude = if self.prelude { "" } else { PRELUDE };
        let rewritten = rewrite(&code, cell.number, prelude, ErrorText::Best);
        let definitions = self.definitions.with_cell(&code);
        let name = format!("cell [{}]", cell.number);
        let entry = machine::command::Cell {
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
        let _ = self.client.command_now(Command::Enter(entry));
        let variables = self.variables();
        if defines_variables(&code) {
            self.show_sources();
        }
        let start = Instant::now();
        let (rewritten, mut result) =
            self.evaluate_as_best(rewritten, || rewrite(&code, cell.number, prelude, ErrorText::Debug));
        if let Err(error) = &result
            && !self.interrupt.is_requested()
            && needs_network(error, &code)
        {
            self.events.warn("not available offline: asking the registry …");
            result = self.evaluate(&format!(":offline 0\n{}", rewritten.edited.text));
            if let Some(context) = &mut self.context {
                let _ = context.execute(":offline 1");
            }
        }
        trace("evaluated", start);
        self.client.ping();
        let happened = self.events.end();
        match result {
            Ok(outputs) => {
                self.prelude |= rewritten.runs || rust_start(&code) < code.len();
                self.definitions = definitions;
                self.remember(name.clone(), rewritten.edited.clone());
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

    /// Evaluates a cell, and once more in another form if its first one takes a trait for granted that is not there.
    fn evaluate_as_best(
        &mut self,
        first: Rewritten,
        second: impl FnOnce() -> Rewritten,
    ) -> (Rewritten, Result<evcxr::EvalOutputs, Error>) {
        match self.evaluate(&first.edited.text) {
            Err(Error::CompilationErrors(list)) if list.iter().any(errors::takes_display_for_granted) => {
                let second = second();
                let result = self.evaluate(&second.edited.text);
                (second, result)
            }
            result => (first, result),
        }
    }

    /// A `?` that is not ours has ended the cell; evcxr has printed the error.
    fn ended_unseen(&self, source: &str, name: &str, line: u32) -> CellError {
        let evalue = "the error printed above ended the cell at a `?` inside of a macro";
        errors::at_line("Error", evalue, source, name, Some((line, 0)), &self.renderer)
    }

    fn evaluate(&mut self, text: &str) -> Result<evcxr::EvalOutputs, Error> {
        let Some(context) = &mut self.context else {
            return Err(Error::Message("the session is not there".to_owned()));
        };
        context.execute(text)
    }

    /// Carries out the commands that mean something else here than in evcxr, and returns the cell without them.
    fn commands(&mut self, code: &str) -> Result<String, CellError> {
        let head = rust_start(code);
        let mut kept = String::with_capacity(code.len());
        for line in code.get(..head).unwrap_or_default().split_inclusive('\n') {
            let mut words = line.split_whitespace();
            let handled = match (words.next(), words.next()) {
                (Some(":quit"), _) => {
                    return Err(errors::plain(
                        "UsageError",
                        ":quit is not available here: shut the kernel down instead",
                    ));
                }
                (Some(":opt"), level) => {
                    let level = level.unwrap_or("2");
                    if !matches!(level, "0" | "1" | "2" | "3") {
                        return Err(errors::plain("UsageError", &format!(":opt takes 0, 1, 2 or 3, not `{level}`")));
                    }
                    self.base.set_level(level);
                    self.apply_base()?;
                    true
                }
                (Some(":restart"), _) => {
                    self.restart();
                    true
                }
                (Some(":clear"), _) => {
                    let _ = self.evaluate(":clear");
                    self.prelude = false;
                    self.definitions = Definitions::default();
                    true
                }
                (Some(":dep"), Some(name)) => {
                    let name = name.split('=').next().unwrap_or_default();
                    if self.base.without(name) {
                        self.apply_base()?;
                    }
                    false
                }
                _ => false,
            };
            // An empty line in its place keeps the lines of the rest where they are.
            kept.push_str(if handled { "\n" } else { line });
        }
        kept.push_str(code.get(head..).unwrap_or_default());
        Ok(kept)
    }

    fn apply_base(&mut self) -> Result<(), CellError> {
        let level = self.level();
        match &mut self.context {
            Some(context) => {
                context.set_opt_level(&level).map_err(|error| errors::plain("UsageError", &error.to_string()))
            }
            None => Ok(()),
        }
    }

    fn variables(&self) -> Vec<String> {
        let context = self.context.iter();
        let mut names: Vec<String> =
            context.flat_map(CommandContext::variables_and_types).map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    }

    fn remember(&mut self, name: String, edited: Edited) {
        if self.past.len() >= REMEMBERED {
            self.past.remove(0);
        }
        self.past.push(Past { name, edited });
    }

    /// What evcxr's own commands give (`:vars`, `:help`).
    fn command_output(outputs: evcxr::EvalOutputs) -> Option<Display> {
        let mut data = serde_json::Map::new();
        for (mime, content) in outputs.content_by_mime_type {
            data.insert(mime, Value::String(content));
        }
        (!data.is_empty()).then(|| Display { data, ..Display::default() })
    }

    /// The error that the cell told of by itself.
    fn said(&self, happened: &Happened, source: &str, name: &str) -> Option<CellError> {
        Some(match happened.said.as_ref()? {
            Said::Failed(ename, evalue, line) => {
                errors::at_line(ename, evalue, source, name, Some((*line, 0)), &self.renderer)
            }
            Said::Panicked(message, file, line, column) => {
                let place = if file.ends_with("lib.rs") { self.place_of(*line, *column) } else { None };
                if let Some((past, line, column)) = place {
                    errors::at_line(
                        "Panic",
                        message,
                        &past.edited.source,
                        &past.name,
                        Some((line, column)),
                        &self.renderer,
                    )
                } else {
                    let mut error = errors::at_line("Panic", message, source, name, None, &self.renderer);
                    error.traceback.push(format!(" --> {file}:{line}:{column}"));
                    error
                }
            }
        })
    }

    /// The cell and the place in it for a place in what was compiled last. What was compiled holds pieces of the
    /// cells word for word, whole lines at a time, so the nearest cell with the same lines around is the one.
    fn place_of(&self, line: u32, column: u32) -> Option<(&Past, u32, u32)> {
        let compiled = self.context.as_ref()?.last_source().ok()?;
        let line = usize::try_from(line).ok()?.checked_sub(1)?;
        let lines: Vec<&str> = compiled.lines().collect();
        let wanted = lines.get(line)?;
        let mut best: Option<(usize, &Past, usize, usize)> = None;
        for past in self.past.iter().rev() {
            for (at, text) in past.edited.text.lines().enumerate() {
                // The last line of a piece may have lost what follows, its first line what comes before.
                let Some(indent) = text.find(wanted.trim_end()).filter(|_| !wanted.trim().is_empty()) else { continue };
                let own: Vec<&str> = past.edited.text.lines().collect();
                let around = agreement(&lines, line, &own, at);
                if best.as_ref().is_none_or(|(score, ..)| around > *score) {
                    best = Some((around, past, at, indent));
                }
            }
        }
        let (_, past, at, indent) = best?;
        let text = &past.edited.text;
        let before = text.lines().nth(at)?.get(..indent)?.chars().count();
        let column = usize::try_from(column).ok()? + before;
        let offset = past.edited.to_source(super::edits::offset_of(text, at + 1, column));
        let source = &past.edited.source;
        let start = source.get(..offset)?.rfind('\n').map_or(0, |newline| newline + 1);
        let column = source.get(start..offset)?.chars().count() + 1;
        Some((past, super::edits::line_of(source, offset), u32::try_from(column).ok()?))
    }

    /// Why evcxr refused the cell.
    fn refused(&self, error: &Error, edited: &Edited, name: &str) -> CellError {
        match error {
            Error::CompilationErrors(list) => errors::compile_error(list, edited, name, &self.renderer),
            Error::TypeRedefinedVariablesLost(names) => {
                errors::plain("CompileError", &format!("variables of a redefined type are lost: {}", names.join(", ")))
            }
            Error::Message(text) | Error::SubprocessTerminated(text) => errors::plain("CompileError", text),
        }
    }

    /// What goes with the runtime process, for people.
    fn lost(&self, variables: &[String]) -> String {
        let mut lost = Vec::new();
        for status in &self.machines {
            let slots: Vec<&str> =
                status.slots.iter().filter(|slot| !slot.code.is_empty()).map(|slot| slot.slot.as_str()).collect();
            if !slots.is_empty() || status.queue_size > 0 {
                let slots = if slots.is_empty() { "no slots".to_owned() } else { slots.join(", ") };
                let queue = status.queue_size;
                lost.push(format!("machine `{}` with {slots} and {queue} waiting messages", status.machine));
            }
        }
        if !variables.is_empty() {
            lost.push(format!("variables: {}", variables.join(", ")));
        }
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join("; ") };
        format!("lost: {lost}\nkept: functions, types, imports, dependencies; the next cell has a new, empty machine")
    }

    /// A runtime process died. While a cell runs its evaluation notices; otherwise it is restarted here.
    fn runtime_lost(&mut self, pid: u32) {
        let Some(context) = &self.context else { return };
        // After a cell's crash evcxr has started another one already.
        if context.process_handle().lock().is_ok_and(|process| process.id() != pid) {
            return;
        }
        let variables = self.variables();
        let how = self.restart();
        let lost = self.lost(&variables);
        self.events.warn(&format!("The process that runs the cells died between two cells: {how}\n{lost}"));
        self.machines.clear();
    }

    /// Starts a new runtime process; returns how the old one ended. evcxr's own restart keeps variables that are
    /// gone, but what it does after a death is right.
    fn restart(&mut self) -> String {
        if let Some(context) = &mut self.context {
            let handle = context.process_handle();
            if let Ok(mut process) = handle.lock() {
                let _ = process.kill();
            }
        }
        match self.evaluate("{ let _ = 1; }") {
            Err(Error::SubprocessTerminated(text)) => died(&text),
            _ => String::new(),
        }
    }

    fn complete(&mut self, code: &str, offset: usize) -> Completions {
        let nothing = Completions { start: offset, end: offset, items: Vec::new() };
        self.show_sources();
        let edited = annotated(code, if self.prelude { "" } else { PRELUDE });
        let Some(context) = &mut self.context else { return nothing };
        let Ok(found) = context.completions(&edited.text, edited.to_text(offset)) else { return nothing };
        let (start, end) =
            (edited.to_source(found.start_offset).min(offset), edited.to_source(found.end_offset).max(offset));
        let items = found.completions.into_iter();
        let items = items.map(|item| Completion { text: item.code, kind: item.kind.to_owned() }).collect();
        Completions { start, end, items }
    }

    fn inspect(&mut self, code: &str, offset: usize) -> Option<Display> {
        let rest = code.get(offset..)?;
        self.show_sources();
        let end = offset + rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (text, html) = self.context.as_mut()?.hover_at(code, end).ok()?;
        if text.is_empty() || text == "No documentation found" {
            return None;
        }
        let mut display = Display::default();
        display.data.insert("text/plain".to_owned(), Value::String(text));
        display.data.insert("text/html".to_owned(), Value::String(html));
        Some(display)
    }
}

/// Why a cell failed, before it is known whether an interrupt had to do with it.
enum Failed {
    /// The cell says so itself.
    Cell(CellError),
    /// The compiler refused it.
    Compile { error: CellError, ran: bool },
    /// The runtime process died.
    Died { how: String, lost: String },
}

impl Failed {
    fn told(self, reach: Reach) -> CellError {
        let interrupted = |text: &str| errors::plain("KeyboardInterrupt", text);
        match (self, reach) {
            (Self::Died { lost, .. }, Reach::Killed) => {
                interrupted(&format!("the cell did not stop within 2 s, so its process was restarted\n{lost}"))
            }
            (Self::Died { how, lost }, _) => {
                errors::plain("RuntimeLost", &format!("the process that runs the cells died: {how}\n{lost}"))
            }
            (Self::Compile { ran: false, .. }, Reach::Asked | Reach::Killed) => {
                interrupted("interrupted while compiling; nothing was run, all variables are kept")
            }
            (Self::Cell(mut error), Reach::Asked | Reach::Killed) => {
                "KeyboardInterrupt".clone_into(&mut error.ename);
                error
            }
            (Self::Cell(error) | Self::Compile { error, .. }, _) => error,
        }
    }
}

/// How many lines before and after agree, up to three each.
fn agreement(compiled: &[&str], line: usize, own: &[&str], at: usize) -> usize {
    let same = |a: Option<&&str>, b: Option<&&str>| a.is_some() && a.map(|t| t.trim()) == b.map(|t| t.trim());
    let before =
        (1..=3).take_while(|back| line >= *back && at >= *back && same(compiled.get(line - back), own.get(at - back)));
    let after = (1..=3).take_while(|on| same(compiled.get(line + on), own.get(at + on)));
    before.count() + after.count()
}

/// How a process ended, from evcxr's words.
fn died(text: &str) -> String {
    let status = text.split_once("terminated with status: ").map_or(text, |(_, status)| status).trim();
    match status.strip_prefix("signal: ") {
        Some(signal) if signal.contains("SIGSEGV") => {
            format!("signal {signal}: an invalid memory access, or a stack overflow")
        }
        Some(signal) => format!("signal {signal}"),
        None => status.to_owned(),
    }
}

/// Whether a cell failed because a dependency has not been downloaded.
fn needs_network(error: &Error, code: &str) -> bool {
    if !code.contains(":dep") {
        return false;
    }
    let text = error.to_string();
    ["offline", "no matching package", "failed to select a version", "failed to download", "unable to update"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// What is wrong when evcxr does not start.
fn unprepared(error: &Error) -> CellError {
    let text = error.to_string();
    if text.contains("Cannot find `") || text.contains("Failed to run rustc") || text.contains("No such file") {
        return errors::plain(
            "ToolchainMissing",
            &format!(
                "no Rust toolchain found: looked for `rustup`, `cargo` and `rustc` on the PATH\n{text}\n\
                 Install it from https://rustup.rs, then run the cell again; the kernel need not be restarted."
            ),
        );
    }
    errors::plain("SessionError", &format!("the session cannot start: {text}"))
}

/// Tells how long something took, if `MACHINE_TRACE` is set.
#[expect(clippy::print_stderr, reason = "asked for by whoever sets the variable")]
fn trace(what: &str, start: Instant) {
    if std::env::var_os("MACHINE_TRACE").is_some() {
        eprintln!("{:8.3} s  {what}", start.elapsed().as_secs_f64());
    }
}

/// Lets the runtime process find the dynamic libstd that the cells share.
///
/// The path to it inside a cell's library is relative to `deps/`, where cargo links the library, and leads nowhere from
/// where evcxr loads it if the session's directory and the toolchain have a parent directory in common.
fn find_libstd(command: &mut std::process::Command) {
    let variable = if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    let said = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    // Looking is faster than asking the compiler, but there is not always a rustup.
    let seen = said("rustup", &["which", "rustc"]).and_then(|rustc| libstd_of(rustc.parent()?.parent()?));
    let found = seen.or_else(|| said("rustc", &["--print", "target-libdir"]));
    let Some(directory) = found else { return };
    let others = std::env::var_os(variable).unwrap_or_default();
    let all = std::iter::once(directory).chain(std::env::split_paths(&others).filter(|it| !it.as_os_str().is_empty()));
    if let Ok(value) = std::env::join_paths(all) {
        command.env(variable, value);
    }
}

/// Where a toolchain has the dynamic libstd; `None` if that is not plain to see.
fn libstd_of(toolchain: &std::path::Path) -> Option<std::path::PathBuf> {
    let targets = std::fs::read_dir(toolchain.join("lib/rustlib")).ok()?.flatten();
    let own = targets.filter(|target| target.file_name().to_string_lossy().starts_with(std::env::consts::ARCH));
    let mut found = own.map(|target| target.path().join("lib")).filter(|directory| {
        let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
        files
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .any(|name| name.starts_with("libstd-") && name.ends_with(std::env::consts::DLL_SUFFIX))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}
