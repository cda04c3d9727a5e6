"""What a cell shows whose last expression is a machine or one of its handles."""

import re

import pytest
from conftest import Notebook


@pytest.fixture(scope="module")
def values() -> Notebook:
    """A notebook in which two messages went through two slots; the second one fails on the larger one."""
    notebook = Notebook()
    notebook.must("MACHINE[0] = |x: f64| x * x;\n"
                  "MACHINE[1] = |y: f64| if y > 5.0 { Err(\"too big\") } else { Ok(y + 1.0) };\n"
                  "MACHINE.put(2.0)?; MACHINE.put(3.0)?; MACHINE.drain();")
    yield notebook
    notebook.close()


@pytest.mark.parametrize(("code", "shown"), [
    ("MACHINE.start()", r'Machine\("main", running, 8 slots, 2 processed, 0 waiting\)'),
    ("MACHINE.drain()", r'Machine\("main", running, 8 slots, 2 processed, 0 waiting\)'),
    ("MACHINE.workers(2)?", r'Machine\("main", running, 8 slots, 2 processed, 0 waiting\)'),
    ("MACHINE[0]", r'SlotRef\("main", f0, \|x: f64\| x \* x, 2 ok, 0 errored\)'),
    ("MACHINE.call(2.0)?", r"in  2.0\nf0  4.0\nf1  5.0"),
    ("MACHINE.call(3.0)?", r"in  3.0\nf0  9.0\nf1  \(f1 failed \(error\): too big\)"),
    ("MACHINE.errors()", r"(?s).*f1.*too big.*3\.0.*"),
    ("MACHINE.outputs()?", r'Outputs\("main", 0 waiting, 0 lost\)'),
    ('MACHINE.publish("tcp://127.0.0.1:*")?',
     r'SinkHandle\("main", publish, "tcp://127.0.0.1:\d+", 0 sent, 0 waiting, 0 lost, 0 subscribed\)'),
    ("MACHINE[1].retry(2, std::time::Duration::from_millis(1))?", r'SlotRef\("main", f1, .*, 2 retries from 1ms\)'),
])
def test_a_handle_is_a_line_or_its_values(values: Notebook, code: str, shown: str) -> None:
    ran = values.must(code)
    assert len(ran.shown()) == 1 and re.fullmatch(shown, ran.shown()[0]), ran.text


def test_a_machine_is_its_status(values: Notebook) -> None:
    ran = values.must("MACHINE")
    assert ran.shown()[0].startswith("main running · 2 processed"), ran.text
    assert "<table" in ran.shown("text/html")[0]


def test_the_last_outputs_are_a_data_frame_of_what_changes_something(values: Notebook) -> None:
    ran = values.must("MACHINE.last_outputs()")
    header = ran.shown()[0].splitlines()[2]
    assert re.findall(r"\w+", header) == ["oid", "in", "f0", "f1"], ran.text
    assert "shape: (2, 4)" in ran.shown()[0] and "5.0" in ran.shown()[0]


def test_time_tells_compiling_and_running_apart(values: Notebook) -> None:
    ran = values.must("%%time\nstd::thread::sleep(std::time::Duration::from_millis(20));")
    assert re.fullmatch(r"wall time: [\d.]+ m?s \(compiling [\d.]+ m?s, running [\d.]+ m?s\)\n", ran.stream()), ran.text
    times = values.must("%%time --json\n1 + 1").shown("application/json")[0]
    assert times["seconds"] == pytest.approx(times["compiling"] + times["running"])
    assert 0 < times["running"] < times["seconds"]
    assert values.must("%%time\nfn never_run() {}").stream().count("running") == 0


def test_user_expressions_have_values(values: Notebook) -> None:
    notebook = values
    notebook.must("let x = 41;")
    ran = notebook.run("", user_expressions={"sum": "x + 1", "text": "format!(\"{x}\")", "wrong": "no_such_name", "magic": "%lsmagic"})
    given = ran.reply["user_expressions"]
    assert given["sum"]["data"]["text/plain"] == "42", given
    assert given["text"]["data"]["text/plain"] == '"41"', given
    assert given["wrong"]["status"] == "error" and given["wrong"]["ename"], given
    assert "text/plain" in given["magic"]["data"], given
    # They leave the count, and no result of the cell, behind.
    assert ran.shown() == []
    assert notebook.must("x").shown() == ["41"]
