//! The kernel's server: requests in, replies and broadcasts out.
//!
//! A request is received on a socket's task and, with some exceptions, answered right there: nothing there waits or parses.
//! Completion and inspection have a thread, for they may wait for the session; so do questions whether a cell is complete
//! and about the history, which take time; cells have a thread, where they run strictly in order; and a magic that comes while a cell runs gets a separate thread. So everything but Rust
//! is answered while Rust runs.

mod cell_kind;
mod cells;
mod comms;
mod contents;
mod dispatch;
mod execute;
mod history;
mod info;
mod is_complete;
mod live;
mod position;
mod request;
mod subshells;
mod usage;

use crate::display;
use crate::session::SessionConfig;
use crate::wire::publish::{NO_PARENT, Publisher, SessionOutput};
use crate::wire::{Connection, Receiver, Sender, Sockets, StartError};
use dispatch::Dispatcher;
use execute::Executor;
use history::History;
use request::Request;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;

/// How long the last messages may take to leave before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long the session may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a kernel until it is shut down.
///
/// # Errors
/// If the connection file is of no use, or one of its ports cannot be listened on.
pub fn run(connection_file: &Path) -> Result<(), StartError> {
    let connection = Connection::read(connection_file)?;
    // Before there are threads: it changes the environment.
    let config = SessionConfig::prepare(display::from_show)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(&connection, config));
    // Threads that wait for a cell or a magic are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(connection: &Connection, config: SessionConfig) -> Result<(), StartError> {
    let sockets = Sockets::bind(connection).await?;
    // Removed at the end of this function.
    let _files = sockets.files;
    let publisher = Publisher::spawn(sockets.iopub)?;
    publisher.publish(&NO_PARENT, "status", json!({ "execution_state": "starting" }));
    let output = Arc::new(SessionOutput::new(Arc::clone(&publisher)));
    let (cells, watches) = live::spawn(Arc::clone(&output), &publisher, config)?;
    let history = History::open(history::default_path().as_deref());
    let executor = Arc::new(Executor::spawn(Arc::clone(&cells), Arc::clone(&publisher), output, history)?);
    let (shutdown, mut end) = unbounded_channel();
    let dispatcher = Arc::new(Dispatcher::spawn(Arc::clone(&cells), executor, watches, connection.ports(), shutdown)?);
    for (receiver, sender) in [(sockets.shell, sockets.shell_sender), (sockets.control, sockets.control_sender)] {
        tokio::spawn(receive(receiver, sender, Arc::clone(&publisher), Arc::clone(&dispatcher)));
    }
    tokio::spawn(ignore(sockets.stdin));
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let orphaned = orphaned();
    tokio::pin!(orphaned);
    let restart = loop {
        tokio::select! {
            restart = end.recv() => break restart.unwrap_or(false),
            _ = terminated.recv() => break false,
            _ = interrupted.recv() => dispatcher.interrupt(),
            () = &mut orphaned => break false,
        }
    };
    let ended = tokio::task::spawn_blocking(move || cells.shutdown(restart));
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await;
    tokio::time::sleep(LAST_WORDS).await;
    Ok(())
}

async fn receive(mut receiver: Receiver, sender: Sender, publisher: Arc<Publisher>, dispatcher: Arc<Dispatcher>) {
    loop {
        let message = receiver.next().await;
        dispatcher.handle(Request::new(message, sender.clone(), Arc::clone(&publisher)));
    }
}

/// Cells ask no questions yet, so an answer has none that it could belong to.
async fn ignore(mut stdin: Receiver) {
    loop {
        let message = stdin.next().await;
        tracing::warn!("stdin socket: {} ignored: no cell has asked", message.header.msg_type);
    }
}

/// Returns when the front end that started this kernel, and said so in `JPY_PARENT_PID`, is gone; otherwise never.
async fn orphaned() {
    let parent = std::os::unix::process::parent_id();
    if std::env::var("JPY_PARENT_PID").ok().and_then(|it| it.parse().ok()) != Some(parent) {
        return std::future::pending().await;
    }
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Logs a line on standard error.
pub fn log(line: &str) {
    // A reader that closed it does not want to read it, and that must not end the process.
    let _ = writeln!(std::io::stderr(), "machine: {line}");
}
