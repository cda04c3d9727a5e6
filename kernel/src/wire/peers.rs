//! The connections of one socket: accepted, greeted, read and written, each on a task.
//!
//! Anybody on this computer can connect, with a key or without. So everything here is bounded: connections, the time
//! that a handshake takes, the length and number of frames, the memory of all unfinished messages, and how long one may
//! stand still. What a peer does wrong ends its connection and concerns no other.

use super::budget::{Budget, Share};
use super::listener::{Listener, Stream};
use super::outbox::Outbox;
use bytes::Bytes;
use machine_zmtp::peer::{Decoder, Event, Limits, hello};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// The most connections of one socket at a time.
const CONNECTIONS: usize = 100;
/// How long a peer may take for its greeting and handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unfinished message may stand still.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long accepting pauses after an error, such as no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How much is read at once.
const PIECE: usize = 32 << 10;
/// Answers to signs of life that may wait for a peer that does not read, bytes.
const MOST_PONGS: usize = 64 << 10;

/// What a socket does with its peers.
pub trait Service: Send + Sync + 'static {
    /// One connection. Dropped when it ends.
    type Peer: Send;

    /// The kind of this socket, those of the peers that it has, and the bounds of what they send.
    fn kind(&self) -> Kind;

    /// A peer has completed its handshake.
    fn connect(&self, connection: &Connection, identity: Vec<u8>) -> Self::Peer;

    /// A peer has sent a message or a subscription.
    ///
    /// # Errors
    /// Why the connection has to end.
    fn receive(&self, peer: &mut Self::Peer, event: Event) -> impl Future<Output = Result<(), &'static str>> + Send;
}

/// A kind of socket.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// For the log: `shell`, `iopub`, …
    pub name: &'static str,
    /// `ROUTER`, `XPUB`, …
    pub socket_type: &'static str,
    /// The kinds of peers that it can talk to.
    pub peers: &'static [&'static str],
    /// The bounds of one message.
    pub limits: Limits,
}

/// What a [`Service`] knows of one connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What is written to the peer.
    pub outbox: Arc<Outbox>,
    trusted: Arc<AtomicBool>,
}

impl Connection {
    /// The peer is one of ours: it does not have to make room for others.
    pub fn trust(&self) {
        // Relaxed: seen late, it makes room once more, and the peer connects again.
        self.trusted.store(true, Ordering::Relaxed);
    }

    /// Whether [`Connection::trust`] was called.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }
}

/// Accepts connections for a service, until the runtime ends.
pub fn serve<S: Service>(listener: Listener, service: Arc<S>, budget: Arc<Budget>) {
    tokio::spawn(async move {
        let mut connections: Vec<(Connection, AbortHandle)> = Vec::new();
        loop {
            let Ok(stream) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            connections.retain(|(_, task)| !task.is_finished());
            if connections.len() >= CONNECTIONS {
                // Who has not shown that it is one of ours makes room, the longest one first.
                let Some(at) = connections.iter().position(|(connection, _)| !connection.is_trusted()) else {
                    tracing::debug!(
                        "{} socket: {CONNECTIONS} connections are open; a new one is refused",
                        service.kind().name
                    );
                    continue;
                };
                connections.remove(at).1.abort();
            }
            let connection = Connection { outbox: Arc::default(), trusted: Arc::default() };
            let task = tokio::spawn(attend(stream, connection.clone(), Arc::clone(&service), budget.share()));
            connections.push((connection, task.abort_handle()));
        }
    });
}

/// One connection, from its beginning to its end.
async fn attend<S: Service>(stream: Box<dyn Stream>, connection: Connection, service: Arc<S>, share: Share) {
    let (reader, writer) = tokio::io::split(stream);
    connection.outbox.push(Bytes::from(hello(service.kind().socket_type)));
    let ended = tokio::select! {
        ended = read(reader, &connection, &*service, share) => ended,
        error = connection.outbox.write_to(writer) => {
            tracing::debug!("{} socket: a connection broke: {error}", service.kind().name);
            Ok(())
        }
    };
    if let Err(why) = ended {
        tracing::debug!("{} socket: connection ended: {why}", service.kind().name);
    }
}

/// Reads what a peer sends, until it ends the connection or does something wrong.
async fn read<S: Service>(
    mut reader: impl AsyncRead + Unpin,
    connection: &Connection,
    service: &S,
    mut share: Share,
) -> Result<(), &'static str> {
    let kind = service.kind();
    let mut decoder = Decoder::new(kind.limits);
    let mut piece = vec![0; PIECE];
    let mut peer = None;
    let handshake = Instant::now() + HANDSHAKE_TIMEOUT;
    loop {
        let next = reader.read(&mut piece);
        let count = match &peer {
            None => timeout_at(handshake, next).await.map_err(|_| "no handshake in time")?,
            Some(_) if decoder.is_inside() => {
                timeout(STALL_TIMEOUT, next).await.map_err(|_| "an unfinished message stands still")?
            }
            Some(_) => next.await,
        };
        // A broken connection is as good as an ended one.
        let count = count.unwrap_or(0);
        let mut input = piece.get(..count).unwrap_or_default();
        if input.is_empty() {
            return Ok(());
        }
        while let Some(event) = decoder.next(&mut input)? {
            match (event, &mut peer) {
                (Event::Ready { socket_type, identity }, peer) => {
                    if !kind.peers.iter().any(|it| it.as_bytes() == socket_type) {
                        return Err("a kind of socket that does not fit");
                    }
                    *peer = Some(service.connect(connection, identity));
                }
                (Event::Ping(pong), _) => {
                    if connection.outbox.waiting() < MOST_PONGS {
                        connection.outbox.push(Bytes::from(pong));
                    }
                }
                (event, Some(peer)) => service.receive(peer, event).await?,
                // The decoder gives nothing before the handshake.
                (_, None) => {}
            }
        }
        if !share.hold(decoder.held()) {
            return Err("too much of unfinished messages, all connections together");
        }
    }
}
