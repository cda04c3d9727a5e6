"""What cells, slots and other processes print: in the order in which they did, and never more than text."""

import ctypes
import subprocess
import sys

import pytest
from conftest import Notebook, Ran, executable

# Each line of evcxr's protocol, as a message of a stranger may have it.
MARKS = {
    "complete": "EVCXR_EXECUTION_COMPLETE",
    "panic": "EVCXR_PANIC_NOTIFICATION",
    "error": "EVCXR_ERROR_OCCURRED",
    "changed": "EVCXR_VARIABLE_CHANGED_TYPE:kept",
    "input": "EVCXR_INPUT_REQUEST:Password",
    "content": "EVCXR_BEGIN_CONTENT text/html\n<script>alert(1)</script>\nEVCXR_END_CONTENT",
    "unended content": "EVCXR_BEGIN_CONTENT text/html\n<b>endless",
    "end": "EVCXR_END_CONTENT",
}
PRINTS = 'MACHINE[0] = |text: &String| { println!("{text}"); text.len() };'


def literal(text: str) -> str:
    """A string of Rust."""
    return f'r#"{text}"#'


def written(ran: Ran) -> list[tuple[str, str]]:
    """What was written to both streams, in order, with neighbours of one stream joined."""
    parts: list[tuple[str, str]] = []
    for message in ran.messages:
        if message["msg_type"] == "stream":
            name, text = message["content"]["name"], message["content"]["text"]
            if parts and parts[-1][0] == name:
                text = parts.pop()[1] + text
            parts.append((name, text))
    return parts


def displayed(messages: list[dict]) -> list[dict]:
    """What was shown in another form than text on a stream, and what was cleared."""
    return [m for m in messages if m["msg_type"] in ("display_data", "update_display_data", "clear_output")]


# ── what a slot prints ──


def test_marks_that_a_slot_prints_while_a_cell_runs_are_text_and_the_cell_runs_once(notebook: Notebook) -> None:
    count = notebook.must(f"let kept = 40;\n{PRINTS}").count
    for at, (name, mark) in enumerate(MARKS.items()):
        ran = notebook.must(
            f'println!("ran"); let new{at} = 2; MACHINE.put({literal(mark)}.to_string())?; MACHINE.drain();\n'
            f'println!("through"); kept + new{at}',
            timeout=60,
        )
        count += 1
        assert ran.stream() == f"ran\n{mark}\nthrough\n", name
        assert ran.shown() == ["42"] and ran.count == count, name
        assert not displayed(ran.messages), name
    # evcxr knows the variables of each cell, and that each came to its end.
    total = " + ".join(f"new{at}" for at in range(len(MARKS)))
    assert notebook.must(f"kept + {total}").shown() == [str(40 + 2 * len(MARKS))]


def test_marks_that_a_slot_prints_on_the_cells_own_thread_are_text(notebook: Notebook) -> None:
    notebook.must(f"let kept = 40;\n{PRINTS}")
    calls = "".join(f"MACHINE.call({literal(mark)}.to_string());\n" for mark in MARKS.values())
    ran = notebook.must(f'println!("ran");\n{calls}kept', timeout=60)
    assert ran.stream() == "\n".join(["ran", *MARKS.values(), ""])
    assert ran.shown() == ["40"] and not displayed(ran.messages)


def test_marks_that_a_slot_prints_between_cells_are_text(notebook: Notebook) -> None:
    puts = "".join(f"MACHINE.put({literal(mark)}.to_string())?;\n" for mark in MARKS.values())
    last = notebook.must(f"let kept = 40;\n{PRINTS}\nMACHINE.pause();\n{puts}")
    notebook.must("%start")
    notebook.must("%drain")
    expected = "\n".join([*MARKS.values(), ""])
    text = notebook.later(last)
    while len(text) < len(expected) and (messages := notebook.messages(20)):
        assert not displayed(messages)
        text += "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert text == expected
    assert notebook.must("kept").shown() == ["40"]


def test_a_slot_does_not_clear_what_a_cell_has_printed(notebook: Notebook) -> None:
    notebook.must(PRINTS)
    ran = notebook.must('println!("before"); MACHINE.put("\\u{1b}[2J\\u{1b}[Hslot".to_string())?; MACHINE.drain();')
    assert not displayed(ran.messages), "a message cleared the output"
    assert "before" in ran.stream() and "slot" in ran.stream()
    cleared = notebook.must('println!("before"); print!("\\u{1b}[2J\\u{1b}[Hafter");')
    assert [m["msg_type"] for m in displayed(cleared.messages)] == ["clear_output"]


# ── what a cell prints ──


