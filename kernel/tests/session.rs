//! Real cells through a real session: `machine cells`, without Jupyter.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A session with its own cache, which stays for the next run of the tests.
struct Driver {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What was printed, shown and warned of, by kind.
    seen: Vec<Value>,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_machine"))
            .arg("cells")
            .env("MACHINE_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/session-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the executable starts");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, requests, answers, seen: Vec::new() }
    }

    fn send(&mut self, request: &Value) {
        writeln!(self.requests.as_mut().expect("open"), "{request}").expect("the session reads");
    }

    /// Runs a cell; returns its end.
    fn cell(&mut self, code: &str) -> Value {
        self.send(&json!({ "cell": code }));
        self.seen.clear();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).expect("readable") > 0, "the session ended in {code}");
            let answer: Value = serde_json::from_str(&line).expect("JSON");
            if answer.get("done").is_some() {
                return answer;
            }
            self.seen.push(answer);
        }
    }

    fn printed(&self, stream: &str) -> String {
        self.seen.iter().filter_map(|value| value.get(stream)?.as_str()).collect()
    }

    #[track_caller]
    fn value(&mut self, code: &str, expected: &str) {
        let end = self.cell(code);
        assert_eq!(end.pointer("/result/text~1plain").and_then(Value::as_str), Some(expected), "{end}");
    }

    #[track_caller]
    fn fails(&mut self, code: &str, ename: &str, said: &str) {
        let end = self.cell(code);
        assert_eq!(end.get("ename").and_then(Value::as_str), Some(ename), "{end}");
        let traceback = end.get("traceback").expect("a traceback").to_string();
        assert!(traceback.contains(said), "{said:?} is not in {traceback}");
    }

    fn interrupted(&mut self, after: f64, code: &str) -> Value {
        self.send(&json!({ "interrupt": after }));
        self.cell(code)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

/// One session for all: starting one costs more than running the cells.
#[test]
fn cells_errors_crashes_and_interrupts() {
    let mut session = Driver::start();
    session.value("1 + 1", "2");
    assert!(session.cell("let a = vec![1, 2, 3];\nprint!(\"half a line\");").get("ename").is_none());
    assert_eq!(session.printed("stdout"), "half a line");
    session.value("a.len()", "3");

    // Errors point at what the user wrote.
    session.fails("let b = 1;\nlet c: i32 = \"x\";", "CompileError", "cell [4]:2");
    session.fails("let b: i32 = \"x\".parse()?;", "ParseIntError", "cell [5]:1");
    session.fails("let v: Vec<i32> = vec![];\nv[3];", "Panic", "cell [6]:2");
    session.fails("let x = ;", "CompileError", "expected expression");
    assert_eq!(session.printed("stderr"), "");
    session.value("a.len()", "3");

    // Four crashes.
    for crash in [
        "std::process::abort();",
        "std::process::exit(3);",
        "unsafe { *(8 as *mut u8) = 1; }",
        "fn deep(n: u64) -> u64 { let a = [n; 512]; if n == 0 { 0 } else { deep(n + 1) + a[3] } }\nprintln!(\"{}\", deep(1));",
    ] {
        session.fails(crash, "RuntimeLost", "died");
        session.value("40 + 2", "42");
    }

    // Three interrupts: compiling, looping, stuck.
    let end = session.interrupted(1.0, "let kept = 5;\nloop {}");
    assert_eq!(end["ename"], "KeyboardInterrupt", "{end}");
    session.value("let kept = 6; kept", "6");
    let end = session.interrupted(1.0, "loop { std::thread::sleep(std::time::Duration::from_millis(5)); }");
    assert_eq!(end["ename"], "KeyboardInterrupt", "{end}");
    session.value("kept", "6");
    let end = session.interrupted(0.01, "let late = 1; late + 1");
    assert_eq!(end["ename"], "KeyboardInterrupt", "{end}");
    session.value("kept", "6");
    let end = session.interrupted(1.0, "std::thread::sleep(std::time::Duration::from_secs(60));");
    assert_eq!(end["ename"], "KeyboardInterrupt", "{end}");
    assert!(end["traceback"].to_string().contains("kept"), "{end}");
    session.value("1 + 2", "3");
}
