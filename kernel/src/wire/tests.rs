//! The sockets, attacked byte by byte: what a peer without the key sends costs it its connection, and nobody else anything.

use super::connection::Connection;
use super::message::Outgoing;
use super::signing::Key;
use super::{Incoming, Sender, Sockets};
use bytes::Bytes;
use machine_zmtp::peer::{Decoder, Event, Limits, encode, hello};
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The sockets, by the number at the end of their files.
const SHELL: u16 = 1;
const CONTROL: u16 = 2;
const STDIN: u16 = 3;
const IOPUB: u16 = 4;
const HEARTBEAT: u16 = 5;

/// A listening kernel without cells.
struct Kernel {
    directory: tempfile::TempDir,
    requests: mpsc::Receiver<Incoming>,
    shell: Sender,
    iopub: Sender,
    _runtime: Runtime,
}

impl Kernel {
    fn listen() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("connection.json");
        let ip = directory.path().join("k");
        let connection = json!({
            "transport": "ipc", "ip": ip, "shell_port": SHELL, "control_port": CONTROL, "stdin_port": STDIN,
            "iopub_port": IOPUB, "hb_port": HEARTBEAT, "key": "key", "signature_scheme": "hmac-sha256",
        });
        std::fs::write(&file, connection.to_string()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sockets = runtime.block_on(Sockets::bind(&Connection::read(&file).unwrap())).unwrap();
        let (requests, receiver) = mpsc::channel();
        let Sockets { mut shell, shell_sender, iopub, control, stdin, files, .. } = sockets;
        runtime.spawn(async move {
            let _kept = (control, stdin, files);
            loop {
                requests.send(shell.next().await).unwrap();
            }
        });
        Self { directory, requests: receiver, shell: shell_sender, iopub, _runtime: runtime }
    }

    fn connect(&self, port: u16) -> Peer {
        Peer::connect(&self.directory.path().join(format!("k-{port}")))
    }

    /// A peer after its handshake.
    fn peer(&self, port: u16, socket_type: &str, identity: &str) -> Peer {
        let mut peer = self.connect(port);
        let mut bytes = hello(socket_type);
        bytes.extend_from_slice(b"\x08Identity");
        bytes.extend_from_slice(&u32::try_from(identity.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(identity.as_bytes());
        bytes[65] += 13 + u8::try_from(identity.len()).unwrap();
        peer.send(&bytes);
        assert!(matches!(peer.next(), Some(Event::Ready { .. })));
        peer
    }

    fn request(&self) -> Incoming {
        self.requests.recv_timeout(DEADLINE).unwrap()
    }

    /// The kernel's heart beats, and a request gets through.
    #[track_caller]
    fn lives(&self) {
        let mut beat = self.peer(HEARTBEAT, "REQ", "");
        beat.send(&encode(&[&b""[..], b"ping"]));
        assert_eq!(beat.message(), [&b""[..], b"ping"]);
        let mut front_end = self.peer(SHELL, "DEALER", "front end");
        let id = uuid::Uuid::new_v4().to_string();
        front_end.send(&request(&id));
        let asked = self.request();
        assert_eq!(asked.header.msg_id, json!(id));
        self.shell.send(&asked.identities, "reply", b"{}", json!({ "to": id }));
        assert!(String::from_utf8_lossy(front_end.message().last().unwrap()).contains(&id));
    }
}

/// A client that speaks in bytes.
struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    bytes: Vec<u8>,
    read: usize,
}

impl Peer {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let limits = Limits { bytes: 1 << 30, frames: 100 };
        Self { stream, decoder: Decoder::new(limits), bytes: Vec::new(), read: 0 }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends what the kernel may refuse to read to its end.
    fn attack(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        }
    }

