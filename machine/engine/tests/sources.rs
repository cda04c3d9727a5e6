//! What a source gives reaches the slots once, in order, and what is no message is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use common::named;
use machine::ErrorKind;
use machine::prelude::*;
use machine::status::SourceState;
use machine_protocol::status::SourceStatus;
use machine_testkit::{Drained, eventually};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

mod common;
#[path = "sources/files.rs"]
mod files;
#[path = "sources/http.rs"]
mod http;
#[path = "sources/next.rs"]
mod next;
#[path = "sources/sockets.rs"]
mod sockets;

/// A machine whose first slot keeps what it is given.
struct Kept {
    machine: Machine,
    name: String,
    items: Arc<Mutex<Vec<Value>>>,
}

/// A machine whose source runs without a slot.
fn fresh(queue: usize) -> (Machine, String) {
    let machine = named("s").queue(queue).start().unwrap();
    machine.start_empty();
    (machine, machine.status().machine)
}

impl Kept {
    fn new() -> Self {
        Self::with_queue(64)
    }

    fn with_queue(queue: usize) -> Self {
        let (machine, name) = fresh(queue);
        let items = Arc::new(Mutex::new(Vec::new()));
        let keep = items.clone();
        machine[0].set(move |item: &Value| keep.lock().unwrap().push(item.clone())).unwrap();
        Self { machine, name, items }
    }

    fn items(&self) -> Vec<Value> {
        self.items.lock().unwrap().clone()
    }

    fn source(&self) -> SourceStatus {
        self.machine.status().source
    }

    /// Waits until as many items came, and no more, and returns them.
    #[track_caller]
    fn wait_for(&self, items: usize) -> Vec<Value> {
        eventually!(self.items.lock().unwrap().len() >= items);
        let all = self.items();
        assert_eq!(all.len(), items, "{all:?}");
        all
    }

    /// Waits for the end of the source and of what it put; returns all items.
    fn to_the_end(&self) -> Vec<Value> {
        self.machine.drained();
        assert_eq!(self.source().state, SourceState::Exhausted);
        self.items()
    }

    fn errors(&self) -> Vec<(String, String)> {
        let mut errors: Vec<_> = self.machine.errors().iter().map(|e| (e.error.clone(), e.input.clone())).collect();
        errors.reverse();
        errors
    }
}

/// How many threads of this process have the name.
#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim() == name).count()
}

/// The source has been cleared: its thread is gone.
#[track_caller]
fn is_gone(kept: &Kept) {
    assert_eq!(kept.source().state, SourceState::None);
    #[cfg(target_os = "linux")]
    eventually!(threads_named(&format!("{}/source", kept.name)) == 0);
}

struct Scratch {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new(content: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        std::fs::write(&path, content).unwrap();
        Self { _directory: directory, path }
    }

    fn append(&self, content: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }
}

#[test]
fn iterators_and_functions_and_what_is_built_in_are_set_in_one_way() {
    let kept = Kept::new();
    kept.machine.source(0..10).unwrap();
    assert_eq!(kept.to_the_end(), (0..10).map(Value::from).collect::<Vec<_>>());
    kept.machine.source(|| ["a", "b"]).unwrap();
    assert_eq!(kept.to_the_end().len(), 12);
    let status = kept.source();
    assert_eq!((status.taken, status.description.as_str()), (2, "a function that gives &str"));
}

#[test]
fn a_function_is_called_again_after_stop_and_start() {
    let kept = Kept::with_queue(4);
    kept.machine.source(|| 0..3).unwrap();
    assert_eq!(kept.to_the_end().len(), 3);
    kept.machine.start(); // it runs already
    kept.machine.pause().start(); // pauses do not count
    assert_eq!(kept.to_the_end().len(), 3);
    kept.machine.stop().start();
    assert_eq!(kept.to_the_end(), [0, 1, 2, 0, 1, 2]);
    kept.machine.clear_source();
    // One that is stopped on its way: what it has given is put, then it begins anew.
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let endless = move || {
        count.fetch_add(1, Relaxed);
        0_u64..
    };
    kept.machine.source(endless).unwrap();
    eventually!(kept.source().taken > 10);
    kept.machine.stop().start();
    eventually!(calls.load(Relaxed) == 2 && kept.items()[6..].iter().filter(|item| **item == 0).count() == 2);
    kept.machine.clear_source();
    kept.machine.drained();
    let items: Vec<u64> = kept.items()[6..].iter().map(|item| item.as_u64().unwrap()).collect();
    let anew = items[1..].iter().position(|item| *item == 0).unwrap() + 1;
    assert!(items[..anew].iter().copied().eq(0..anew as u64), "{items:?}");
    assert!(items[anew..].iter().copied().eq(0..(items.len() - anew) as u64), "{items:?}");
}

