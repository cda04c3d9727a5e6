"""Interrupts: whatever a cell does, it ends, the next one works, and the words about what is kept and lost are true."""

import ctypes
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Notebook, Ran

# The longest that an interrupt may take on a busy machine: two seconds for the cell, two compilations after it.
LIMIT = 60
BEGUN = 'println!("begun");\n'

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="what threads do is read from /proc")


def status(notebook: Notebook) -> dict:
    """The machine's status, for programs."""
    [shown] = notebook.must("%status --json").shown("application/json")
    return shown if isinstance(shown, dict) else json.loads(shown)


def set_up(notebook: Notebook) -> dict:
    """A variable, an item, and a machine with two messages that wait. Returns the machine's counts."""
    notebook.must("let kept: u64 = 7;\nfn item() -> u64 { 35 }")
    if not any(slot["code"] for slot in status(notebook)["slots"]):
        notebook.must("MACHINE[0] = |x: f64| x * 2.0;\nMACHINE.pause();\nMACHINE.put(1.0)?;\nMACHINE.put(2.0)?;")
    return counts(notebook)


def counts(notebook: Notebook) -> dict:
    """What must stay as it was."""
    now = status(notebook)
    return {name: now[name] for name in ("accepted", "processed", "queue_size", "in_flight", "running", "paused")
            if name in now} | {"code": now["slots"][0]["code"]}


def begin(notebook: Notebook, code: str) -> str:
    """Starts a cell and waits until it runs; returns the request's id."""
    request = notebook.send(code)
    notebook.wait_for(request, lambda ran: "begun" in ran.stream())
    return request


def compile_long(notebook: Notebook) -> str:
    """Starts a cell and waits until the compiler is at it; returns the request's id."""
    request = notebook.send(slow_to_compile())
    end = time.monotonic() + LIMIT
    while not processes_of(notebook, "rustc"):
        assert time.monotonic() < end, "nothing is compiled"
        time.sleep(0.02)
    return request


def interrupted(notebook: Notebook, code: str) -> Ran:
    """Runs a cell, and interrupts it once it has begun."""
    request = begin(notebook, code)
    notebook.interrupt()
    ran = notebook.wait(request, LIMIT)
    assert ran.reply["status"] == "error" and ran.reply["ename"] == "KeyboardInterrupt", ran.text
    return ran


def is_there(notebook: Notebook) -> bool:
    """Whether the variable is there."""
    ran = notebook.run("kept")
    assert ran.ok or "E0425" in ran.text, ran.text
    return ran.ok and ran.shown() == ["7"]


def words_are_true(notebook: Notebook, ran: Ran) -> None:
    """What the error says of the variable is so."""
    says_lost = re.search(r"variables: .*\bkept\b", ran.text) is not None
    says_kept = "kept: all variables" in ran.text
    assert says_lost != says_kept, ran.text
    assert is_there(notebook) == says_kept, ran.text


# ── what stops ──

