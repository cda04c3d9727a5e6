//! Why a cell failed.

use super::super::errors;
use crate::output::CellError;

/// Why a cell failed, before it is known whether an interrupt had to do with it.
pub(super) enum Failed {
    /// The cell says so itself.
    Cell(CellError),
    /// The compiler refused it.
    Compile { error: CellError, ran: bool },
    /// The runtime process died.
    Died { how: String, lost: String },
}

impl Failed {
    /// The error of a cell that was not interrupted.
    pub(super) fn into_error(self) -> CellError {
        match self {
            Self::Cell(error) | Self::Compile { error, .. } => error,
            Self::Died { how, lost } => {
                errors::plain("RuntimeLost", &format!("the process that runs the cells died: {how}\n{lost}"))
            }
        }
    }
}
