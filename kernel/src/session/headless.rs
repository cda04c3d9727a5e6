//! `machine cells`: a session without Jupyter, for tests and scripts.
//!
//! Reads one JSON object a line from standard input and writes what happens as JSON lines:
//! `{"cell": "1 + 1"}` runs a cell; `{"interrupt": 0.5}` before it interrupts the next cell after so many seconds;
//! `{"complete": "code", "at": 3}` and `{"inspect": "code", "at": 3}` ask; `{"wait": 0.5}` waits.

use super::{Cell, Session, SessionConfig};
use crate::output::{Display, Output, Stream};
use serde_json::{Value, json};
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs the cells of standard input.
///
/// # Errors
/// If the session cannot start or the streams fail.
pub fn run(config: SessionConfig) -> io::Result<()> {
    let session = Arc::new(Session::spawn(Arc::new(Lines), config)?);
    let mut number = 0;
    let mut interrupt = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request: Value = serde_json::from_str(&line)?;
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let seconds = |name: &str| request.get(name).and_then(Value::as_f64).map(Duration::from_secs_f64);
        let at = request.get("at").and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        if let Some(code) = text("cell") {
            number += 1;
            if let Some(after) = interrupt.take() {
                let session = Arc::clone(&session);
                std::thread::spawn(move || {
                    std::thread::sleep(after);
                    session.interrupt();
                });
            }
            let start = Instant::now();
            let outcome = session.execute(Cell { number, code: code.to_owned(), silent: false });
            let seconds = start.elapsed().as_secs_f64();
            print(&match outcome.result {
                Ok(result) => json!({"done": number, "seconds": seconds, "result": result.map(|shown| shown.data)}),
                Err(error) => json!({
                    "done": number, "seconds": seconds, "ename": error.ename, "evalue": error.evalue,
                    "traceback": error.traceback,
                }),
            })?;
        } else if let Some(after) = seconds("interrupt") {
            interrupt = Some(after);
        } else if let Some(pause) = seconds("wait") {
            std::thread::sleep(pause);
        } else if let Some(code) = text("complete") {
            let found = session.complete(code, at);
            let items: Vec<&str> = found.items.iter().map(|item| item.text.as_str()).collect();
            print(&json!({"start": found.start, "end": found.end, "items": items}))?;
        } else if let Some(code) = text("inspect") {
            print(&json!({"inspected": session.inspect(code, at).map(|shown| shown.data)}))?;
        } else {
            print(&json!({"unknown": line}))?;
        }
    }
    session.shutdown(false);
    Ok(())
}

fn print(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// Writes each output as a line.
struct Lines;

impl Output for Lines {
    fn stream(&self, stream: Stream, text: &str) {
        let name = if stream == Stream::Stdout { "stdout" } else { "stderr" };
        let _ = print(&json!({ name: text }));
    }

    fn display(&self, display: Display) {
        let _ = print(&json!({ "display": display.data }));
    }

    fn clear(&self, wait: bool) {
        let _ = print(&json!({ "clear": wait }));
    }
}

/// `machine warm`: compiles in the template all that a session needs, so that a new session finds it ready.
///
/// # Errors
/// If the template cannot be built.
pub fn warm(config: SessionConfig) -> io::Result<()> {
    let template = config.directory.path().to_owned();
    let session = Session::spawn(Arc::new(Warming), config)?;
    // Each kind of cell once: a value, a variable, a slot, an async one.
    for code in
        ["1 + 1", "let warm = vec![1.0];", "MACHINE[0] = |x: f64| x + 1.0;", "MACHINE[0] = async |x: f64| x + 1.0;"]
    {
        let cell = Cell { number: 1, code: code.to_owned(), silent: true };
        if let Err(error) = session.execute(cell).result {
            return Err(io::Error::other(error.traceback.join("\n")));
        }
    }
    // While the session lives nobody else may build the template.
    super::directory::seal(&template)?;
    session.shutdown(false);
    Ok(())
}

/// Shows what is compiled.
struct Warming;

impl Output for Warming {
    fn stream(&self, _: Stream, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }
    fn display(&self, _: Display) {}
    fn clear(&self, _: bool) {}
}