STOPS = {
    "loop in a function": "fn spin(mut n: u64) -> u64 { loop { n = n.wrapping_mul(3); } }\n" + BEGUN + "spin(1)",
    "count in a function": "fn count(to: u64) -> u64 { let mut s = 0; for i in 0..to { s ^= std::hint::black_box(i); } s }\n"
                           + BEGUN + "count(u64::MAX)",
    "method": "struct Spin;\nimpl Spin { fn spin(&self) { while std::hint::black_box(true) {} } }\n" + BEGUN + "Spin.spin();",
    "recursion": "fn fib(n: u64) -> u64 { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }\n" + BEGUN + "fib(95)",
    "closure": BEGUN + "{ let spin = |mut n: u64| -> u64 { loop { n = std::hint::black_box(n + 1); } }; spin(1); }",
    "iterator chain": BEGUN + "(0u64..).map(|n| n ^ 3).filter(|n| std::hint::black_box(*n) > u64::MAX - 1).count()",
    "sleep": BEGUN + "std::thread::sleep(std::time::Duration::from_secs(600));\nMACHINE.put(3.0)?;",
    "sleep in a block": BEGUN + "if kept == 7 { std::thread::sleep(std::time::Duration::from_secs(600)); MACHINE.put(3.0)?; }",
    "sleep in a closure of std's": BEGUN + "(0..3).for_each(|_| std::thread::sleep(std::time::Duration::from_secs(600)));",
    "accept": BEGUN + 'std::net::TcpListener::bind("127.0.0.1:0")?.accept()?;',
    "incoming": BEGUN + 'for s in std::net::TcpListener::bind("127.0.0.1:0")?.incoming() { s?; }',
    "read of a socket": "use std::io::Read as _;\n" + BEGUN + 'let l = std::net::TcpListener::bind("127.0.0.1:0")?;\n'
                        "let mut s = std::net::TcpStream::connect(l.local_addr()?)?;\ns.read(&mut [0])?;",
    "status": BEGUN + 'std::process::Command::new("sleep").arg("600").status()?;\nMACHINE.put(3.0)?;',
    "output of what ignores it": BEGUN + """std::process::Command::new("sh").args(["-c", "trap '' INT; sleep 600"]).output()?;""",
    "join": BEGUN + "std::thread::spawn(|| std::thread::park()).join().unwrap();",
    "recv": BEGUN + "{ let (tx, rx) = std::sync::mpsc::channel::<u8>(); let got = rx.recv(); drop((tx, got)); MACHINE.put(3.0)?; }",
    "call": BEGUN + 'let m = Machine::builder("other").start()?;\n'
            "m[0].set(|x: u64| { std::thread::sleep(std::time::Duration::from_secs(600)); x })?;\nm.call(1u64)?;",
    "put_wait": BEGUN + 'let m = Machine::builder("full").queue(16).start()?;\nm.pause();\nfor n in 0u64.. { m.put_wait(n)?; }',
    "drain": BEGUN + 'let m = Machine::builder("endless").start()?;\nm[0].set(|x: u64| x)?;\nm.source((0u64..).inspect(|_| std::thread::sleep(std::time::Duration::from_millis(10))))?;\nm.drain();',
}


@pytest.mark.parametrize("what", STOPS)
def test_a_cell_stops_and_everything_is_kept(shared: Notebook, what: str) -> None:
    before = set_up(shared)
    ran = interrupted(shared, STOPS[what])
    assert "kept: all variables" in ran.text, ran.text
    assert is_there(shared)
    assert shared.must("item() + kept").shown() == ["42"]
    assert counts(shared) == before


def test_two_interrupts_in_a_row_and_of_two_cells(shared: Notebook) -> None:
    before = set_up(shared)
    for _ in range(2):
        request = begin(shared, STOPS["loop in a function"])
        shared.interrupt()
        shared.interrupt()
        ran = shared.wait(request, LIMIT)
        assert ran.reply["ename"] == "KeyboardInterrupt" and "kept: all variables" in ran.text, ran.text
    assert is_there(shared) and counts(shared) == before


def test_what_a_cell_has_used_up_is_named(shared: Notebook) -> None:
    set_up(shared)
    shared.must('let spent = String::from("x");')
    ran = interrupted(shared, BEGUN + "drop(spent); loop {}")
    assert "used up variables: spent" in ran.text, ran.text
    assert is_there(shared)
    assert "E0425" in shared.run("spent").text


def test_a_wait_for_a_process_of_an_earlier_cell_ends_and_the_process_goes_on(shared: Notebook) -> None:
    before = set_up(shared)
    shared.must('let mut child = std::process::Command::new("sleep").arg("600").spawn()?;')
    ran = interrupted(shared, BEGUN + "child.wait()?;")
    assert "kept: all variables" in ran.text, ran.text
    assert shared.must("child.try_wait()?.is_none()").shown() == ["true"]
    shared.must("child.kill()?; child.wait()?;")
    assert is_there(shared) and counts(shared) == before


