//! SQL over data frames, in a separate process.
//!
//! polars plans and runs a query. A query can need more memory than there is, or more time than anybody has, and polars
//! may panic on what nobody tried before: a process can be ended, and takes nothing with it. Tables go there and the
//! result comes back as Arrow IPC.

mod arrow;
#[cfg(test)]
mod dialect;
mod process;
mod statement;

pub use arrow::{read_arrow, write_arrow};
pub use process::{run_apart, serve};
pub use statement::{Statement, SyntaxError, check};

use polars::prelude::{DataFrame, IntoLazy, PolarsError};
use polars::sql::SQLContext;
use serde::{Deserialize, Serialize};

/// Tables by name.
pub type Tables = Vec<(String, DataFrame)>;

/// Why a query gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryError {
    /// It is not SQL.
    Syntax(SyntaxError),
    /// polars refused it: one line.
    Refused(String),
    /// The user did not want to wait any longer.
    Interrupted,
    /// The process came to an end, or could not be started: one line.
    Died(String),
}

impl From<PolarsError> for QueryError {
    fn from(error: PolarsError) -> Self {
        let text = error.to_string();
        // What follows is the plan that the error was found in.
        let first = text.split("\n\nResolved plan").next().unwrap_or_default();
        Self::Refused(crate::display::one_line(first.trim()))
    }
}

/// Runs a query here.
///
/// # Errors
/// [`QueryError::Refused`].
pub fn run(sql: &str, tables: Tables) -> Result<DataFrame, QueryError> {
    let mut context = SQLContext::new();
    for (name, frame) in tables {
        context.register(&name, frame.lazy());
    }
    Ok(context.execute(sql)?.collect()?)
}
