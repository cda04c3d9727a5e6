//! The broadcast socket: an XPUB, with a bounded queue for each client.
//!
//! Nobody waits for a client that does not read: it loses what does not fit into its queue, and no other client does.
//! What a client lost is counted, logged, and said to it where its output goes on.

use super::message::{Outgoing, Session};
use super::outbox::Outbox;
use super::peers::{Connection, Kind, Service};
use bytes::Bytes;
use machine_zmtp::peer::{Event, Limits, encode};
use serde_json::{Map, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Subscriptions are short.
const LIMITS: Limits = Limits { bytes: 64 << 10, frames: 64 };
/// What may wait for one client, bytes, and more by one message: of output, and of everything.
const MOST_OUTPUT: usize = 64 << 20;
const MOST: usize = 80 << 20;
/// How much output may wait for all clients together, bytes; beyond it, each client may have this much at least.
const MOST_OF_ALL: usize = 160 << 20;
const LEAST: usize = 4 << 20;
/// What may wait for a client when it is greeted once more, bytes: it can subscribe and cancel without end.
const MOST_BEFORE_GREETING: usize = 64 << 10;
/// The most subscriptions of one client.
const MOST_SUBSCRIPTIONS: usize = 1_000;
/// The longest topic that a message can have; longer subscriptions fit none.
const LONGEST_TOPIC: usize = 255;
/// First bytes of a message that is a subscription.
const CANCEL: u8 = 0;
const SUBSCRIBE: u8 = 1;
/// Kinds of messages that are lost first: without them a front end still knows what runs.
const OUTPUT: [&str; 3] = ["stream", "display_data", "update_display_data"];

/// The clients of iopub.
pub struct Iopub {
    session: Arc<Session>,
    clients: Arc<Mutex<Vec<Client>>>,
}

/// One client. It becomes one with its first subscription.
struct Client {
    number: u64,
    outbox: Arc<Outbox>,
    subscriptions: Vec<Vec<u8>>,
    lost: Loss,
}

/// What a client lost and was not informed of yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Loss {
    messages: u64,
    bytes: usize,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One connection; its client goes with it.
pub struct Peer {
    number: u64,
    clients: Arc<Mutex<Vec<Client>>>,
}

impl Iopub {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(session: &Arc<Session>) -> Arc<Self> {
        Arc::new(Self { session: Arc::clone(session), clients: Arc::default() })
    }

    /// Sends a message to all who want it. Never waits.
    pub fn send(&self, topic: &Bytes, message: Outgoing<'_>) {
        let is_output = OUTPUT.contains(&message.msg_type);
        let parent = Bytes::copy_from_slice(message.parent);
        let bytes = Bytes::from(encode(&self.session.encode(std::slice::from_ref(topic), message)));
        let mut clients = lock(&self.clients);
        let mut sum: usize = clients.iter().map(|client| client.outbox.waiting()).sum();
        for client in clients.iter_mut().filter(|client| client.wants(topic)) {
            if client.is_full(is_output, sum) {
                client.lose(bytes.len());
                continue;
            }
            if let Some(loss) = client.found() {
                client.outbox.push(self.notice(topic, &parent, loss));
            }
            client.outbox.push(bytes.clone());
            sum += bytes.len();
        }
    }

    /// The memory that waits for the client that reads fastest, bytes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.clients).iter().map(|client| client.outbox.waiting()).min().unwrap_or(0)
    }

    /// Says in the output that some of it is missing.
    fn notice(&self, topic: &Bytes, parent: &[u8], loss: Loss) -> Bytes {
        let Loss { messages, bytes } = loss;
        let text = format!(
            "\n[{messages} messages of output ({bytes} bytes) were dropped: this front end reads too slowly]\n"
        );
        let content = json!({ "name": "stderr", "text": text });
        let message = Outgoing { msg_type: "stream", parent, metadata: Map::new(), content };
        Bytes::from(encode(&self.session.encode(std::slice::from_ref(topic), message)))
    }

    /// Takes a subscription, and greets its client: the first message that it sees.
    fn subscribe(&self, number: u64, topic: Vec<u8>) -> Result<(), &'static str> {
        let mut clients = lock(&self.clients);
        let Some(client) = clients.iter_mut().find(|client| client.number == number) else { return Ok(()) };
        if client.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err("too many subscriptions");
        }
        if topic.len() > LONGEST_TOPIC {
            return Ok(());
        }
        let content = json!({ "subscription": String::from_utf8_lossy(&topic) });
        let welcome = Outgoing { msg_type: "iopub_welcome", parent: b"{}", metadata: Map::new(), content };
        let frames = self.session.encode(&[Bytes::copy_from_slice(&topic)], welcome);
        client.subscriptions.push(topic);
        if client.outbox.waiting() < MOST_BEFORE_GREETING {
            client.outbox.push(Bytes::from(encode(&frames)));
        }
        Ok(())
    }

    fn cancel(&self, number: u64, topic: &[u8]) {
        let mut clients = lock(&self.clients);
        let Some(client) = clients.iter_mut().find(|client| client.number == number) else { return };
        if let Some(at) = client.subscriptions.iter().position(|it| it == topic) {
            client.subscriptions.swap_remove(at);
        }
    }
}

