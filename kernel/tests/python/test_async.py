"""Async closures in slots, from cells."""

import re

from conftest import Notebook

MESSAGES = 50
# All wait for the last of them, so none ends before all are in the slot: nothing depends on how fast anything is.
ALL_AT_ONCE = f"""
:dep tokio = {{ version = "1", features = ["time", "sync"] }}
use std::sync::Arc;
use std::sync::atomic::{{AtomicU64, Ordering::SeqCst}};

async fn fetch(id: u64) -> String {{
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    format!("user {{id}}")
}}
"""


def test_messages_wait_in_an_async_slot_at_the_same_time(notebook: Notebook) -> None:
    notebook.must(ALL_AT_ONCE)
    notebook.must("let all = Arc::new(tokio::sync::Barrier::new(%d));\nlet inside = all.clone();\n"
                  "MACHINE[0] = async move |id: u64| {\n    inside.wait().await;\n    fetch(id).await\n};" % MESSAGES)
    notebook.must(f"for id in 0..{MESSAGES}_u64 {{ MACHINE.put_wait(id)?; }}\nMACHINE.drain();")
    assert re.search(rf"{MESSAGES} processed", notebook.must("%status").shown()[0])
    assert notebook.must("MACHINE.status().slots[0].ok").shown() == [str(MESSAGES)]


def test_an_async_slot_needs_nothing_but_its_closure(notebook: Notebook) -> None:
    notebook.must("MACHINE[1] = async |text: &str| {\n    let words = text.split(' ').count();\n"
                  "    if words > 2 { Err(format!(\"{words} words\")) } else { Ok(words) }\n};")
    notebook.must('MACHINE.put("a b".to_owned())?; MACHINE.put("a b c".to_owned())?; MACHINE.drain();')
    shown = notebook.must("%errors").shown()[0]
    assert "3 words" in shown
    # As for any slot, an error points at what the user wrote.
    ran = notebook.run("MACHINE[2] = async |n: u64| {\n    n + missing\n};")
    [error] = ran.errors
    trace = "\n".join(error["traceback"])
    assert f"[{ran.count}]:2" in trace and "missing" in trace and "machine_async" not in trace, trace
    # What does not fit is told once.
    [error] = notebook.run("#[derive(Serialize)] struct Own;\nMACHINE[3] = async |own: Own| 1_u64;").errors
    assert "does not fit in an async slot" in error["evalue"] and len(error["traceback"]) == 1, error
