//! Sources that were set on machines without a slot: reported when the cell that set them ends, as far as they still wait.

use crate::handle::{status_of, warn};
use std::sync::{Mutex, PoisonError};

static SET: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A source was set on a machine.
pub(crate) fn note(machine: u32) {
    SET.lock().unwrap_or_else(PoisonError::into_inner).push(machine);
}

/// Reports those that wait for a slot.
pub(crate) fn report() {
    let set = std::mem::take(&mut *SET.lock().unwrap_or_else(PoisonError::into_inner));
    for status in set.into_iter().filter_map(status_of).filter(|status| status.waiting_for_slot) {
        let name = &status.machine;
        warn(&format!("the source of {name} is waiting for a slot; %start --empty to run without"));
    }
}
