"""Queries over what flowed, answered while a cell runs: `%sql`, `%%sql`, `%%plot`, `%frame`; and bars that tell how far."""

import time
from pathlib import Path

import pyarrow
import pytest
from conftest import PATIENCE, Notebook
from test_messages import asked


@pytest.fixture
def filled(notebook: Notebook) -> Notebook:
    """A machine that 100 messages went through, every tenth with an error."""
    notebook.must('MACHINE[0] = |x: f64| json!({ "half": x / 2.0, "of": { "parity": if x % 2.0 == 0.0 { "even" } else { "odd" } } });')
    notebook.must('MACHINE[1] = |v: &Value, x: f64| if x % 10.0 == 0.0 { Err(format!("{x} is round <b>")) } else { Ok(x as i64 % 3) };')
    notebook.must("for x in 0..100 { MACHINE.put(f64::from(x))?; }\nMACHINE.drain();")
    return notebook


def busy(notebook: Notebook) -> str:
    """A cell that runs until it is interrupted."""
    running = notebook.send('println!("begun");\nloop { std::thread::sleep(std::time::Duration::from_millis(10)); }')
    notebook.wait_for(running, lambda ran: "begun" in ran.stream())
    return running


def test_a_query_is_answered_while_a_cell_runs(filled: Notebook) -> None:
    running = busy(filled)
    answer = asked(filled, "%sql SELECT f1, count(*) AS n FROM f1 GROUP BY f1 ORDER BY f1")
    assert answer["columns"] == ["f1", "n"] and answer["rows"] == [[0, 30], [1, 30], [2, 30]]
    assert answer["note"].startswith("f1: 90 of 100 messages")

    # Fields within fields are columns with a point, and need no quotes.
    shown = filled.must("%%sql\nSELECT of.parity AS parity, avg(half) AS mean, max(input.input) AS most\n"
                        "FROM f0 JOIN input USING (oid)\nGROUP BY of.parity ORDER BY parity")
    assert "even" in shown.text and "49.5" not in shown.text and "24.5" in shown.text and "f0" in shown.text
    assert "dataframe" in shown.shown("text/html")[0]

    errors = asked(filled, "%sql SELECT count(*) AS n, min(input) AS first FROM errors WHERE error LIKE '%round%'")
    assert errors["rows"] == [[10, "0.0"]]
    deadline = time.monotonic() + 30
    while not asked(filled, "%sql SELECT sum(processed) AS n FROM history")["rows"] == [[100]]:
        assert time.monotonic() < deadline, "the past does not add up"

    tables = asked(filled, "%sql")
    assert [row[0] for row in tables["rows"]] == ["input", "f0", "f1", "errors", "history"]
    assert "half f64" in tables["rows"][1][2] and "busy f64, blocked f64" in tables["rows"][4][2]
    [[looked, most]] = asked(filled, "%sql SELECT count(blocked), max(busy + blocked) FROM history")["rows"]
    assert looked > 0 and 0.0 <= most <= 1.0
    filled.interrupt()
    filled.wait(running)


def test_what_is_wrong_with_a_query_is_told(filled: Notebook) -> None:
    for line, told in [
        ("%sql SELECT hlf FROM f0", "there is no column hlf; there is oid, put, half, of.parity; did you mean half?"),
        ("%sql SELECT x FROM f0 JOIN input USING (oid)", "there is no column x; there is oid, put, input, half, of.parity"),
        ("%sql SELECT * FROM f9", "there is no table f9; there is input, f0,"),
        ("%sql SELECT * FROM imput", "did you mean input?"),
        ("%sql SELECT half FROM f0 WHERE", "SQL syntax error"),
        ("%sql DROP TABLE f0; SELECT 1", "one statement"),
        ("%%plot\nSELECT oid FROM f0", "oid is no number"),
        ("%%plot hlf\nSELECT half FROM f0", "the query gives no hlf; it gives half; did you mean half?"),
        ("%plot f0.half --kind bar", "bars are drawn of a query"),
        ("%frame x", "there is nothing to write"),
    ]:
        error = filled.run(line)
        assert not error.ok and told in error.reply["evalue"], (line, error.reply["evalue"])
    filled.must("%sql SELECT half FROM f0")
    assert "cannot write /no/such/place/x" in filled.run("%frame /no/such/place/x").reply["evalue"]
    error = filled.run("%%sql\nSELECT half\nFROM f0 ORDER half")
    assert error.reply["traceback"][0].strip().startswith("3 | FROM f0 ORDER half")
    assert error.reply["traceback"][1].index("^") == error.reply["traceback"][0].rindex("ORDER")


def test_a_query_without_an_end_is_interrupted_and_takes_nothing_with_it(filled: Notebook) -> None:
    filled.must("for x in 0..9_000 { MACHINE.put_wait(f64::from(x))?; }\nMACHINE.drain();")
    running = filled.send("%sql SELECT count(*) FROM f0 a CROSS JOIN f0 b CROSS JOIN f0 c WHERE a.half + b.half > c.half")
    filled.wait_for(running, lambda ran: any("query of" in text for text in ran.shown()))
    filled.interrupt()
    assert filled.wait(running).reply["ename"] == "KeyboardInterrupt"
    assert asked(filled, "%sql SELECT count(*) AS n FROM f0")["rows"] == [[9100]]


