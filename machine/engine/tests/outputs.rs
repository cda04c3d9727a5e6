//! What leaves a machine: to whom, in which form, in which order, and what is counted.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test ends where it fails, and compares numbers that are exact"
)]

use machine::prelude::*;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

fn named(name: &str) -> machine::Builder {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    machine_engine::init();
    Machine::builder(&format!("{name}{}", NEXT.fetch_add(1, Relaxed)))
}

fn fresh() -> Machine {
    named("m").start()
}

fn all(outputs: Outputs) -> Vec<Output> {
    outputs.timeout(Duration::ZERO).collect()
}

#[test]
fn a_cell_gets_the_values_themselves() {
    #[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
    struct Point(f64);
    let m = fresh();
    m[0].set(|x: f64| Point(x / 0.0)).unwrap();
    m[1].set(|p: &Point| if p.0.is_nan() { Err("not a number".to_owned()) } else { Ok(p.0) }).unwrap();
    m[2].set(|x: f64| x).unwrap();
    let outputs = m.outputs();
    for x in [1.0, 0.0, -1.0] {
        m.put(x).unwrap();
    }
    m.drain();
    let got = all(outputs);
    assert_eq!(got.len(), 3);
    // JSON has no infinity: these have not been written and read.
    assert_eq!(got[0].get::<Point>(0).unwrap(), Point(f64::INFINITY));
    assert_eq!(got[2].get::<f64>(1).unwrap(), f64::NEG_INFINITY);
    assert_eq!(got[1].input::<f64>().unwrap(), 0.0);
    assert_eq!(got[1].error(1).unwrap(), "f1 failed (error): not a number");
    assert_eq!(got[1].error(2).unwrap(), "f2 was skipped: it needs f1, which is missing");
    // An empty slot passes on what the one before it gave, also an error.
    assert_eq!(got[1].error(7), got[1].error(2));
    assert_eq!(got[0].error(7), None);
    assert!(got[0].get::<f64>(8).unwrap_err().to_string().contains("there is no f8"));
    assert!(got[0].oid < got[1].oid && got[0].oid.len() == 24);
}

#[test]
fn two_cells_get_the_same_outputs() {
    let m = fresh();
    m[0].set(|x: u64| x * 2).unwrap();
    m[1].set(|x: u64| if x == 4 { Err("four") } else { Ok(format!("\"{x}\"")) }).unwrap();
    let (one, two) = (m.outputs(), m.outputs());
    for x in 0..5_u64 {
        m.put(x).unwrap();
    }
    m.drain();
    let (one, two) = (all(one), all(two));
    assert_eq!((one.len(), two.len()), (5, 5));
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.oid, two.oid);
        assert_eq!(one.get::<u64>(0).unwrap(), two.get::<u64>(0).unwrap());
        assert_eq!(one.get::<String>(1).ok(), two.get::<String>(1).ok());
        assert_eq!(one.error(1), two.error(1));
    }
}

