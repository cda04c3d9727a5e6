//! The five sockets of a kernel.

use super::connection::{Connection, ConnectionError};
use super::message::{Incoming, Outgoing, Session};
use super::{heartbeat, iopub};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{
    RepSocket, RouterRecvHalf, RouterSendHalf, RouterSocket, Socket, SocketRecv, SocketSend, XPubSocket, ZmqError,
    ZmqMessage,
};

/// Why the kernel cannot start. One line that names the file or endpoint, what was found, and what is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The connection file is of no use.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// An endpoint cannot be listened on.
    #[error(
        "{socket} socket: cannot listen on {endpoint}; expected an address of this machine and a port that nobody uses"
    )]
    Bind {
        /// Which of the five.
        socket: &'static str,
        /// Where.
        endpoint: String,
        /// Why.
        source: ZmqError,
    },
    /// The operating system gives no threads.
    #[error("cannot start the kernel's threads")]
    Threads(#[from] std::io::Error),
}

/// The sockets, listening. Requests are received from `shell`, `control` and `stdin`; iopub and heartbeat run by themselves.
pub struct Sockets {
    /// Requests of the front end.
    pub shell: Receiver,
    /// Requests that must not wait behind others.
    pub control: Receiver,
    /// Answers to questions to the user.
    pub stdin: Receiver,
    /// Replies on shell.
    pub shell_sender: Sender,
    /// Replies on control.
    pub control_sender: Sender,
    /// Broadcasts; the identity is the topic.
    pub iopub: Sender,
}

impl Sockets {
    /// Listens on all endpoints of the connection. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If one of them is in use or not of this machine.
    pub async fn bind(connection: &Connection) -> Result<Self, StartError> {
        let session = Arc::new(Session::new(connection.key().clone()));
        let ports = connection.ports();
        let at = |port| connection.endpoint(port);
        let (shell, shell_sender) = router(bound("shell", at(ports.shell)).await?, "shell", &session);
        let (control, control_sender) = router(bound("control", at(ports.control)).await?, "control", &session);
        let (stdin, _) = router(bound("stdin", at(ports.stdin)).await?, "stdin", &session);
        let beat: RepSocket = bound("heartbeat", at(ports.heartbeat)).await?;
        let publisher: XPubSocket = bound("iopub", at(ports.iopub)).await?;
        let (iopub, queue) = Sender::new(&session);
        tokio::spawn(iopub::serve(publisher, Arc::clone(&session), queue));
        tokio::spawn(heartbeat::serve(beat));
        Ok(Self { shell, control, stdin, shell_sender, control_sender, iopub })
    }
}

async fn bound<S: Socket>(name: &'static str, endpoint: String) -> Result<S, StartError> {
    let mut socket = S::new();
    match socket.bind(&endpoint).await {
        Ok(_) => Ok(socket),
        Err(source) => Err(StartError::Bind { socket: name, endpoint, source }),
    }
}

fn router(socket: RouterSocket, name: &'static str, session: &Arc<Session>) -> (Receiver, Sender) {
    let (send_half, half) = socket.split();
    let (sender, queue) = Sender::new(session);
    tokio::spawn(forward(send_half, queue));
    (Receiver { half, name, session: Arc::clone(session) }, sender)
}

async fn forward(mut half: RouterSendHalf, mut queue: Queue) {
    while let Some(frames) = queue.next().await {
        if let Ok(message) = ZmqMessage::try_from(frames) {
            // A peer that is gone does not need its reply.
            let _ = half.send(message).await;
        }
    }
}

/// The receiving side of a socket.
pub struct Receiver {
    half: RouterRecvHalf,
    name: &'static str,
    session: Arc<Session>,
}

impl Receiver {
    /// The next message that is one and is rightly signed. All others are told on standard error and passed over.
    pub async fn next(&mut self) -> Incoming {
        loop {
            let frames = match self.half.recv().await {
                Ok(message) => message.into_vec(),
                Err(_) => continue,
            };
            match Incoming::decode(frames, self.session.key()) {
                Ok(message) => {
                    let header = &message.header;
                    tracing::trace!(socket = self.name, header.msg_type, id = header.msg_id.as_str(), "received");
                    return message;
                }
                Err(error) => tracing::warn!("{} socket: message ignored: {error}", self.name),
            }
        }
    }
}

/// The sending side of a socket; may be used from any thread. Messages leave in the order of the calls.
///
/// Its queue has no bound, so that neither the engine nor a cell ever waits for a slow front end; what could fill it
/// without end, the text of streams, is bounded by whoever publishes it.
#[derive(Clone)]
pub struct Sender {
    queue: UnboundedSender<Vec<Bytes>>,
    waiting: Arc<AtomicUsize>,
    session: Arc<Session>,
}

/// The messages of a [`Sender`] on their way to its socket.
pub struct Queue {
    receiver: UnboundedReceiver<Vec<Bytes>>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// The next message; none once all senders are gone.
    pub async fn next(&mut self) -> Option<Vec<Bytes>> {
        let frames = self.receiver.recv().await?;
        self.left(&frames);
        Some(frames)
    }

    fn left(&self, frames: &[Bytes]) {
        // Relaxed, as in `send`: the number guides a limit, it guards no data.
        self.waiting.fetch_sub(size(frames), Ordering::Relaxed);
    }
}

fn size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

impl Sender {
    fn new(session: &Arc<Session>) -> (Self, Queue) {
        let (queue, receiver) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        (Self { queue, waiting: Arc::clone(&waiting), session: Arc::clone(session) }, Queue { receiver, waiting })
    }

    /// How many bytes wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Sends a message to `identities`, with no metadata.
    pub fn send(&self, identities: &[Bytes], msg_type: &str, parent: &[u8], content: Value) {
        self.send_message(identities, Outgoing { msg_type, parent, metadata: Map::new(), content });
    }

    /// Sends a message to `identities`.
    pub fn send_message(&self, identities: &[Bytes], message: Outgoing<'_>) {
        let frames = self.session.encode(identities, message);
        // Counted before it can be taken out, so that the number never falls below zero.
        self.waiting.fetch_add(size(&frames), Ordering::Relaxed);
        // The receiver ends only with the process.
        let _ = self.queue.send(frames);
    }
}

#[cfg(test)]
impl Sender {
    /// A sender whose messages are read from a queue instead of a socket.
    pub fn for_test() -> (Self, Queue) {
        Self::new(&Arc::new(Session::new(super::signing::Key::new(b""))))
    }
}

#[cfg(test)]
impl Queue {
    /// The contents of all messages that wait, as JSON text.
    pub fn contents(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.receiver.try_recv().ok())
            .map(|frames| String::from_utf8_lossy(frames.last().map_or(b"", |it| it.as_ref())).into_owned())
            .collect()
    }
}
