//! `%%time`: how long the rest of the cell takes, and how much of that is the compiler's.

use super::line::Line;
use super::magic_error::MagicError;
use super::spec::Action;
use super::{help, parse};
use crate::display::duration;
use crate::output::{CellError, Display, Executed, Output, Stream};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Runs the Rust part of a cell. It is given the cell's code with the magic lines blanked, so that line numbers stay.
pub type RunRust<'a> = &'a dyn Fn(&str) -> Executed;

/// What a first line with `%%time` asks for.
pub enum Timed {
    /// To time the rest of the cell.
    Cell {
        /// Whether a program reads the times.
        json: bool,
    },
    /// Help.
    Help(Display),
}

/// Reads the first line of a cell.
///
/// # Errors
/// If it is another magic, or wrongly used.
pub fn arguments(line: &Line<'_>) -> Result<Timed, MagicError> {
    let call = parse::parse(line.text)?;
    match call.magic.action {
        Action::Time if call.arguments.help => Ok(Timed::Help(help::display(call.magic, call.arguments.json))),
        Action::Time => Ok(Timed::Cell { json: call.arguments.json }),
        // `arguments::parse` knows no line magic by a name with `%%`, and those with a body were taken before.
        Action::Line(_) | Action::Live(_) | Action::Body(_) => {
            Err(MagicError::usage("it concerns one line", Some(call.name)))
        }
    }
}

/// The Rust of a timed cell.
#[derive(Clone, Copy)]
enum Rust {
    /// There is none.
    None,
    /// None of it ran: only items, or what does not compile.
    Compiled(Duration),
    /// It ran, after it was compiled for so long.
    Ran(Duration),
}

/// Times a cell.
pub struct Stopwatch {
    json: bool,
    started: Instant,
    rust: Cell<Rust>,
}

impl Stopwatch {
    /// The cell begins.
    pub fn start(json: bool) -> Self {
        Self { json, started: Instant::now(), rust: Cell::new(Rust::None) }
    }

    /// Runs its Rust.
    pub fn run(&self, code: &str, rust: RunRust<'_>) -> Result<Option<Display>, CellError> {
        let start = Instant::now();
        let executed = rust(code);
        self.rust.set(match executed.began {
            Some(began) => Rust::Ran(began.saturating_duration_since(start)),
            None => Rust::Compiled(start.elapsed()),
        });
        executed.result
    }

    /// The cell is over: tells the times.
    pub fn report(&self, output: &dyn Output) {
        let wall = self.started.elapsed();
        if self.json {
            output.display(crate::display::json(object(wall, self.rust.get())));
        } else {
            output.stream(Stream::Stdout, &format!("{}\n", line(wall, self.rust.get())));
        }
    }
}

fn object(wall: Duration, rust: Rust) -> serde_json::Value {
    let compiling = match rust {
        Rust::None => Duration::ZERO,
        Rust::Compiled(compiling) | Rust::Ran(compiling) => compiling,
    };
    serde_json::json!({
        "seconds": wall.as_secs_f64(),
        "compiling": compiling.as_secs_f64(),
        "running": wall.saturating_sub(compiling).as_secs_f64(),
    })
}

fn line(wall: Duration, rust: Rust) -> String {
    let parts = match rust {
        Rust::None => String::new(),
        Rust::Compiled(compiling) => format!(" (compiling {})", duration(compiling)),
        Rust::Ran(compiling) => {
            format!(" (compiling {}, running {})", duration(compiling), duration(wall.saturating_sub(compiling)))
        }
    };
    format!("wall time: {}{parts}", duration(wall))
}

#[cfg(test)]
mod tests {
    use super::{Rust, line, object};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn the_compilers_time_is_told_apart() {
        let (wall, compiling) = (Duration::from_millis(1_550), Duration::from_millis(1_050));
        assert_eq!(line(wall, Rust::Ran(compiling)), "wall time: 1.5 s (compiling 1 s, running 500 ms)");
        assert_eq!(line(wall, Rust::Compiled(wall)), "wall time: 1.5 s (compiling 1.5 s)");
        assert_eq!(line(wall, Rust::None), "wall time: 1.5 s");
        assert_eq!(object(wall, Rust::Ran(compiling)), json!({ "seconds": 1.55, "compiling": 1.05, "running": 0.5 }));
    }
}
