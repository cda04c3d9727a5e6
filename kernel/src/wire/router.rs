//! A ROUTER socket: requests come in, and each reply leaves on the connection that its request came on.
//!
//! The first identity of a request names its connection, by a number of our own, before the peer's own name. So a
//! stranger who takes the name of a peer gets none of its replies. A peer that has connected again under its name does.

use super::message::{Incoming, Session};
use super::outbox::Outbox;
use super::peers::{Connection, Kind, Service};
use bytes::Bytes;
use machine_zmtp::peer::{Event, Limits, encode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// The bounds of a request from any sender: nothing else is known of it before its signature is verified.
const LIMITS: Limits = Limits { bytes: 32 << 20, frames: 1_024 };
/// How many verified requests wait for the server.
const MOST_REQUESTS: usize = 64;
/// A peer's replies that wait for it while it does not read, bytes; further ones are lost.
const MOST_REPLIES: usize = 64 << 20;
/// How many bad messages of one connection are logged; it may send any number.
const LOGGED: u32 = 10;

/// The peers of a ROUTER socket.
pub struct Router {
    name: &'static str,
    session: Arc<Session>,
    requests: mpsc::Sender<Incoming>,
    peers: Arc<Mutex<Peers>>,
}

/// By the number of the connection, oldest first.
type Peers = BTreeMap<u64, (Bytes, Connection)>;

/// Numbers the connections of all sockets.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One connection; leaves the router when it is dropped.
pub struct Peer {
    number: u64,
    route: Bytes,
    connection: Connection,
    peers: Arc<Mutex<Peers>>,
    bad: u32,
}

impl Router {
    /// A router, and the requests that it receives.
    #[must_use]
    pub fn new(name: &'static str, session: &Arc<Session>) -> (Arc<Self>, mpsc::Receiver<Incoming>) {
        let (requests, receiver) = mpsc::channel(MOST_REQUESTS);
        let peers = Arc::default();
        (Arc::new(Self { name, session: Arc::clone(session), requests, peers }), receiver)
    }

    /// Sends frames, of which the first one says where to. A peer that is gone does not need them.
    pub fn send(&self, frames: &[Bytes]) {
        let Some((route, frames)) = frames.split_first() else { return };
        let Some(outbox) = self.find(route) else { return };
        if outbox.waiting() >= MOST_REPLIES {
            tracing::warn!("{} socket: a reply was dropped: its client does not read", self.name);
            return;
        }
        outbox.push(Bytes::from(encode(frames)));
    }

    /// The connection of a route: the same one, or else the newest trusted one of the same name.
    fn find(&self, route: &[u8]) -> Option<Arc<Outbox>> {
        let (number, name) = route.split_first_chunk::<8>()?;
        let peers = lock(&self.peers);
        let is_back = |(other, connection): &&(Bytes, Connection)| {
            !name.is_empty() && other.get(8..) == Some(name) && connection.is_trusted()
        };
        let (_, connection) = peers.get(&u64::from_be_bytes(*number)).or_else(|| peers.values().rev().find(is_back))?;
        Some(Arc::clone(&connection.outbox))
    }
}

impl Service for Router {
    type Peer = Peer;

    fn kind(&self) -> Kind {
        Kind { name: self.name, socket_type: "ROUTER", peers: &["DEALER", "REQ", "ROUTER"], limits: LIMITS }
    }

    fn connect(&self, connection: &Connection, identity: Vec<u8>) -> Peer {
        // Relaxed: the number need only be unique.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let route = Bytes::from([&number.to_be_bytes()[..], &identity].concat());
        lock(&self.peers).insert(number, (route.clone(), connection.clone()));
        Peer { number, route, connection: connection.clone(), peers: Arc::clone(&self.peers), bad: 0 }
    }

    async fn receive(&self, peer: &mut Peer, event: Event) -> Result<(), &'static str> {
        let Event::Message(frames) = event else { return Ok(()) };
        let frames = std::iter::once(peer.route.clone()).chain(frames.into_iter().map(Bytes::from)).collect();
        match self.session.accept(frames) {
            Ok(message) => {
                peer.connection.trust();
                let header = &message.header;
                tracing::trace!(socket = self.name, header.msg_type, id = header.msg_id.as_str(), "received");
                // The server ends only with the process.
                let _ = self.requests.send(message).await;
            }
            Err(error) => {
                peer.bad += 1;
                match peer.bad {
                    ..LOGGED => tracing::warn!("{} socket: message ignored: {error}", self.name),
                    LOGGED => {
                        tracing::warn!(
                            "{} socket: message ignored: {error}; more of this connection are not logged",
                            self.name
                        );
                    }
                    _ => peer.bad = LOGGED + 1,
                }
            }
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        lock(&self.peers).remove(&self.number);
    }
}

fn lock(peers: &Mutex<Peers>) -> MutexGuard<'_, Peers> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}