impl Client {
    fn wants(&self, topic: &[u8]) -> bool {
        self.subscriptions.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Whether a message has no room, while so many bytes wait for all clients.
    fn is_full(&self, is_output: bool, sum: usize) -> bool {
        let waiting = self.outbox.waiting();
        let bound = match is_output {
            false => MOST,
            true if sum >= MOST_OF_ALL => LEAST,
            true => MOST_OUTPUT,
        };
        waiting >= bound
    }

    fn lose(&mut self, bytes: usize) {
        if self.lost.messages == 0 {
            tracing::warn!("iopub socket: a client does not read; messages for it are dropped");
        }
        self.lost.messages += 1;
        self.lost.bytes += bytes;
    }

    /// What was lost, once there is room again: half of it, so that not each message comes with a notice.
    fn found(&mut self) -> Option<Loss> {
        if self.lost == Loss::default() || self.outbox.waiting() > MOST_OUTPUT / 2 {
            return None;
        }
        let Loss { messages, bytes } = self.lost;
        tracing::warn!("iopub socket: a client reads again; {messages} messages ({bytes} bytes) for it were dropped");
        Some(std::mem::take(&mut self.lost))
    }
}

impl Service for Iopub {
    type Peer = Peer;

    fn kind(&self) -> Kind {
        Kind { name: "iopub", socket_type: "XPUB", peers: &["SUB", "XSUB"], limits: LIMITS }
    }

    fn connect(&self, connection: &Connection, _: Vec<u8>) -> Peer {
        connection.trust();
        // Relaxed: the number need only be unique.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let outbox = Arc::clone(&connection.outbox);
        lock(&self.clients).push(Client { number, outbox, subscriptions: Vec::new(), lost: Loss::default() });
        Peer { number, clients: Arc::clone(&self.clients) }
    }

    async fn receive(&self, peer: &mut Peer, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Subscribe(topic) => self.subscribe(peer.number, topic)?,
            Event::Cancel(topic) => self.cancel(peer.number, &topic),
            // In version 3.0 subscriptions are messages: a byte that says what to do, and the topic.
            Event::Message(frames) => match frames.as_slice() {
                [frame] if frame.first() == Some(&SUBSCRIBE) => {
                    self.subscribe(peer.number, frame.get(1..).unwrap_or_default().to_vec())?;
                }
                [frame] if frame.first() == Some(&CANCEL) => {
                    self.cancel(peer.number, frame.get(1..).unwrap_or_default());
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut clients = lock(&self.clients);
        let Some(at) = clients.iter().position(|client| client.number == self.number) else { return };
        let Loss { messages, bytes } = clients.swap_remove(at).lost;
        if messages > 0 {
            tracing::warn!("iopub socket: a client is gone; {messages} messages ({bytes} bytes) for it were dropped");
        }
    }
}

fn lock(clients: &Mutex<Vec<Client>>) -> MutexGuard<'_, Vec<Client>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
