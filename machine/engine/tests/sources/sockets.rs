//! `ZeroMQ` and WebSockets, with real peers.

use crate::{Kept, fresh, is_gone};
use futures_util::{SinkExt, StreamExt};
use machine::ErrorKind;
use machine::prelude::*;
use machine::status::SourceState;
use machine_testkit::{Drained, eventually};
use std::io::{Read, Write};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn frames(frames: &[&str]) -> ZmqMessage {
    let frames = frames.iter().map(|frame| Bytes::from(frame.as_bytes().to_vec()));
    ZmqMessage::try_from(frames.collect::<Vec<_>>()).unwrap()
}

/// Publishes a first message until one arrives: a subscription takes its time.
fn publish_until_heard(runtime: &Runtime, publisher: &mut PubSocket, kept: &Kept) {
    let before = kept.source().taken;
    eventually!({
        runtime.block_on(publisher.send(frames(&["hello", "\"hello\""]))).unwrap();
        kept.source().taken > before
    });
}

fn without_hello(kept: &Kept) -> Vec<Value> {
    kept.items().into_iter().filter(|item| *item != "hello").collect()
}

#[test]
fn a_publisher_is_heard_and_heard_again_after_it_was_gone() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut publisher = PubSocket::new();
    let endpoint = runtime.block_on(publisher.bind("tcp://127.0.0.1:0")).unwrap().to_string();
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub(&endpoint)).unwrap();
    publish_until_heard(&runtime, &mut publisher, &kept);
    for message in [&["69200000aaaaaaaa00000001", "[1,2]"][..], &["no"], &["{\"a\":1}"]] {
        runtime.block_on(publisher.send(frames(message))).unwrap();
    }
    eventually!(without_hello(&kept).len() == 2 && kept.source().errors == 1);
    assert_eq!(without_hello(&kept), [json!([1, 2]), json!({ "a": 1 })]);
    assert!(kept.errors()[0].0.contains(": not JSON: "), "{:?}", kept.errors());
    drop(publisher);
    eventually!(kept.source().state == SourceState::Connecting);
    let mut publisher = PubSocket::new();
    eventually!(runtime.block_on(publisher.bind(&endpoint)).is_ok());
    publish_until_heard(&runtime, &mut publisher, &kept);
    let status = kept.source();
    assert_eq!((status.state.as_str(), status.reconnects, status.address), ("running", 1, endpoint));
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn topics_texts_and_single_slots() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut publisher = PubSocket::new();
    let endpoint = runtime.block_on(publisher.bind("tcp://127.0.0.1:0")).unwrap().to_string();
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub(&endpoint).topic("he").text()).unwrap();
    eventually!({
        runtime.block_on(publisher.send(frames(&["other", "not for us"]))).unwrap();
        runtime.block_on(publisher.send(frames(&["hello", "a \"text\""]))).unwrap();
        kept.source().taken > 0
    });
    kept.machine.clear_source();
    kept.machine.drained();
    assert!(kept.items().iter().all(|item| *item == "a \"text\""), "{:?}", kept.items());
    let before = kept.items().len();
    kept.machine.source(source::zmq_sub(&endpoint).slot(1)).unwrap();
    eventually!({
        runtime.block_on(publisher.send(frames(&["oid", "[1,2,3]"]))).unwrap();
        runtime.block_on(publisher.send(frames(&["oid", "[1,2,{\"_exception\":{}}]"]))).unwrap();
        kept.source().taken > 0 && kept.source().errors > 0
    });
    kept.machine.clear_source();
    kept.machine.drained();
    assert!(kept.items().iter().skip(before).all(|item| *item == 3));
}

#[test]
fn a_publisher_that_is_not_there_is_waited_for_and_given_up_at_once() {
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub("ipc:///tmp/no-such-directory/socket")).unwrap();
    eventually!(kept.source().state == SourceState::Connecting);
    kept.machine.clear_source();
    is_gone(&kept);
    kept.machine.source(source::zmq_sub("tcp://127.0.0.1:1")).unwrap();
    eventually!(kept.source().state == SourceState::Connecting);
    kept.machine.clear_source();
    is_gone(&kept);
    assert_eq!(kept.machine.source(source::zmq_sub("nonsense")).unwrap_err().kind(), ErrorKind::BadEndpoint);
}

