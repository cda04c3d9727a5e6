"""What a user types first: it works, or the answer says what to write; and files that belong to others stay."""

import json
import os
from pathlib import Path

import pytest
from conftest import Notebook

WAITING = "waiting for a slot; %start --empty to run without"


def test_a_source_before_the_slots_waits_for_them(notebook: Notebook) -> None:
    ran = notebook.must("MACHINE.source(0..10u64)?;")
    assert WAITING in ran.stream("stderr"), ran.text
    assert WAITING in notebook.must("%status").text
    status = json.loads(notebook.must("%status --json").shown()[-1])
    assert status["waiting_for_slot"] and status["source"]["taken"] == 0
    ran = notebook.run("%drain")
    assert not ran.ok and WAITING in ran.text, ran.text
    # A message that is put, and a call, need no slot.
    ran = notebook.must("MACHINE.put(1)?; MACHINE.drain(); MACHINE.call(2)?; MACHINE.status().processed")
    assert ran.shown() == ["1"], ran.text
    ran = notebook.must("MACHINE[0] = |x: u64| x;\nMACHINE.drain();\nMACHINE.status().processed")
    assert ran.shown() == ["11"], ran.text
    # A slot that is set later in the cell is in time.
    ran = notebook.must('let late = Machine::builder("late").start()?;\nlate.source(0..5u64)?;\nlate[0] = |x: u64| x;\n'
                        "late.drain();\nlate.status().processed")
    assert ran.shown() == ["5"] and WAITING not in ran.text, ran.text
    notebook.must('let empty = Machine::builder("empty").start()?;\nempty.source(0..5u64)?;')
    notebook.must("%start empty --empty")
    notebook.must("%drain empty")
    assert json.loads(notebook.must("%status empty --json").shown()[-1])["processed"] == 5


def test_what_a_user_of_the_original_types_first(notebook: Notebook) -> None:
    assert notebook.must("MACHINE.running()").shown() == ["true"]
    assert "main" in notebook.must("MACHINE.display_status();").text
    ran = notebook.must("let m = Machine::new()?;\nm[0] = |x: f64| x * x;\nm.call(3.0)?.get::<f64>(0)?")
    assert ran.shown() == ["9.0"], ran.text
    assert "machine1" in notebook.must("m").text
    ran = notebook.run("MACHINE(14.0)")
    assert not ran.ok and "`MACHINE.call(14.0)?`" in ran.text, ran.text


@pytest.mark.parametrize(("cell", "said"), [
    (":dpe tokio", "did you mean :dep?"),
    ("use tokio::fs;", ':dep tokio = "1"'),
    ("%errors --since yesterday", "--since 5s"),
    (":build_env RUSTC_WRAPPER=/bin/false", "RUSTC_WRAPPER"),
    (":allow_static_linking 0", "not available here"),
    (":codegen_backend cranelift", "not available here"),
])
def test_a_slip_is_answered_with_what_to_write(shared: Notebook, cell: str, said: str) -> None:
    ran = shared.run(cell)
    assert not ran.ok and said in ran.text, ran.text
    assert "cargo add" not in ran.text
    assert shared.must("1 + 1").shown() == ["2"]


def test_files_that_belong_to_others_stay(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    (tmp_path / "mine.arrow").write_text("mine")
    os.mkfifo(tmp_path / "pipe.html")
    os.mkfifo(tmp_path / "pipe.arrow")
    notebook.must(f"std::env::set_current_dir({json.dumps(str(tmp_path))})?;")
    notebook.must("MACHINE[0] = |x: u64| x;\nMACHINE.put(1)?;\nMACHINE.drain();")
    notebook.must("%tap")
    for name in ("mine", "pipe"):
        for magic in (f"%report {name}.html", f"%frame {name}"):
            ran = notebook.run(magic)
            assert not ran.ok and f"{name}." in ran.text, ran.text
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"
    assert (tmp_path / "mine.arrow").read_text() == "mine"
    # In the directory of the cells, again and again.
    for _ in range(2):
        notebook.must("%report")
        notebook.must("%frame mine2")
    assert {"report.html", "mine2.arrow"} <= {path.name for path in tmp_path.iterdir()}


def test_what_a_user_has_written_is_for_this_user_alone(notebook: Notebook) -> None:
    notebook.must("1 + 1")
    history = Path(os.environ["XDG_DATA_HOME"]) / "rust-machine" / "history.jsonl"
    assert history.stat().st_mode & 0o777 == 0o600
    cache = Path(os.environ.get("MACHINE_CACHE_DIR")
                 or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "machine")
    assert (cache / "sessions").stat().st_mode & 0o777 == 0o700
