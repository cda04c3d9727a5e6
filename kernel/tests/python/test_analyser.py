"""Types and completions come without waiting for rust-analyzer, whatever it does."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE, Notebook, eventually

TYPE = "fn type_of<T>(_: &T) -> &'static str { std::any::type_name::<T>() }"


def analysers(notebook: Notebook) -> list[int]:
    """The processes of rust-analyzer that a kernel has started."""
    kernel = notebook.manager.provisioner.pid
    children = Path(f"/proc/{kernel}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in pids if b"analyse" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]


@pytest.fixture
def stopped() -> Iterator[Notebook]:
    """A kernel whose rust-analyzer has been stopped before it was ready."""
    notebook = Notebook()
    pids = []
    try:
        notebook.must("let alpha = vec![1, 2];")
        notebook.client.complete("al", 2, reply=True, timeout=PATIENCE)
        pids = eventually(lambda: analysers(notebook), "a process of rust-analyzer")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield notebook
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        notebook.close()


def matches(notebook: Notebook, code: str) -> list[str]:
    """What completion offers at the end of a cell."""
    return notebook.client.complete(code, len(code), reply=True, timeout=PATIENCE)["content"]["matches"]


@pytest.mark.parametrize("cells", [
    [("let b = alpha.iter().map(|x| x * 2).collect::<Vec<_>>();", "b", "alloc::vec::Vec<i32>"),
     ("let (c, mut d) = (Some(2u8), \"x\".chars());", "d", "core::str::iter::Chars"),
     ("let mut e = Vec::new();\ne.push(1.5f32);", "e", "alloc::vec::Vec<f32>"),
     ("let Some(f) = b.first().copied() else { return };", "f", "i32"),
     ("let g;\nif b.len() > 1 { g = 1 } else { g = 2u64 }", "g", "u64"),
     ("let h = std::thread::spawn(|| loop { std::thread::park() });", "h", "JoinHandle<!>"),
     ("let error = Some(Box::<dyn std::error::Error + Send + Sync>::from(\"x\"));", "error",
      "core::option::Option<alloc::boxed::Box<dyn core::error::Error + core::marker::Send + core::marker::Sync>>")],
])
def test_no_cell_and_no_completion_waits_for_rust_analyzer(stopped: Notebook, cells: list) -> None:
    for cell, variable, type_name in cells:
        stopped.must(cell)
        assert type_name in stopped.must(f"{TYPE}\nprintln!(\"{{}}\", type_of(&{variable}));").stream()
    assert "alpha" in matches(stopped, "al")
    assert any(match.startswith("source") for match in matches(stopped, "MACHINE.sour"))


def test_a_variable_whose_type_has_no_name_is_refused_before_the_cell_runs(notebook: Notebook, tmp_path: Path) -> None:
    note = tmp_path / "note"
    for value, said in [("|x: i32| x", "holds a closure"), ("std::iter::once(1).map(|x| x)", "holds a closure"),
                        ("opaque()", "impl std::iter::Iterator<Item = u8>")]:
        ran = notebook.run(f'std::fs::write("{note}", "ran")?;\nfn opaque() -> impl Iterator<Item = u8> {{ 0..3 }}\n'
                           f"let it = {value};")
        [error] = ran.errors
        assert "`it`" in error["evalue"] and said in error["evalue"], error["evalue"]
    assert not note.exists()


def test_completion_knows_the_standard_library_once_it_is_read(notebook: Notebook) -> None:
    notebook.must("let beta = vec![1u8];")
    assert "len" in eventually(lambda: [it for it in matches(notebook, "beta.le") if it == "len"], "methods of Vec")
    content = notebook.client.inspect("beta.len()", 6, reply=True, timeout=PATIENCE)["content"]
    assert content["found"] and "number of elements" in content["data"]["text/plain"]


def test_rust_analyzer_ends_with_its_kernel() -> None:
    notebook = Notebook()
    notebook.must("1")
    [pid] = eventually(lambda: analysers(notebook), "a process of rust-analyzer")
    notebook.manager.signal_kernel(signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2],
               "the end of rust-analyzer's process")
    notebook.close()
