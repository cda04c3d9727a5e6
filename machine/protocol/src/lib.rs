//! Commands to a machine, its replies and its status: plain data, sent as JSON between cells, kernel, command line and
//! engine.
//!
//! Rooms, lowest first: `error`, `number`, `oid`, `policy`, `filter`, `source`, `retention`, `retained`, `status`,
//! `history`, `command`, `wire`.

pub mod command;
mod error;
pub mod filter;
pub mod history;
mod number;
mod oid;
mod policy;
pub mod retained;
pub mod retention;
pub mod source;
pub mod status;
mod wire;

pub use error::{Error, ErrorKind, Result};
pub use oid::Oid;
pub use wire::{decode, encode};