#[test]
fn what_a_cell_does_not_take_is_counted() {
    let m = fresh();
    let outputs = m.outputs_bounded(10).unwrap();
    for x in 0..25 {
        m.put(x).unwrap();
    }
    m.drain();
    let status = m.status().outputs;
    assert_eq!((status[0].kind.as_str(), status[0].waiting, status[0].lost, status[0].sent), ("outputs", 10, 15, 0));
    assert_eq!(outputs.lost(), 15);
    assert_eq!(all(outputs).iter().map(|o| o.input::<i32>().unwrap()).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(m.status().outputs.is_empty(), "dropped, so detached");
}

#[test]
fn outputs_end_when_the_machine_is_stopped_and_all_are_taken() {
    let m = fresh();
    let outputs = m.outputs();
    let taker = thread::spawn(move || outputs.map(|o| o.input::<u32>().unwrap()).collect::<Vec<_>>());
    for x in 0..100_u32 {
        m.put_wait(x).unwrap();
    }
    m.drain().stop();
    assert_eq!(taker.join().unwrap(), (0..100).collect::<Vec<_>>());
    // One that is begun on a stopped machine ends at once; on a running one it waits no longer than it shall.
    assert!(m.outputs().next().is_none());
    m.start();
    assert!(m.outputs().next_timeout(Duration::from_millis(1)).is_none());
}

#[test]
fn on_output_runs_on_a_thread_of_its_own_until_it_is_ended() {
    let m = fresh();
    m[0].set(|x: u64| x + 1).unwrap();
    let (sender, receiver) = mpsc::channel();
    let sink = m
        .on_output(move |o| {
            let _ = sender.send((o.get::<u64>(0).unwrap(), thread::current().name().map(str::to_owned)));
        })
        .unwrap();
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    let got: Vec<_> = receiver.iter().take(3).collect();
    assert_eq!(got.iter().map(|(x, _)| *x).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(got[0].1.as_deref().unwrap().ends_with("/on_output"));
    // It goes on after the machine was stopped.
    m.stop().start();
    m.put(9_u64).unwrap();
    assert_eq!(receiver.recv().unwrap().0, 10);
    sink.stop();
    assert!(receiver.recv().is_err(), "the closure is dropped");
    assert!(m.status().outputs.is_empty());
}

#[test]
fn a_panic_of_on_output_ends_it_and_is_told() {
    let m = fresh();
    let (sender, receiver) = mpsc::channel::<()>();
    m.on_output(move |o| {
        let _keep = &sender;
        assert!(o.input::<u64>().unwrap() != 1, "one is too many");
    })
    .unwrap();
    for x in 0..3_u64 {
        m.put(x).unwrap();
    }
    m.drain();
    assert!(receiver.recv().is_err());
    while m.status().outputs[0].error.is_empty() {
        thread::yield_now(); // the closure is dropped before or after the error is noted
    }
    assert_eq!(m.status().outputs[0].error, "it panicked: one is too many");
    m.clear_outputs();
    assert!(m.status().outputs.is_empty());
}

#[test]
fn a_slot_feeds_another_machine() {
    let (a, b) = (fresh(), named("b").queue(2).start());
    a[0].set(|x: u64| if x.is_multiple_of(3) { Err("third") } else { Ok(vec![x; 4]) }).unwrap();
    b[0].set(|v: &Vec<u64>| v.iter().sum::<u64>()).unwrap();
    let chain = a.to(&b, 0).unwrap();
    let outputs = b.outputs();
    for x in 0..300_u64 {
        a.put_wait(x).unwrap();
    }
    a.drain();
    b.drain();
    let sums: Vec<u64> = all(outputs).iter().map(|o| o.get(0).unwrap()).collect();
    assert_eq!(sums, (0..300).filter(|x| x % 3 != 0).map(|x| x * 4).collect::<Vec<_>>());
    let status = chain.status().unwrap();
    assert_eq!((status.kind.as_str(), status.sent, status.lost), ("to", 200, 0));
    assert!(status.endpoint.starts_with("f0 to b"));
    assert_eq!((a.status().errored, b.status().accepted, b.status().errored), (100, 200, 0));
    // A circle is refused, also by way of others.
    let c = fresh();
    b.to(&c, 0).unwrap();
    assert!(c.to(&a, 0).unwrap_err().message.contains("a chain must not be a circle"));
    assert!(a.to(&a, 0).is_err());
    assert!(a.to(&b, 8).unwrap_err().message.contains("there is no f8"));
    a.clear_outputs();
    assert!(chain.status().is_none() && c.to(&a, 0).is_ok());
}

/// Moved, not written: what one machine gives is what the other takes, also what JSON does not know.
#[test]
fn a_chain_moves_values() {
    static LIVE: AtomicU64 = AtomicU64::new(0);
    #[derive(Serialize, Deserialize)]
    struct Token(f64);
    impl Drop for Token {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Relaxed);
        }
    }
    let (a, b) = (fresh(), fresh());
    a[3].set(|x: f64| {
        LIVE.fetch_add(1, Relaxed);
        Token(x)
    })
    .unwrap();
    b[0].set(|t: &Token| t.0.is_infinite()).unwrap();
    // An empty slot gives what the one before it gave.
    a.to(&b, 5).unwrap();
    let outputs = b.outputs();
    for _ in 0..100 {
        a.put(f64::INFINITY).unwrap();
    }
    a.drain();
    b.drain();
    assert_eq!(all(outputs).iter().filter(|o| o.get(0).unwrap()).count(), 100);
    assert_eq!(LIVE.load(Relaxed), 0);
    // With somebody else who wants the values it is JSON that is handed on, unless it is a number.
    let outputs = a.outputs();
    let seen = b.outputs();
    a.put(1.0).unwrap();
    a.drain();
    b.drain();
    assert_eq!(all(outputs)[0].json(3).unwrap(), "1.0");
    assert!(!all(seen)[0].get::<bool>(0).unwrap());
}

