//! The process in which a query runs, and what the kernel does with it.

use super::{QueryError, Tables, read_arrow, run, write_arrow};
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How much memory a query may take, bytes.
const MEMORY: u64 = 4 << 30;
/// How often it is asked whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// What is asked; the tables follow it, one after the other.
#[derive(Serialize, Deserialize)]
struct Question {
    sql: String,
    /// Name and length in bytes of each.
    tables: Vec<(String, u64)>,
}

/// Runs a query in a process of its own, which is ended when `go_on`, asked now and then, says no.
///
/// # Errors
/// See [`QueryError`].
pub fn run_apart(sql: &str, tables: Tables, go_on: &mut dyn FnMut() -> bool) -> Result<DataFrame, QueryError> {
    let died = |error: std::io::Error| QueryError::Died(format!("the query's process: {error}"));
    let mut blobs = Vec::new();
    for (_, frame) in &tables {
        let mut bytes = Vec::new();
        write_arrow(frame, &mut bytes)?;
        blobs.push(bytes);
    }
    let sizes = tables.into_iter().map(|(name, _)| name).zip(blobs.iter().map(|blob| blob.len() as u64)).collect();
    let question = Question { sql: sql.to_owned(), tables: sizes };
    // By this name it is found also where the file was replaced since.
    let mut child = Command::new("/proc/self/exe")
        .arg("query")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(died)?;
    let (to, from) = (child.stdin.take(), child.stdout.take());
    let (send, answer) = mpsc::channel();
    // It ends with the child, which closes both pipes.
    let talk = move || {
        let _ = to.map(|to| ask(to, &question, &blobs));
        let mut bytes = Vec::new();
        let read = from.map_or(Ok(0), |mut from| from.read_to_end(&mut bytes));
        let _ = send.send(read.map(|_| bytes));
    };
    std::thread::Builder::new().name("query".to_owned()).spawn(talk).map_err(died)?;
    let bytes = loop {
        match answer.recv_timeout(LOOK) {
            Ok(bytes) => break bytes.map_err(died),
            Err(mpsc::RecvTimeoutError::Timeout) if go_on() => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(QueryError::Interrupted);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(Vec::new()),
        }
    };
    let bytes = bytes?;
    let mut from = Cursor::new(bytes.as_slice());
    let mut first = String::new();
    let answer: Option<Result<(), QueryError>> =
        from.read_line(&mut first).ok().and_then(|_| serde_json::from_str(&first).ok());
    let Some(answer) = answer else { return Err(QueryError::Died(how_it_ended(&mut child))) };
    let _ = child.wait();
    answer?;
    let start = usize::try_from(from.position()).unwrap_or(usize::MAX);
    Ok(read_arrow(Cursor::new(bytes.get(start..).unwrap_or_default()))?)
}

fn ask(to: impl Write, question: &Question, blobs: &[Vec<u8>]) -> std::io::Result<()> {
    let mut to = std::io::BufWriter::new(to);
    serde_json::to_writer(&mut to, question)?;
    to.write_all(b"\n")?;
    for blob in blobs {
        to.write_all(blob)?;
    }
    to.flush()
}

fn how_it_ended(child: &mut Child) -> String {
    use std::os::unix::process::ExitStatusExt;
    let gibibytes = MEMORY >> 30;
    match child.wait().map(|status| (status.signal(), status)) {
        // A failed allocation aborts.
        Ok((Some(libc::SIGABRT), _)) => format!("the query needed more than {gibibytes} GiB of memory"),
        Ok((_, status)) => format!("the query's process ended: {status}"),
        Err(error) => format!("the query's process: {error}"),
    }
}

/// The process itself: answers one question.
pub fn serve() -> ExitCode {
    limit_memory();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let (sql, tables) = question(BufReader::new(std::io::stdin().lock()))?;
        run(&sql, tables)
    }));
    let answer = answer.unwrap_or_else(|panic| {
        let text = machine::shim::panic_text(&*panic).unwrap_or("it panicked");
        Err(QueryError::Refused(format!("polars cannot do this: {}", crate::display::one_line(text))))
    });
    match reply(answer, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn question(mut from: impl BufRead) -> Result<(String, Tables), QueryError> {
    let broken =
        |error: &dyn std::fmt::Display| QueryError::Died(format!("the query's process was not asked: {error}"));
    let mut first = String::new();
    from.read_line(&mut first).map_err(|error| broken(&error))?;
    let question: Question = serde_json::from_str(&first).map_err(|error| broken(&error))?;
    let mut tables = Vec::new();
    for (name, length) in question.tables {
        let mut bytes = Vec::new();
        from.by_ref().take(length).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        tables.push((name, read_arrow(Cursor::new(bytes))?));
    }
    Ok((question.sql, tables))
}

fn reply(answer: Result<DataFrame, QueryError>, to: &mut impl Write) -> std::io::Result<()> {
    let (told, frame) = match answer {
        Ok(frame) => (Ok(()), Some(frame)),
        Err(error) => (Err(error), None),
    };
    serde_json::to_writer(&mut *to, &told)?;
    to.write_all(b"\n")?;
    if let Some(frame) = frame {
        write_arrow(&frame, &mut *to).map_err(std::io::Error::other)?;
    }
    to.flush()
}

#[expect(unsafe_code, reason = "a system call")]
fn limit_memory() {
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: it reads the struct, which lives, and changes nothing but this process's limit.
    let _ = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}
