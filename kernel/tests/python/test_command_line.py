"""The command line: machines of other processes, and pipelines outside of Jupyter."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from conftest import ROOT, Notebook, executable

TWEETS = ROOT / "data" / "tweets_GroundTruth.txt"
# The longest that anything may take: the first pipeline compiles the engine.
PATIENCE = 900.0

SCRIPT = r"""
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tweet { id: u32, rating: f64, text: String }

MACHINE[0] = |tweet: &Tweet| tweet.text.len();
MACHINE[1] = |_, tweet: &Tweet| if tweet.id % 31 == 0 { Err("a multiple of 31") } else { Ok(tweet.rating) };
MACHINE[2] = |x| x.clone();
%status
let file = std::fs::read_to_string(std::env::args().nth(1).unwrap_or_default())?;
let tweets: Vec<Value> = file.lines().filter_map(|line| {
    let mut fields = line.splitn(3, '\t');
    let (id, rating): (u32, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(json!({"id": id, "rating": rating, "text": fields.next()?}))
}).collect();
MACHINE.source(tweets)?;
"""

PROGRAM = r"""#!/usr/bin/env -S machine run
---
[dependencies]
serde_json = "1"
---
use machine::prelude::*;
use std::time::Duration;

fn main() -> Result<(), machine::Error> {
    MACHINE[0].set(|x: f64| if x == 7.0 { Err("seven") } else { Ok(x * x) })?;
    if let Some(count) = std::env::args().nth(1).and_then(|count| count.parse::<u32>().ok()) {
        return MACHINE.source((0..count).map(f64::from));
    }
    // Without an end.
    MACHINE.source((0..).map(|n| {
        std::thread::sleep(Duration::from_millis(1));
        f64::from(n)
    }))
}
"""

LINES = r"""
MACHINE[0] = |line: &Value| line["id"].as_u64().or(line.as_str().map(|line| line.len() as u64)).ok_or("no number");
MACHINE.on_output(|o| println!("{:?}", o.get::<u64>(0).ok()))?;
let stdin = if std::env::args().any(|argument| argument == "json") { source::stdin().json() } else { source::stdin() };
MACHINE.source(stdin)?;
"""

PROJECT = r"""
use machine::prelude::*;

fn main() -> std::process::ExitCode {
    machine_engine::run(|| {
        MACHINE[0].set(|x: f64| x * x)?;
        MACHINE.source((0..10).map(f64::from))
    })
}
"""

MANIFEST = f"""
[package]
name = "squares-project"
edition = "2024"

[dependencies]
machine = {{ package = "rust-machine", path = "{ROOT}/machine/api" }}
machine-engine = {{ path = "{ROOT}/machine/engine" }}

# That of pipelines in files, so that the engine is compiled once for all of them.
[profile.release]
debug = false
strip = "debuginfo"
overflow-checks = true

[profile.release.package."*"]
overflow-checks = false

[workspace]
"""


class Machine:
    """The command line, with its own directory of sockets."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.environment = {
            **os.environ, "MACHINE_RUNTIME_DIR": str(runtime), "MACHINE_CRATES": str(ROOT / "machine"),
        }

    def __call__(self, *arguments: object, timeout: float = PATIENCE, given: str = "") -> subprocess.CompletedProcess:
        """Runs a command to its end, with this text as its standard input."""
        command = [executable(), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=timeout,
                              input=given, check=False)

    def json(self, *arguments: object) -> dict:
        """What a command that has to succeed says in JSON: one document."""
        ran = self(*arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def start(self, *arguments: object, stdin: int | None = None) -> subprocess.Popen:
        """Starts a command."""
        command = [executable(), *map(str, arguments)]
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.environment)

    def wait_for(self, process: subprocess.Popen, condition: Callable[[dict], bool] = lambda status: True) -> dict:
        """Waits until the machine of a process that was started is as it should be."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert process.poll() is None, process.communicate()
            for found in self.json("machines")["machines"]:
                if found["pid"] == process.pid and condition(found["status"]):
                    return found
            time.sleep(0.02)
        pytest.fail("the machine did not become as it should be")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The command line of a test's own."""
    # Not pytest's directory: the path of a socket has about a hundred bytes.
    runtime = Path(tempfile.mkdtemp(prefix="mr-"))
    yield Machine(runtime)
    shutil.rmtree(runtime)


