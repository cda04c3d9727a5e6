//! The typed face of the machine: closures in slots, messages in, outputs out.
//!
//! A *machine* takes messages from a bounded queue through its *slots*, `f0` to `f7`. A slot holds one function,
//! which is called with the outputs of all earlier slots, nearest first, the message itself last. Functions are
//! assigned at any time, also while messages flow.
//!
//! ```
//! use machine::prelude::*;
//!
//! machine_engine::init(); // in a notebook the kernel has done that
//! MACHINE[0].set(|x: f64| x * x)?;
//! MACHINE[1].set(|square: f64, x: f64| square - x)?;
//! MACHINE.put(14.0)?;
//! MACHINE.drain();
//! assert_eq!(MACHINE.status().processed, 1);
//! let out = MACHINE.call(14.0)?;
//! assert_eq!(out.get::<f64>(1)?, 182.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate is thin, because every notebook session compiles it: it knows the types. What runs is in
//! `machine-engine`, reached through one table of functions ([`abi`]).
//!
//! Rooms, lowest first: `abi`, `exact`, `payload`, `shim`, `show`, `slot`, `source`, `frame`, `handle`, `outputs`,
//! `cell`.

pub mod abi;
pub mod cell;
mod debug;
#[doc(hidden)]
pub mod exact;
mod frame;
pub mod handle;
mod idle_sources;
pub mod outputs;
mod payload;
pub mod progress_bar;
pub mod shim;
pub mod show;
pub mod slot;
pub mod source;
mod type_id;

pub use frame::{Frame, frame};
pub use machine_protocol::{command, history, retained, retention, status};

pub use handle::{Builder, Call, Errors, MACHINE, Machine, Refused, SlotRef};
pub use machine_protocol::status::Status;
pub use machine_protocol::{Error, ErrorKind, Result};
pub use outputs::{LastOutputs, Output, Outputs, SinkHandle};
pub use progress_bar::{ProgressBar, progress};
pub use serde_json::Value;
pub use slot::Ignored;

/// What a session has from the start.
pub mod prelude {
    pub use crate::command::Policy;
    pub use crate::handle::Refused::Full;
    pub use crate::retention::Keep;
    pub use crate::show::{Show as _, ShowAs as _};
    pub use crate::source::{self, Pace as _};
    pub use crate::status::SourceState;
    pub use crate::{
        Builder, Call, Errors, Ignored, MACHINE, Machine, Output, Outputs, Refused, SinkHandle, SlotRef, Value, frame,
        progress,
    };
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::json;
}
