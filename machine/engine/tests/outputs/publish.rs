//! Outputs that are published: what subscribers get, and what is counted as lost.

use crate::{fresh, named};
use machine::prelude::*;
use machine_testkit::{DEADLINE, DRAIN_DEADLINE, Drained, Joined, Received, eventually};
use std::sync::mpsc;
use std::thread;

/// A subscriber made of a plain socket: what goes over the wire, byte by byte.
struct Subscriber(Box<dyn Stream>);

trait Stream: std::io::Read + std::io::Write + Send {}

impl<S: std::io::Read + std::io::Write + Send> Stream for S {}

impl Subscriber {
    fn connect(endpoint: &str) -> Self {
        use std::io::{Read, Write};
        let mut stream: Box<dyn Stream> = match endpoint.strip_prefix("ipc://") {
            Some(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(DRAIN_DEADLINE)).unwrap();
                Box::new(stream)
            }
            None => {
                let stream = std::net::TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
                stream.set_read_timeout(Some(DRAIN_DEADLINE)).unwrap();
                Box::new(stream)
            }
        };
        let mut greeting = [0; 64];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!((greeting[0], greeting[9], greeting[10]), (0xff, 0x7f, 3));
        stream.write_all(&greeting).unwrap();
        stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB").unwrap();
        let mut subscriber = Self(stream);
        let (flags, ready) = subscriber.frame();
        assert_eq!((flags, ready.starts_with(b"\x05READY")), (4, true));
        subscriber
    }

    fn subscribe(mut self, prefix: &str) -> Self {
        let mut frame = vec![0, u8::try_from(prefix.len() + 1).unwrap(), 1];
        frame.extend_from_slice(prefix.as_bytes());
        self.0.write_all(&frame).unwrap();
        self
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        self.try_frame().unwrap()
    }

    /// `None` if the stream ends.
    fn try_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut flags = [0; 1];
        self.0.read_exact(&mut flags).ok()?;
        let mut length = [0; 8];
        let (_unused, bytes) = length.split_at_mut(if flags[0] & 2 == 0 { 7 } else { 0 });
        self.0.read_exact(bytes).ok()?;
        let mut body = vec![0; usize::try_from(u64::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut body).ok()?;
        Some((flags[0], body))
    }

    fn message(&mut self) -> (String, Value) {
        self.try_message().unwrap()
    }

    fn try_message(&mut self) -> Option<(String, Value)> {
        let (more, topic) = self.try_frame()?;
        let (last, body) = self.try_frame()?;
        assert_eq!((more & 1, last & 1), (1, 0));
        Some((String::from_utf8(topic).unwrap(), serde_json::from_slice(&body).unwrap()))
    }
}

fn wait_for_subscribers(sink: &SinkHandle, count: u64) {
    eventually!(sink.status().unwrap().subscribers == count);
}

#[test]
fn subscribers_get_what_they_ask_for() {
    let m = fresh();
    m[1].set(|x: u64| "x".repeat(usize::try_from(x).unwrap())).unwrap();
    for endpoint in ["", "tcp://127.0.0.1:*"] {
        let sink = m.publish(endpoint).unwrap();
        let at = m.status().outputs[0].endpoint.clone();
        assert_eq!(at, sink.endpoint());
        if let Some(path) = at.strip_prefix("ipc://") {
            use std::os::unix::fs::MetadataExt;
            let directory = std::path::Path::new(path).parent().unwrap();
            assert_eq!(std::fs::metadata(directory).unwrap().mode() & 0o777, 0o700);
        }
        let mut everything = Subscriber::connect(&at).subscribe("");
        let mut one_slot = Subscriber::connect(&at).subscribe("f1.");
        let mut nothing_yet = Subscriber::connect(&at).subscribe("0000");
        wait_for_subscribers(&sink, 3);
        for x in [3_u64, 300] {
            m.put(x).unwrap();
        }
        m.drained();
        let (oid, outputs) = everything.message();
        assert_eq!((oid.len(), &outputs[1], &outputs[2]), (24, &json!(3), &json!("xxx")));
        let long = everything.message().1;
        assert_eq!(long[2].as_str().unwrap().len(), 300);
        assert_eq!(one_slot.message(), (format!("f1.{oid}"), json!("xxx")));
        assert_eq!(one_slot.message().1, long[2]);
        let status = sink.status().unwrap();
        assert_eq!((status.sent, status.waiting, status.lost), (4, 0, 0));
        // A subscription can be added and taken back.
        nothing_yet = nothing_yet.subscribe("f0.");
        nothing_yet.0.write_all(b"\x00\x05\x000000").unwrap();
        nothing_yet.0.write_all(b"\x04\x09\x04PING\0\x0aab").unwrap();
        assert_eq!(nothing_yet.frame(), (4, b"\x04PONGab".to_vec()));
        m.put(5_u64).unwrap();
        assert_eq!(nothing_yet.message().1, json!(5));
        drop((everything, one_slot, nothing_yet));
        wait_for_subscribers(&sink, 0);
        sink.stop();
        assert!(m.status().outputs.is_empty());
        if let Some(path) = at.strip_prefix("ipc://") {
            assert!(!std::path::Path::new(path).exists());
        }
    }
    assert!(m.publish("tcp://0.0.0.0:5555").unwrap_err().message().contains("this machine alone"));
    assert!(m.publish("udp://x").is_err());
}

