//! Outputs as JSON, in bytes that others read, and in files.

use crate::{fresh, named};
use machine::prelude::*;
use machine_testkit::{Drained, Joined, eventually};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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
    let m = named("wire").slots(9).start().unwrap();
    m[0].set(|x: f64| x * x).unwrap();
    m[2].set(|x: f64| if x > 3.0 { Err("too \"big\"\n".to_owned()) } else { Ok(x) }).unwrap();
    m[4].set(|x: f64| x + 0.5).unwrap();
    m[6].set(|x: Option<f64>| (x, "é\"", f64::NAN, 7_u8, None::<bool>)).unwrap();
    let line = line!() + 1;
    m[7].set(|_: &Value| -> u64 { panic!("oh") }).unwrap();
    let path = temporary("wire.jsonl");
    m.to_json_lines(&path).unwrap();
    for x in [1.0, 2.0, f64::INFINITY] {
        m.put(x).unwrap();
    }
    m.put(json!({"not": "a number"})).unwrap();
    m.drained();
    let text = std::fs::read_to_string(&path).unwrap();
    let outputs: Vec<&str> =
        text.lines().map(|line| line.split_once("\"outputs\":").unwrap().1.strip_suffix('}').unwrap()).collect();
    let place = format!("{}:{line}:35", file!());
    let panicked = format!(r#"{{"_exception":{{"exc_value":"oh ({place})","exc_type":"Panic","task":"f7"}}}}"#);
    assert_eq!(outputs[0], format!(r#"[1.0,1.0,1.0,1.0,1.0,1.5,1.5,[1.5,"é\"",null,7,null],{panicked},{panicked}]"#));
    let failed = r#"{"_exception":{"exc_value":"too \"big\"\n","exc_type":"Error","task":"f2"}}"#;
    let skipped = |slot: u32, lacks: u32| {
        format!(
            r#"{{"_exception":{{"exc_value":"f{slot} was skipped because f{lacks} produced no output","exc_type":"UpstreamError","task":"f{slot}"}}}}"#
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
        m.drained();
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
    let put = machine_protocol::command::Command::Put {
        machine: machine_protocol::command::Target::Name(m.status().machine),
        json: "{\n  \"a\\n\": [1,\r\n 2]\n}".to_owned(),
    };
    assert!(matches!(machine::handle::ask(&put), machine_protocol::command::Reply::Oid(_)));
    m.drained();
    assert_eq!(lines(&path)[0]["outputs"][7], json!({"a\n": [1, 2]}));
}

#[test]
fn a_file_is_put_aside_before_it_is_too_large() {
    let m = fresh();
    let path = temporary("rotated.jsonl");
    let sink = m.to_json_lines(&path).unwrap().rotate(2_000, 3).unwrap();
    for x in 0..100 {
        m.put(x).unwrap();
        m.drained();
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
    m.drained();
    assert_eq!(lines(&path).last().unwrap()["outputs"][0], 99);
}

#[test]
fn what_cannot_be_written_is_counted_and_tried_again() {
    let m = fresh();
    assert!(m.to_json_lines("/nowhere/at/all.jsonl").unwrap_err().message().contains("cannot open"));
    let sink = m.to_json_lines("/dev/full").unwrap();
    for x in 0..10 {
        m.put(x).unwrap();
    }
    m.drained();
    let status = sink.status().unwrap();
    assert_eq!((status.sent, status.lost, m.status().processed), (0, 10, 10));
    assert!(status.error.contains("No space left"), "{}", status.error);
}

/// Nobody would read what is written to a file that was deleted.
#[test]
fn a_file_that_was_deleted_is_begun_anew() {
    let m = fresh();
    let path = temporary("deleted.jsonl");
    let sink = m.to_json_lines(&path).unwrap();
    m.put(1_u64).unwrap();
    m.drained();
    assert_eq!(lines(&path).len(), 1);
    std::fs::remove_file(&path).unwrap();
    for x in [2_u64, 3] {
        m.put(x).unwrap();
        m.drained();
    }
    assert_eq!(lines(&path).iter().map(|line| line["outputs"][0].clone()).collect::<Vec<_>>(), [json!(2), json!(3)]);
    std::fs::rename(&path, temporary("away.jsonl")).unwrap();
    m.put(4_u64).unwrap();
    m.drained();
    assert_eq!(lines(&path).len(), 1);
    assert_eq!((sink.status().unwrap().sent, sink.status().unwrap().lost), (4, 0));
}

/// A cell that opens one and is run again: two would write each line twice, and put the file aside under each other.
#[test]
fn a_file_has_one_output_at_a_time() {
    let (m, other) = (fresh(), fresh());
    let path = temporary("one.jsonl");
    for _ in 0..3 {
        let sink = m.to_json_lines(&path).unwrap();
        for machine in [&m, &other] {
            let refused = machine.to_json_lines(&path).unwrap_err().to_string();
            assert!(refused.contains("another output is already writing to it; stop it"), "{refused}");
        }
        m.put(1_u64).unwrap();
        sink.stop();
    }
    m.drained();
}

#[test]
fn a_line_that_a_killed_process_has_left_half_spoils_none() {
    let m = fresh();
    let path = temporary("half.jsonl");
    for (before, lines_before) in [("", 0), ("{}\n", 1), ("{}\n{\"oid\":\"6920", 2)] {
        std::fs::write(&path, before).unwrap();
        let sink = m.to_json_lines(&path).unwrap();
        m.put(1_u64).unwrap();
        m.drained();
        sink.stop();
        let text = std::fs::read_to_string(&path).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(
            (text.starts_with(before), text.lines().count(), &last["outputs"][0]),
            (true, lines_before + 1, &json!(1))
        );
    }
}

/// As some that put logs aside do it: they copy the file, and cut it.
#[test]
fn a_file_that_others_cut_is_as_large_as_it_is() {
    let m = fresh();
    let path = temporary("cut.jsonl");
    let sink = m.to_json_lines(&path).unwrap().rotate(2_000, 1).unwrap();
    for _ in 0..2 {
        for x in 0..15 {
            m.put(x).unwrap();
        }
        m.drained();
        assert_eq!(lines(&path).len(), 15);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    }
    assert_eq!(sink.status().unwrap().sent, 30);
    assert!(!path.with_extension("jsonl.1").exists());
}

/// Neither a pipe that nobody reads nor one whose reader has gone holds a cell or a worker.
#[test]
fn a_pipe_is_written_to_while_somebody_reads_it() {
    let m = fresh();
    let path = temporary("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let refused = m.to_json_lines(&path).unwrap_err().to_string();
    assert!(refused.contains("pipe for appending: it is a pipe that nobody reads: start"), "{refused}");
    let read = |count: usize| {
        let path = path.clone();
        std::thread::spawn(move || {
            let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
            let lines = std::io::BufRead::lines(file).map_while(Result::ok).take(count);
            lines.map(|line| serde_json::from_str::<Value>(&line).unwrap()["outputs"][0].clone()).collect::<Vec<_>>()
        })
    };
    // More than the system has room for.
    let text = "x".repeat(1_000);
    let reader = read(500);
    let sink = std::iter::repeat_with(|| m.to_json_lines(&path)).find_map(Result::ok).unwrap();
    for _ in 0..500 {
        m.put_wait(text.clone()).unwrap();
    }
    assert_eq!(reader.joined(), vec![json!(text); 500]);
    for lost in 1..=2 {
        m.put(0).unwrap();
        eventually!(sink.status().unwrap().lost >= lost);
    }
    let s = sink.status().unwrap();
    assert!((s.sent, s.waiting) == (500, 0) && s.error.contains("nobody reads"), "{s:?}");
    let reader = read(1);
    while sink.status().unwrap().sent == 500 {
        m.put(7).unwrap();
        m.drained();
    }
    assert_eq!(reader.joined(), [7]);
}