    /// What comes next; none if the connection has ended.
    fn next(&mut self) -> Option<Event> {
        loop {
            let mut input = &self.bytes[self.read..];
            let event = self.decoder.next(&mut input).unwrap();
            self.read = self.bytes.len() - input.len();
            if event.is_some() {
                return event;
            }
            self.bytes.resize(64 << 10, 0);
            let count = match self.stream.read(&mut self.bytes) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                read => read.unwrap(),
            };
            self.bytes.truncate(count);
            self.read = 0;
            if count == 0 {
                return None;
            }
        }
    }

    #[track_caller]
    fn message(&mut self) -> Vec<Vec<u8>> {
        match self.next() {
            Some(Event::Message(frames)) => frames,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the kernel has ended the connection.
    fn is_ended(&mut self) -> bool {
        std::iter::from_fn(|| self.next()).for_each(drop);
        true
    }
}

/// A signed request, as it goes over the wire.
fn request(id: &str) -> Vec<u8> {
    let header = json!({ "msg_id": id, "msg_type": "request" }).to_string();
    let frames = [header.as_bytes(), b"{}", b"{}", b"{}"];
    let signature = Key::new(b"key").sign(frames);
    encode(&[&[&b""[..], b"<IDS|MSG>", signature.as_bytes()][..], &frames].concat())
}

fn content(frames: &[Vec<u8>]) -> Value {
    serde_json::from_slice(frames.last().unwrap()).unwrap()
}

#[test]
fn bytes_without_the_key_cost_their_connection_alone() {
    let kernel = Kernel::listen();
    let ready = |bytes: &[u8]| [&hello("DEALER"), bytes].concat();
    let subscriber = |bytes: &[u8]| [&hello("SUB"), bytes].concat();
    let long = |flags: u8, length: u64| [&[flags][..], &length.to_be_bytes()].concat();
    let huge = long(2, 1 << 62);
    let many = b"\x01\0".repeat(2_000_000);
    for port in [SHELL, CONTROL, STDIN, IOPUB, HEARTBEAT] {
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            [&hello("DEALER")[..64], &huge].concat(),
            [&hello("DEALER")[..64], &long(6, 1 << 62)].concat(),
            hello("PULL"),
            ready(&huge),
            subscriber(&huge),
            ready(&long(3, u64::MAX)),
            subscriber(&long(3, 1 << 40)),
            ready(&long(6, 1 << 20)),
            subscriber(&long(6, 1 << 20)),
            ready(&many),
            subscriber(&many),
        ] {
            let mut peer = kernel.connect(port);
            peer.attack(&bytes);
            assert!(peer.is_ended(), "port {port}: {:?}", &bytes[..bytes.len().min(100)]);
        }
    }
    kernel.lives();
}

#[test]
fn unfinished_messages_of_all_connections_are_bounded_together() {
    let kernel = Kernel::listen();
    // Each is within the bounds of a message; together they are not, so some have to go, and short ones get through.
    let half = [&[2][..], &(31_u64 << 20).to_be_bytes(), &vec![1; 30 << 20]].concat();
    let mut peers: Vec<Peer> = (0..6).map(|_| kernel.peer(SHELL, "DEALER", "")).collect();
    std::thread::scope(|scope| {
        for peer in &mut peers {
            scope.spawn(|| peer.attack(&half));
        }
    });
    kernel.lives();
    let ended = peers.into_iter().filter_map(|mut peer| {
        peer.stream.set_nonblocking(true).unwrap();
        match peer.stream.read(&mut [0; 1]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            other => Some(other),
        }
    });
    assert!((3..6).contains(&ended.count()), "96 MiB are for all of them");
}

#[test]
fn who_only_connects_makes_room_for_who_has_the_key() {
    let kernel = Kernel::listen();
    let mut front_end = kernel.peer(SHELL, "DEALER", "");
    front_end.send(&request("first"));
    let first = kernel.request();
    let idle: Vec<Peer> = (0..250).map(|_| kernel.connect(SHELL)).collect();
    kernel.lives();
    // The one that was there before is still there.
    front_end.send(&request("second"));
    assert_eq!(kernel.request().header.msg_id, json!("second"));
    kernel.shell.send(&first.identities, "reply", b"{}", json!({ "to": "first" }));
    assert_eq!(content(&front_end.message())["to"], "first");
    drop(idle);
}

