//! What magics ask: the engine, and what the session keeps for them.

use crate::query::{self, QueryError, Tables};
use crate::watch::Watches;
use machine_protocol::Error;
use machine_protocol::command::{Command, Reply};
use polars::prelude::DataFrame;

/// Carries out commands: the control client, or a table in a test.
pub trait Engine {
    /// Carries out a command.
    ///
    /// # Errors
    /// The engine's own refusal, or that it can't be reached.
    fn command(&self, command: Command) -> Result<Reply, Error>;

    /// The session's displays and alerts, where there are any.
    fn watches(&self) -> Option<&Watches> {
        None
    }

    /// Runs a query over tables: as it was written, and as it is to be run. `keep_going` is asked now and then whether to
    /// wait.
    ///
    /// # Errors
    /// See [`QueryError`].
    fn query(
        &self,
        (written, sql): (&str, &str),
        tables: Tables,
        _go_on: &mut dyn FnMut() -> bool,
    ) -> Result<DataFrame, QueryError> {
        query::check(written).map_err(QueryError::Syntax)?;
        query::run(sql, tables)
    }

    /// Keeps what was shown last, for `%frame`.
    fn keep_frame(&self, _frame: &DataFrame) {}

    /// What was kept last.
    fn last_frame(&self) -> Option<DataFrame> {
        None
    }

    /// Whether the user wants the running cell to stop. Asked between the waits of a magic that waits (`%drain`).
    fn interrupted(&self) -> bool {
        false
    }
}
