"""Pipelines as filters, through the real executable: exit codes, counts and lines, as a shell sees them."""

import json
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import executable
from test_command_line import PATIENCE, Machine, machine  # noqa: F401

FILTER = r"""
let how = std::env::args().nth(1).unwrap_or_default();
let count = std::env::args().nth(2).and_then(|count| count.parse::<u64>().ok()).unwrap_or(u64::MAX);
// Before the slots: it waits for the first one.
MACHINE.source(0..count)?;
match how.as_str() {
    "stdout" => drop(MACHINE.to_stdout(0)?),
    "print" => drop(MACHINE.on_output(|o| println!("{}", o.input::<u64>().unwrap_or_default()))?),
    "all" => drop(MACHINE.on_output(|o| println!("{}", o.input::<u64>().unwrap_or_default()))?.no_loss()?),
    "panic" => drop(MACHINE.on_output(|o| assert!(o.input::<u64>() != Ok(3), "three"))?),
    "file" => drop(MACHINE.to_lines(0, std::fs::File::options().write(true).open("/dev/full")?)?),
    "errors" => {
        static FIXED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        use std::sync::atomic::Ordering::Relaxed;
        MACHINE[1] = |x: u64| if x % 2 == 0 || FIXED.load(Relaxed) { Ok(x) } else { Err("odd") };
        MACHINE[0] = |x: u64| x;
        MACHINE.drain();
        FIXED.store(true, Relaxed);
        if std::env::args().nth(3).is_some() { MACHINE.retry_errors("")?; }
    }
    "main" => for n in 0.. { println!("{n}"); },
    "hang" => { MACHINE[1] = |x: u64| { while x == 5 { std::thread::park(); } x }; }
    _ => {}
}
if how != "empty" { MACHINE[0] = |x: u64| x; }
"""


@pytest.fixture(scope="module")
def pipeline() -> Path:
    """In a directory that stays from run to run, so that it stays compiled."""
    file = Path(tempfile.gettempdir()) / f"machine-pipelines-{os.getuid()}" / "filter.rs"
    file.parent.mkdir(exist_ok=True)
    if not file.is_file() or file.read_text() != FILTER:
        file.write_text(FILTER)
    return file


def count(text: str, word: str) -> int:
    """The number before a word in the counts."""
    return int(re.search(rf"(\d+) {word}", text)[1])


@pytest.mark.parametrize("how", ["stdout", "all"])
def test_a_filter_loses_no_line(machine: Machine, pipeline: Path, how: str) -> None:
    ran = machine("run", pipeline, "--fail-on-error", "--", how, 1_000_000)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(n) for n in range(1_000_000)]
    assert "1000000 sent" in ran.stderr and "1000000 taken" in ran.stderr and "lost" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("how", ["stdout", "print", "all", "main"])
def test_a_filter_ends_when_its_reader_does(machine: Machine, pipeline: Path, how: str) -> None:
    command = f'"$MACHINE" run "$PIPELINE" -- {how} 2>"$ERRORS" | head -1; echo "${{PIPESTATUS[0]}}"'
    with tempfile.NamedTemporaryFile("r") as errors:
        environment = {**machine.environment, "MACHINE": executable(), "PIPELINE": pipeline, "ERRORS": errors.name}
        ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment,
                             timeout=PATIENCE, check=True)
        told = errors.read()
    assert ran.stdout.split() == ["0", "141"], told
    assert how == "main" or count(told, "taken") == count(told, "processed"), told
    assert "panicked" not in told.splitlines()[0], told


@pytest.mark.parametrize("how", ["stdout", "print"])
def test_a_full_disk_is_an_error(machine: Machine, pipeline: Path, how: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [executable(), "run", str(pipeline), "--", how]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=machine.environment,
                             timeout=PATIENCE, check=False)
    assert ran.returncode == 1, ran.stderr
    assert "error: cannot write to standard output: No space left on device" in ran.stderr, ran.stderr


@pytest.mark.parametrize(("how", "error"), [("panic", "it panicked: three"), ("file", "No space left on device")])
def test_an_output_that_fails_is_an_error(machine: Machine, pipeline: Path, how: str, error: str) -> None:
    ran = machine("run", pipeline, "--", how, 10)
    assert ran.returncode == 1, ran.stderr
    [line] = [line for line in ran.stderr.splitlines() if line.startswith("error: main: ")]
    assert error in line and "lost" in line, ran.stderr


def test_errors_that_were_all_retried_are_no_failure(machine: Machine, pipeline: Path) -> None:
    ran = machine("run", pipeline, "--fail-on-error", "--", "errors", 10)
    assert ran.returncode == 1 and "5 errored (f1 5)" in ran.stderr, ran.stderr
    ran = machine("run", pipeline, "--fail-on-error", "--json", "--", "errors", 10, "retry")
    assert ran.returncode == 0 and "5 errored, all retried" in ran.stderr, ran.stderr
    [status] = json.loads(ran.stdout)
    assert (status["errored"], status["retried_passed"], status["dead_letters"]) == (5, 5, 0)


def test_signals_and_the_grace_time(machine: Machine, pipeline: Path) -> None:
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = machine.start("run", pipeline, "--", "slots")
        machine.wait_for(process, lambda status: status["processed"] > 100_000)
        process.send_signal(sent)
        _, told = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, told
        assert count(told, "taken") == count(told, "processed") and " left" not in told, told
    process = machine.start("run", pipeline, "--grace", "200ms", "--", "hang")
    machine.wait_for(process, lambda status: status["processed"] == 5 and status["queue_size"] > 100)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, told
    assert "5 processed" in told and "error: the grace time of 200ms is over; left: main: " in told, told
    assert "queued, 1 in its slots" in told, told


def test_a_hang_up_that_is_ignored_stays_ignored(machine: Machine, pipeline: Path) -> None:
    command = ["nohup", executable(), "run", str(pipeline), "--", "slots"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=machine.environment)
    before = machine.wait_for(process, lambda status: status["processed"] > 0)["status"]["processed"]
    process.send_signal(signal.SIGHUP)
    machine.wait_for(process, lambda status: status["processed"] > before + 100_000)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told


def test_a_source_without_a_slot_is_named(machine: Machine, pipeline: Path) -> None:
    ran = machine("run", pipeline, "--", "empty", 10)
    assert ran.returncode == 1, ran.stderr
    assert "warning: the source of main waits for a slot" in ran.stderr and "0 processed" in ran.stderr, ran.stderr


def test_what_is_no_file_is_no_pipeline(machine: Machine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rs")
    with (tmp_path / "large.rs").open("w") as large:
        large.truncate(1 << 30)
    for path, why in [("/dev/zero", "not a regular file"), (tmp_path / "pipe.rs", "not a regular file"),
                      (tmp_path / "large.rs", "larger than 16 MiB")]:
        ran = machine("run", path, timeout=60)
        assert ran.returncode == 2 and why in ran.stderr, ran.stderr