/// A publisher made of a plain socket, byte by byte.
struct Publisher(std::net::TcpStream);

impl Publisher {
    /// The next subscriber, which wants everything.
    fn accept(listener: &std::net::TcpListener) -> Self {
        let mut publisher = Self::greet(listener);
        let mut subscription = [0; 3];
        publisher.0.read_exact(&mut subscription).unwrap();
        assert_eq!(&subscription, b"\x00\x01\x01");
        publisher
    }

    /// The next subscriber, before it has said what it wants.
    fn greet(listener: &std::net::TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 64 + 27];
        stream.read_exact(&mut said).unwrap();
        assert_eq!((said[0], said[9], &said[66..72], &said[88..]), (0xff, 0x7f, &b"\x05READY"[..], &b"SUB"[..]));
        stream.write_all(&said[..64]).unwrap();
        stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB").unwrap();
        Self(stream)
    }

    fn publish(&mut self, text: &str) {
        self.0.write_all(b"\x01\x05topic\x00").unwrap();
        self.0.write_all(&[u8::try_from(text.len()).unwrap()]).unwrap();
        self.0.write_all(text.as_bytes()).unwrap();
    }
}

fn listener() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[test]
fn pings_of_a_publisher_are_answered_and_nothing_between_them_is_lost() {
    let (listener, endpoint) = listener();
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub(&endpoint)).unwrap();
    let mut publisher = Publisher::accept(&listener);
    for number in 0..10 {
        publisher.publish(&number.to_string());
        publisher.0.write_all(b"\x04\x09\x04PING\0\x0aab").unwrap();
        let mut pong = [0; 9];
        publisher.0.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x04\x07\x04PONGab");
    }
    assert_eq!(kept.wait_for(10), (0..10).map(Value::from).collect::<Vec<_>>());
    assert_eq!((kept.source().state.as_str(), kept.source().reconnects), ("running", 0));
    kept.machine.clear_source();
    is_gone(&kept);
    assert_eq!(publisher.0.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn a_publisher_that_goes_before_it_has_heard_what_is_wanted_is_connected_to_again() {
    let (listener, endpoint) = listener();
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub(&endpoint)).unwrap();
    drop(Publisher::greet(&listener));
    let mut publisher = Publisher::accept(&listener);
    publisher.publish("1");
    assert_eq!(kept.wait_for(1), [1]);
    assert!(kept.source().note.contains("connect"), "{:?}", kept.source());
    // What is no publisher is told, and tried again.
    drop(publisher);
    let (mut other, _) = listener.accept().unwrap();
    other.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    eventually!(kept.source().note == "not connected: no greeting of ZeroMQ");
    Publisher::accept(&listener).publish("2");
    assert_eq!(kept.wait_for(2), [1, 2]);
}

#[test]
fn a_published_message_that_is_too_long_is_counted_and_the_next_one_comes() {
    let (listener, endpoint) = listener();
    let kept = Kept::new();
    kept.machine.source(source::zmq_sub(&endpoint).max_bytes(100)).unwrap();
    let mut publisher = Publisher::accept(&listener);
    publisher.publish("1");
    publisher.publish(&"2".repeat(101));
    publisher.publish("3");
    assert_eq!(kept.wait_for(2), [1, 3]);
    assert_eq!((kept.source().taken, kept.source().errors, kept.source().reconnects), (2, 1, 0));
    assert_eq!(kept.errors()[0].0, "message 2: 101 bytes long: it may be 100 (max_bytes)");
    for out_of_range in [0, (1 << 30) + 1] {
        let refused = Kept::new().machine.source(source::zmq_sub(&endpoint).max_bytes(out_of_range));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::OutOfRange);
    }
}

