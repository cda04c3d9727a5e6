//! The heartbeat: whatever comes goes back.

use super::outbox::Outbox;
use super::peers::{Connection, Kind, Service};
use bytes::Bytes;
use machine_zmtp::peer::{Event, Limits, encode};
use std::sync::Arc;

/// A beat is short.
const LIMITS: Limits = Limits { bytes: 64 << 10, frames: 16 };
/// Answers that wait for a peer that does not read, bytes; further ones are left out.
const MOST_WAITING: usize = 256 << 10;

/// The service of the heartbeat's socket.
pub struct Heartbeat;

impl Service for Heartbeat {
    type Peer = Arc<Outbox>;

    fn kind(&self) -> Kind {
        Kind { name: "heartbeat", socket_type: "REP", peers: &["REQ", "DEALER"], limits: LIMITS }
    }

    fn connect(&self, connection: &Connection, _: Vec<u8>) -> Self::Peer {
        connection.trust();
        Arc::clone(&connection.outbox)
    }

    async fn receive(&self, outbox: &mut Self::Peer, event: Event) -> Result<(), &'static str> {
        // A request begins with its envelope, which an empty frame ends: all of it goes back. Without one it is none.
        if let Event::Message(frames) = event
            && frames.iter().any(Vec::is_empty)
            && outbox.waiting() < MOST_WAITING
        {
            outbox.push(Bytes::from(encode(&frames)));
        }
        Ok(())
    }
}