def test_an_interrupt_in_the_compiler_keeps_everything(shared: Notebook) -> None:
    before = set_up(shared)
    request = compile_long(shared)
    shared.interrupt()
    ran = shared.wait(request, LIMIT)
    assert "nothing was run" in ran.text and "kept: all variables" in ran.text, ran.text
    assert is_there(shared) and counts(shared) == before


# ── what does not ──

STUCK = {
    "lock": (BEGUN + "{ let m = std::sync::Mutex::new(0); let a = m.lock().unwrap(); let b = m.lock().unwrap(); drop((a, b)); }",
             "waits for another thread"),
    "pipe": ("use std::io::Read as _;\n" + BEGUN + "let (mut r, w) = std::io::pipe()?;\nr.read(&mut [0])?;\ndrop(w);",
             "waits in read"),
}


@pytest.mark.parametrize("what", STUCK)
def test_a_cell_that_is_stuck_loses_the_variables_alone(shared: Notebook, what: str) -> None:
    before = set_up(shared)
    code, doing = STUCK[what]
    ran = interrupted(shared, code)
    assert doing in ran.text and "abandoned" in ran.text, ran.text
    assert "lost: variables:" in ran.text and "kept" in ran.text.split("lost: variables:")[1].splitlines()[0], ran.text
    assert not is_there(shared)
    assert shared.must("let fresh = item();\nfresh").shown() == ["35"]
    assert shared.must("fresh + 7").shown() == ["42"]
    assert counts(shared) == before
    # Variables and interrupts work on the thread that took over.
    set_up(shared)
    assert "kept: all variables" in interrupted(shared, STOPS["sleep"]).text
    assert is_there(shared) and counts(shared) == before


def test_a_loop_in_foreign_code_is_named_and_uses_its_core(notebook: Notebook) -> None:
    before = set_up(notebook)
    ran = interrupted(notebook, BEGUN + "(0..u64::MAX).map(std::hint::black_box).max()")
    assert "computes" in ran.text and "uses a core" in ran.text, ran.text
    assert not is_there(notebook)
    assert notebook.must("item() + 7").shown() == ["42"]
    assert counts(notebook) == before


def test_an_abandoned_cell_runs_no_further(notebook: Notebook) -> None:
    before = set_up(notebook)
    path = notebook.must('let path = std::env::temp_dir().join(format!("interrupted-{}", std::process::id()));\n'
                         "path.to_string_lossy().into_owned()").shown()[0].strip('"')
    os.mkfifo(path)
    try:
        ran = interrupted(notebook, BEGUN + "let text = std::fs::read_to_string(path);\nMACHINE.put(3.0)?;\n"
                                            'println!("gone on");\nlet kept: u64 = 8;')
        assert "lost: variables:" in ran.text, ran.text
        Path(path).write_text("late")
        assert notebook.must("let kept: u64 = 7;\nitem() + kept").shown() == ["42"]
        assert counts(notebook) == before
        assert is_there(notebook)
        assert "gone on" not in notebook.later(ran)
    finally:
        Path(path).unlink()


def test_what_an_abandoned_cell_holds_may_cost_the_process_and_is_told(notebook: Notebook) -> None:
    set_up(notebook)
    ran = interrupted(notebook, BEGUN + "let (mut r, w) = std::io::pipe()?;\nlet held = std::io::stdout().lock();\n"
                                        "std::io::Read::read(&mut r, &mut [0])?;\ndrop((held, w));")
    assert "standard output" in ran.text and "machine `main` with f0 and 2 waiting" in ran.text, ran.text
    assert not is_there(notebook)
    assert notebook.must("item() + 7").shown() == ["42"]


# ── whatever the process is in ──


def slow_to_compile() -> str:
    """Keeps rustc busy for long: the product of ever longer tuples' types."""
    rows = "".join(f"fn grow{n}<T: Clone>(t: T) -> usize {{ grow{n + 1}((t.clone(), t.clone())) + grow{n + 1}((t, 0u8)) }}\n"
                   for n in range(22))
    return f"{rows}fn grow22<T>(_t: T) -> usize {{ std::mem::size_of::<T>() }}\ngrow0(1u8)"