/// Delivered and counted make what was sent; one that dies in the middle of a message holds nobody up.
#[test]
fn every_published_message_is_delivered_or_counted() {
    const MESSAGES: u64 = 20_000;
    for no_loss in [false, true] {
        let m = fresh();
        let sink = m.publish("").unwrap().high_water_mark(500).unwrap();
        let sink = if no_loss { sink.no_loss().unwrap() } else { sink };
        let mut slow = Subscriber::connect(sink.endpoint()).subscribe("");
        let (go, gone) = mpsc::channel::<()>();
        let reader = thread::spawn(move || {
            let _ = gone.recv_timeout(DEADLINE);
            std::iter::from_fn(|| slow.try_message())
                .map(|(_, outputs)| outputs[0].as_u64().unwrap())
                .collect::<Vec<_>>()
        });
        if no_loss {
            let mut dies = Subscriber::connect(sink.endpoint()).subscribe("");
            wait_for_subscribers(&sink, 2);
            thread::spawn(move || {
                (0..100).for_each(|_| drop(dies.message()));
                dies.frame();
            });
            go.send(()).unwrap();
        }
        wait_for_subscribers(&sink, if no_loss { 2 } else { 1 });
        for x in 0..MESSAGES {
            m.put_wait(x).unwrap();
        }
        if !no_loss {
            eventually!(m.status().processed >= MESSAGES);
            assert!(sink.status().unwrap().lost > 0, "nothing was read, and nobody waited");
            go.send(()).unwrap();
        }
        eventually!(m.drained().status().outputs[0].waiting == 0, m.status());
        let status = sink.status().unwrap();
        sink.stop();
        let got = reader.joined();
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
        if no_loss {
            assert_eq!(got, (0..MESSAGES).collect::<Vec<_>>());
        } else {
            assert_eq!((status.sent + status.lost, status.waiting), (MESSAGES, 0));
            assert_eq!(got.len() as u64, status.sent);
        }
    }
}

/// As with other ZeroMQ sockets: a high-water mark of 0 is none. And a small one is no reason to wait for anything but
/// the subscriber: a millisecond for each message would be a minute.
#[test]
fn marks_of_none_and_of_few() {
    let m = fresh();
    let sink = m.publish("").unwrap().no_loss().unwrap().high_water_mark(0).unwrap();
    let mut stalled = Subscriber::connect(sink.endpoint()).subscribe("");
    wait_for_subscribers(&sink, 1);
    let text = "x".repeat(1_000);
    for _ in 0..2_000 {
        m.put_wait(text.clone()).unwrap();
    }
    // Not `drain`, which waits for subscribers.
    eventually!(m.status().processed >= 2_000);
    let s = sink.status().unwrap();
    assert_eq!((m.status().processed, s.sent + s.waiting, s.lost), (2_000, 2_000, 0));
    assert!(s.waiting > 0, "{s:?}");
    (0..2_000).for_each(|_| drop(stalled.message()));
    drop(stalled);
    sink.stop();
    let sink = m.publish("").unwrap().no_loss().unwrap().high_water_mark(1).unwrap();
    let mut quick = Subscriber::connect(sink.endpoint()).subscribe("");
    wait_for_subscribers(&sink, 1);
    let reader = thread::spawn(move || (0..30_000).for_each(|_| drop(quick.message())));
    for x in 0..30_000_u64 {
        m.put_wait(x).unwrap();
    }
    reader.joined();
}

/// What a subscriber that takes nothing had not got when its publisher was ended is counted.
#[test]
fn a_publisher_that_was_ended_tells_what_was_lost() {
    let m = fresh();
    let sink = m.publish("").unwrap().no_loss().unwrap().high_water_mark(10).unwrap();
    let stalled = Subscriber::connect(sink.endpoint()).subscribe("");
    wait_for_subscribers(&sink, 1);
    let text = "x".repeat(100_000);
    for _ in 0..100 {
        m.put_wait(text.clone()).unwrap();
    }
    eventually!(sink.status().unwrap().waiting >= 10);
    sink.stop();
    m.drained();
    eventually!(sink.status().unwrap().waiting == 0);
    let s = sink.status().unwrap();
    assert!(s.lost >= 10 && m.status().processed == 100, "{s:?}");
    drop(stalled);
}

