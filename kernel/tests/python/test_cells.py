"""Cells as a notebook sends them: counts, magics beside a running cell, output between cells, interrupts, crashes."""

import json
import random
import re
import time

import pytest
from conftest import Notebook

# Cells that say something while they run, so that a test knows when they do.
LOOP = 'println!("begun"); let mut turns = 0u64; loop { turns += 1; std::hint::black_box(turns); }'
SLEEP = 'println!("begun"); std::thread::sleep(std::time::Duration::from_secs({seconds}));'


def begin(notebook: Notebook, code: str) -> str:
    """Starts a cell and waits until it runs; returns the request's id."""
    request = notebook.send(code)
    notebook.wait_for(request, lambda ran: "begun" in ran.stream())
    return request


def status(notebook: Notebook) -> dict:
    """The machine's status, for programs."""
    [shown] = notebook.must("%status --json").shown("application/json")
    return shown if isinstance(shown, dict) else json.loads(shown)


# ── what API.md promises of cells ──


def test_the_shortest_way_through_a_machine(shared: Notebook) -> None:
    shared.must("MACHINE[0] = |x: f64| x * x;")
    shared.must("MACHINE[1] = |square: f64, x: f64| square - x;")
    shared.must("MACHINE.put(14.0)?;\nMACHINE.drain();")
    assert shared.must("MACHINE.call(14.0)?.get::<f64>(1)?").shown() == ["182.0"]
    assert status(shared)["processed"] == 1


def test_a_closure_without_types_takes_json(shared: Notebook) -> None:
    shared.must('MACHINE[0] = |x| x["user"]["name"].clone();')
    called = shared.must('MACHINE.call(json!({"user": {"name": "Ada", "id": 7}, "text": "hello"}))?.json(0)?')
    assert called.shown() == [r'"\"Ada\""']
    assert status(shared)["slots"][0]["takes"] == ["&Value"]


def test_a_machine_is_made_as_it_is_described(shared: Notebook) -> None:
    shared.must('let m = Machine::builder("train").slots(12).queue(65_536).workers(4).start()?;')
    shared.must("m[11] = |x: u64| x + 1;\nm.put(1u64)?;\nm.drain();")
    [made] = shared.must("%status train --json").shown("application/json")
    made = made if isinstance(made, dict) else json.loads(made)
    assert (len(made["slots"]), made["queue_capacity"], made["workers"]) == (12, 65_536, 4)
    assert (made["running"], made["processed"], made["slots"][11]["ok"]) == (True, 1, 1)


def test_a_failed_question_mark_points_at_its_line(shared: Notebook) -> None:
    ran = shared.run('let good = 1;\nlet bad: u8 = "many".parse::<u8>()?;')
    [error] = ran.errors
    assert not ran.ok and (error["ename"], error["evalue"]) == ("ParseIntError", "invalid digit found in string")
    trace = "\n".join(error["traceback"])
    assert '"many".parse::<u8>()?' in trace and "2" in trace
    assert ran.stream("stderr") == ""


@pytest.mark.parametrize(
    ("code", "ename", "evalue"),
    [
        # The compiler does not know the error's type yet when it looks for its text.
        ('let a: u8 = "-".parse()?;', "ParseIntError", "invalid digit found in string"),
        ('println!("{}", "-".parse::<u8>()?);', "ParseIntError", "invalid digit found in string"),
        ('let a = json!({"a": ["-".parse::<u8>()?]});', "ParseIntError", "invalid digit found in string"),
        ("#[derive(Debug)] struct Mute(u8);\nErr::<(), _>(Mute(1))?;", "Mute", "Mute(1)"),
        (
            "#[derive(Debug)] struct Bad;\nstruct Odd;\nimpl std::str::FromStr for Odd { type Err = Bad; "
            'fn from_str(_: &str) -> Result<Odd, Bad> { Err(Bad) } }\nlet odd: Odd = "".parse()?;',
            "Bad",
            "Bad",
        ),
        ("None::<u8>?;", "NoneError", "there is no value: `None`"),
        ('dbg!("-".parse::<u8>()?);', "Error", "the error printed above ended the cell at a `?` inside of a macro"),
    ],
)
def test_a_question_mark_tells_the_error_as_people_read_it(
    shared: Notebook, code: str, ename: str, evalue: str
) -> None:
    [error] = shared.run(code).errors
    assert (error["ename"], error["evalue"]) == (ename, evalue)