#[test]
fn outputs_of_one_machine_are_messages_of_another() {
    let (publishing, _) = fresh(64);
    publishing[0].set(|x: u64| x + 1).unwrap();
    for (endpoint, turn) in [("", 0), ("tcp://127.0.0.1:*", 1)] {
        let kept = Kept::new();
        let sink = publishing.publish(endpoint).unwrap();
        kept.machine.source(source::zmq_sub(&sink.status().unwrap().endpoint).slot(0)).unwrap();
        eventually!(sink.status().unwrap().subscribers == 1);
        (0..100_u64).for_each(|number| publishing.put_wait(number).unwrap());
        assert_eq!(kept.wait_for(100), (1..=100).map(Value::from).collect::<Vec<_>>(), "{turn}");
        sink.stop();
        eventually!(kept.source().state == SourceState::Connecting);
    }
}

#[test]
fn what_a_slot_failed_on_is_an_error_of_whoever_hears_its_topic() {
    let (publishing, _) = fresh(64);
    publishing[0].set(|x: u64| if x == 1 { Err("one") } else { Ok(x) }).unwrap();
    let kept = Kept::new();
    let sink = publishing.publish("").unwrap();
    kept.machine.source(source::zmq_sub(&sink.status().unwrap().endpoint).topic("f0.")).unwrap();
    eventually!(sink.status().unwrap().subscribers == 1);
    (0..3_u64).for_each(|number| publishing.put_wait(number).unwrap());
    assert_eq!(kept.wait_for(2), [Value::from(0), Value::from(2)]);
    let [(error, _)] = kept.errors().try_into().unwrap();
    assert!(error.starts_with("message 2: f0 failed: {") && error.contains("\"one\""), "{error}");
}

/// A server for one client after the other.
struct Server {
    runtime: Runtime,
    listener: TcpListener,
}

impl Server {
    fn new() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        Self { runtime, listener }
    }

    fn url(&self) -> String {
        format!("ws://{}/feed", self.listener.local_addr().unwrap())
    }

    fn accept(&self) -> WebSocketStream<TcpStream> {
        self.runtime.block_on(async { accept_async(self.listener.accept().await.unwrap().0).await.unwrap() })
    }

    fn send(&self, client: &mut WebSocketStream<TcpStream>, text: &str) {
        self.runtime.block_on(client.send(Message::text(text))).unwrap();
    }

    fn hear(&self, client: &mut WebSocketStream<TcpStream>) -> Message {
        self.runtime.block_on(client.next()).unwrap().unwrap()
    }
}