#[test]
fn a_reply_goes_to_who_asked_and_not_to_who_takes_its_name() {
    let kernel = Kernel::listen();
    let reply = |to: &Incoming, text| kernel.shell.send(&to.identities, "reply", b"{}", json!({ "to": text }));
    let mut front_end = kernel.peer(SHELL, "DEALER", "name");
    front_end.send(&request("1"));
    let first = kernel.request();
    let mut thief = kernel.peer(SHELL, "DEALER", "name");
    reply(&first, "first");
    assert_eq!(content(&front_end.message())["to"], "first");
    // Gone and back under its name: it gets what it asked for before, once it has shown that it has the key.
    front_end.send(&request("2"));
    let second = kernel.request();
    drop(front_end);
    let mut back = kernel.peer(SHELL, "DEALER", "name");
    back.send(&request("3"));
    kernel.request();
    // The end of the first connection is its own event: until it is seen, the reply goes there.
    back.stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    let comes = |_| {
        reply(&second, "second");
        back.stream.read(&mut [0; 1]).is_ok()
    };
    assert!((0..1_000).any(comes), "the reply has not come");
    thief.stream.set_nonblocking(true).unwrap();
    assert_eq!(thief.stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_replayed_request_does_not_arrive_again() {
    let kernel = Kernel::listen();
    let mut front_end = kernel.peer(SHELL, "DEALER", "");
    front_end.send(&request("once"));
    kernel.request();
    let mut attacker = kernel.peer(SHELL, "DEALER", "");
    attacker.send(&request("once"));
    attacker.send(&request("another"));
    assert_eq!(kernel.request().header.msg_id, json!("another"));
}

fn subscriber(kernel: &Kernel) -> Peer {
    let mut peer = kernel.peer(IOPUB, "SUB", "");
    peer.send(b"\0\x01\x01");
    let welcome = peer.message();
    assert!(String::from_utf8_lossy(&welcome[3]).contains("iopub_welcome"), "{welcome:?}");
    peer
}

#[test]
fn a_client_that_does_not_read_loses_and_no_other_does() {
    let kernel = Kernel::listen();
    let (mut reads, mut stalls) = (subscriber(&kernel), subscriber(&kernel));
    let topic = [Bytes::from_static(b"kernel.stream")];
    let text = "x".repeat(1 << 20);
    let send = |number: u64| {
        let content = json!({ "name": "stdout", "text": text, "number": number });
        kernel
            .iopub
            .send_message(&topic, Outgoing { msg_type: "stream", parent: b"{}", metadata: Map::new(), content });
    };
    for number in 0..200 {
        send(number);
        assert_eq!(content(&reads.message())["number"], number);
        assert!(kernel.iopub.waiting() < 2 << 20, "who reads is not held up by who does not");
    }
    // Without output's place, what is not output still has one.
    kernel.iopub.send(&topic, "status", b"{}", json!({ "last": true }));
    let mut numbers = Vec::new();
    loop {
        let content = content(&stalls.message());
        if content["last"] == true {
            break;
        }
        numbers.push(content["number"].as_u64().unwrap());
    }
    let count = numbers.len() as u64;
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    assert!((60..80).contains(&count), "64 MiB wait for it, and what the system buffers: {count}");
    send(200);
    let notice = content(&stalls.message());
    let expected = format!("[{} messages of output", 200 - count);
    assert!(notice["text"].as_str().unwrap().contains(&expected), "{notice}");
    assert_eq!(content(&stalls.message())["number"], 200);
}

#[test]
fn subscriptions_and_their_greetings_are_bounded() {
    let kernel = Kernel::listen();
    let mut peer = kernel.peer(IOPUB, "SUB", "");
    // On and off without end, and never reading: nothing piles up, and nothing breaks.
    peer.attack(&b"\0\x02\x01a\0\x02\0a".repeat(100_000));
    peer.attack(&b"\0\x02\x01a".repeat(1_001));
    assert!(peer.is_ended());
    kernel.lives();
}

#[test]
fn a_sign_of_life_is_answered() {
    let kernel = Kernel::listen();
    let mut peer = kernel.peer(SHELL, "DEALER", "");
    peer.send(b"\x04\x09\x04PING\0\x0aab");
    let mut pong = [0; 9];
    peer.stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\x04\x07\x04PONGab");
}