def test_a_compile_error_shows_what_the_user_wrote(shared: Notebook) -> None:
    ran = shared.run("let fine = 1;\nMACHINE[5] = |x: f64| x + missing;")
    [error] = ran.errors
    trace = "\n".join(error["traceback"])
    assert "missing" in trace and "machine::cell" not in trace


@pytest.mark.parametrize(
    ("code", "ename", "line", "said"),
    [
        ('let fine = 1;\nlet bad: i32 = "x";', "CompileError", 2, "expected `i32`"),
        ('let bad: i32 = "x".parse()?;', "ParseIntError", 1, '"x".parse()?'),
        ("let none: Vec<i32> = vec![];\nnone[3];", "Panic", 2, "none[3]"),
        ("let x = ;", "CompileError", 1, "expected expression"),
    ],
)
def test_an_error_points_at_what_the_user_wrote(shared: Notebook, code: str, ename: str, line: int, said: str) -> None:
    ran = shared.run(code)
    [error] = ran.errors
    trace = "\n".join(error["traceback"])
    assert error["ename"] == ename, trace
    assert f"[{ran.count}]:{line}" in trace and said in trace, trace
    assert ran.stream("stderr") == ""


def test_half_a_line_arrives_and_variables_stay(shared: Notebook) -> None:
    assert shared.must('let kept = vec![1, 2, 3];\nprint!("half a line");').stream() == "half a line"
    assert shared.must("kept.len()").shown() == ["3"]


def test_a_slot_that_does_not_exist_is_named(shared: Notebook) -> None:
    ran = shared.run("MACHINE[99] = |x: f64| x;")
    assert not ran.ok
    assert "f99" in ran.text and "f0 to f7" in ran.text


def test_a_second_source_is_refused(shared: Notebook) -> None:
    shared.must("MACHINE.source(std::iter::repeat_with(|| { std::thread::sleep(std::time::Duration::from_millis(50)); 1.0 }))?;")
    ran = shared.run("MACHINE.source(std::iter::once(1.0))?;")
    assert not ran.ok and "source" in ran.text
    shared.must("MACHINE.clear_source();")


@pytest.mark.parametrize("code", ["%stauts", "%errors --lines 3", "%put {oops", "let x = ;"])
def test_bad_input_is_told_and_harms_nothing(shared: Notebook, code: str) -> None:
    ran = shared.run(code)
    assert not ran.ok
    assert len(ran.errors) == 1 and ran.errors[0]["evalue"]
    assert shared.must("40 + 2").shown() == ["42"]


# ── counts ──


def test_two_hundred_random_cells_are_counted_and_right(notebook: Notebook) -> None:
    draw = random.Random(20140601)
    notebook.must("let mut total = 0i64;")
    total = 0
    for expected in range(2, 202):
        number = draw.randrange(1000)
        kind = draw.choices(["add", "show", "print", "magic", "wrong", "fail"], [8, 4, 4, 8, 2, 2])[0]
        if kind == "add":
            total += number
            ran = notebook.must(f"total += {number};")
        elif kind == "show":
            ran = notebook.must("total")
            assert ran.shown() == [str(total)]
        elif kind == "print":
            ran = notebook.must(f'println!("{{}} and {number}", total);')
            assert ran.stream() == f"{total} and {number}\n"
        elif kind == "magic":
            ran = notebook.must("%status")
            assert len(ran.shown()) == 1
        elif kind == "wrong":
            ran = notebook.run(f'let nothing: u8 = "{number}";')
            assert not ran.ok and len(ran.errors) == 1
        else:
            ran = notebook.run(f'let nothing: u8 = "x{number}".parse()?;')
            assert not ran.ok and len(ran.errors) == 1
        assert ran.count == expected, f"{kind}: {ran.text}"


