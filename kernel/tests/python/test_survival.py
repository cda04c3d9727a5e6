"""Whatever bytes a cell has, and whatever bug the kernel has: it costs one cell, and not the session.

`MACHINE_RANDOM_CELLS=200` sends as many random cells through the compiler; `MACHINE_RANDOM_SEED` repeats what a failed
test has printed.
"""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from conftest import KERNEL_NAME, Notebook, executable
from jupyter_client.manager import start_new_kernel

# Each has an error whose mark ends with a character of several bytes.
WIDE = ["let x = é", "let q = “pasted”;", "let a = 1；", "let b =\u00a01;", "\ufefflet c = 1;", "🦀", ":dep é", "let d = 'é;",
        "println!(\"{é}\");", "é\r\n", "let e: é = 1;", "// é\r\nlet f = é;"]
PIECES = ["let é = 1;", "f()?", ";", "x", "struct S;", "\"🦀\"", "println!(\"{a}\");", "\n", "\r\n", "{", "}", "(", ")",
          "'é'", "'", "\"", "/*", "*/", "MACHINE[1] = |a, _| a;", "#[é]", "r#\"ü\"#", "1 + 1", "impl T for U {}", "=> é"]
RANGES = [(0x20, 0x7E), (0xA0, 0x17F), (0x300, 0x36F), (0x5D0, 0x6FF), (0x2000, 0x206F), (0x3000, 0x30FF),
          (0xFE00, 0xFFFF), (0x1F300, 0x10FFFF)]


def random_cell(source: random.Random) -> str:
    """A few pieces of Rust with any characters between them."""
    parts = []
    for _ in range(source.randint(1, 5)):
        parts.append(source.choice(PIECES))
        parts.extend(chr(source.randint(*source.choice(RANGES))) for _ in range(source.randint(0, 3)))
    return "".join(parts)


def survives(notebook: Notebook, cell: str) -> None:
    """Runs a cell that may fail, but may not end the session."""
    ran = notebook.run(cell)
    names = [error["ename"] for error in ran.errors]
    assert not {"InternalError", "RuntimeLost"} & set(names), f"{cell!r}: {ran.text}"


def test_an_error_at_a_wide_character_costs_one_cell(shared: Notebook) -> None:
    shared.must("let kept = 41;")
    for cell in WIDE:
        survives(shared, cell)
    ran = shared.run("let x = é")
    assert "E0425" in ran.text and "let x = é" in ran.text and "^" in ran.text, ran.text
    assert shared.must("kept + 1").shown() == ["42"]


def test_random_cells_cost_no_session(shared: Notebook) -> None:
    count = int(os.environ.get("MACHINE_RANDOM_CELLS", "6"))
    seed = int(os.environ.get("MACHINE_RANDOM_SEED", time.time_ns() // 1_000_000))
    print(f"MACHINE_RANDOM_CELLS={count} MACHINE_RANDOM_SEED={seed}")
    source = random.Random(seed)
    shared.must("let kept = 41;")
    for _ in range(count):
        survives(shared, random_cell(source))
    assert shared.must("kept + 1").shown() == ["42"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_panic_on_the_thread_of_the_session_costs_one_cell() -> None:
    # evcxr prints to standard output here, and that panics where it cannot be written.
    notebook = Notebook.__new__(Notebook)
    with open("/dev/full", "wb") as full:
        notebook.manager, notebook.client = start_new_kernel(kernel_name=KERNEL_NAME, startup_timeout=60, stdout=full)
    notebook.replies, notebook.published = {}, {}
    try:
        notebook.must("let kept = 41;")
        [error] = notebook.run(":load_config").errors
        assert error["ename"] == "InternalError" and "all variables" in "\n".join(error["traceback"]), error
        assert notebook.must("kept + 1").shown() == ["42"]
    finally:
        notebook.close()


def test_a_file_with_an_error_at_a_wide_character_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "p.rs"
    for text in ["let x = é", "\ufefflet x = “a”;", "fn main() { é }"]:
        file.write_text(text)
        ran = subprocess.run([executable(), "run", file], capture_output=True, text=True, timeout=900, check=False)
        assert ran.returncode not in (0, 101) and "panicked" not in ran.stderr, ran.stderr
        assert "p.rs:1:" in ran.stderr and "error" in ran.stderr, ran.stderr