def of_readme() -> str:
    """The pipeline that README.md shows."""
    text = (ROOT / "README.md").read_text()
    [pipeline] = re.findall(r"^```rust\n(#!/usr/bin/env -S machine run\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return pipeline


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    """Pipelines in a directory that stays from run to run, so that they stay compiled."""
    directory = Path(tempfile.gettempdir()) / f"machine-pipelines-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    for name, text in [("tweets.rs", SCRIPT), ("squares.rs", PROGRAM), ("lines.rs", LINES), ("readme.rs", of_readme())]:
        if not (file := directory / name).is_file() or file.read_text() != text:
            file.write_text(text)
    return directory


@pytest.fixture
def endless(machine: Machine, files: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Starts pipelines without an end, and ends them."""
    started = []

    def start() -> subprocess.Popen:
        started.append(machine.start("run", files / "squares.rs"))
        machine.wait_for(started[-1], lambda status: status["processed"] > 10)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_notebook_is_seen_and_controlled_from_outside(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_RUNTIME_DIR", str(machine.runtime))
    notebook = Notebook()
    try:
        notebook.must("MACHINE[0] = |x: f64| if x < 3.0 { Err(\"small\") } else { Ok(x) };")
        notebook.must("for n in 0..100 { MACHINE.put(f64::from(n))?; } MACHINE.drain();")
        inside = json.loads(notebook.must("%status --json").shown()[-1])
        outside = machine.json("status", "main")
        for name in ("machine", "processed", "errored", "accepted", "queue_size", "last_oid", "slots", "errors"):
            assert outside[name] == inside[name], name
        assert outside["processed"] == 100 and outside["errored"] == 3
        assert "100 processed" in machine("status", "main").stdout

        assert machine.json("pause", "main")["state"] == "paused"
        notebook.must("MACHINE.put(1.0)?;")
        assert json.loads(notebook.must("%status --json").shown()[-1])["state"] == "paused"
        assert machine.json("step", "main")["input"] == "1.0"
        assert machine.json("put", "main", "5")["oid"]
        assert machine.json("peek", "main")["waiting"] == 1
        assert machine.json("clear", "main") == {"machine": "main", "discarded": 1}
        assert machine.json("start", "main")["state"] == "running"
        assert machine.json("drain", "main")["left"] == 0
        letters = machine.json("errors", "main", "f0", "-n", "2")["errors"]
        assert [letter["input"] for letter in letters] == ["1.0", "2.0"]
        found = machine.json("errors", "main", "--where", "in > 1.5", "--since", "1h")["errors"]
        assert [letter["oid"] for letter in found] == [letters[1]["oid"]]
        explained = machine("explain", "main", letters[1]["oid"])
        assert "small" in explained.stdout, explained
        assert machine.json("retry", "main", "f0") == {"machine": "main", "tried": 4, "passed": 0, "failed": 4}
    finally:
        notebook.close()


def test_sockets_of_the_dead_are_removed(machine: Machine) -> None:
    stale = machine.runtime / "99999999.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
        gone.listen()
    assert machine.json("machines") == {"machines": [], "silent": []}
    assert not stale.exists()


def test_a_process_that_hangs_is_told_and_holds_nobody_up(machine: Machine) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(machine.runtime / "1.sock"))
        mute.listen()
        listed = machine.json("machines")
    assert listed["machines"] == [] and len(listed["silent"]) == 1


def test_others_directories_are_left_alone(machine: Machine, endless: Callable[[], subprocess.Popen]) -> None:
    endless()
    assert machine("status", "main").returncode == 0
    machine.runtime.chmod(0o755)
    assert machine.json("machines")["machines"] == []
    machine.runtime.chmod(0o700)


def test_one_name_in_two_processes(machine: Machine, endless: Callable[[], subprocess.Popen]) -> None:
    first, second = endless(), endless()
    ran = machine("status", "main")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1 and f"main@{first.pid}" in ran.stderr and f"main@{second.pid}" in ran.stderr
    assert machine.json("stop", f"main@{first.pid}")["state"] == "stopped"
    assert machine.json("status", f"main@{first.pid}")["state"] == "stopped"
    assert machine.json("status", f"main@{second.pid}")["state"] == "running"
    ran = machine("status", "mian", "--json")
    assert ran.returncode == 1 and json.loads(ran.stdout)["error"]["code"] == "no_such_machine"
    assert "did you mean main?" in ran.stderr


def test_what_a_client_sends_harms_nobody(machine: Machine, endless: Callable[[], subprocess.Popen]) -> None:
    pipeline = endless()
    path = str(machine.runtime / f"{pipeline.pid}.sock")
    clients = []
    for sent in [b"", b"\xff\xff\xff\xff", b"\x04\0\0\0null", b"\x40\0\0\0{", os.urandom(64)] * 6:
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.sendall(sent)
        clients.append(client)
    # Some of them are still connected and silent: there is a place beside them.
    assert machine.json("status", "main")["running"]
    enter = json.dumps({"id": 1, "command": {"command": "interrupt", "on": True}}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(len(enter).to_bytes(4, "little") + enter)
        stream = client.makefile("rb")
        hello, answer = (json.loads(stream.read(int.from_bytes(stream.read(4), "little"))) for _ in range(2))
    assert hello["pid"] == pipeline.pid
    assert answer["reply"]["value"]["code"] == "not_remote"
    for client in clients:
        client.close()


def test_a_script_runs_as_its_cells_did(machine: Machine, files: Path) -> None:
    ran = machine("run", files / "tweets.rs", "--fail-on-error", "--json", "--", TWEETS)
    assert ran.returncode == 1, ran.stderr
    status, = json.loads(ran.stdout)
    assert status["processed"] == 4200 and status["errored"] == 135
    assert [slot["ok"] for slot in status["slots"][:3]] == [4200, 4065, 4065]
    assert status["slots"][2]["code"] == "|x| x.clone()"
    assert "main: 4200 processed" in ran.stderr and "135 errored (f1 135)" in ran.stderr
    assert "tweets.rs:8: %status is for notebooks" in ran.stderr
    # Without the option, errors of messages are counted and no failure of the process.
    assert machine("run", files / "tweets.rs", "--", TWEETS).returncode == 0
    ran = machine("run", files / "tweets.rs", "--", "nowhere")
    assert ran.returncode == 1
    assert "Error: tweets.rs:9: " in ran.stderr, ran.stderr


def test_the_pipeline_of_the_readme_runs(machine: Machine, files: Path, tmp_path: Path) -> None:
    tweets = tmp_path / "tweets.txt"
    tweets.write_text("1\t2.5\tWhat a good day!\n2\t-2.5\tThis is horrible.\n")
    ran = machine("run", files / "readme.rs", "--json", "--", tweets)
    assert ran.returncode == 0, ran.stderr
    *scores, last = map(json.loads, ran.stdout.splitlines())
    assert [(score["id"], score["rating"], score["score"] > 0) for score in scores] == [(1, 2.5, True), (2, -2.5, False)]
    status, = last
    assert (status["processed"], status["errored"]) == (2, 0)
    assert [slot["ok"] for slot in status["slots"][:3]] == [2, 2, 2]


def test_a_program_with_a_main_runs(machine: Machine, files: Path) -> None:
    ran = machine("run", files / "squares.rs", "--", "1000")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert "main: 1000 processed" in ran.stderr and "1 errored (f0 1); source exhausted, 1000 taken" in ran.stderr


def test_a_pipeline_takes_what_is_piped_into_it_and_ends_with_it(machine: Machine, files: Path) -> None:
    ran = machine("run", files / "lines.rs", given="one\ntwo\nthree")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["Some(3)", "Some(3)", "Some(5)"]
    assert "main: 3 processed" in ran.stderr and "source exhausted, 3 taken" in ran.stderr
    ran = machine("run", files / "lines.rs", "--", "json", given='{"id": 7}\nnot JSON\n{"id": 8}\n')
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["Some(7)", "Some(8)"]
    assert "line 2: not JSON" in ran.stderr
    ran = machine("run", files / "lines.rs")
    assert ran.returncode == 0 and "main: 0 processed" in ran.stderr, ran.stderr
    # Without an end of the input there is none of the pipeline.
    pipeline = machine.start("run", files / "lines.rs", stdin=subprocess.PIPE)
    pipeline.stdin.write("four\n")
    pipeline.stdin.flush()
    assert pipeline.stdout.readline() == "Some(4)\n"
    pipeline.send_signal(signal.SIGINT)
    _, errors = pipeline.communicate(timeout=PATIENCE)
    assert pipeline.returncode == 0 and "1 processed" in errors, errors


def test_a_drain_whose_time_is_up_fails(machine: Machine, endless: Callable) -> None:
    endless()
    ran = machine("drain", "main", "--timeout", "10ms")
    assert ran.returncode == 1
    assert "note: the time is up: " in ran.stdout and "the source has not ended" in ran.stdout, ran.stdout
    ran = machine("drain", "main", "--timeout", "10ms", "--json")
    told = json.loads(ran.stdout)
    assert ran.returncode == 1 and told["drained"] is False and told["source_runs"] is True, told


def test_a_cargo_project_runs(machine: Machine, files: Path) -> None:
    project = files / "project"
    (project / "src").mkdir(parents=True, exist_ok=True)
    for file, text in [("Cargo.toml", MANIFEST), ("src/main.rs", PROJECT)]:
        if not (project / file).is_file() or (project / file).read_text() != text:
            (project / file).write_text(text)
    shutil.copy(ROOT / "Cargo.lock", project)
    # Where pipelines in files are built.
    cache = os.environ.get("MACHINE_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "machine"
    machine.environment["CARGO_TARGET_DIR"] = str(Path(cache) / "run" / "target")
    ran = machine("run", project)
    assert ran.returncode == 0, ran.stderr
    assert "main: 10 processed" in ran.stderr
    ran = machine("run", files)
    assert ran.returncode == 2 and "is not a Cargo project" in ran.stderr


def test_ctrl_c_ends_the_sources_and_finishes_what_waits(machine: Machine, endless: Callable) -> None:
    pipeline = endless()
    machine.json("pause", "main")
    waiting = machine.wait_for(pipeline, lambda status: status["queue_size"] > 0)["status"]
    machine.json("start", "main")
    pipeline.send_signal(signal.SIGINT)
    _, errors = pipeline.communicate(timeout=PATIENCE)
    assert pipeline.returncode == 0, errors
    assert "source ended" in errors
    processed = int(errors.split("main: ")[1].split(" ")[0])
    assert processed >= waiting["accepted"]
    assert "left" not in errors.split("main: ")[1]


def test_a_file_that_does_not_compile_is_named(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "broken.rs"
    file.write_text("MACHINE[0] = |x: f64| x;\nlet n: f64 = \"a\";\n")
    ran = machine("run", file)
    assert ran.returncode == 1
    assert f"{file}:2:14" in ran.stderr, ran.stderr
    # Drawn on what stands in the file, not on what became of it.
    file.write_text('let n = 1;\nMACHINE[0] = |x: u64| x + "a";\n')
    ran = machine("run", file)
    assert ran.returncode == 1
    assert f"{file}:2:25" in ran.stderr and '| MACHINE[0] = |x: u64| x + "a";' in ran.stderr, ran.stderr
    assert "cell::assign" not in ran.stderr and "not_built" not in ran.stderr


@pytest.mark.parametrize(("arguments", "expected"), [
    (["statsu"], "unknown command `statsu`; did you mean `status`?"),
    (["status", "main", "--jsno"], "unexpected argument `--jsno`; did you mean `--json`?"),
    (["run", "nowhere.rs"], "nowhere.rs: No such file"),
    (["put", "main", "{bad"], "{bad cannot be read as JSON"),
    (["log", "main", "--slot", "x"], "--slot x is no slot; expected f0, f1"),
    (["drain", "main", "--timeout", "soon"], "soon is not a time"),
    (["tap", "main", "--where", "f1 >"], "f1 > is no condition"),
    (["errors", "main", "-n", "few"], "few is not a count"),
])
def test_mistakes_are_one_line(machine: Machine, arguments: list[str], expected: str) -> None:
    ran = machine(*arguments)
    assert ran.returncode == 2
    assert expected in ran.stderr and ran.stderr.count("\n") == 1, ran.stderr


def publisher() -> tuple[zmq.Socket, str]:
    """A PUB that tells who subscribes."""
    pub = zmq.Context.instance().socket(zmq.XPUB)
    pub.sndhwm = 0
    # Who never subscribes fails the test instead of holding it up.
    pub.rcvtimeo = int(PATIENCE * 1000)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    return pub, f"tcp://127.0.0.1:{port}"


def test_log_prints_what_is_published(machine: Machine) -> None:
    pub, endpoint = publisher()
    log = machine.start("log", endpoint, "-n", "2", "--slot", "f0", "--json")
    assert pub.recv() == b"\x01"
    for n in range(3):
        oid = f"6b03da0c50cca3c10000{n:04x}"
        pub.send_multipart([f"f0.{oid}".encode(), b"1"])
        pub.send_multipart([oid.encode(), json.dumps([n, n * n]).encode()])
    out, errors = log.communicate(timeout=PATIENCE)
    assert log.returncode == 0, errors
    assert [json.loads(line) for line in out.splitlines()] == [
        {"oid": f"6b03da0c50cca3c10000{n:04x}", "f0": n * n} for n in range(2)]
    pub.close()


def test_log_ends_quietly_with_its_reader(machine: Machine) -> None:
    pub, endpoint = publisher()
    log = subprocess.Popen(f"set -o pipefail; {shlex.quote(str(executable()))} log {endpoint} | head -3", shell=True, text=True,
                           executable=shutil.which("bash"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=machine.environment)
    assert pub.recv() == b"\x01"
    pub.rcvtimeo = 1
    n = 0
    while log.poll() is None:
        pub.send_multipart([f"6b03da0c50cca3c1{n:08x}".encode(), b"[1,2]"])
        n += 1
        time.sleep(0.001)
    out, errors = log.communicate()
    assert (log.returncode, errors) == (0, "")
    assert out.splitlines()[0] == "6b03da0c50cca3c100000000 [1,2]" and len(out.splitlines()) == 3
    pub.close()


def test_log_says_that_the_publisher_is_gone(machine: Machine) -> None:
    pub, endpoint = publisher()
    log = machine.start("log", endpoint)
    assert pub.recv() == b"\x01"
    pub.send_multipart([b"6b03da0c50cca3c100001067", b"[1,2]"])
    assert log.stdout.readline() == "6b03da0c50cca3c100001067 [1,2]\n"
    pub.close()
    assert log.stderr.readline().endswith(f"{endpoint}: the publisher is gone; waiting for it until Ctrl-C\n")
    pub = zmq.Context.instance().socket(zmq.XPUB)
    pub.bind(endpoint)
    assert log.stderr.readline().endswith(f"{endpoint}: the publisher is back\n")
    assert pub.recv() == b"\x01"
    pub.send_multipart([b"6b03da0c50cca3c100001068", b"[3,4]"])
    assert log.stdout.readline() == "6b03da0c50cca3c100001068 [3,4]\n"
    log.kill()
    log.communicate()
    pub.close()


def test_log_of_a_slot_that_there_is_not_ends(machine: Machine, endless: Callable) -> None:
    endless()
    ran = machine("log", "main", "--slot", "f77", "-n", "1")
    assert ran.returncode == 2
    assert "main has no slot f77; it has f0 to f7" in ran.stderr and ran.stderr.count("\n") == 1
    pub, endpoint = publisher()
    log = machine.start("log", endpoint, "--slot", "f7")
    assert pub.recv() == b"\x01"
    pub.send_multipart([b"6b03da0c50cca3c100001067", b"[1,2]"])
    _, errors = log.communicate(timeout=PATIENCE)
    assert log.returncode == 2 and "has no slot f7; it has f0" in errors, errors
    pub.close()


def test_log_says_that_nobody_publishes(machine: Machine) -> None:
    ran = machine("log", "tcp://127.0.0.1:1")
    assert ran.returncode == 1
    assert "tcp://127.0.0.1:1: nobody publishes there" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_parse(machine: Machine, shell: str) -> None:
    ran = machine("completions", shell)
    assert ran.returncode == 0 and "status" in ran.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=ran.stdout, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
