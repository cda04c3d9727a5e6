//! What runs a machine: queue, workers, frames, counters.
//!
//! A program calls [`init`] once and then uses the `machine` crate; [`run()`] also waits for the end and counts. The
//! kernel also sends [`command`]s and listens ([`observe`]) to what cells and engine have to say.
//!
//! Rooms, lowest first: `closest_match`, `json`, `decode`, `filter`, `core`, `inspect`, `server`, `connect`, `run`.

#![cfg_attr(
    not(all(
        feature = "filter",
        feature = "http",
        feature = "otlp",
        feature = "prometheus",
        feature = "websocket",
        feature = "zeromq"
    )),
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
mod run;
mod server;

pub use self::core::cell_thread::{
    abandon_cell_thread, has_to_stop, is_abandoned_thread, is_cell_thread, set_cell_thread,
};
pub use self::core::hook::is_in_slot;
pub use self::core::observer::Observer;
pub use self::core::oid::Oid;
pub use run::{init, run, script};
pub use server::commands::command;
pub use server::host::HOST;
pub use server::remote::set_title;
pub use server::start::observe;