#[test]
fn a_function_that_panics_fails_the_source_until_it_is_started_again() {
    let kept = Kept::new();
    let mut calls = 0;
    let second_time = move || {
        calls += 1;
        assert!(calls > 1, "not yet");
        [7]
    };
    kept.machine.source(second_time).unwrap();
    eventually!(kept.source().state == SourceState::Failed);
    assert!(kept.source().error.starts_with("the function panicked: not yet (machine/"), "{}", kept.source().error);
    let errors = kept.machine.errors();
    assert_eq!((errors[0].slot.as_str(), errors[0].kind.as_str(), errors[0].oid.as_str()), ("source", "source", ""));
    kept.machine.stop().start();
    assert_eq!(kept.to_the_end(), [7]);
    assert_eq!(kept.source().error, "");
}

/// Both are called again on their way, by the run that had begun before the `stop`.
#[test]
fn what_fails_when_it_is_called_again_is_not_asked_on() {
    let kept = Kept::new();
    let mut calls = 0;
    let not_again = move || {
        calls += 1;
        assert!(calls < 2, "not again");
        0_u64..
    };
    kept.machine.source(not_again).unwrap();
    eventually!(kept.source().taken > 0);
    kept.machine.stop().start();
    eventually!(kept.source().state != SourceState::Running);
    let status = kept.source();
    let text = |error: &str| error.split(" (").next().unwrap_or_default().to_owned();
    assert_eq!((status.state.as_str(), text(&status.error).as_str()), ("failed", "the function panicked: not again"));
    let (mut calls, asked) = (0, Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let broken_later = move || {
        calls += 1;
        let (call, count) = (calls, count.clone());
        (0_u64..).inspect(move |_| assert!(call < 2 || count.fetch_add(1, Relaxed) > 0, "broken"))
    };
    kept.machine.source(broken_later).unwrap();
    eventually!(kept.source().taken > 0);
    kept.machine.stop().start();
    eventually!(asked.load(Relaxed) > 0 && (kept.source().state != SourceState::Running || asked.load(Relaxed) > 1));
    let status = kept.source();
    assert_eq!((status.state.as_str(), text(&status.error).as_str()), ("failed", "the source panicked: broken"));
    assert_eq!(asked.load(Relaxed), 1);
}

#[test]
fn clearing_wakes_a_source_that_waits_for_room_and_counts_what_it_held() {
    let kept = Kept::with_queue(8);
    kept.machine.pause();
    kept.machine.source(0_u64..1_000).unwrap();
    kept.machine.start();
    eventually!(kept.source().taken > 0);
    kept.machine.pause();
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    kept.machine.clear_source();
    // From here on nothing comes from it.
    kept.machine.clear();
    assert_eq!(kept.machine.status().queue_size, 0);
    eventually!(threads_named(&format!("{}/source", kept.name)) == 0);
    let before = kept.source().dropped;
    let (block, blocked) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let (key, reached) = (block.clone(), blocked.clone());
    kept.machine[0]
        .set(move |_: &Value| {
            reached.fetch_add(1, Relaxed);
            drop(key.lock());
        })
        .unwrap();
    let held = block.lock().unwrap();
    kept.machine.start();
    kept.machine
        .source((0_u64..).inspect(move |_| {
            count.fetch_add(1, Relaxed);
        }))
        .unwrap();
    // Held up by a full queue: one in the slot, eight wait, one in hand.
    eventually!(given.load(Relaxed) == 10);
    kept.machine.clear_source();
    eventually!(kept.source().dropped == before + 1);
    drop(held);
    kept.machine.drained();
    assert_eq!(given.load(Relaxed), 10);
    let status = kept.machine.status();
    assert_eq!(status.accepted, status.processed + status.discarded);
    eventually!(threads_named(&format!("{}/source", kept.name)) == 0);
}

#[test]
fn a_clock_ticks_and_is_not_waited_for() {
    let kept = Kept::new();
    kept.machine.source(source::interval(Duration::from_millis(1))).unwrap();
    eventually!(kept.items().len() >= 3);
    kept.machine.pause();
    let ticks: Vec<source::Tick> = kept.items().into_iter().map(|tick| serde_json::from_value(tick).unwrap()).collect();
    assert!(ticks.windows(2).all(|two| two[0].tick < two[1].tick && two[0].time <= two[1].time), "{ticks:?}");
    assert_eq!(ticks[0].tick, 0);
    kept.machine.clear_source();
    is_gone(&kept);
    kept.machine.start().source(source::interval(Duration::from_hours(24))).unwrap();
    eventually!(kept.source().taken == 1);
    kept.machine.drained();
    assert_eq!(kept.source().state, SourceState::Running);
    kept.machine.clear_source();
    is_gone(&kept);
    assert_eq!(kept.machine.source(source::interval(Duration::ZERO)).unwrap_err().kind(), ErrorKind::OutOfRange);
}

#[test]
fn pauses_between_items_end_when_the_source_is_cleared() {
    let year = 365 * 86_400;
    let items = [json!({ "at": { "time": 0 } }), json!({ "at": { "time": year } }), json!(1)];
    let kept = Kept::new();
    kept.machine.source(items.clone().replay("at.time", 1.0)).unwrap();
    eventually!(kept.source().taken == 1);
    kept.machine.clear_source();
    eventually!(kept.source().dropped == 1);
    kept.machine.source([1, 2].rate(1e-6)).unwrap();
    eventually!(kept.source().taken == 1);
    kept.machine.clear_source();
    eventually!(kept.source().dropped == 2);
    // As fast as possible, or nearly so.
    kept.machine.source(items.clone().replay("at.time", f64::INFINITY)).unwrap();
    assert_eq!(kept.to_the_end().len(), 5);
    kept.machine.clear_source();
    kept.machine.source(items.replay("at.time", 1e12)).unwrap();
    assert_eq!(kept.to_the_end().len(), 8);
    assert_eq!(kept.source().note, "1 items without a time in at.time: given at once");
    kept.machine.clear_source();
    for refused in [kept.machine.source([1].rate(0.0)), kept.machine.source([1].replay("t", -1.0))] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::OutOfRange);
    }
    let refused = kept.machine.source(source::http(0).replay("t", 1.0));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoReplay);
}