# ── beside a running cell, and between cells ──


def test_magics_answer_while_a_cell_runs(notebook: Notebook) -> None:
    notebook.must("MACHINE[0] = |x: f64| x + 1.0;")
    running = begin(notebook, SLEEP.format(seconds=6))
    began = time.monotonic()
    for number in range(5):
        notebook.must(f"%put {number}.5", timeout=3)
        assert status(notebook)["accepted"] == number + 1
    assert notebook.must("%call 41", timeout=3).text
    assert notebook.must("%slots", timeout=3).shown()
    assert time.monotonic() - began < 5, "the magics waited for the cell"
    assert running not in notebook.replies
    assert notebook.wait(running).ok


def test_what_slots_print_between_cells_arrives_and_blocks_nothing(notebook: Notebook) -> None:
    lines = 20_000
    notebook.must("let _ = 1;")
    notebook.must('MACHINE[0] = |n: u64| { println!("line {n}"); eprintln!("note {n}"); n };')
    notebook.must(
        f"MACHINE.source((0..{lines}u64).map(|n| {{ if n == 0 {{ std::thread::sleep(std::time::Duration::from_millis(500)); }} n }}))?;"
    )
    out = err = ""
    end = time.monotonic() + 60
    while time.monotonic() < end and not (f"line {lines - 1}\n" in out and f"note {lines - 1}\n" in err):
        for message in notebook.messages(0.5):
            if message["msg_type"] == "stream":
                if message["content"]["name"] == "stdout":
                    out += message["content"]["text"]
                else:
                    err += message["content"]["text"]
    assert out.splitlines() == [f"line {n}" for n in range(lines)]
    assert err.splitlines() == [f"note {n}" for n in range(lines)]
    assert status(notebook)["processed"] == lines


# ── interrupts ──


def test_an_interrupt_stops_a_loop_and_keeps_everything(notebook: Notebook) -> None:
    notebook.must("let kept = 7;\nMACHINE[0] = |x: f64| x * 2.0;")
    notebook.must("MACHINE.put(1.0)?;\nMACHINE.drain();")
    running = begin(notebook, LOOP)
    asked = time.monotonic()
    notebook.interrupt()
    ran = notebook.wait(running, timeout=10)
    assert time.monotonic() - asked < 3
    assert ran.reply["status"] == "error" and ran.reply["ename"] == "KeyboardInterrupt"
    assert notebook.must("kept").shown() == ["7"]
    assert status(notebook)["processed"] == 1
    assert status(notebook)["slots"][0]["code"]


def test_an_interrupt_stops_the_compiler_and_keeps_everything(notebook: Notebook) -> None:
    notebook.must("let kept = 7;")
    # Keeps rustc busy for long: the product of ever longer tuples' types.
    rows = "".join(f"fn grow{n}<T: Clone>(t: T) -> usize {{ grow{n + 1}((t.clone(), t.clone())) + grow{n + 1}((t, 0u8)) }}\n"
                   for n in range(22))
    code = f"{rows}fn grow22<T>(_t: T) -> usize {{ std::mem::size_of::<T>() }}\ngrow0(1u8)"
    running = notebook.send(code)
    time.sleep(1.5)
    asked = time.monotonic()
    notebook.interrupt()
    ran = notebook.wait(running, timeout=30)
    assert time.monotonic() - asked < 5
    assert ran.reply["status"] == "error" and ran.reply["ename"] == "KeyboardInterrupt"
    assert notebook.must("kept").shown() == ["7"]


