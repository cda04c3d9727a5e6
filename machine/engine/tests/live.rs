//! What is seen of a machine over time and from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use machine::prelude::*;
use machine_protocol::command::{Command, Reply, Target};
use machine_protocol::history::History;
use machine_testkit::{DEADLINE, Drained, Joined, eventually_with, watchdog};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

fn history(machine: &str, since_ms: u64) -> History {
    let machine = Target::Name(machine.to_owned());
    match machine_engine::command(Command::History { machine, since_ms }) {
        Reply::History(history) => history,
        other => panic!("{other:?}"),
    }
}

/// The history once it fulfils a condition; the clock's thread writes it.
#[track_caller]
fn once(machine: &str, condition: impl Fn(&History) -> bool) -> History {
    watchdog();
    eventually_with("the history", || history(machine, 0), condition)
}

#[test]
fn the_history_counts_what_the_machine_counts_and_goes_on_while_it_stands() {
    machine_engine::init();
    let machine = Machine::builder("past").queue(10_000).start().unwrap();
    machine[0].set(|x: u64| if x.is_multiple_of(10) { Err("ten") } else { Ok(x) }).unwrap();
    (1..=1000).for_each(|n: u64| machine.put_wait(n).unwrap());
    machine.drained();
    let sum = |history: &History, of: fn(&machine_protocol::history::Point) -> u64| {
        history.points.iter().map(of).sum::<u64>()
    };
    let done = once("past", |history| sum(history, |point| point.processed) == 1000);
    assert_eq!((sum(&done, |point| point.accepted), sum(&done, |point| point.errored)), (1000, 100));
    let slot = |of: fn(&machine_protocol::history::SlotPoint) -> u64| -> u64 {
        done.points.iter().filter_map(|point| point.slots.first()).map(of).sum()
    };
    assert_eq!((slot(|slot| slot.ok), slot(|slot| slot.errored)), (900, 100));
    assert!(slot(|slot| slot.p99_ns) > 0 && done.points.iter().all(|point| point.looks > 0));
    // Each point begins where the one before it ends.
    assert!(done.points.windows(2).all(|pair| pair[1].time_ms - pair[1].span_ms == pair[0].time_ms));

    machine.stop();
    machine.put(7).unwrap();
    let last = done.points.last().unwrap().time_ms;
    let stopped = once("past", |history| history.points.last().is_some_and(|point| point.queue == 1));
    assert_eq!(sum(&stopped, |point| point.processed), 1000);
    assert!(history("past", last).points.iter().all(|point| point.time_ms > last));
}

#[test]
fn a_worker_that_sits_in_a_slot_is_seen_busy_and_one_without_messages_idle() {
    machine_engine::init();
    let machine = Machine::builder("ratio").workers(2).start().unwrap();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    machine[0]
        .set(move |x: u64| {
            let _ = gate.lock().unwrap().recv_timeout(DEADLINE);
            x
        })
        .unwrap();
    once("ratio", |history| history.points.last().is_some_and(|point| point.busy_ratio() == Some(0.0)));
    machine.put(1_u64).unwrap();
    // One of two.
    once("ratio", |history| history.points.last().is_some_and(|point| point.busy_ratio() == Some(0.5)));
    open.send(()).unwrap();
    once("ratio", |history| history.points.last().is_some_and(|point| point.busy_ratio() == Some(0.0)));
}

