//! What runs a machine: queue, workers, frames, counters.
//!
//! A program calls [`init`] once and then uses the `machine` crate; [`run`] also waits for the end and counts. The
//! kernel also sends [`command`]s and listens ([`observe`]) to what cells and engine have to say.

mod backoff;
mod blocked;
mod breakpoint;
mod budget;
mod cell_thread;
mod command_error;
mod counts;
mod debug;
#[doc(hidden)]
pub mod decode;
mod ending;
pub mod filter;
mod flight;
mod flying;
mod frame;
mod gate;
mod given_up;
mod histogram;
mod history;
mod hook;
mod host;
pub mod json;
mod letters;
mod machine;
pub mod metrics;
pub mod nearest;
mod number;
mod oid;
mod output;
mod own_thread;
mod queue;
mod raw;
mod recall;
mod registry;
pub mod remote;
mod retry;
mod ring;
mod run;
mod run_options;
mod runtime;
pub mod script;
mod signals;
mod slots;
mod source;
mod stdout;
mod sync;
mod types;
mod visit;
mod web_page;
mod worker;

pub use cell_thread::{abandon_cell_thread, has_to_stop, is_abandoned_thread, is_cell_thread, set_cell_thread};
pub use hook::is_in_slot;
pub use host::HOST;
pub use oid::Oid;
pub use registry::{Observer, command, init, observe};
pub use run::run;
