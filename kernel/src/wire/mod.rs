//! The Jupyter wire protocol on `ZeroMQ`: connection file, signed frames, sockets.
//!
//! Layout of a message, frame by frame: identities (none or more), the delimiter `<IDS|MSG>`, the signature (HMAC-SHA256
//! in hexadecimal digits, empty without a key), header, parent header, metadata, content (four JSON objects), then any number
//! of buffers. The signature covers the four JSON frames byte by byte, never the buffers.
//!
//! Nothing is parsed before its signature is verified. Headers are kept as the bytes that came, so that a reply
//! carries fields which this version does not know. This is the only part of the kernel that knows `ZeroMQ`.
//!
//! The sockets are our own ([`peers`]): what comes before a signature is verified comes from anybody on this computer,
//! and the library bounds neither a message's frames nor connections nor what waits for a client that does not read.

mod budget;
mod connection;
mod heartbeat;
mod iopub;
mod listener;
mod message;
mod outbox;
mod peers;
pub mod publish;
mod replay;
mod router;
mod signing;
mod sockets;

pub use connection::{Connection, Ports};
pub use message::{Incoming, Outgoing};
#[cfg(test)]
pub use sockets::{Queue, Sent};
pub use sockets::{Receiver, Sender, Sockets, StartError};

/// Version of the messaging protocol that is spoken here.
pub const PROTOCOL_VERSION: &str = "5.5";

#[cfg(test)]
mod tests;