def test_a_long_or_deep_query_ends_nothing_but_itself(filled: Notebook) -> None:
    before = filled.must('println!("{}", std::process::id());').stream()
    for query, expected in [
        (" UNION ALL ".join(["SELECT half FROM f0"] * 20_000), "it may have 20000"),
        ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "brackets within each other"),
        ("SELECT " + "NOT " * 10_000 + "true FROM f0", ""),
        ("SELECT " + "CASE WHEN true THEN " * 3_000 + "1" + " END" * 3_000 + " FROM f0", ""),
        ("SELECT " + " + ".join(["half"] * 1_000) + " FROM f0", ""),
    ]:
        ran = filled.run("%%sql\n" + query)
        said = "" if ran.ok else ran.reply["evalue"]
        assert expected in said and "GiB" not in said, said[:500]
    assert filled.must('println!("{}", std::process::id());').stream() == before
    assert asked(filled, "%sql SELECT count(*) AS n FROM f0")["rows"] == [[100]]


def test_what_is_answered_from_a_sample_has_a_warning_above_it(notebook: Notebook) -> None:
    notebook.must("MACHINE[0] = |x: u64| x % 7;\nMACHINE.source(0..50_000_u64)?;\nMACHINE.drain();")
    counted = asked(notebook, "%sql SELECT count(*) AS n FROM f0")
    assert counted["rows"][0][0] == counted["of_messages"] < counted["messages"] == 50_000
    assert notebook.must("%sql SELECT count(*) AS n FROM f0").text.lstrip().startswith("⚠ A sample: ")
    assert asked(notebook, "%sql --scale SELECT count(*) AS n FROM f0")["rows"][0][0] == 50_000
    assert "A sample" in notebook.run("%sql --exact SELECT count(*) FROM f0").reply["evalue"]
    notebook.must('MACHINE.keep("all")?;\nMACHINE.clear_source();\nMACHINE.source(0..50_000_u64)?;\nMACHINE.drain();')
    assert "keeps every message" in notebook.must("%keep").text
    late = asked(notebook, "%sql SELECT count(*) AS n FROM f0")
    assert late["rows"][0][0] == counted["rows"][0][0] + 50_000


def test_a_query_that_needs_too_much_memory_takes_nothing_with_it(filled: Notebook) -> None:
    filled.must("for x in 0..9_000 { MACHINE.put_wait(f64::from(x))?; }\nMACHINE.drain();")
    ran = filled.run("%sql SELECT a.oid AS x, b.oid AS y, a.half, b.half AS h, a.put, b.put AS p FROM f0 a CROSS JOIN f0 b")
    assert not ran.ok and "more than 4 GiB of memory" in ran.reply["evalue"]
    assert asked(filled, "%sql SELECT count(*) AS n FROM f0")["rows"] == [[9100]]


def test_a_query_is_drawn(filled: Notebook) -> None:
    drawn = filled.must("%%plot\nSELECT of.parity AS parity, count(*) AS n FROM f0 GROUP BY of.parity ORDER BY parity")
    [spec] = drawn.shown("application/vnd.vegalite.v5+json")
    assert spec["mark"]["type"] == "bar" and spec["data"]["values"] == [
        {"x": "even", "y": 50.0, "by": ""}, {"x": "odd", "y": 50.0, "by": ""}]
    assert drawn.shown("image/svg+xml")[0].count("<rect") == 2
    [spec] = filled.must("%%plot --kind scatter\nSELECT put, half FROM f0").shown("application/vnd.vegalite.v5+json")
    assert spec["encoding"]["x"]["type"] == "temporal" and len(spec["data"]["values"]) == 100


def test_a_frame_is_read_by_others(filled: Notebook, tmp_path: Path) -> None:
    assert not filled.run("%frame x").ok
    filled.must("%sql SELECT f1, count(*) AS n FROM f1 GROUP BY f1 ORDER BY f1")
    told = filled.must(f"%frame {tmp_path / 'counts'}")
    path = tmp_path / "counts.arrow"
    assert str(path) in told.text and "IpcReader" in told.text
    with pyarrow.ipc.open_file(path) as file:
        assert file.read_all().to_pydict() == {"f1": [0, 1, 2], "n": [30, 30, 30]}


def test_tables_and_columns_are_completed(filled: Notebook) -> None:
    def proposed(before: str, after: str = "") -> list[str]:
        return filled.client.complete(before + after, len(before), reply=True, timeout=PATIENCE)["content"]["matches"]

    assert proposed("%sql SELECT f1 FROM in") == ["input"]
    assert proposed("%sql SELECT ha", " FROM f0") == ["half"]
    assert proposed("%%sql\nSELECT of.", " FROM f0") == ["of.parity"]
    assert proposed("%%sql\nSELECT f0.ha", "\nFROM f0") == ["f0.half"]


def test_a_loop_shows_how_far_it_is(notebook: Notebook) -> None:
    ran = notebook.must("let mut sum = 0;\nfor x in progress(0..50).named(\"numbers\") { sum += x; "
                        "std::thread::sleep(std::time::Duration::from_millis(10)); }\nsum")
    bars = ran.updates()
    assert len(bars) >= 3 and len({bar["transient"]["display_id"] for bar in bars}) == 1
    assert "50 of 50" in bars[-1]["data"]["text/plain"] and "numbers" in bars[-1]["data"]["text/plain"]
    assert "1225" in ran.text
    # One that ends early says so, and the value of a cell is still shown as its result.
    ran = notebook.must("for x in progress(0..50) { if x == 10 { break; } }\n7")
    assert "ended early" in ran.updates()[-1]["data"]["text/plain"] and "10 of 50" in ran.updates()[-1]["data"]["text/plain"]
    assert ran.text.rstrip().endswith("7")
