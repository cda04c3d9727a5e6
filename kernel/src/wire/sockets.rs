//! The five sockets of a kernel.

use super::budget::Budget;
use super::connection::{Connection, ConnectionError};
use super::heartbeat::Heartbeat;
use super::iopub::Iopub;
use super::listener::{Listener, SocketFile};
use super::message::{Incoming, Outgoing, Session};
use super::peers;
use super::router::Router;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How much memory the unfinished messages of all connections may take, bytes.
const UNFINISHED: usize = 96 << 20;

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
        source: std::io::Error,
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
    /// Removes the files of sockets when it is dropped.
    pub files: Vec<SocketFile>,
}

impl Sockets {
    /// Listens on all endpoints of the connection. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If one of them is in use or not of this machine.
    pub async fn bind(connection: &Connection) -> Result<Self, StartError> {
        let session = Arc::new(Session::new(connection.key().clone()));
        let ports = connection.ports();
        let mut files = Vec::new();
        let mut listen = async |socket, port| {
            let endpoint = connection.endpoint(port);
            match Listener::bind(&endpoint).await {
                Ok((listener, file)) => {
                    files.extend(file);
                    Ok(listener)
                }
                Err(source) => Err(StartError::Bind { socket, endpoint, source }),
            }
        };
        // All of them before the first one serves: a client that reaches one reaches all.
        let on_shell = listen("shell", ports.shell).await?;
        let on_control = listen("control", ports.control).await?;
        let on_stdin = listen("stdin", ports.stdin).await?;
        let on_heartbeat = listen("heartbeat", ports.heartbeat).await?;
        let on_iopub = listen("iopub", ports.iopub).await?;
        let budget = Budget::new(UNFINISHED);
        let router = |name, listener| {
            let (router, requests) = Router::new(name, &session);
            peers::serve(listener, Arc::clone(&router), Arc::clone(&budget));
            (Receiver(requests), Sender { target: Target::Router(router), session: Arc::clone(&session) })
        };
        let (shell, shell_sender) = router("shell", on_shell);
        let (control, control_sender) = router("control", on_control);
        let (stdin, _) = router("stdin", on_stdin);
        peers::serve(on_heartbeat, Arc::new(Heartbeat), Arc::clone(&budget));
        let broadcast = Iopub::new(&session);
        peers::serve(on_iopub, Arc::clone(&broadcast), Arc::clone(&budget));
        let iopub = Sender { target: Target::Iopub(broadcast), session };
        Ok(Self { shell, control, stdin, shell_sender, control_sender, iopub, files })
    }
}

/// The receiving side of a socket.
pub struct Receiver(mpsc::Receiver<Incoming>);

impl Receiver {
    /// The next message that is one and is rightly signed. All others are logged and passed over.
    pub async fn next(&mut self) -> Incoming {
        match self.0.recv().await {
            Some(message) => message,
            // The socket is gone, which happens when the process ends.
            None => std::future::pending().await,
        }
    }
}

/// The sending side of a socket; may be used from any thread. Messages leave in the order of the calls.
///
/// It never waits, so neither the engine nor a cell does for a slow front end. What waits for each client is bounded.
#[derive(Clone)]
pub struct Sender {
    target: Target,
    session: Arc<Session>,
}

#[derive(Clone)]
enum Target {
    Router(Arc<Router>),
    Iopub(Arc<Iopub>),
    #[cfg(test)]
    Test(std::sync::mpsc::Sender<Vec<Bytes>>),
}

impl Sender {
    /// How many bytes wait for the client that reads fastest; 0 on a socket of replies.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.target {
            Target::Iopub(iopub) => iopub.waiting(),
            Target::Router(_) => 0,
            #[cfg(test)]
            Target::Test(_) => 0,
        }
    }

    /// Sends a message to `identities`, with no metadata.
    pub fn send(&self, identities: &[Bytes], msg_type: &str, parent: &[u8], content: Value) {
        self.send_message(identities, Outgoing { msg_type, parent, metadata: Map::new(), content });
    }

    /// Sends a message to `identities`.
    pub fn send_message(&self, identities: &[Bytes], message: Outgoing<'_>) {
        match &self.target {
            Target::Router(router) => router.send(&self.session.encode(identities, message)),
            Target::Iopub(iopub) => {
                if let Some(topic) = identities.first() {
                    iopub.send(topic, message);
                }
            }
            #[cfg(test)]
            Target::Test(queue) => {
                let _ = queue.send(self.session.encode(identities, message));
            }
        }
    }
}

/// The messages of a [`Sender`] that has no socket.
#[cfg(test)]
pub struct Queue(std::sync::mpsc::Receiver<Vec<Bytes>>);

#[cfg(test)]
impl Sender {
    /// A sender whose messages are read from a queue instead of a socket.
    pub fn for_test() -> (Self, Queue) {
        let (queue, receiver) = std::sync::mpsc::channel();
        let session = Arc::new(Session::new(super::signing::Key::new(b"")));
        (Self { target: Target::Test(queue), session }, Queue(receiver))
    }
}

/// A message that a [`Sender`] has sent.
#[cfg(test)]
#[derive(Debug)]
pub struct Sent {
    /// Its type.
    pub msg_type: String,
    /// The header of the request that it belongs to.
    pub parent: Value,
    /// Its content.
    pub content: Value,
}

#[cfg(test)]
impl Queue {
    /// The next message.
    #[track_caller]
    pub fn next(&self) -> Sent {
        let frames = machine_testkit::Received::received(&self.0);
        let json: Vec<Value> = frames.iter().rev().take(4).map(|it| serde_json::from_slice(it).unwrap()).collect();
        let [content, _metadata, parent, header] = json.try_into().unwrap();
        Sent { msg_type: header["msg_type"].as_str().unwrap().to_owned(), parent, content }
    }

    /// The contents of all messages that wait, as JSON text.
    pub fn contents(&mut self) -> Vec<String> {
        let content = |frames: Vec<Bytes>| frames.last().map(|it| String::from_utf8_lossy(it).into_owned());
        self.0.try_iter().filter_map(content).collect()
    }
}
