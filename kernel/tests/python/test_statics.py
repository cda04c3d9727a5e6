"""A `static` is one for the whole session: what a slot counts up, a later cell reads."""

import pytest
from conftest import Notebook


def test_a_static_that_a_slot_counts_up_is_read_in_a_later_cell(notebook: Notebook) -> None:
    notebook.must("use std::sync::atomic::{AtomicU64, Ordering};\nstatic HITS: AtomicU64 = AtomicU64::new(0);")
    notebook.must("MACHINE.clear(); MACHINE[0] = |x: u64| { HITS.fetch_add(1, Ordering::Relaxed); x };")
    notebook.must("for x in 0..10u64 { MACHINE.put(x)?; }\nMACHINE.drain();")
    assert notebook.must("HITS.load(Ordering::Relaxed)").shown() == ["10"]
    ran = notebook.must("static HITS: AtomicU64 = AtomicU64::new(0);\nHITS.load(Ordering::Relaxed)")
    assert ran.shown() == ["10"] and "keeps its value" in ran.stream("stderr")
    ran = notebook.must("static HITS: AtomicU64 = AtomicU64::new(5);")
    assert "another one now" in ran.stream("stderr")
    assert notebook.must("HITS.load(Ordering::Relaxed)").shown() == ["5"]


def test_statics_in_functions_and_of_the_sessions_types_are_shared(notebook: Notebook) -> None:
    notebook.must("fn next() -> u32 { static N: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);\n"
                  "    N.fetch_add(1, std::sync::atomic::Ordering::Relaxed) }\nnext();")
    assert notebook.must("next()").shown() == ["8"]
    assert notebook.must("next() + next()").shown() == ["19"]
    notebook.must("#[derive(Debug)] struct Kept { x: u8 }\nstatic KEPT: std::sync::Mutex<Vec<Kept>> = std::sync::Mutex::new(Vec::new());")
    notebook.must("KEPT.lock()?.push(Kept { x: 1 });")
    notebook.must("KEPT.lock()?.push(Kept { x: 2 });")
    assert notebook.must("KEPT.lock()?.len()").shown() == ["2"]
    [error] = notebook.run("#[derive(Debug)] struct Kept { x: String, y: u64 }").errors
    assert "the static `KEPT`" in error["evalue"] and "define `KEPT` again" in error["evalue"]
    notebook.must("#[derive(Debug)] struct Kept { x: String }\n"
                  "static KEPT: std::sync::Mutex<Vec<Kept>> = std::sync::Mutex::new(Vec::new());")
    assert notebook.must("KEPT.lock()?.len()").shown() == ["0"]
    # A panic, an error and a redefined variable in the cell that defines one change nothing.
    notebook.run("static mut LATE: u32 = 1;\nunsafe { LATE += 1 };\npanic!(\"no\")")
    assert notebook.must("unsafe { LATE }").shown() == ["2"]


@pytest.mark.parametrize("cell", [
    "fn once() -> u32 { thread_local! { static N: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }\n"
    "    N.with(|n| n.replace(n.get() + 1)) }",
])
def test_what_cells_cannot_share_says_so_and_is_refused_in_a_later_cell(notebook: Notebook, cell: str) -> None:
    ran = notebook.must(f"{cell}\nonce() + once()")
    assert ran.shown() == ["1"] and "`thread_local!`" in ran.stream("stderr")
    [error] = notebook.run("once()").errors
    assert "`once`" in error["evalue"] and "fresh copy" in error["evalue"]


def test_a_function_that_a_user_exports_is_the_new_one_once_it_is_redefined(notebook: Notebook) -> None:
    notebook.must("#[unsafe(no_mangle)] pub extern \"C\" fn exported() -> u8 { 1 }\nexported();")
    assert notebook.must("#[unsafe(no_mangle)] pub extern \"C\" fn exported() -> u8 { 2 }\nexported()").shown() == ["2"]
