//! The HTTP endpoint, with a client that is a plain socket.

use crate::common::reconciles;
use crate::{Kept, fresh, is_gone};
use machine::ErrorKind;
use machine::prelude::*;
use machine_testkit::{DEADLINE, Drained, eventually};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

fn address(kept: &Kept) -> String {
    kept.source().address.strip_prefix("http://").unwrap().to_owned()
}

/// A connection whose answers have to come in time.
fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends a request on a separate connection; returns the status, the head and the JSON of the answer.
pub fn request(address: &str, head: &str, body: &[u8]) -> (u16, String, Value) {
    let mut stream = connect(address);
    let mut text = format!("{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if head.starts_with("POST") {
        write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    stream.write_all((text + "\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> (u16, String, Value) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap())
}

const LINES: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n";

fn post_lines(address: &str, body: &str) -> (u16, String, Value) {
    let mut stream = connect(address);
    stream.write_all(format!("{LINES}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    answer(&mut stream)
}

#[test]
fn takes_one_value_or_lines_and_nothing_else() {
    let kept = Kept::new();
    kept.machine.source(source::http(0).max_bytes(100)).unwrap();
    let at = address(&kept);
    assert!(at.starts_with("127.0.0.1:") && !at.ends_with(":0"), "{at}");
    let (status, head, json) = request(&at, "POST /any/path", b"{\n  \"a\": 1\n}");
    assert_eq!((status, json), (202, json!({ "accepted": 1 })));
    assert!(head.contains("content-type: application/json"));
    let (status, _, json) = post_lines(&at, "2\n\n\"three\"\r\n[4]");
    assert_eq!((status, json), (202, json!({ "accepted": 3 })));
    assert_eq!(kept.wait_for(4), [json!({ "a": 1 }), json!(2), json!("three"), json!([4])]);

    let (status, _, json) = post_lines(&at, "5\n6\nseven\n8");
    assert_eq!((status, &json["accepted"], &json["line"]), (400, &json!(0), &json!(3)), "{json}");
    let (status, _, json) = request(&at, "POST /", b"");
    assert_eq!((status, &json["error"]), (400, &json!("bad_json")), "{json}");
    // Lines under the content type of one value: what they would be.
    let (status, _, json) = request(&at, "POST /", b"1\n2\n");
    assert!(status == 400 && json["message"].as_str().unwrap().contains("application/x-ndjson"), "{json}");
    let (_, _, json) = request(&at, "POST /", b"{\n1}");
    assert!(!json["message"].as_str().unwrap().contains("ndjson"), "{json}");
    let (status, _, json) = request(&at, "POST /", &[b' '; 101]);
    assert_eq!((status, &json["error"], &json["max_bytes"]), (413, &json!("too_large"), &json!(100)));
    let (status, head, json) = request(&at, "GET /", b"");
    assert_eq!((status, &json["error"]), (405, &json!("not_a_post")));
    assert!(head.contains("allow: post"), "{head}");
    let (status, _, json) = request(&at, "POST / HTTP/1.1\r\nOrigin: http://elsewhere.example\r\nX: y", b"1");
    assert!(status == 403 || status == 400, "{json}");

    kept.machine.drained();
    let status = kept.source();
    assert_eq!((status.taken, status.errors), (4, 4));
    assert_eq!(kept.items().len(), 4);
    let errors = kept.errors();
    assert!(errors[0].0.contains("line 3: not JSON: expected value, column 1"), "{errors:?}");
    assert_eq!(errors[0].1, "\"seven\"");
}

#[test]
fn web_pages_are_refused() {
    let kept = Kept::new();
    kept.machine.source(source::http("127.0.0.1:0")).unwrap();
    let mut stream = connect(&address(&kept));
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://b\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1")
        .unwrap();
    let (status, _, json) = answer(&mut stream);
    assert_eq!((status, &json["error"]), (403, &json!("web_page")));
}

#[test]
fn names_that_others_pointed_here_are_refused() {
    let kept = Kept::new();
    kept.machine.source(source::http("127.0.0.1:0")).unwrap();
    for header in ["Host: evil.example", "Host: localhost\r\nSec-Fetch-Site: same-site"] {
        let mut stream = connect(&address(&kept));
        let head = format!("POST / HTTP/1.1\r\n{header}\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
        stream.write_all(head.as_bytes()).unwrap();
        let (status, _, json) = answer(&mut stream);
        assert_eq!((status, &json["error"]), (403, &json!("web_page")), "{header}");
    }
    assert_eq!(kept.source().taken, 0);
}

#[test]
fn a_packed_body_is_unpacked_or_named() {
    // Made with Python: `gzip.compress(b'{"a":1}\n' * 2, mtime=0)`.
    const ZIPPED: [u8; 30] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 0xe5, 0xaa, 0x86, 0xd2, 0, 0x3f,
        0x7e, 0x1c, 0x1b, 0x10, 0, 0, 0,
    ];
    let kept = Kept::new();
    kept.machine.source(source::http(0).max_bytes(100)).unwrap();
    let at = address(&kept);
    let send = |headers: &str, body: &[u8]| {
        let mut stream = connect(&at);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        answer(&mut stream)
    };
    let lines = "Content-Type: application/jsonlines";
    assert_eq!(send(&format!("{lines}\r\nContent-Encoding: gzip"), &ZIPPED).2, json!({ "accepted": 2 }));
    assert_eq!(send(lines, &ZIPPED).2, json!({ "accepted": 2 }));
    assert_eq!(send("X: y", b"\xef\xbb\xbf1").2, json!({ "accepted": 1 }));
    assert_eq!(send("X: y", b"\xff\xfe1\x002\x00").2, json!({ "accepted": 1 }));
    assert_eq!(kept.wait_for(6)[4..], [json!(1), json!(12)]);
    let (status, _, json) = send("Content-Encoding: br", b"1");
    assert_eq!((status, &json["message"]), (415, &json!("Content-Encoding is br; expected gzip, or none")));
    let (status, _, json) = send("X: y", b"\x28\xb5\x2f\xfd1234");
    assert_eq!((status, &json["message"]), (415, &json!("it is zstd; expected text or gzip: unpack it first")));
    let (status, _, json) = send("X: y", b"1\n2\n");
    assert_eq!(status, 400);
    assert!(
        json["message"].as_str().unwrap().contains("for several lines send Content-Type: application/x-ndjson"),
        "{json}"
    );
}

#[test]
fn a_body_that_is_much_too_large_is_refused_and_not_reset() {
    let kept = Kept::new();
    kept.machine.source(source::http(0)).unwrap();
    let body = vec![b' '; 60 << 20];
    assert_eq!(request(&address(&kept), "POST /", &body).0, 413);
    // One that waits before it sends the body is answered at once.
    let mut stream = connect(&address(&kept));
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 62914560\r\n\r\n";
    stream.write_all(head).unwrap();
    assert_eq!(answer(&mut stream).0, 413);
}

#[test]
fn a_body_in_pieces_that_is_too_large_is_refused() {
    let kept = Kept::new();
    kept.machine.source(source::http(0).max_bytes(1_000)).unwrap();
    let mut stream = connect(&address(&kept));
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    for _ in 0..100 {
        stream.write_all(format!("64\r\n{}\r\n", "1".repeat(100)).as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(answer(&mut stream).0, 413);
    assert_eq!(kept.source().taken, 0);
}

/// How much the process may use, kB.
fn reserved() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_is_announced_takes_no_memory_before_it_comes() {
    let kept = Kept::new();
    kept.machine.source(source::http(0).max_bytes(1 << 30)).unwrap();
    let before = reserved();
    let announce = |_| {
        let mut stream = connect(&address(&kept));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            1 << 30
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 25]).unwrap(); // the body is awaited
        stream
    };
    let waiting: Vec<_> = (0..16).map(announce).collect();
    assert!(reserved() < before + (8 << 20), "more than 8 of 16 GiB that were announced");
    drop(waiting);
    // What is more than is taken at once.
    let body = format!("\"{}\"", "x".repeat(3 << 20));
    assert_eq!(request(&address(&kept), "POST /", body.as_bytes()).0, 202);
    assert!(kept.wait_for(1)[0] == body.trim_matches('"'));
}

#[test]
fn a_full_queue_says_how_much_was_taken_and_what_to_do() {
    let kept = Kept::with_queue(3);
    kept.machine.pause();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let (status, head, json) = post_lines(&at, "1\n2\n\n3\n4\n5\n");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!((&json["accepted"], &json["refused"], &json["line"]), (&json!(3), &json!(2), &json!(5)), "{json}");
    assert!(json["message"].as_str().unwrap().contains("send from line 5 on again"), "{json}");
    let (status, _, json) = request(&at, "POST /", b"4");
    assert_eq!((status, &json["accepted"], &json["error"]), (429, &json!(0), &json!("queue_full")));
    kept.machine.start();
    kept.wait_for(3);
    assert_eq!(post_lines(&at, "4\n5\n").0, 202);
    assert_eq!(kept.wait_for(5), [1, 2, 3, 4, 5]);
    assert_eq!(kept.machine.status().refused, 3);
}

#[test]
fn a_sender_is_refused_what_would_be_dropped() {
    let kept = Kept::with_queue(2);
    kept.machine.policy(Policy::DropNewest).pause();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let (status, _, json) = post_lines(&at, "1\n2\n3\n4\n");
    assert_eq!((status, &json["accepted"], &json["refused"]), (429, &json!(2), &json!(2)), "{json}");
    assert_eq!(request(&at, "POST /", b"3").0, 429);
    let status = kept.machine.status();
    assert_eq!((status.source.taken, status.accepted, status.refused, status.drops.newest), (2, 2, 3, 0));
    // The oldest ones make room.
    kept.machine.policy(Policy::DropOldest);
    assert_eq!(post_lines(&at, "3\n4\n5\n").0, 202);
    kept.machine.start();
    assert_eq!(kept.wait_for(2), [4, 5]);
}

#[test]
fn a_rate_is_refused_beyond_its_credit() {
    let kept = Kept::new();
    kept.machine.source(source::http(0).rate(1e-6)).unwrap();
    let (status, _, json) = post_lines(&address(&kept), "1\n2\n");
    assert_eq!((status, &json["accepted"], &json["error"]), (429, &json!(1), &json!("too_fast")), "{json}");
    assert!(json["message"].as_str().unwrap().contains("takes at most 0.000001 messages a second here"), "{json}");
}

#[test]
fn many_clients_at_once_and_each_message_once() {
    const CLIENTS: u64 = 8;
    const EACH: u64 = 50;
    let kept = Kept::with_queue(16);
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let at = &at;
            scope.spawn(move || {
                for number in 0..EACH {
                    let body = (client * EACH + number).to_string();
                    eventually!(request(at, "POST /", body.as_bytes()).0 != 429);
                }
            });
        }
    });
    kept.machine.drained();
    let mut items: Vec<u64> = kept.items().iter().map(|item| item.as_u64().unwrap()).collect();
    items.sort_unstable();
    assert_eq!(items, (0..CLIENTS * EACH).collect::<Vec<_>>());
}

#[test]
fn one_connection_for_many_requests() {
    let kept = Kept::new();
    kept.machine.source(source::http(0)).unwrap();
    let mut stream = connect(&address(&kept));
    for number in 0..5 {
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{number}").as_bytes())
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 202");
        let mut rest = Vec::new();
        let mut byte = [0];
        while !rest.ends_with(b"}\n") {
            stream.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
    }
    assert_eq!(kept.wait_for(5), [0, 1, 2, 3, 4]);
}

/// Sends a request on a connection that stays; returns the head of the answer.
fn post_on(stream: &mut TcpStream, body: u32) -> String {
    stream
        .write_all(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{body}").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[test]
fn who_finds_all_places_taken_is_told_and_finds_one_after_the_next_answer() {
    let kept = Kept::new();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let mut clients: Vec<_> = (0..64).map(|_| connect(&at)).collect();
    // Those that have connected before are accepted before.
    let (status, head, json) = request(&at, "POST /", b"9");
    assert_eq!((status, &json["accepted"], &json["error"]), (503, &json!(0), &json!("busy")), "{json}");
    assert!(head.contains("retry-after: 1") && head.contains("connection: close"), "{head}");
    assert!(kept.source().note.starts_with("1 connections refused: 64 are open"), "{:?}", kept.source());
    // All are taken: the next answer ends its connection.
    let head = post_on(&mut clients[7], 1);
    assert!(head.starts_with("http/1.1 202") && head.contains("connection: close"), "{head}");
    eventually!(request(&at, "POST /", b"2").0 == 202);
    // There are places again: connections stay.
    clients.truncate(32);
    eventually!({
        let mut client = connect(&at);
        !post_on(&mut client, 3).contains("connection: close") && post_on(&mut client, 4).starts_with("http/1.1 202")
    });
    kept.machine.clear_source();
    is_gone(&kept);
}

/// Claims from before a change of the policy, whose first message hangs: no message that waits can be dropped.
#[test]
fn a_sender_is_refused_where_all_that_waits_is_in_a_claim() {
    let kept = Kept::with_queue(4);
    let (hung, block) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
    let (count, key) = (hung.clone(), block.clone());
    kept.machine.workers(1).unwrap();
    kept.machine[0]
        .set(move |number: u64| {
            if number == 0 {
                count.fetch_add(1, Relaxed);
                drop(key.lock());
            }
        })
        .unwrap();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let mut rounds = 0;
    eventually!({
        // A worker that has just been quick claims several.
        kept.machine.policy(Policy::Block);
        (0..100).for_each(|_| kept.machine.put_wait(1_u64).unwrap());
        kept.machine.drained();
        let held = block.lock().unwrap();
        kept.machine.pause();
        (0..4_u64).for_each(|number| kept.machine.put(number).unwrap());
        kept.machine.start();
        rounds += 1;
        eventually!(hung.load(Relaxed) == rounds);
        kept.machine.policy(Policy::DropOldest);
        // Each takes the place of the one before, until the next place is one that is claimed.
        let (status, _, json) = post_lines(&at, &"4\n".repeat(2_000));
        drop(held);
        kept.machine.drained();
        assert_eq!(json["error"].as_str(), (status == 429).then_some("queue_full"), "{json}");
        status == 429
    });
    assert_eq!(post_lines(&at, "5\n").0, 202);
    reconciles(&kept.machine.status());
}

#[test]
fn nothing_is_put_once_the_source_is_being_cleared() {
    let kept = Kept::new();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let mut idle = connect(&at);
    // Answered once its head is read, so it is under way.
    let mut late = connect(&at);
    late.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
    let mut resume = [0; 25];
    late.read_exact(&mut resume).unwrap();
    assert_eq!(&resume, b"HTTP/1.1 100 Continue\r\n\r\n");
    thread::scope(|scope| {
        scope.spawn(|| kept.machine.clear_source());
        // Who waits for nothing is told first that it is over.
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
        let mut answer = String::new();
        // It has half a second, and is cut off after that.
        let told = late.write_all(b"1").and_then(|()| late.read_to_string(&mut answer)).is_ok() && !answer.is_empty();
        assert!(!told || (answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"ended\"")), "{answer}");
    });
    assert_eq!(kept.machine.status().accepted, 0);
    is_gone(&kept);
}

#[test]
fn the_port_is_free_after_clear_also_with_clients_connected() {
    let kept = Kept::new();
    kept.machine.source(source::http(0)).unwrap();
    let at = address(&kept);
    let mut idle = connect(&at);
    let mut half = connect(&at);
    half.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1").unwrap();
    assert_eq!(request(&at, "POST /", b"1").0, 202);
    let (other, _) = fresh(4);
    let taken = other.source(source::http(&at)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::BadAddress);
    kept.machine.clear_source();
    is_gone(&kept);
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    other.source(source::http(&at)).unwrap();
    assert_eq!(request(&at, "POST /", b"1").0, 202);
    eventually!(other.status().processed == 1);
}
