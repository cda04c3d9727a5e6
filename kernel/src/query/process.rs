//! The process in which a query runs, and what the kernel does with it.

use super::statement::check;
use super::{QueryError, Tables, read_arrow, run, write_arrow};
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How much memory a query may take, bytes.
const MEMORY: u64 = 4 << 30;
/// The stack of the thread that parses and plans it: both go as deep as it does.
const STACK: usize = 512 << 20;
/// How much of what it writes to stderr is kept: why it ended stands at the end.
const LAST_WORDS: usize = 4 << 10;
/// How often it is asked whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// What is asked; the tables follow it, one after the other.
#[derive(Serialize, Deserialize)]
struct Question {
    /// As it was written, where mistakes have their places.
    written: String,
    /// As it is run.
    sql: String,
    /// Name and length in bytes of each.
    tables: Vec<(String, u64)>,
}

/// Runs a query in a separate process, which is ended when `go_on`, asked now and then, says no.
///
/// # Errors
/// See [`QueryError`].
pub fn run_apart(
    (written, sql): (&str, &str),
    tables: Tables,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<DataFrame, QueryError> {
    let died = |error: std::io::Error| QueryError::Died(format!("the query's process: {error}"));
    let mut blobs = Vec::new();
    for (_, frame) in &tables {
        let mut bytes = Vec::new();
        write_arrow(frame, &mut bytes)?;
        blobs.push(bytes);
    }
    let sizes = tables.into_iter().map(|(name, _)| name).zip(blobs.iter().map(|blob| blob.len() as u64)).collect();
    let question = Question { written: written.to_owned(), sql: sql.to_owned(), tables: sizes };
    // By this name it is found also where the file was replaced since.
    let mut child = Command::new("/proc/self/exe")
        .arg("query")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
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
    let errors = child.stderr.take();
    let last_words = move || errors.map_or_else(String::new, last_words);
    let last_words = std::thread::Builder::new().name("query-errors".to_owned()).spawn(last_words).map_err(died)?;
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
    let Some(answer) = answer else {
        return Err(QueryError::Died(in_words(child.wait(), &last_words.join().unwrap_or_default())));
    };
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

/// The end of what it writes.
fn last_words(mut from: impl Read) -> String {
    let (mut words, mut some) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = from.read(&mut some) {
        words.extend_from_slice(some.get(..length).unwrap_or_default());
        words.drain(..words.len().saturating_sub(LAST_WORDS));
    }
    String::from_utf8_lossy(&words).into_owned()
}

/// Why a process ended without an answer. A failed allocation and a stack overflow both abort; the runtime says which.
fn in_words(status: std::io::Result<ExitStatus>, last_words: &str) -> String {
    if last_words.contains("has overflowed its stack") {
        return "the query is nested too deeply: it needed more than its stack. Make it shorter, or run its parts one by one"
            .to_owned();
    }
    if last_words.contains("memory allocation of") {
        return format!("the query needed more than {} GiB of memory", MEMORY >> 30);
    }
    match status {
        Ok(status) => format!("the query's process ended: {status}"),
        Err(error) => format!("the query's process: {error}"),
    }
}

/// The process itself: answers one question.
pub fn serve() -> ExitCode {
    limit_memory();
    std::panic::set_hook(Box::new(|_| {}));
    let answered = std::thread::Builder::new().name("query".to_owned()).stack_size(STACK).spawn(|| {
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let (question, tables) = question(BufReader::new(std::io::stdin().lock()))?;
            check(&question.written).map_err(QueryError::Syntax)?;
            run(&question.sql, tables)
        }));
        let answer = answer.unwrap_or_else(|panic| {
            let text = machine::shim::panic_text(&*panic).unwrap_or("it panicked");
            Err(QueryError::Refused(format!("polars cannot do this: {}", crate::display::one_line(text))))
        });
        let replied = reply(answer, &mut std::io::stdout().lock());
        // Not dropped: a plan that is deep is taken apart as deep as it was made, and the process ends anyway.
        std::process::exit(i32::from(replied.is_err()))
    });
    // It ends the process.
    let _ = answered.map(std::thread::JoinHandle::join);
    ExitCode::FAILURE
}

fn question(mut from: impl BufRead) -> Result<(Question, Tables), QueryError> {
    let broken =
        |error: &dyn std::fmt::Display| QueryError::Died(format!("the query's process was not asked: {error}"));
    let mut first = String::new();
    from.read_line(&mut first).map_err(|error| broken(&error))?;
    let question: Question = serde_json::from_str(&first).map_err(|error| broken(&error))?;
    let mut tables = Vec::new();
    for (name, length) in &question.tables {
        let mut bytes = Vec::new();
        from.by_ref().take(*length).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        tables.push((name.clone(), read_arrow(Cursor::new(bytes))?));
    }
    Ok((question, tables))
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

#[cfg(test)]
mod tests {
    use super::{ExitStatus, in_words, last_words};
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn why_a_query_ended_is_what_its_process_says() {
        let aborted = |words: &str| in_words(Ok(ExitStatus::from_raw(libc::SIGABRT)), words);
        assert!(aborted("\nthread 'query' (7) has overflowed its stack\n").contains("nested too deeply"));
        assert!(aborted("memory allocation of 8589934592 bytes failed\n").contains("more than 4 GiB of memory"));
        assert!(aborted("").contains("signal: 6"));
        let killed = in_words(Ok(ExitStatus::from_raw(libc::SIGKILL)), "");
        assert!(killed.contains("signal: 9"), "{killed}");
        let long = [b"x".repeat(1 << 20), b"the end".to_vec()].concat();
        let end = last_words(long.as_slice());
        assert!(end.len() < 5_000 && end.ends_with("the end"));
    }
}