#[test]
fn a_chain_loses_and_counts_if_told_so() {
    let (a, b) = (fresh(), named("b").queue(5).start());
    b.pause();
    let chain = a.to(&b, 0).unwrap().lose_when_full().unwrap();
    for x in 0..20 {
        a.put(x).unwrap();
    }
    a.drain();
    let status = chain.status().unwrap();
    assert_eq!((status.sent, status.lost), (5, 15));
    assert!(chain.rotate(1, 1).unwrap_err().message.contains("not a file"));
}

/// A worker that waits for another machine is freed by taking the chain off.
#[test]
fn a_chain_that_is_ended_holds_nobody() {
    let (a, b) = (fresh(), named("b").queue(1).start());
    b.pause();
    let chain = a.to(&b, 0).unwrap();
    for x in 0..3 {
        a.put(x).unwrap();
    }
    while a.status().in_flight == 0 || b.status().queue_size == 0 {
        thread::yield_now();
    }
    chain.stop();
    a.drain();
    assert_eq!((a.status().processed, b.status().accepted), (3, 1));
}

#[test]
fn ordered_outputs_keep_the_order_of_arrival() {
    for takes_values in [false, true] {
        let m = named("ordered").workers(4).ordered(true).start();
        m[0].set(|x: u64| {
            if x.is_multiple_of(97) {
                thread::sleep(Duration::from_millis(1)); // so that others overtake it
            }
            if x.is_multiple_of(7) { Err(format!("seventh {x}")) } else { Ok(x.to_string()) }
        })
        .unwrap();
        let next = named("next").start();
        let chain = (!takes_values).then(|| m.to(&next, 7).unwrap());
        let outputs = if takes_values { m.outputs() } else { next.outputs() };
        for x in 0..5000_u64 {
            m.put_wait(x).unwrap();
            if x % 1000 == 500 {
                m.pause().start();
                m.stop().start();
            }
        }
        m.drain();
        next.drain();
        let status = m.status();
        assert!(status.reordered > 0 && status.out_of_order == 0, "{status:?}");
        let got = all(outputs);
        if takes_values {
            assert_eq!(
                got.iter().map(|o| o.input::<u64>().unwrap()).collect::<Vec<_>>(),
                (0..5000).collect::<Vec<_>>()
            );
            assert_eq!(got[14].error(0).unwrap(), "f0 failed (error): seventh 14");
            assert_eq!(got[15].get::<String>(7).unwrap(), "15");
        } else {
            let wanted: Vec<String> = (0..5000_u64).filter(|x| x % 7 != 0).map(|x| x.to_string()).collect();
            assert_eq!(got.iter().map(|o| o.input::<String>().unwrap()).collect::<Vec<_>>(), wanted);
            assert_eq!(chain.unwrap().status().unwrap().sent, wanted.len() as u64);
        }
    }
}

/// Messages that are discarded hold nobody up.
#[test]
fn ordered_outputs_do_not_wait_for_what_was_discarded() {
    let m = named("ordered").workers(3).ordered(true).queue(64).start();
    let outputs = m.outputs();
    let mut put = 0_u64;
    let mut discarded = 0;
    for round in 0..50 {
        for _ in 0..40 {
            if m.put(put).is_ok() {
                put += 1;
            }
        }
        if round % 3 == 0 {
            m.stop();
            discarded += m.clear();
            m.start();
        }
    }
    m.drain();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert_eq!(got.len() as u64, put - discarded);
    assert!(got.is_sorted());
}

/// A thousand changes of sinks and slots under load, and each message goes to one set of sinks, once.
#[test]
fn sinks_come_and_go_under_load() {
    let m = named("load").workers(2).start();
    m[0].set(|x: u64| x).unwrap();
    let (count, sum) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (c, s) = (count.clone(), sum.clone());
    let to = fresh();
    to[0]
        .set(move |x: u64| {
            c.fetch_add(1, Relaxed);
            s.fetch_add(x, Relaxed);
        })
        .unwrap();
    m.to(&to, 0).unwrap();
    let producer = thread::spawn(move || (1..=20_000_u64).for_each(|x| m.put_wait(x).unwrap()));
    let mut taken = 0;
    while !producer.is_finished() {
        let outputs = m.outputs_bounded(100).unwrap();
        m[1].set(|x: u64| x + 1).unwrap();
        taken += outputs.timeout(Duration::ZERO).take(50).count();
        m[1].clear();
    }
    producer.join().unwrap();
    m.drain();
    to.drain();
    assert_eq!((count.load(Relaxed), sum.load(Relaxed)), (20_000, 20_000 * 20_001 / 2), "taken meanwhile: {taken}");
}

