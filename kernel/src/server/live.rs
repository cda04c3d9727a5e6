//! The cells of a session, and the magics.

use super::cells::{Cell, Cells, Completions};
use crate::control::client::Client;
use crate::magic::{self, Engine};
use crate::output::{CellError, Display, Output};
use crate::query::{QueryError, Tables};
use crate::session::{self, Session, SessionConfig};
use crate::watch::Watches;
use crate::wire::publish::{Publisher, SessionOutput};
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply};
use polars::prelude::DataFrame;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Starts a session. Returns at once; it is prepared behind.
///
/// # Errors
/// If there can be no socket or thread for it.
pub fn spawn(
    output: Arc<SessionOutput>,
    publisher: &Arc<Publisher>,
    config: SessionConfig,
) -> io::Result<(Arc<dyn Cells>, Watches)> {
    let session = Session::spawn(output.clone(), config)?;
    let client = session.control();
    let asked = client.clone();
    let ask = move |command| match command {
        // It waits by itself, and for as long as it says.
        Command::Drain { .. } => asked.command(command),
        command => asked.command_now(command),
    };
    let watches = Watches::spawn(ask, Arc::clone(publisher), output)?;
    let live = Live {
        session,
        client,
        watches: watches.clone(),
        frame: Mutex::default(),
        interrupted: AtomicBool::new(false),
    };
    Ok((Arc::new(live), watches))
}

struct Live {
    session: Session,
    client: Client,
    watches: Watches,
    /// What a query or a tap gave last.
    frame: Mutex<Option<DataFrame>>,
    /// Set by an interrupt, cleared when the next magic begins.
    interrupted: AtomicBool,
}

impl Engine for Live {
    fn command(&self, command: Command) -> Result<Reply, Error> {
        self.client.command(command)
    }

    fn watches(&self) -> Option<&Watches> {
        Some(&self.watches)
    }

    fn query(
        &self,
        texts: (&str, &str),
        tables: Tables,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<DataFrame, QueryError> {
        crate::query::run_apart(texts, tables, go_on)
    }

    fn keep_frame(&self, frame: &DataFrame) {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame.clone());
    }

    fn last_frame(&self) -> Option<DataFrame> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn interrupted(&self) -> bool {
        // Relaxed: it carries nothing but itself.
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Cells for Live {
    fn execute(&self, cell: &Cell<'_>, output: &dyn Output) -> Result<Option<Display>, CellError> {
        self.interrupted.store(false, Ordering::Relaxed);
        let run = |code: &str| {
            self.session.execute(session::Cell { number: cell.number, code: code.to_owned(), silent: cell.silent })
        };
        magic::run(cell.code, self, output, &run)
    }

    fn magic(&self, code: &str, output: &dyn Output) -> Result<Option<Display>, CellError> {
        self.interrupted.store(false, Ordering::Relaxed);
        // A cell of magic lines only has no Rust.
        magic::run(code, self, output, &|_| Ok(None).into())
    }

    fn complete(&self, code: &str, offset: usize, running: bool) -> Completions {
        if let Some(magic::Completions { start, end, items }) = magic::complete(code, offset, self) {
            let items = items.into_iter().map(|it| (it.text, it.kind.to_owned())).collect();
            return Completions { start, end, items };
        }
        if running {
            return Completions { start: offset, end: offset, items: Vec::new() };
        }
        let session::Completions { start, end, items } = self.session.complete(code, offset);
        Completions { start, end, items: items.into_iter().map(|it| (it.text, it.kind)).collect() }
    }

    fn inspect(&self, code: &str, offset: usize, running: bool) -> Option<Display> {
        magic::inspect(code, offset).or_else(|| if running { None } else { self.session.inspect(code, offset) })
    }

    fn help(&self, name: &str, running: bool) -> Option<Display> {
        let of_rust = || if running { None } else { self.session.inspect(name, name.len()) };
        if name.starts_with('%') { magic::help(name) } else { of_rust().or_else(|| magic::help(name)) }
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.session.interrupt();
    }

    fn shutdown(&self, restart: bool) {
        self.session.shutdown(restart);
    }
}
