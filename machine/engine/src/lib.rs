//! What runs a machine: queue, workers, frames, counters.
//!
//! A program calls [`init`] once and then uses the `machine` crate; [`run`] also waits for the end and counts. The
//! kernel also sends [`command`]s and listens ([`observe`]) to what cells and engine have to say.
//!
//! Rooms, lowest first: `core`, `inspect`, `server`, `connect`, `run`.

#![cfg_attr(
    not(all(feature = "http", feature = "otlp", feature = "websocket", feature = "zeromq")),
    allow(dead_code, reason = "called by what is not compiled in")
)]

pub mod closest_match;
mod connect;
mod core;
#[doc(hidden)]
pub mod decode;
pub mod filter;
mod inspect;
pub mod json;
pub mod metrics;
mod run;
#[cfg(feature = "network")]
mod runtime;
mod server;
mod web_page;

use self::core::histogram;
use server::registry;

pub use self::core::cell_thread::{
    abandon_cell_thread, has_to_stop, is_abandoned_thread, is_cell_thread, set_cell_thread,
};
pub use self::core::hook::is_in_slot;
pub use self::core::oid::Oid;
pub use run::{run, script};
pub use server::host::HOST;
pub use server::registry::{Observer, command, observe};
pub use server::remote::set_title;

/// Starts the engine: registers it with the `machine` crate of this program, makes the default machine, sets the panic
/// hook, and lets other processes of this user attach to the machines (see [`remote`]). The second call does nothing.
pub fn init() {
    server::connectors::set(&connect::BuiltIn);
    registry::init();
}