def processes_of(notebook: Notebook, name: str) -> list[int]:
    """The processes of this name that the kernel has started."""
    parents, named = {}, []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        pid, rest = int(text.split()[0]), text[text.rindex(")") + 2:].split()
        parents[pid] = int(rest[1])
        if text[text.index("(") + 1:text.rindex(")")] == name and rest[0] != "Z":
            named.append(pid)
    kernel = notebook.manager.provisioner.pid

    def ours(pid: int) -> bool:
        while pid > 1 and pid != kernel:
            pid = parents.get(pid, 0)
        return pid == kernel

    return [pid for pid in named if ours(pid)]


HANG = """{
    extern "C" fn hang(_: i32) { loop { unsafe { pause(); } } }
    unsafe extern "C" { fn signal(number: i32, handler: extern "C" fn(i32)) -> usize; fn pause() -> i32; }
    unsafe { signal(SIGUSR2, hang); }
}""".replace("SIGUSR2", str(int(signal.SIGUSR2)))


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def hang(pid: int) -> None:
    """Has the thread that answers the kernel wait without end."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "control-read":
            assert ctypes.CDLL(None).tgkill(pid, int(task.name), int(signal.SIGUSR2)) == 0


PHASES = {
    "compiling": compile_long,
    "running": lambda notebook: begin(notebook, BEGUN + "loop {}"),
    "sleeping": lambda notebook: begin(notebook, STOPS["sleep"]),
    "stuck": lambda notebook: begin(notebook, STUCK["pipe"][0]),
    "between cells": None,
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("harm", [stop, kill, hang])
def test_the_words_of_an_interrupt_are_true(shared: Notebook, phase: str, harm: Callable[[int], None]) -> None:
    set_up(shared)
    shared.must(HANG)
    pid = int(shared.must("std::process::id()").shown()[0])
    starts = PHASES[phase]
    if starts is not None:
        request = starts(shared)
        harm(pid)
    else:
        harm(pid)
        shared.interrupt()
        request = shared.send(BEGUN + "loop {}")
        if harm is kill:
            # It may be the first to notice.
            shared.wait_for(request, lambda ran: "begun" in ran.stream() or bool(ran.errors))
        else:
            # It cannot begin: the process does not answer.
            shared.wait_for(request, lambda ran: any(m["msg_type"] == "execute_input" for m in ran.messages))
    shared.interrupt()
    ran = shared.wait(request, 2 * LIMIT)
    assert ran.reply["status"] == "error", ran.text
    if starts is None and harm is kill:
        # The loss was told when it happened, the interrupt was of a cell without that variable.
        assert not is_there(shared)
    else:
        words_are_true(shared, ran)
        if harm is stop and phase != "stuck":
            assert is_there(shared), "a process that was stopped goes on"
    assert shared.must("item() + 7").shown() == ["42"]


# ── at the end ──


def test_processes_that_cells_have_started_end_with_the_kernel(notebook: Notebook) -> None:
    notebook.must('let mut known = vec![std::process::Command::new("sleep").arg("600").spawn()?];')
    # One that has lost its parent, and one that does not want to end.
    notebook.must('std::process::Command::new("sh").args(["-c", "sleep 601 & trap \'\' TERM; (trap \'\' TERM; exec sleep 602) &"]).status()?;')
    # The kernel leads a session, in which they stay.
    session = str(notebook.manager.provisioner.pid)
    started = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat")
               if "(sleep)" in (text := reads(stat)) and text[text.rindex(")") + 2:].split()[3] == session]
    assert len(set(started)) == 3, started
    notebook.client.stop_channels()
    notebook.manager.shutdown_kernel(now=False)
    end = time.monotonic() + 20
    while alive := [pid for pid in started if reads(Path(f"/proc/{pid}/cmdline")).startswith("sleep")]:
        assert time.monotonic() < end, alive
        time.sleep(0.05)


def reads(path: Path) -> str:
    """What is in a file, if it is there."""
    try:
        return path.read_text()
    except OSError:
        return ""