fn temporary(name: &str) -> std::path::PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let directory = std::env::temp_dir().join(format!("machine-outputs-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The bytes that others read: a change here breaks them.
#[test]
fn the_wire_format() {
    let m = named("wire").slots(9).start();
    m[0].set(|x: f64| x * x).unwrap();
    m[2].set(|x: f64| if x > 3.0 { Err("too \"big\"\n".to_owned()) } else { Ok(x) }).unwrap();
    m[4].set(|x: f64| x + 0.5).unwrap();
    m[6].set(|x: Option<f64>| (x, "é\"", f64::NAN, 7_u8, None::<bool>)).unwrap();
    m[7].set(|_: &Value| -> u64 { panic!("oh") }).unwrap();
    let path = temporary("wire.jsonl");
    m.to_json_lines(&path).unwrap();
    for x in [1.0, 2.0, f64::INFINITY] {
        m.put(x).unwrap();
    }
    m.put(json!({"not": "a number"})).unwrap();
    m.drain();
    let text = std::fs::read_to_string(&path).unwrap();
    let outputs: Vec<&str> =
        text.lines().map(|line| line.split_once("\"outputs\":").unwrap().1.strip_suffix('}').unwrap()).collect();
    let panicked = r#"{"_exception":{"exc_value":"oh","exc_type":"Panic","task":"f7"}}"#;
    assert_eq!(outputs[0], format!(r#"[1.0,1.0,1.0,1.0,1.0,1.5,1.5,[1.5,"é\"",null,7,null],{panicked},{panicked}]"#));
    let failed = r#"{"_exception":{"exc_value":"too \"big\"\n","exc_type":"Error","task":"f2"}}"#;
    let skipped = |slot: u32, lacks: u32| {
        format!(
            r#"{{"_exception":{{"exc_value":"f{slot} was skipped: it needs f{lacks}, which is missing","exc_type":"UpstreamError","task":"f{slot}"}}}}"#
        )
    };
    let f4 = skipped(4, 2);
    assert_eq!(
        outputs[1],
        format!(r#"[2.0,4.0,4.0,{failed},{failed},{f4},{f4},[null,"é\"",null,7,null],{panicked},{panicked}]"#)
    );
    assert!(outputs[2].starts_with("[null,null,null,"), "JSON has no infinity");
    let mismatch = &lines(&path)[3]["outputs"];
    assert_eq!(mismatch[0], json!({"not": "a number"}));
    assert_eq!(mismatch[1]["_exception"]["exc_type"], "TypeError");
    assert_eq!(mismatch[1]["_exception"]["task"], "f0");
}

/// Each number is written as `serde_json` writes it, whether the engine does it or the cell.
#[test]
fn numbers_are_written_as_serde_json_writes_them() {
    fn same<T: Serialize + Send + 'static>(m: &Machine, value: T) {
        let text = serde_json::to_string(&value).unwrap();
        m.put(value).unwrap();
        m.drain();
        let line = lines(std::path::Path::new(&m.status().outputs[0].endpoint)).pop().unwrap();
        assert_eq!(serde_json::to_string(&line["outputs"][0]).unwrap(), text);
    }
    let m = fresh();
    m.to_json_lines(temporary("numbers.jsonl")).unwrap();
    for x in [0.0, -0.0, 0.1, 1e300, 5e-324, 123_456_789.125, f64::MAX] {
        same(&m, x);
    }
    same(&m, 0.1_f32);
    same(&m, i8::MIN);
    same(&m, u16::MAX);
    same(&m, i64::MIN);
    same(&m, u64::MAX);
    same(&m, usize::MAX);
    same(&m, true);
    same(&m, "text \u{1}".to_owned());
    same(&m, Some(1));
}

#[test]
fn json_that_goes_over_several_lines_is_one_line() {
    let m = fresh();
    let path = temporary("pretty.jsonl");
    m.to_json_lines(&path).unwrap();
    let put = machine::command::Command::Put {
        machine: machine::command::Target::Name(m.status().machine),
        json: "{\n  \"a\\n\": [1,\r\n 2]\n}".to_owned(),
    };
    assert!(matches!(machine::handle::ask(&put), machine::command::Reply::Oid(_)));
    m.drain();
    assert_eq!(lines(&path)[0]["outputs"][7], json!({"a\n": [1, 2]}));
}

#[test]
fn a_file_is_put_aside_before_it_is_too_large() {
    let m = fresh();
    let path = temporary("rotated.jsonl");
    let sink = m.to_json_lines(&path).unwrap().rotate(2_000, 3).unwrap();
    for x in 0..100 {
        m.put(x).unwrap();
        m.drain();
    }
    let status = sink.status().unwrap();
    assert_eq!((status.sent, status.waiting, status.lost, status.error.as_str()), (100, 0, 0, ""));
    let mut all: Vec<i64> = Vec::new();
    for number in (0..=3).rev() {
        let name = if number == 0 { path.clone() } else { path.with_extension(format!("jsonl.{number}")) };
        assert!(std::fs::metadata(&name).unwrap().len() <= 2_000, "{}", name.display());
        all.extend(lines(&name).iter().map(|line| line["outputs"][0].as_i64().unwrap()));
    }
    assert!(all.windows(2).all(|pair| pair[0] + 1 == pair[1]) && all.last() == Some(&99), "{all:?}");
    assert!(!path.with_extension("jsonl.4").exists());
    sink.stop();
    m.put(100).unwrap();
    m.drain();
    assert_eq!(lines(&path).last().unwrap()["outputs"][0], 99);
}

#[test]
fn what_cannot_be_written_is_counted_and_tried_again() {
    let m = fresh();
    assert!(m.to_json_lines("/nowhere/at/all.jsonl").unwrap_err().message.contains("cannot be opened"));
    let sink = m.to_json_lines("/dev/full").unwrap();
    for x in 0..10 {
        m.put(x).unwrap();
    }
    m.drain();
    let status = sink.status().unwrap();
    assert_eq!((status.sent, status.lost, m.status().processed), (0, 10, 10));
    assert!(status.error.contains("No space left"), "{}", status.error);
}

/// A subscriber made of a plain socket: what goes over the wire, byte by byte.
struct Subscriber(Box<dyn Stream>);

trait Stream: std::io::Read + std::io::Write + Send {}
impl<S: std::io::Read + std::io::Write + Send> Stream for S {}

impl Subscriber {
    fn connect(endpoint: &str) -> Self {
        use std::io::{Read, Write};
        let mut stream: Box<dyn Stream> = match endpoint.strip_prefix("ipc://") {
            Some(path) => Box::new(std::os::unix::net::UnixStream::connect(path).unwrap()),
            None => Box::new(std::net::TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap()),
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
    while sink.status().unwrap().subscribers != count {
        thread::yield_now();
    }
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
        m.drain();
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
    assert!(m.publish("tcp://0.0.0.0:5555").unwrap_err().message.contains("this machine alone"));
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
            let _ = gone.recv();
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
            while m.status().processed < MESSAGES {
                thread::yield_now();
            }
            assert!(sink.status().unwrap().lost > 0, "nothing was read, and nobody waited");
            go.send(()).unwrap();
        }
        while sink.status().unwrap().waiting > 0 {
            m.drain();
        }
        m.drain();
        let status = sink.status().unwrap();
        sink.stop();
        let got = reader.join().unwrap();
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "in order, and each once");
        if no_loss {
            assert_eq!(got, (0..MESSAGES).collect::<Vec<_>>());
        } else {
            assert_eq!((status.sent + status.lost, status.waiting), (MESSAGES, 0));
            assert_eq!(got.len() as u64, status.sent);
        }
    }
}

#[test]
fn the_last_ten_outputs_are_at_hand() {
    let m = named("last").ordered(false).start();
    m[0].set(|x: u64| if x == 5 { Err("five") } else { Ok(x + 1) }).unwrap();
    assert!(m.last_outputs().is_empty());
    for x in 0..25_u64 {
        m.put(x).unwrap();
        m.drain();
    }
    let last = m.last_outputs();
    assert_eq!(
        last.iter().map(|l| l.input.clone()).collect::<Vec<_>>(),
        (15..25).rev().map(|x| x.to_string()).collect::<Vec<_>>()
    );
    assert_eq!((last[0].outputs.len(), last[0].outputs[7].as_str()), (8, "25"));
    assert_eq!(last[0].oid, m.status().last_oid);
    // The last errors are there too, with their inputs.
    assert_eq!((m.errors()[0].input.as_str(), m.status().errors.len()), ("5", 1));
}

#[test]
fn debug_mode_stops_at_the_first_error_with_the_message_in_hand() {
    let m = fresh();
    m[0].set(|x: u64| x * 2).unwrap();
    m[1].set(|x: u64| if x == 6 { Err(format!("not {x}")) } else { Ok(x) }).unwrap();
    m.debug(true);
    let outputs = m.outputs();
    for x in 0..10_u64 {
        m.put(x).unwrap();
    }
    m.drain();
    while m.status().in_hand.is_empty() {
        thread::yield_now();
    }
    let s = m.pause().status();
    assert_eq!((s.state.to_string().as_str(), s.processed, s.in_flight, s.errored), ("paused", 3, 1, 0));
    assert_eq!(s.accepted, s.processed + s.queue_size + s.in_flight + s.discarded);
    assert!(s.in_hand.ends_with(": f1 failed (error): not 6"), "{}", s.in_hand);
    let held = m.in_hand().unwrap();
    assert_eq!(
        (held.input.as_str(), held.slots[0].output.as_deref(), held.slots[1].output.as_deref()),
        ("3", Some("6"), None)
    );
    assert_eq!(held.slots[1].error.as_deref(), Some("f1 failed (error): not 6"));
    // Not corrected: it stays in hand.
    assert!(m.retry().unwrap().slots[1].error.is_some());
    assert!(m.in_hand().is_some());
    m[1].set(|x: u64| if x == 12 { Err("twelve") } else { Ok(x) }).unwrap();
    assert_eq!(m.retry().unwrap().slots[1].output.as_deref(), Some("6"));
    assert!(m.in_hand().is_none() && m.retry().unwrap_err().code == "nothing_in_hand");
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.errored), (4, 0, 0));
    m.start();
    while m.status().in_hand.is_empty() {
        thread::yield_now();
    }
    // Given up, it is what it would have been: a dead letter, and published.
    assert!(m.give_up() && !m.give_up());
    assert_eq!(m.errors()[0].input, "6");
    m.debug(false).start().drain();
    let s = m.status();
    assert_eq!((s.processed, s.errored, s.in_flight, s.queue_size), (10, 1, 0, 0));
    let got: Vec<u64> = all(outputs).iter().map(|o| o.input().unwrap()).collect();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
}

/// Messages that wait on their way (here for a second call) are overtaken, and leave in order all the same.
#[test]
fn ordered_outputs_wait_for_messages_that_wait() {
    let m = named("flights").ordered(true).start();
    let failed = std::sync::Mutex::new(std::collections::HashSet::new());
    m[0].set(
        move |x: u64| {
            if x.is_multiple_of(10) && failed.lock().unwrap().insert(x) { Err("the first time") } else { Ok(x) }
        },
    )
    .unwrap();
    m[0].retry(1, Duration::from_millis(2));
    let outputs = m.outputs();
    for x in 0..2_000_u64 {
        m.put_wait(x).unwrap();
    }
    m.drain();
    let got: Vec<u64> = all(outputs).iter().map(|o| o.get(7).unwrap()).collect();
    assert_eq!(got, (0..2_000).collect::<Vec<_>>());
    // Debug mode keeps one of these too.
    m.debug(true);
    m[1].set(|x: u64| if x == 5 { Err("five") } else { Ok(x) }).unwrap();
    m.put(5_u64).unwrap();
    while m.status().in_hand.is_empty() {
        thread::yield_now();
    }
    m[1].clear();
    assert_eq!(m.retry().unwrap().slots[7].output.as_deref(), Some("5"));
    let s = m.status();
    assert_eq!((s.processed, s.in_flight, s.errored), (2_001, 0, 0));
    m.start();
    m.put(6_u64).unwrap();
    m.drain();
    assert_eq!(m.status().processed, 2_002);
}
