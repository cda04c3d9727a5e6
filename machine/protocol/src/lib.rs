//! Commands to a machine, its replies and its status: plain data, sent as JSON between cells, kernel, command line and
//! engine.
//!
//! Rooms, lowest first: number · source · retention · retained · history · status · command · wire

pub mod command;
pub mod history;
mod number;
pub mod retained;
pub mod retention;
pub mod source;
pub mod status;
mod wire;

pub use wire::{decode, encode};