#[test]
fn a_pause_while_an_item_waits_for_its_time_does_not_count() {
    // At three times the speed.
    const APART: Duration = Duration::from_secs(1);
    let kept = Kept::new();
    let items = [0, 3 * APART.as_secs()].map(|time| json!({ "at": time }));
    kept.machine.source(items.replay("at", 3.0)).unwrap();
    eventually!(kept.source().taken == 1);
    kept.machine.pause();
    // More than it waits for: the machine reads the clock of the system.
    thread::sleep(APART + Duration::from_millis(200));
    let before = Instant::now();
    kept.machine.start();
    eventually!(kept.source().taken == 2);
    assert!(before.elapsed() > APART / 3, "{:?}", before.elapsed());
}

#[test]
fn a_function_that_is_called_again_is_replayed_anew() {
    let year = 365 * 86_400;
    let kept = Kept::new();
    let (mut calls, given) = (0, Arc::new(AtomicUsize::new(0)));
    let gave = given.clone();
    let earlier_the_second_time = move || {
        calls += 1;
        let times = if calls == 1 { vec![9 * year] } else { vec![0, year] };
        let gave = gave.clone();
        times.into_iter().map(move |time| {
            gave.fetch_add(1, Relaxed);
            json!({ "at": time })
        })
    };
    kept.machine.source(earlier_the_second_time.replay("at", 1.0)).unwrap();
    assert_eq!(kept.to_the_end().len(), 1);
    kept.machine.stop().start();
    // One of the first call, two of the second.
    eventually!(given.load(Relaxed) == 3, kept.source());
    kept.machine.clear_source();
    eventually!(threads_named(&format!("{}/source", kept.name)) == 0);
    // The last one waited for its time.
    assert_eq!(kept.source().dropped, 1);
}