def test_a_cells_own_content_is_shown_and_its_own_marks_do_not_end_it(shared: Notebook) -> None:
    html = 'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>1</b>\\nEVCXR_END_CONTENT");'
    assert shared.must(f"{html} 7").shown("text/html") == ["<b>1</b>"]
    ran = shared.must("struct Bold;\nimpl Bold { fn evcxr_display(&self) { " + html + " } }\nBold")
    [result] = [m for m in ran.messages if m["msg_type"] == "execute_result"]
    assert result["content"]["data"]["text/html"] == "<b>1</b>"
    unended = shared.must('println!("EVCXR_BEGIN_CONTENT text/html\\n<b>");\nprintln!("EVCXR_EXECUTION_COMPLETE"); 7')
    assert unended.stream() == "EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_EXECUTION_COMPLETE\n"
    assert unended.shown() == ["7"] and not displayed(unended.messages)


def test_a_variable_whose_type_is_redefined_is_lost_and_the_cell_runs_once(shared: Notebook) -> None:
    shared.must("type Count = u8;\nlet gone: Count = 1; let stays: i32 = 3;")
    ran = shared.must('type Count = u16;\nprintln!("ran"); stays')
    assert ran.stream().count("ran\n") == 1 and ran.shown() == ["3"]
    missing = shared.run("gone")
    assert not missing.ok and "E0425" in missing.text


@pytest.mark.parametrize("ends", ['panic!("p")', '"x".parse::<u8>()?', 'std::panic::resume_unwind(Box::new(1))'])
def test_a_cell_that_ends_early_leaves_no_variables_and_prints_no_marks(shared: Notebook, ends: str) -> None:
    shared.must("let kept = 40;")
    ran = shared.run(f'println!("ran"); let half_made = 1; {ends};')
    assert ran.stream() == "ran\n"
    missing = shared.run("half_made")
    assert not missing.ok and "E0425" in missing.text
    assert shared.must("kept").shown() == ["40"]


def test_a_panic_that_a_cell_catches_keeps_its_variables(shared: Notebook) -> None:
    shared.run('let caught = std::panic::catch_unwind(|| panic!("p")).is_err();')
    assert shared.must("caught").shown() == ["true"]


def test_standard_output_and_error_come_in_the_order_in_which_they_were_written(shared: Notebook) -> None:
    ran = shared.must('for n in 0..300 { println!("out {n}"); if n % 3 != 0 { eprintln!("err {n}"); } }')
    expected: list[tuple[str, str]] = []
    for n in range(300):
        for name, text in [("stdout", f"out {n}\n"), ("stderr", f"err {n}\n")][: 1 + (n % 3 != 0)]:
            if expected and expected[-1][0] == name:
                text = expected.pop()[1] + text
            expected.append((name, text))
    assert written(ran) == expected


def test_lines_of_many_threads_are_whole_and_each_threads_in_order(shared: Notebook) -> None:
    shared.must(
        "fn talk(thread: usize) { for n in 0..400 {\n"
        '  let text = format!("{thread} {n} {}\\n", "x".repeat((n * 37) % 9000));\n'
        "  use std::io::Write;\n"
        "  if n % 2 == 0 { std::io::stdout().write_all(text.as_bytes()).unwrap(); }\n"
        "  else { std::io::stderr().write_all(text.as_bytes()).unwrap(); }\n} }"
    )
    ran = shared.must("std::thread::scope(|s| for thread in 0..4 { s.spawn(move || talk(thread)); });")
    for rest, name in enumerate(["stdout", "stderr"]):
        seen: dict[int, list[int]] = {}
        for line in ran.stream(name).splitlines():
            thread, n, text = line.split(" ")
            assert text == "x" * (int(n) * 37 % 9000), "torn"
            seen.setdefault(int(thread), []).append(int(n))
        assert seen == {thread: list(range(rest, 400, 2)) for thread in range(4)}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_character_that_is_printed_byte_by_byte_is_whole(shared: Notebook, stream: str) -> None:
    text = "né 日本 🦀\n"
    # Longer between two bytes than anything that is held back only for a time.
    ran = shared.must(
        f"use std::io::Write;\nfor byte in {literal(text)}.bytes() {{\n  let mut to = std::io::{stream}();\n"
        "  to.write_all(&[byte])?; to.flush()?;\n  std::thread::sleep(std::time::Duration::from_millis(20));\n}"
    )
    assert ran.stream(stream) == text


def test_a_character_that_is_never_finished_is_replaced_at_the_end_of_the_cell(shared: Notebook) -> None:
    ran = shared.must('use std::io::Write;\nstd::io::stderr().write_all(b"a\\xe6\\x97")?;')
    assert ran.stream("stderr") == "a\ufffd"