#[test]
fn workers_that_wait_for_a_full_output_are_blocked_and_calls_that_wait_for_room_are_counted() {
    machine_engine::init();
    let (machine, next) = (
        Machine::builder("blocked").queue(1).workers(2).start().unwrap(),
        Machine::builder("full").queue(1).start().unwrap(),
    );
    next.pause();
    machine.to(&next, 0).unwrap();
    machine[0].set(|x: u64| x).unwrap();
    // One in the next machine's queue, one in each worker's hand, one in the queue.
    (0..4_u64).for_each(|x| machine.put_wait(x).unwrap());
    let putter = std::thread::spawn(move || machine.put_wait(4_u64).unwrap());
    let point =
        once("blocked", |history| history.points.last().is_some_and(|point| point.blocked_ratio() == Some(1.0)));
    assert_eq!(point.points.last().and_then(machine_protocol::history::Point::busy_ratio), Some(0.0));
    // The call is between two naps for moments, the shares are those of some seconds.
    let blocked =
        |status: &machine::Status| status.waiting_puts == 1 && status.load.is_some_and(|load| load.blocked >= 1.0);
    let status = eventually_with("both workers are blocked, and a call waits", || machine.status(), blocked);
    assert_eq!(status.load.map(|load| (load.busy, load.idle)), Some((0.0, 0.0)));

    next.start();
    putter.joined();
    machine.drained();
    let idle = |history: &History| {
        history.points.last().is_some_and(|point| (point.busy_ratio(), point.blocked_ratio()) == (Some(0.0), Some(0.0)))
    };
    once("blocked", idle);
    assert_eq!((machine.status().waiting_puts, next.status().accepted), (0, 5));
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Serves a text on a free port, as long as the runtime lives.
fn serve(text: impl Fn() -> String + Send + Sync + 'static) -> (tokio::runtime::Runtime, u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let refuses = |name: &str, value: &str| machine_remote::web_page::refuses(name, value, true);
    let port = machine_telemetry::serve(runtime.handle(), 0, refuses, text).unwrap();
    (runtime, port)
}

#[test]
fn metrics_are_the_counters() {
    machine_engine::init();
    let machine = Machine::builder("metered").start().unwrap();
    machine[1].set(|x: u64| if x == 3 { Err("three") } else { Ok(x) }).unwrap();
    (1..=5).for_each(|n: u64| machine.put_wait(n).unwrap());
    machine.drained();
    let (_runtime, port) = serve(move || machine_telemetry::text(&[(String::new(), machine.status())], None));
    let answer = get(port, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "# TYPE machine_received_messages_total counter",
        "machine_received_messages_total{machine=\"metered\"} 5",
        "machine_processed_messages_total{machine=\"metered\",outcome=\"ok\"} 4",
        "machine_processed_messages_total{machine=\"metered\",outcome=\"errored\"} 1",
        "machine_queue_messages{machine=\"metered\"} 0",
        "machine_queue_capacity_messages{machine=\"metered\"} 1024",
        "machine_slot_errors_total{machine=\"metered\",slot=\"f1\"} 1",
    ] {
        assert!(answer.lines().any(|found| found == line), "{line}\n{answer}");
    }
    // A metric is described once, and each sample has its own labels.
    let mut names: Vec<&str> =
        answer.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(all - names.len() <= 4, "only the answer's own header may repeat a word: {answer}");
    assert!(get(port, "/other").starts_with("HTTP/1.1 404"));
}

#[test]
fn silent_clients_hold_up_no_scrape_and_web_pages_get_none() {
    let (_runtime, port) = serve(|| "all\n".to_owned());
    // More than there is room for: the oldest make room.
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert!(get(port, "/metrics").ends_with("all\n"));
    let still_open = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    // It was answered while others were silent: it has not waited for their time to be over.
    assert!(silent.iter().any(still_open));
    for header in ["Host: evil.example", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        let answer = get(port, &format!("/metrics HTTP/1.1\r\n{header}\r\nX-Rest:"));
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("all"), "{header}: {answer}");
    }
}

#[test]
fn who_asks_for_metrics_slowly_keeps_nobody_for_long() {
    let (_runtime, port) = serve(|| "all\n".to_owned());
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut quick = TcpStream::connect(("127.0.0.1", port)).unwrap();
    quick.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    quick.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    // Often enough that no single read takes long; nobody listens in the end.
    let drip = thread::spawn(move || {
        while slow.write_all(b"G").is_ok() {
            // The client that this test is about.
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut answer = String::new();
    quick.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("all\n"), "{answer}");
    drip.joined();
}