/// Does nothing, unless the test below starts it in a separate process.
#[test]
fn reader_of_standard_input() {
    if std::env::var_os("MACHINE_TEST_STDIN").is_none() {
        return;
    }
    let kept = Kept::new();
    // One that is slow: it has one line in hand, and leaves the rest of what it has read.
    kept.machine.source(source::stdin().json().rate(1e-6)).unwrap();
    eventually!(kept.source().taken == 1);
    kept.machine.clear_source();
    eventually!(kept.source().dropped == 1);
    is_gone(&kept);
    kept.machine.source(source::stdin().json()).unwrap();
    eventually!(kept.source().taken == 2);
    kept.machine.clear_source();
    is_gone(&kept);
    println!("ready");
    // The next one goes on with what this one left: a line without its end.
    kept.machine.source(source::stdin()).unwrap();
    println!("result {}", Value::from(kept.to_the_end()));
    assert_eq!(kept.errors(), [("line 2: not JSON: expected ident, column 2".to_owned(), "\"no\"".to_owned())]);
}

#[test]
fn standard_input_is_a_source_of_a_program() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reader_of_standard_input", "--nocapture"])
        .env("MACHINE_TEST_STDIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"0\n1\n{\"a\":1}\nno\n2\num, dois, ").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(output.any(|line| line.ends_with("ready")));
    stdin.write_all("três\nlast".as_bytes()).unwrap();
    drop(stdin);
    let result = output.find_map(|line| line.strip_prefix("result ").map(str::to_owned));
    assert_eq!(result.as_deref(), Some(r#"[0,{"a":1},2,"um, dois, três","last"]"#));
    assert!(child.wait().unwrap().success());
}

/// Does nothing, unless the test below starts it in a separate process.
#[test]
fn pipeline_of_standard_input() {
    if std::env::var_os("MACHINE_TEST_PIPELINE").is_none() {
        return;
    }
    let code = machine_engine::run(|| {
        MACHINE.on_output(|output| println!("out {}", output.get::<Value>(0).unwrap()))?;
        MACHINE.source(source::stdin())
    });
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
}

#[test]
fn standard_input_is_a_source_of_a_pipeline_that_ends_with_it() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pipeline_of_standard_input", "--nocapture"])
        .env("MACHINE_TEST_PIPELINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo").unwrap();
    let ended = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{err}");
    assert!(out.contains("out \"one\"") && out.contains("out \"two\""), "{out}");
    assert!(err.contains("main: 2 processed") && err.contains("source exhausted, 2 taken"), "{err}");
}

#[test]
fn a_drain_that_ran_out_of_time_tells_that_the_source_goes_on() {
    let kept = Kept::new();
    let (more, items) = std::sync::mpsc::channel::<u64>();
    kept.machine.source(items).unwrap();
    more.send(1).unwrap();
    eventually!(kept.machine.status().processed == 1);
    let left = kept.machine.drain_timeout(Duration::ZERO).unwrap_err();
    assert!(left.source_runs);
    assert_eq!(
        kept.machine.drain_timeout(Duration::from_millis(1)).unwrap_err().to_string(),
        "the source has not ended"
    );
    // Of a machine that holds at once, for its source cannot come to its end.
    let paused = kept.machine.pause().drain_timeout(Duration::MAX);
    assert!(paused.unwrap_err().source_runs);
    kept.machine.start();
    drop(more);
    assert_eq!(kept.machine.drain_timeout(Duration::MAX), Ok(()));
    // A source without an end is not waited for.
    kept.machine.source(source::interval(Duration::from_secs(1000))).unwrap();
    assert_eq!(kept.machine.drain_timeout(Duration::MAX), Ok(()));
}

#[test]
fn a_process_that_runs_cells_has_no_standard_input() {
    // Of the process, so it is tested in a separate one.
    if std::env::var_os("MACHINE_TEST_CELLS").is_some() {
        machine_engine::set_cell_thread();
        let refused = Kept::new().machine.source(source::stdin()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoStdin);
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_runs_cells_has_no_standard_input"])
        .env("MACHINE_TEST_CELLS", "1")
        .status();
    assert!(child.unwrap().success());
}