@pytest.mark.parametrize(
    "code",
    ['println!("{}", "x".repeat(12_000_000));', 'for n in 0..12_000 { println!("{n:0>999}"); }', "for n in 0..500_000 { println!(\"{}\", n % 10); }"],
)
def test_all_that_a_cell_prints_arrives_however_fast_it_is(shared: Notebook, code: str) -> None:
    ran = shared.must(code)
    assert len(ran.stream()) == (1_000_000 if "500_000" in code else 12_000_000 + ("repeat" in code))
    assert ran.stream("stderr") == ""


def test_what_names_a_place_in_the_source_names_the_cell(shared: Notebook) -> None:
    defined = shared.must("fn place() -> String { format!(\"{}:{}\", file!(), line!()) }\nMACHINE[0] = |x: u64| dbg!(x) + 1;")
    ran = shared.must("println!(\"{}\", place());\nMACHINE.put(1u64)?;\nMACHINE.drain();\ndbg!(1 + 1, 4)")
    assert ran.stream() == f"cell [{defined.count}]:1\n"
    assert ran.stream("stderr").splitlines() == [
        f"[cell [{defined.count}]:2:23] x = 1",
        f"[cell [{ran.count}]:4:1] 1 + 1 = 2",
        f"[cell [{ran.count}]:4:1] 4 = 4",
    ]
    assert ran.shown() == ["(2, 4)"]


# ── other processes, and descriptors ──


def test_what_a_process_prints_comes_in_its_place_and_is_text(shared: Notebook) -> None:
    marks = "\n".join(MARKS.values())
    ran = shared.must(
        f'println!("before");\nstd::process::Command::new("printf").args(["%s\\n", {literal(marks)}]).status()?;\n'
        'println!("after"); 7',
        timeout=60,
    )
    assert ran.stream() == f"before\n{marks}\nafter\n"
    assert ran.shown() == ["7"] and not displayed(ran.messages)


def test_a_process_that_is_forked_without_a_new_program_prints_too(shared: Notebook) -> None:
    ran = shared.must(
        "unsafe extern \"C\" { fn fork() -> i32; fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32; fn _exit(code: i32) -> !; }\n"
        "let pid = unsafe { fork() };\n"
        'if pid == 0 { use std::io::Write; let _ = std::io::stderr().write_all(b"forked\\n"); unsafe { _exit(0) } }\n'
        'unsafe { waitpid(pid, std::ptr::null_mut(), 0); }\neprintln!("parent");'
    )
    assert ran.stream("stderr") == "forked\nparent\n"


def test_a_cell_may_send_its_output_to_a_file(shared: Notebook, tmp_path: object) -> None:
    path = f"{tmp_path}/output"
    ran = shared.must(
        'unsafe extern "C" { fn dup(fd: i32) -> i32; fn dup2(from: i32, to: i32) -> i32; }\n'
        f'use std::os::fd::AsRawFd;\nlet file = std::fs::File::create("{path}")?;\n'
        'println!("one");\nlet before = unsafe { dup(1) }; unsafe { dup2(file.as_raw_fd(), 1); }\n'
        'println!("two");\nunsafe { dup2(before, 1); }\nprintln!("three");'
    )
    assert ran.stream() == "one\nthree\n"
    with open(path) as file:
        assert file.read() == "two\n"


def test_a_cell_that_closes_the_standard_streams_ends_and_they_are_there_again(notebook: Notebook) -> None:
    notebook.must("let kept = 40;")
    closed = notebook.must(
        'unsafe extern "C" { fn close(fd: i32) -> i32; }\nfor fd in 0..3 { unsafe { close(fd); } }\nprintln!("closed"); kept',
        timeout=60,
    )
    assert closed.shown() == ["40"] and closed.stream() == "closed\n"
    for name in ["input", "output", "error"]:
        assert f"the cell closed standard {name}" in closed.stream("stderr")
    ran = notebook.must(
        'use std::os::fd::AsRawFd;\nlet opened = std::fs::File::open("/dev/null")?.as_raw_fd() > 2;\n'
        'println!("out"); eprintln!("err");\nstd::process::Command::new("echo").arg("child").status()?;\nopened',
        timeout=60,
    )
    assert ran.shown() == ["true"] and ran.stream() == "out\nchild\n" and ran.stream("stderr") == "err\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the table of exported symbols is read as Linux has it")
def test_the_executable_exports_nothing_that_replaces_the_cells_standard_library() -> None:
    table = subprocess.run(["nm", "-D", "--defined-only", str(executable())], capture_output=True, text=True, check=True)
    names = {line.split()[-1].split("@")[0] for line in table.stdout.splitlines()}
    assert {"machine_host_v1", "write", "writev"} <= names
    library = ctypes.CDLL(None)
    assert all(hasattr(library, name) for name in names - {"machine_host_v1"}), names
