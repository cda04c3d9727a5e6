//! What runs a machine: queue, workers, frames, counters.
//!
//! A program calls [`init`] once and then uses the `machine` crate; [`run`] also waits for the end and counts. The
//! kernel also sends [`command`]s and listens ([`observe`]) to what cells and engine have to say.

mod backoff;
mod backpressure;
mod breakpoint;
mod cancel;
mod cell_thread;
pub mod closest_match;
mod command_error;
mod dead_letters;
mod debug;
#[doc(hidden)]
pub mod decode;
mod execution;
pub mod filter;
mod frame;
mod histogram;
mod history;
mod hook;
mod host;
mod in_flight;
pub mod json;
mod machine;
pub mod metrics;
mod number;
mod oid;
mod output;
mod own_thread;
mod page_size;
mod queue;
mod quiescence;
mod raw;
mod registry;
pub mod remote;
mod retention_query;
mod retry;
mod ring;
mod run;
mod run_options;
mod runtime;
mod scheduler;
pub mod script;
mod semaphore;
mod signals;
mod slots;
mod source;
mod stdout;
mod summary;
mod sync;
mod types;
mod web_page;
mod worker;

pub use cell_thread::{abandon_cell_thread, has_to_stop, is_abandoned_thread, is_cell_thread, set_cell_thread};
pub use hook::is_in_slot;
pub use host::HOST;
pub use oid::Oid;
pub use registry::{Observer, command, init, observe};
pub use run::run;
