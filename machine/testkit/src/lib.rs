//! What tests wait with. Every wait has a deadline, and says what it waited for when the deadline passes.
//!
//! | wait for | with |
//! |---|---|
//! | a condition | [`eventually!`], [`eventually()`] |
//! | a call that may hang | [`within`] |
//! | all messages of a machine | [`Drained::drained`] |
//! | a message of a channel | [`Received::received`] |
//! | a thread | [`Joined::joined`] |
//! | both sides at one point | [`Barrier`] |
//! | permission to go on, inside a slot | [`door()`] |
//!
//! [`watchdog()`] ends a test program in which something waits that none of these guards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod condition;
mod door;
mod threads;
mod watchdog;

pub use condition::{Drained, eventually, eventually_with};
pub use door::{Barrier, Door, Opener, Received, door};
pub use threads::{Joined, within};
pub use watchdog::watchdog;

use std::time::Duration;

/// The longest that a test waits for what takes a moment: a bound for a machine under load, no measure.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The longest that a test waits for all messages of a machine.
pub const DRAIN_DEADLINE: Duration = Duration::from_mins(1);

/// The longest that a test waits for a thread that does much.
pub const JOIN_DEADLINE: Duration = Duration::from_mins(1);

/// Five times as long under a sanitizer, which makes programs that much slower.
fn scaled(deadline: Duration) -> Duration {
    let is_sanitized = ["TSAN_OPTIONS", "LSAN_OPTIONS", "ASAN_OPTIONS"].iter().any(|it| std::env::var_os(it).is_some());
    if is_sanitized { deadline * 5 } else { deadline }
}
