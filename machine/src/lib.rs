//! The typed face of the machine.
pub mod abi;
pub mod command;
pub mod status;
