"""Variables whose types are plain to see, in the first cells of a session: the same types, the same errors."""

from pathlib import Path

import pytest
from conftest import Notebook

TYPE = "fn type_of<T>(_: &T) -> &'static str { std::any::type_name::<T>() }"


@pytest.mark.parametrize(
    ("cell", "variable", "type_name"),
    [
        ("let x = 1;", "x", "i32"),
        ("let x = 1;\nlet y: u64 = x;", "x", "u64"),
        ("let mut v = vec![1, 2];\nv.push(3u8);", "v", "alloc::vec::Vec<u8>"),
        ("#[derive(Clone)] struct Instant<T = f32>(T);\nimpl<T> Instant<T> { fn now(t: T) -> Self { Instant(t) } }\n"
         "let x = Instant::now(1.0).0;\nlet t = Instant::now(1.0);", "x", "f64"),
        ("struct Held<T = f32> { x: T }\nlet held = Held { x: 1.0 };\nlet x = held.x;", "x", "f64"),
        ("struct Own { x: f64 }\nimpl Own { fn new() -> Box<Own> { Box::new(Own { x: 1.0 }) } }\n"
         "let own = Own::new();\nlet x = own.x;", "x", "f64"),
        ("use std::sync::{Arc, Mutex};\nlet a = Arc::new(Mutex::new(Vec::<f64>::new()));\nlet b = a.clone();", "b",
         "alloc::sync::Arc<std::sync::poison::mutex::Mutex<alloc::vec::Vec<f64>>>"),
    ],
)
def test_a_variable_of_the_first_cell_has_the_type_that_rust_gives_it(
    notebook: Notebook, cell: str, variable: str, type_name: str
) -> None:
    notebook.must(cell)
    assert notebook.must(f"{TYPE}\nprintln!(\"{{}}\", type_of(&{variable}));").stream() == f"{type_name}\n"


def test_an_error_beside_a_guessed_type_is_told_on_what_the_user_wrote(notebook: Notebook) -> None:
    ran = notebook.run('let text = String::from("a");\nlet n = 1;\nmissing(n);')
    [error] = ran.errors
    trace = "\n".join(error["traceback"])
    assert error["ename"] == "CompileError" and f"[{ran.count}]:3" in trace, trace
    assert "cannot find function `missing`" in trace and "i32" not in trace and ": String" not in trace, trace


def test_a_cell_that_is_compiled_twice_runs_once(notebook: Notebook, tmp_path: Path) -> None:
    note = tmp_path / "note"
    # `len` gives no usize here, so the first form does not compile.
    cell = (f"!echo shell >> {note}\nstruct Long;\nimpl Long {{ fn size(&self) -> u8 {{ 7 }} }}\n"
            "let v = vec![Long.size(), 2];\nlet first = Box::new(vec![1.5, 2.5]).len() as u8 + v[0];\n"
            f'use std::io::Write;\nwriteln!(std::fs::File::options().append(true).open("{note}")?, "rust")?;\nfirst')
    ran = notebook.must(cell)
    assert ran.shown() == ["9"]
    assert note.read_text() == "shell\nrust\n"


def test_variables_outlive_a_dependency_that_comes_later_but_not_one_that_changes(
    notebook: Notebook, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text(
        '[package]\nname = "later"\nversion = "1.0.0"\nedition = "2024"\n\n[features]\nlarge = []\n'
    )
    (tmp_path / "src" / "lib.rs").write_text(
        "#[derive(Default)]\npub struct Part { #[cfg(feature = \"large\")] before: [u64; 32], pub x: u64 }\n"
    )
    notebook.must("struct Own { x: u64 }\nlet own = vec![Own { x: 3 }, Own { x: 4 }];")
    # It brings its own crate.
    notebook.must("MACHINE[0] = async |x: u64| x + 1;")
    notebook.must(f':dep later = {{ path = "{tmp_path}" }}\nstruct Whole(later::Part);\n'
                  "let whole = Whole(later::Part { x: 1 });")
    assert "5" in notebook.must("own[1].x + whole.0.x").shown()
    ran = notebook.run(f':dep later = {{ path = "{tmp_path}", features = ["large"] }}\nlater::Part::default().x')
    assert "0" in ran.shown() and "variable whole was redefined, so was lost" in ran.text, ran.text
    [error] = notebook.run("whole.0.x").errors
    assert "cannot find value `whole`" in error["evalue"]


def test_variables_of_a_dependency_that_was_edited_are_lost_and_not_read_as_what_it_is_now(
    notebook: Notebook, tmp_path: Path
) -> None:
    source = tmp_path / "src" / "lib.rs"
    source.parent.mkdir()
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "edited"\nversion = "1.0.0"\nedition = "2024"\n')
    source.write_text("pub struct Part { pub x: u64, pub y: u64 }\n")
    notebook.must(f':dep edited = {{ path = "{tmp_path}" }}\nlet part = edited::Part {{ x: 1, y: 2 }};\n'
                  "struct Own(edited::Part);\nlet own = Own(edited::Part { x: 3, y: 4 });")
    assert "5" in notebook.must("part.x + own.0.y").shown()
    # As large as before.
    source.write_text("pub struct Part { pub x: String }\nimpl Drop for Part { fn drop(&mut self) {} }\n"
                      "impl Default for Part { fn default() -> Self { Self { x: \"new\".repeat(3) } } }\n")
    ran = notebook.run("edited::Part::default().x.clone()")
    assert '"newnewnew"' in ran.shown(), (ran.shown(), ran.text, ran.errors)
    assert all(f"variable {name} was redefined, so was lost" in ran.text for name in ("part", "own")), ran.text
    [error] = notebook.run("part.x.len()").errors
    assert "cannot find value `part`" in error["evalue"]
