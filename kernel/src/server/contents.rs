//! The contents of requests. Fields that a front end may leave out have the protocol's defaults.

use serde::Deserialize;
use serde_json::{Map, Value};

/// `execute_request`.
#[derive(Debug, Deserialize)]
pub struct Execute {
    /// The cell's source.
    pub code: String,
    /// No `execute_input`, no result, no count, no history.
    #[serde(default)]
    pub silent: bool,
    /// Whether the cell is counted and kept in the history.
    #[serde(default = "yes")]
    pub store_history: bool,
    /// Name → expression to evaluate after the cell.
    #[serde(default)]
    pub user_expressions: Map<String, Value>,
    /// Whether cells that wait behind this one are given up if it fails.
    #[serde(default = "yes")]
    pub stop_on_error: bool,
}

/// `complete_request` and `inspect_request`.
#[derive(Debug, Deserialize)]
pub struct AtCursor {
    /// The cell's source.
    pub code: String,
    /// The cursor, in code points from the start of `code`.
    #[serde(default)]
    pub cursor_pos: usize,
}

/// `is_complete_request`.
#[derive(Debug, Deserialize)]
pub struct IsComplete {
    /// The source so far.
    pub code: String,
}

/// `history_request`.
#[derive(Debug, Deserialize)]
pub struct History {
    /// Whether outputs are wanted too.
    #[serde(default)]
    pub output: bool,
    /// What is asked for.
    #[serde(flatten)]
    pub access: HistoryAccess,
}

/// Which part of the history.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "hist_access_type", rename_all = "lowercase")]
pub enum HistoryAccess {
    /// Cells `start` to `stop`, exclusive, of one session: 0 is this one, negative numbers count back from it.
    Range {
        /// The session.
        #[serde(default)]
        session: i64,
        /// First cell.
        #[serde(default)]
        start: i64,
        /// The cell after the last one; all if missing.
        #[serde(default)]
        stop: Option<i64>,
    },
    /// The last `n` cells.
    Tail {
        /// How many.
        #[serde(default)]
        n: Option<i64>,
    },
    /// The last `n` cells that match a pattern with `*` and `?`.
    Search {
        /// How many; all if missing.
        #[serde(default)]
        n: Option<i64>,
        /// The pattern; it must match the whole cell.
        #[serde(default)]
        pattern: Option<String>,
        /// Whether equal cells are given once only.
        #[serde(default)]
        unique: bool,
    },
}

/// `comm_open` and `comm_close`, as far as they are read.
#[derive(Debug, Default, Deserialize)]
pub struct Comm {
    /// The comm's name.
    #[serde(default)]
    pub comm_id: String,
    /// What kind of comm it is.
    #[serde(default)]
    pub target_name: Option<String>,
}

/// `comm_msg`.
#[derive(Debug, Deserialize)]
pub struct CommMessage {
    /// The comm's name.
    pub comm_id: String,
    /// What is said.
    #[serde(default)]
    pub data: Value,
}

/// `shutdown_request`.
#[derive(Debug, Deserialize)]
pub struct Shutdown {
    /// Whether a new kernel follows at once.
    #[serde(default)]
    pub restart: bool,
}

/// `delete_subshell_request`.
#[derive(Debug, Deserialize)]
pub struct Subshell {
    /// Its name.
    pub subshell_id: String,
}

/// `debug_request`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
pub struct Debug {
    /// The number of the request, as the debug adapter protocol counts.
    #[serde(default)]
    pub seq: i64,
    /// What is asked for.
    #[serde(default)]
    pub command: String,
}

fn yes() -> bool {
    true
}