/// Who subscribes gets what is through from then on: nothing of what had been through without a subscriber, although it
/// waited for its turn.
#[test]
fn what_waited_for_its_turn_before_anybody_subscribed_is_not_sent() {
    let m = named("ordered").workers(2).ordered(true).queue(65_536).start().unwrap();
    let (door, waits) = mpsc::channel::<()>();
    let (in_slot, entered) = mpsc::channel();
    let waits = std::sync::Mutex::new(waits);
    m[0].set(move |x: u64| {
        if x == 0 {
            in_slot.send(()).unwrap();
            waits.lock().unwrap().received();
        }
        x
    })
    .unwrap();
    let sink = m.publish("tcp://127.0.0.1:*").unwrap();
    // More than are kept as JSON whether or not somebody wants them.
    for x in 1..30_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drained();
    m.put(0_u64).unwrap();
    entered.received();
    for x in 30_000..33_000_u64 {
        m.put_wait(x).unwrap();
    }
    eventually!(m.status().processed >= 32_999);
    let mut subscriber = Subscriber::connect(sink.endpoint()).subscribe("");
    wait_for_subscribers(&sink, 1);
    door.send(()).unwrap();
    m.drained();
    m.put(33_000_u64).unwrap();
    m.drained();
    let mut last = 0;
    while last < 33_000 {
        let (_, outputs) = subscriber.message();
        last = outputs[0].as_u64().unwrap();
        assert_eq!(outputs[1], json!(last));
    }
}

/// A cell that publishes and is run again: nobody listens there any more once the first one was ended.
#[test]
fn an_endpoint_is_free_once_its_publisher_was_ended() {
    let m = fresh();
    let endpoint = m.publish("tcp://127.0.0.1:*").unwrap().endpoint().to_owned();
    for _ in 0..50 {
        m.clear_outputs();
        let sink = m.publish(&endpoint).unwrap();
        let mut connected = Subscriber::connect(&endpoint).subscribe("");
        wait_for_subscribers(&sink, 1);
        m.put(1_u64).unwrap();
        assert_eq!(connected.message().1[0], json!(1));
    }
}

/// The directory of a process may be another one by then, and what is there another file.
#[test]
fn a_socket_is_removed_where_it_was_made_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let up = "../".repeat(std::env::current_dir().unwrap().components().count());
    let relative = format!("{up}{}/socket", directory.path().strip_prefix("/").unwrap().display());
    let m = fresh();
    let sink = m.publish(&format!("ipc://{relative}")).unwrap();
    assert!(sink.endpoint().starts_with("ipc:///"), "{}", sink.endpoint());
    let _connected = Subscriber::connect(sink.endpoint());
    sink.stop();
    assert!(!std::fs::exists(&relative).unwrap());
    let sink = m.publish(&format!("ipc://{relative}")).unwrap();
    std::fs::remove_file(&relative).unwrap();
    std::fs::write(&relative, "not ours").unwrap();
    sink.stop();
    assert_eq!(std::fs::read_to_string(&relative).unwrap(), "not ours");
}

#[test]
fn more_peers_than_there_are_places_for_are_turned_away() {
    let m = fresh();
    let sink = m.publish("").unwrap();
    let path = sink.endpoint().strip_prefix("ipc://").unwrap();
    let mut connected: Vec<_> = (0..64).map(|_| Subscriber::connect(sink.endpoint()).subscribe("")).collect();
    let is_attended = || {
        let mut peer = std::os::unix::net::UnixStream::connect(path).unwrap();
        std::io::Read::read(&mut peer, &mut [0]).is_ok_and(|read| read == 1)
    };
    assert!(!is_attended());
    assert_eq!(sink.status().unwrap().error, "a peer was turned away: 64 are connected, the most");
    wait_for_subscribers(&sink, 64);
    connected.pop();
    eventually!(is_attended());
    assert_eq!(connected.len(), 63);
}

/// Large messages wait up to 64 MiB, however few that are.
#[test]
fn what_waits_for_a_subscriber_is_bounded_in_bytes() {
    const MESSAGES: u64 = 150;
    for no_loss in [false, true] {
        let m = fresh();
        let sink = m.publish("").unwrap();
        let sink = if no_loss { sink.no_loss().unwrap() } else { sink };
        let mut stalled = Subscriber::connect(sink.endpoint()).subscribe("");
        wait_for_subscribers(&sink, 1);
        // Nine of them are a message.
        let text = "x".repeat(100_000);
        for _ in 0..MESSAGES {
            m.put_wait(text.clone()).unwrap();
        }
        let most = (64 << 20) / 900_000 + 1;
        eventually!(sink.status().unwrap().waiting >= most);
        if no_loss {
            assert!(m.status().processed < MESSAGES, "the machine waits");
        } else {
            eventually!(m.status().processed >= MESSAGES);
            let s = sink.status().unwrap();
            assert_eq!((s.sent + s.waiting + s.lost, s.waiting), (MESSAGES, most));
        }
        let expected = if no_loss { MESSAGES } else { MESSAGES - sink.status().unwrap().lost };
        (0..expected).for_each(|_| drop(stalled.message()));
        m.drained();
        let s = sink.status().unwrap();
        assert_eq!((s.sent, s.waiting, s.lost), (expected, 0, MESSAGES - expected));
    }
}
