//! Magics: lines that begin with `%`, answered by the engine over the control socket. They never compile.
//!
//! One table ([`registry::MAGICS`]) drives parsing, help, completion and `%lsmagic`.
//!
//! A cell may begin with any number of magic lines (blank lines and `//` comments may stand between them) and go on in
//! Rust; magic lines that stand among its Rust ([`among`]) run when it is their turn. A cell whose first line is `%%time` is timed as a whole; one that begins with `%%sql` or `%%plot` is a query.
//!
//! # What `--json` gives
//! The same content twice: `application/json` (an object) and `text/plain` (that object, indented).
//!
//! | magic | object |
//! |---|---|
//! | `%status` | [`machine_protocol::status::Status`] as it is |
//! | `%errors` | `{"machine", "errors": [DeadLetter, …]}`, newest first; `input` is JSON text |
//! | `%slots` | `{"machine", "slots": [SlotStatus, …]}` |
//! | `%start` `%pause` `%stop` | `{"machine", "state", "queue_size", "in_flight", "processed", "warning": null or text}` |
//! | `%drain` | the same with `"drained"`; if that is false, the time was up: `"left"` messages still waited, `"source_runs"` tells whether the source had not ended, and `"outputs"` how many outputs in order had yet to leave |
//! | `%step` `%call` | `{"machine", "oid", "input", "slots": [SlotOutput, …]}`; values are JSON text |
//! | `%put` | `{"machine", "oid"}` |
//! | `%retry` | `{"machine", "tried", "passed", "failed"}` |
//! | `%tap` | `{"machine", "messages": [{"oid", "value"}, …], "processed", "not_shown", "matching", "not_kept", "evicted"}`, newest first |
//! | `%peek` | `{"machine", "waiting", "first": [{"oid", "value"}, …]}`, oldest first |
//! | `%explain` | [`machine_protocol::retained::Explained`] |
//! | `%sql` `%%sql` | `{"machine", "columns": [text, …], "rows": [[value, …], …], "note"}` |
//! | `%frame` | `{"file", "rows", "columns"}` |
//! | `%plot` `%%plot` | `{"machine", "points": [{"x", "y", "by"}, …], "note"}` |
//! | `%break` | `{"machine", "slot": null or text, "where"}` |
//! | `%continue` | as `%start`; `%held` as `%step` |
//! | `%watch` | as `%status` |
//! | `%alert` `%alerts` | `{"machine", "alerts": [{"rule", "holds"}, …]}` |
//! | `%report` | `{"file", "bytes"}` |
//! | `%machines` | `{"machines": [Status, …]}` |
//! | `%lsmagic` | `{"magics": [{"name", "usage", "summary", "example"}, …]}` |
//! | `%help NAME` | `{"name", "usage", "summary", "details", "example", "arguments": [{"argument", "help"}, …]}` |
//! | `%%time` | `{"seconds", "compiling", "running"}`: `running` is all that is not compiling, magics too |

mod actions;
mod among;
mod arguments;
mod cell;
mod complete;
mod engine;
mod file;
mod frame;
mod help;
mod inspect;
mod keep;
mod line;
mod live;
mod magic_error;
mod message;
mod messages;
mod meter;
mod parse;
mod plot;
mod plot_query;
mod registry;
mod spec;
mod sql;
mod tables;
mod timed;
mod words;

#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use complete::{Completions, complete};
pub use engine::Engine;
pub use help::help;
pub use inspect::inspect;
pub use magic_error::{MagicError, closest_match, did_you_mean};
pub use parse::set;
pub use registry::MAGICS;
pub use spec::{Kind, Magic, Parameter};
pub use timed::RunRust;
pub use words::Word;

use crate::output::{CellError, Display, Output};
use arguments::Query;
use cell::Body;
use line::Line;
use spec::Action;
use timed::{Stopwatch, Timed};

/// Runs a cell: its magics and its Rust, in the order in which they stand.
///
/// What the last part gives is returned, everything before it goes to `output`.
///
/// # Errors
/// `UsageError` for a mistake in a magic; the engine's failure under its own name; whatever the Rust part fails with.
pub fn run(
    code: &str,
    engine: &dyn Engine,
    output: &dyn Output,
    rust: RunRust<'_>,
) -> Result<Option<Display>, CellError> {
    if let Some(with_body) = cell::body(code) {
        return run_body(&with_body, engine, output).map(Some);
    }
    let (mut watch, mut is_first, mut result) = (None, true, Ok(None));
    for piece in among::pieces(code) {
        if let Ok(Some(display)) = result {
            output.display(display);
        }
        let cell = cell::split(&piece);
        let (mut lines, code) = match &cell {
            Some(cell) => (cell.lines.as_slice(), cell.rust.as_deref()),
            None => (&[][..], Some(piece.as_str())),
        };
        // The first line of all may be about all that follows.
        if is_first && let Some((first, others)) = lines.split_first().filter(|(line, _)| line.text.starts_with("%%")) {
            lines = others;
            match timed::arguments(first).map_err(|trouble| trouble.into_cell_error(first))? {
                Timed::Help(display) => return Ok(Some(display)),
                Timed::Cell { json } => watch = Some(Stopwatch::start(json)),
            }
        }
        is_first = false;
        let run_rust = |code: &str| match &watch {
            Some(watch) => watch.run(code, rust),
            None => rust(code).result,
        };
        result = run_parts(lines, code, engine, output, &run_rust);
        if result.is_err() {
            break;
        }
    }
    if let Some(watch) = watch {
        watch.report(output);
    }
    result
}

