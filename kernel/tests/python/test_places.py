"""What is edited in a cell is not seen: places are the user's, warnings are about the user's lines, cells run twice."""

import subprocess
from pathlib import Path

import pytest
from conftest import Notebook, executable


def test_a_result_that_is_not_used_is_named(shared: Notebook) -> None:
    ran = shared.must("fn helper() {\n    MACHINE.put(1.0);\n}\nlet limit = 1;\nMACHINE.source(vec![1.0, 2.0]);\nhelper();")
    lines = [line for line in ran.stream("stderr").splitlines() if "was not used" in line]
    assert lines == [f"cell [{ran.count}], line {line}: this `Result` was not used: add `?`" for line in (2, 5)]
    # Its function is compiled again with each cell, and is no line of theirs.
    assert "was not used" not in shared.must("let more = limit + 1;\nhelper();").stream("stderr")
    assert "was not used" not in shared.must("MACHINE.put(2.0)?;\nlet _ = MACHINE.put(3.0);").stream("stderr")
    assert "iterators are lazy" in shared.must("vec![1].iter().map(|x| x + 1);").stream("stderr")
    shared.must("MACHINE.stop().clear();")


def test_a_panic_in_a_slot_names_cell_and_line(notebook: Notebook) -> None:
    helper = notebook.must("// é\nfn third(of: &[u64], n: usize) -> u64 {\n    of[n]\n}").count
    slots = notebook.must("let n = 7;\nMACHINE[0] = |x: usize| vec![1u64, 2, 3][x];\n"
                          "MACHINE[1] = |_, x: usize| third(&[1], x);").count
    # Compiled after them, and compiled in vain.
    notebook.must("let later = 1;\nlet more = 2;")
    notebook.run("let wrong: u8 = \"\";")
    notebook.must("MACHINE.put(n as usize)?;\nMACHINE.drain();")
    errors = notebook.must("%errors").text
    for place in [f"(cell [{slots}], line 2)", f"(cell [{helper}], line 3)"]:
        assert "index out of bounds" in errors and place in errors, errors
    oid = notebook.must("println!(\"{}\", MACHINE.errors()[0].oid);").stream().strip()
    assert f"(cell [{slots}], line 2)" in notebook.must(f"%explain {oid}").text


@pytest.mark.parametrize("cell", [
    "impl std::fmt::Display for Own {\n    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result "
    "{ write!(f, \"own\") }\n}",
    "impl Own { fn two(&self) -> u8 { 2 } }",
])
def test_an_implementation_alone_in_a_cell_runs_twice(shared: Notebook, cell: str) -> None:
    shared.must("#[derive(Debug)]\nstruct Own;")
    shared.must(cell)
    shared.must(cell)


def test_a_path_and_a_magic_may_begin_any_line(shared: Notebook) -> None:
    assert shared.must("::std::mem::size_of::<u64>()").shown() == ["8"]
    ran = shared.must("1 + 1\n%status\nlet after = 3;\nafter")
    assert ran.shown()[0] == "2" and "main" in ran.shown()[1] and ran.shown()[-1] == "3"
    [error] = shared.run("let x = 1;\n%slots\nlet y: u8 = \"\";").errors
    assert "(line 3)" in error["evalue"]


def test_what_cannot_be_shown_is_named(shared: Notebook) -> None:
    [error] = shared.run("struct Plain;\nPlain").errors
    assert "`Plain` cannot be shown: it does not implement `Debug`" in error["evalue"]


def test_a_panic_in_a_script_names_the_users_column(tmp_path: Path) -> None:
    script = tmp_path / "p.rs"
    script.write_text('let é = 1; MACHINE[0] = |x: usize| [1, 2][x];\nMACHINE.put(7usize)?; MACHINE.drain();\n'
                      'println!("{}", MACHINE.errors()[0].error); if é == 1 { panic!("here") }\n')
    ran = subprocess.run([executable(), "run", script], capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 101, ran.stderr
    assert f"the index is 7 ({script}:1:36)" in ran.stdout, ran.stdout
    assert f"panicked at {script}:3:56: here" in ran.stderr, ran.stderr
