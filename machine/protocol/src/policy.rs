//! What a full queue does.

use serde::{Deserialize, Serialize};

/// What becomes of a message that is put in a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Policy {
    /// It is returned to the caller, and counted as refused.
    #[default]
    Reject = 0,
    /// The caller waits until there is room.
    Block,
    /// The message that has waited longest is dropped for it, and counted.
    DropOldest,
    /// It is dropped, and counted.
    DropNewest,
}