/// Where the magic lines of a cell begin, wherever they stand.
#[must_use]
pub fn lines(code: &str) -> Vec<usize> {
    among::lines(code)
}

/// A cell with its magic lines blanked, wherever they stand.
#[must_use]
pub fn blanked(code: &str) -> String {
    among::without(code)
}

fn run_body(cell: &Body<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, CellError> {
    let first = |trouble: MagicError| trouble.into_cell_error(&cell.line);
    let mut call = parse::parse(cell.line.text).map_err(first)?;
    if call.arguments.help {
        return Ok(help::display(call.magic, call.arguments.json));
    }
    let Action::Body(action) = call.magic.action else {
        return Err(first(MagicError::usage("it concerns one line", Some(call.name))));
    };
    call.arguments.query = Some(Query { text: cell.text, start: 0 });
    let carried_out = |arguments: &Arguments<'_>, engine: &dyn Engine| action(arguments, engine, output);
    actions::carry_out(carried_out, &call.arguments, engine).map_err(|trouble| match trouble {
        MagicError::Usage { message, span: Some(span) } => {
            let (line, start) = cell.line_at(span.start);
            MagicError::usage(message, Some(span.start - start..span.end - start)).into_cell_error(&line)
        }
        trouble => first(trouble),
    })
}

fn run_parts(
    lines: &[Line<'_>],
    rust_code: Option<&str>,
    engine: &dyn Engine,
    output: &dyn Output,
    rust: &dyn Fn(&str) -> Result<Option<Display>, CellError>,
) -> Result<Option<Display>, CellError> {
    let mut last = None;
    for line in lines {
        if let Some(display) = last.take() {
            output.display(display);
        }
        last = Some(run_line(line, engine, output).map_err(|trouble| trouble.into_cell_error(line))?);
    }
    let Some(rust_code) = rust_code else { return Ok(last) };
    if let Some(display) = last {
        output.display(display);
    }
    rust(rust_code)
}

fn run_line(line: &Line<'_>, engine: &dyn Engine, output: &dyn Output) -> Result<Display, MagicError> {
    let call = parse::parse(line.text)?;
    if call.arguments.help {
        return Ok(help::display(call.magic, call.arguments.json));
    }
    match call.magic.action {
        Action::Line(_) | Action::Live(_) => ask(call.magic.name, &call.arguments, engine, output),
        Action::Body(_) | Action::Time => Err(MagicError::usage(
            format!("%%{} goes on the first line of a cell and concerns all that follows", call.magic.name),
            Some(call.name),
        )),
    }
}

/// Whether a cell is one magic with what it is about on the lines below: no Rust.
#[must_use]
pub fn has_body(code: &str) -> bool {
    cell::body(code).is_some()
}

/// Does what a line magic does, for arguments that were given elsewhere than in a cell. What it shows before its end
/// goes to `output`.
///
/// # Errors
/// As [`run`]; a magic that there is not, or that is none of a line, is a mistake, too.
pub fn ask(
    name: &str,
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
    output: &dyn Output,
) -> Result<Display, MagicError> {
    match registry::find(name).map(|magic| magic.action) {
        Some(Action::Line(action)) => actions::carry_out(action, arguments, engine),
        Some(Action::Live(action)) => {
            actions::carry_out(|arguments, engine| action(arguments, engine, output), arguments, engine)
        }
        _ => Err(MagicError::usage(format!("there is no line magic {name}"), None)),
    }
}

/// `%drain`, and whether it came to its end: if not, the time was up.
///
/// # Errors
/// As [`ask`].
pub fn drain(
    arguments: &Arguments<'_>,
    engine: &dyn Engine,
    output: &dyn Output,
) -> Result<(Display, bool), MagicError> {
    let mut is_over = false;
    let action = |arguments: &Arguments<'_>, engine: &dyn Engine| {
        let (display, drained) = actions::wait_drained(arguments, engine, output)?;
        is_over = drained;
        Ok(display)
    };
    actions::carry_out(action, arguments, engine).map(|display| (display, is_over))
}