#[test]
fn a_server_that_drops_the_connection_is_connected_to_again() {
    let server = Server::new();
    let kept = Kept::new();
    kept.machine.source(source::websocket(&server.url()).send("{\"subscribe\":\"all\"}")).unwrap();
    let mut client = server.accept();
    assert_eq!(server.hear(&mut client), Message::text("{\"subscribe\":\"all\"}"));
    server.send(&mut client, "{\n\"a\": 1}");
    server.send(&mut client, "no");
    server.runtime.block_on(client.send(Message::Binary(b"[2]".to_vec().into()))).unwrap();
    server.runtime.block_on(client.send(Message::Ping(b"there?".to_vec().into()))).unwrap();
    assert_eq!(server.hear(&mut client), Message::Pong(b"there?".to_vec().into()));
    assert_eq!(kept.wait_for(2), [json!({ "a": 1 }), json!([2])]);
    assert_eq!(kept.errors()[0].1, "\"no\"");
    drop(client); // without a word

    let mut client = server.accept();
    assert_eq!(server.hear(&mut client), Message::text("{\"subscribe\":\"all\"}"));
    server.send(&mut client, "3");
    kept.wait_for(3);
    server.runtime.block_on(client.close(None)).unwrap(); // politely

    let mut client = server.accept();
    server.send(&mut client, "4");
    kept.wait_for(4);
    let status = kept.source();
    assert_eq!((status.state.as_str(), status.reconnects, status.errors), ("running", 2, 1));
    assert!(status.note.starts_with("closed by the server"), "{}", status.note);
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn attempts_are_limited_if_one_says_so() {
    let server = Server::new();
    let url = server.url();
    drop(server);
    let kept = Kept::new();
    kept.machine.source(source::websocket(&url).attempts(2)).unwrap();
    eventually!(kept.source().state == SourceState::Failed);
    assert!(kept.source().error.starts_with(&format!("2 attempts to connect to {url}: ")), "{:?}", kept.source());
    kept.machine.clear_source();
    kept.machine.source(source::websocket(&url)).unwrap();
    eventually!(!kept.source().note.is_empty());
    kept.machine.clear_source();
    is_gone(&kept);
}

#[test]
fn a_message_that_is_too_large_ends_the_connection_alone() {
    let server = Server::new();
    let kept = Kept::new();
    kept.machine.source(source::websocket(&server.url()).max_bytes(1_000)).unwrap();
    let mut client = server.accept();
    server.send(&mut client, "1");
    server.send(&mut client, &"2".repeat(1_001));
    let mut client = server.accept();
    server.send(&mut client, "3");
    assert_eq!(kept.wait_for(2), [1, 3]);
    assert_eq!((kept.source().taken, kept.source().errors), (2, 1));
    assert!(kept.errors()[0].0.contains("message 2: ") && kept.errors()[0].0.contains("1001"), "{:?}", kept.errors());
}

#[test]
fn a_text_that_is_not_utf_8_is_counted_and_ends_the_connection_alone() {
    let server = Server::new();
    let kept = Kept::new();
    kept.machine.source(source::websocket(&server.url())).unwrap();
    let mut client = server.accept();
    server.send(&mut client, "1");
    let no_text = Frame::message(&b"\"\xff\""[..], OpCode::Data(Data::Text), true);
    server.runtime.block_on(client.send(Message::Frame(no_text))).unwrap();
    let mut client = server.accept();
    server.send(&mut client, "3");
    assert_eq!(kept.wait_for(2), [1, 3]);
    assert_eq!((kept.source().taken, kept.source().errors), (2, 1));
    assert_eq!(kept.errors()[0].0, "message 2: not UTF-8");
}

#[test]
fn answers_to_pings_that_nobody_reads_do_not_pile_up() {
    const PINGS: usize = 200_000;
    let server = Server::new();
    let kept = Kept::new();
    kept.machine.source(source::websocket(&server.url())).unwrap();
    let mut client = server.accept();
    server.runtime.block_on(async {
        for _ in 0..PINGS {
            client.feed(Message::Ping(vec![7; 125].into())).await.unwrap();
        }
    });
    server.send(&mut client, "1");
    kept.wait_for(1);
    let last = Message::Ping(b"last".to_vec().into());
    let mut pongs = 0;
    server.runtime.block_on(async {
        // An answer for which there was no room may wait until something comes.
        let mut ask_again = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                _ = ask_again.tick() => client.send(last.clone()).await.unwrap(),
                heard = client.next() => match heard.unwrap().unwrap() {
                    Message::Pong(said) if said.len() == 4 => return,
                    _ => pongs += 1,
                }
            }
        }
    });
    assert!(pongs < PINGS, "all have waited for a server that did not read them");
    server.send(&mut client, "2");
    assert_eq!(kept.wait_for(2), [1, 2]);
}

#[test]
fn a_full_queue_holds_a_socket_up_and_loses_nothing() {
    let server = Server::new();
    let kept = Kept::with_queue(4);
    kept.machine.pause();
    kept.machine.source(source::websocket(&server.url())).unwrap();
    let mut client = server.accept();
    for number in 0..1_000 {
        server.send(&mut client, &number.to_string());
    }
    kept.machine.start();
    assert_eq!(kept.wait_for(1_000), (0..1_000).map(Value::from).collect::<Vec<_>>());
    // Cleared while it waits, for the machine and for the socket.
    kept.machine.pause();
    server.send(&mut client, "1");
    kept.machine.clear_source();
    is_gone(&kept);
    // The server is told.
    server.runtime.block_on(async { while let Some(Ok(_)) = client.next().await {} });
}