# ── crashes ──


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("abort", "std::process::abort();"),
        ("segmentation fault", "unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };"),
        ("stack overflow", "fn deeper(n: u64) -> u64 { if n == 0 { 0 } else { 1 + deeper(std::hint::black_box(n) + 1) } }\ndeeper(1)"),
        ("exit", "std::process::exit(3);"),
    ],
)
def test_a_crash_is_told_and_the_next_cell_works(notebook: Notebook, how: str, code: str) -> None:
    notebook.must("let lost = 7;")
    ran = notebook.run(code)
    assert not ran.ok and len(ran.errors) == 1, how
    assert ran.errors[0]["evalue"], how
    assert notebook.must("40 + 2").shown() == ["42"]
    notebook.must("MACHINE[0] = |x: f64| x + 1.0;")
    assert status(notebook)["running"]


# ── interrupts of what waits in the engine ──


def test_an_interrupt_ends_a_wait_for_place_in_a_full_queue(notebook: Notebook) -> None:
    notebook.must("let kept = 7;\nMACHINE[0] = |x: f64| x;\nMACHINE.pause();")
    running = begin(notebook, 'println!("begun"); for n in 0u32.. { MACHINE.put_wait(f64::from(n))?; }')
    notebook.interrupt()
    ran = notebook.wait(running, timeout=15)
    assert ran.reply["ename"] == "KeyboardInterrupt", ran.text
    assert notebook.must("kept").shown() == ["7"], "the process was restarted"
    assert status(notebook)["queue_size"] > 0
    assert status(notebook)["slots"][0]["code"]


@pytest.mark.parametrize("code", ['println!("begun"); MACHINE.drain();', "%drain"])
def test_an_interrupt_ends_a_drain_that_never_would(notebook: Notebook, code: str) -> None:
    notebook.must("let kept = 7;\nMACHINE[0] = |x: f64| x;\nMACHINE.source(std::iter::repeat(1.0))?;")
    running = notebook.send(code) if code.startswith("%") else begin(notebook, code)
    if code.startswith("%"):
        notebook.wait_for(running, lambda ran: any(m["msg_type"] == "execute_input" for m in ran.messages))
    notebook.interrupt()
    ran = notebook.wait(running, timeout=15)
    assert ran.reply["status"] == "error", ran.text
    assert notebook.must("kept").shown() == ["7"], "the process was restarted"
    before = status(notebook)["processed"]
    notebook.must("std::thread::sleep(std::time::Duration::from_millis(50));")
    assert status(notebook)["processed"] > before, "the machine does not go on"


def test_an_interrupt_of_nothing_does_nothing(notebook: Notebook) -> None:
    notebook.must("let kept = 7;")
    notebook.interrupt()
    assert notebook.must("let mut n = 0; for _ in 0..3 { n += kept; }\nn").shown() == ["21"]


# ── crashes between cells, and the counts after them ──


def test_an_exit_in_a_slot_between_cells_is_told_and_the_next_cell_works(notebook: Notebook) -> None:
    before = notebook.must("let lost = 7;\nMACHINE[0] = |x: f64| -> f64 { std::process::exit(x as i32) };\nMACHINE.pause();\nMACHINE.put(3.0)?;")
    # Its answer may be overtaken by the end of the process.
    notebook.run("%start")
    told = notebook.later(before)
    end = time.monotonic() + 20
    while time.monotonic() < end and "lost" not in told:
        told += "".join(m["content"]["text"] for m in notebook.messages(0.5) if m["msg_type"] == "stream")
    assert "exit" in told and "lost" in told and "f0" in told, told
    ran = notebook.must("40 + 2")
    assert ran.shown() == ["42"] and ran.count == before.count + 2
    assert status(notebook)["running"]


def test_a_stack_overflow_is_called_by_its_name(notebook: Notebook) -> None:
    ran = notebook.run("fn deeper(n: u64) -> u64 { 1 + deeper(std::hint::black_box(n) + 1) + std::hint::black_box(n) }\ndeeper(1)")
    assert "stack overflow" in ran.text.replace("the stack overflowed", "stack overflow"), ran.text
    assert ran.count == 1 and notebook.must("40 + 2").count == 2


