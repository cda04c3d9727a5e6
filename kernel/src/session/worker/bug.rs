//! A bug of the kernel on the session's thread costs one cell, and not the session.

use super::super::errors;
use super::{Cell, Worker};
use crate::output::{CellError, Executed};
use machine_protocol::command::Command;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

impl Worker {
    /// Executes a cell. A panic fails this cell.
    pub(super) fn execute(&mut self, cell: &Cell) -> Executed {
        let mut began = None;
        // What a panic may have left half done is put right by `recover`.
        let result = catch_unwind(AssertUnwindSafe(|| self.execute_prepared(cell, &mut began)));
        let result = result.unwrap_or_else(|panic| Err(self.recover(&message_of(&*panic), &mut began)));
        Executed { result, began }
    }

    /// Does what is no cell. A panic leaves it without an answer.
    pub(super) fn carefully(&mut self, what: &str, work: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) {
            tracing::error!(panic = message_of(&*panic), "a bug in the kernel: {what}");
        }
    }

    /// Ends the cell during which the kernel panicked. evcxr keeps what it knows in a copy until a cell is over, so it
    /// knows what it knew before.
    fn recover(&mut self, panic: &str, began: &mut Option<Instant>) -> CellError {
        self.client.ping();
        let happened = self.events.end();
        *began = happened.began;
        self.interrupt.finish();
        let _ = self.client.command_now(Command::Interrupt { on: false });
        let kept = if happened.entered && !happened.left {
            // evcxr would take the end of this cell for that of the next one.
            let lost = self.lost(&self.variables());
            self.restart();
            self.machines.clear();
            format!("the cell was running, so its process was restarted\n{lost}")
        } else if happened.entered {
            "the cell has run, but variables that it defines are not kept; all else is".to_owned()
        } else {
            "nothing of the cell was run; all variables, the machine and its queue are kept".to_owned()
        };
        errors::plain("InternalError", &format!("a bug in the kernel: {panic}\n{kept}"))
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
