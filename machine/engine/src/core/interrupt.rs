//! Whether somebody still wants what the calling thread waits for.

use crate::core::cell_thread;
use crate::core::client_gone::client_is_gone;
use crate::core::in_flight::Cancelled;

/// Whether nobody wants any more what the calling thread waits for.
pub(crate) fn interrupted_here() -> bool {
    cancelled_here().is_some()
}

/// Why nobody wants any more what the calling thread waits for: it runs a cell that the user has interrupted or that was
/// abandoned, or serves a client that is gone.
pub(crate) fn cancelled_here() -> Option<Cancelled> {
    if cell_thread::has_to_stop() {
        return Some(Cancelled::Interrupted);
    }
    client_is_gone().then_some(Cancelled::HungUp)
}