# ── beside a cell that is being compiled ──


def test_a_magic_takes_less_than_fifty_milliseconds_while_a_cell_runs_or_compiles(notebook: Notebook) -> None:
    notebook.must("MACHINE[0] = |x: f64| x;")
    for code in [SLEEP.format(seconds=3), "let compiled = 3;"]:
        running = notebook.send(code)
        notebook.wait_for(running, lambda ran: any(m["msg_type"] == "execute_input" for m in ran.messages))
        times = []
        for magic in ["%status", "%slots", "%errors", "%put 1.0", "%machines"] * 3:
            began = time.monotonic()
            notebook.must(magic, timeout=10)
            times.append(time.monotonic() - began)
        # The machine that runs the tests may be busy with other things: the middle one counts.
        assert sorted(times)[len(times) // 2] < 0.05, times
        assert notebook.wait(running).ok


def test_a_slot_that_prints_a_lot_blocks_nothing_and_the_loss_is_counted(notebook: Notebook) -> None:
    last = notebook.must(
        'MACHINE[0] = |n: u64| { println!("{}", "x".repeat(1_000_000)); n };\n'
        "MACHINE.pause();\nfor n in 0..100u64 { MACHINE.put(n)?; }"
    )
    notebook.must("%start")
    end = time.monotonic() + 60
    while time.monotonic() < end and status(notebook)["processed"] < 100:
        pass
    assert status(notebook)["processed"] == 100, "the slot waits for a reader"
    text = notebook.later(last)
    while messages := notebook.messages(2):
        streams = [m for m in messages if m["msg_type"] == "stream"]
        assert all(m["parent_header"]["msg_id"] == last.request for m in streams)
        text += "".join(m["content"]["text"] for m in streams)
    seen = text.count("x")
    told = sum(int(n.replace(",", "")) for n in re.findall(r"(\d[\d,]*) bytes of output", text))
    # Kept or counted; each line ends with a newline.
    assert abs(seen + told - 100_000_000) <= 200, (seen, told)


# ── a type that is defined anew, under load ──


def test_a_type_defined_anew_is_never_read_as_the_old_one(notebook: Notebook) -> None:
    notebook.must("#[derive(Clone, Debug, Serialize, Deserialize)]\npub struct T { a: u64, b: String }")
    notebook.must(
        'MACHINE[0] = |n: u64| T { a: n, b: "old".repeat(3) };\n'
        "MACHINE[1] = |t: &T| t.a + t.b.len() as u64;\n"
        "MACHINE.source((0u64..).inspect(|_| std::thread::sleep(std::time::Duration::from_micros(50))))?;"
    )
    notebook.must("#[derive(Clone, Debug, Serialize, Deserialize)]\npub struct T { c: Vec<String>, a: f64, d: [u8; 40] }".replace("[u8; 40]", "[u8; 20]"))
    notebook.must('MACHINE[0] = |n: u64| T { c: vec!["new".to_owned(); 3], a: n as f64, d: [1; 20] };')
    notebook.must("std::thread::sleep(std::time::Duration::from_millis(300));")
    between = status(notebook)
    assert between["slots"][1]["errored"] > 0, "the old f1 read the new type"
    notebook.must("MACHINE[1] = |t: &T| t.a + t.c.len() as f64 + f64::from(t.d[19]);")
    before = status(notebook)["slots"][1]
    notebook.must("std::thread::sleep(std::time::Duration::from_millis(300));")
    after = status(notebook)
    assert after["slots"][1]["ok"] > before["ok"] and after["slots"][1]["errored"] == before["errored"]
    notebook.must("MACHINE.clear_source();\nMACHINE.drain();")
    end = status(notebook)
    assert end["accepted"] == end["processed"] + end["queue_size"] + end["in_flight"] + end["discarded"]
    assert notebook.must("MACHINE.call(5u64)?.get::<f64>(1)?").shown() == ["9.0"]
