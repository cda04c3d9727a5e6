//! Why a cell failed.

use super::super::errors;
use super::super::interrupt::Reach;
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
    pub(super) fn told(self, reach: Reach) -> CellError {
        let interrupted = |text: &str| errors::plain("KeyboardInterrupt", text);
        match (self, reach) {
            (Self::Died { lost, .. }, Reach::Killed) => {
                interrupted(&format!("the cell did not stop within 2 s, so its process was restarted\n{lost}"))
            }
            (Self::Died { how, lost }, _) => {
                errors::plain("RuntimeLost", &format!("the process that runs the cells died: {how}\n{lost}"))
            }
            (Self::Compile { ran: false, .. }, Reach::Asked | Reach::Killed) => {
                interrupted("interrupted while compiling; nothing was run, all variables are kept")
            }
            (Self::Cell(mut error), Reach::Asked | Reach::Killed) => {
                "KeyboardInterrupt".clone_into(&mut error.ename);
                error
            }
            (Self::Cell(error) | Self::Compile { error, .. }, _) => error,
        }
    }
}
