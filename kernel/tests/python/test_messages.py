"""What went through, what failed and what waits, asked for while a cell runs: `%tap`, `%plot`, `%errors`, `%retry`, …"""

import json
import time

import pytest
from conftest import Notebook



def asked(notebook: Notebook, line: str) -> dict:
    """What a magic gives to programs."""
    [shown] = notebook.must(f"{line} --json").shown("application/json")
    return shown if isinstance(shown, dict) else json.loads(shown)


@pytest.fixture
def filled(notebook: Notebook) -> Notebook:
    """A machine that 100 messages went through, every tenth with an error."""
    notebook.must('MACHINE[0] = |x: f64| json!({ "polarity": x / 100.0, "of": { "parity": x as u64 % 2 } });')
    notebook.must('MACHINE[1] = |v: &Value, x: f64| if x % 10.0 == 0.0 { Err(format!("{x} is round <b>")) } else { Ok(x) };')
    notebook.must("for x in 0..100 { MACHINE.put(f64::from(x))?; }\nMACHINE.drain();")
    return notebook


def test_magics_about_messages_answer_while_a_cell_runs(filled: Notebook) -> None:
    running = filled.send('println!("begun");\nfor _ in 0..2000 { std::thread::sleep(std::time::Duration::from_millis(10)); }')
    filled.wait_for(running, lambda ran: "begun" in ran.stream())

    tapped = asked(filled, '%tap f0 -n 3 --where "polarity >= 0.5 and of.parity = 1"')
    assert [m["value"]["polarity"] for m in tapped["messages"]] == [0.99, 0.97, 0.95]
    assert (tapped["matching"], tapped["processed"], tapped["not_shown"], tapped["not_kept"]) == (25, 100, 97, 0)
    shown = filled.must("%tap f0 -n 3")
    assert "of.parity" in shown.text and "3 of 100 messages shown" in shown.text
    assert "dataframe" in shown.shown("text/html")[0]

    drawn = filled.must("%plot f0.polarity --by f0.of.parity --kind hist")
    [spec] = drawn.shown("application/vnd.vegalite.v5+json")
    assert len(spec["data"]["values"]) == 100 and spec["encoding"]["color"]["field"] == "by"
    assert drawn.shown("image/svg+xml")[0].startswith("<svg")

    oid = tapped["messages"][0]["oid"]
    explained = asked(filled, f"%explain {oid}")
    assert explained["input"] == "99.0" and explained["slots"][0]["revision"] == 1
    assert "polarity" in explained["slots"][0]["code"] and explained["slots"][1]["output"] == "99.0"
    assert asked(filled, "%peek") == {"machine": "main", "waiting": 0, "first": []}

    for line, told in [
        ("%tap f0 --where 'polarty > 1'", "there is of, polarity"),
        ("%tap f9", "main has no slot f9; it has f0 to f7"),
        ("%plot f0.polarty", "did you mean f0.polarity?"),
        ("%plot f0.of", "is no number"),
        ("%explain 123", "no message of this session"),
        ("%continue", "holds no message"),
        ("%errors --where 'error ='", "is missing"),
    ]:
        error = filled.run(line)
        assert not error.ok and told in error.reply["evalue"], error.reply
    filled.interrupt()
    filled.wait(running)


def test_a_corrected_slot_empties_the_list(filled: Notebook) -> None:
    errors = asked(filled, "%errors --where \"error like '9%' and f0.polarity > 0.5\"")["errors"]
    assert [e["input"] for e in errors] == ["90.0"] and json.loads(errors[0]["outputs"])["f0"]["polarity"] == 0.9
    assert "<b>" not in filled.must("%errors").shown("text/html")[0]
    assert asked(filled, "%retry")["passed"] == 0
    filled.must('MACHINE[1] = |v: &Value, x: f64| if x > 50.0 { Err("large") } else { Ok(x) };')
    assert asked(filled, f"%retry {errors[0]['oid']}") == {"machine": "main", "tried": 1, "passed": 0, "failed": 1}
    retried = asked(filled, "%retry f1")
    assert (retried["tried"], retried["passed"], retried["failed"]) == (10, 6, 4)
    status = asked(filled, "%status")
    assert (status["dead_letters"], status["processed"], status["errored"]) == (4, 100, 10)
    assert (status["retried"], status["retried_passed"]) == (21, 6)
    # From a cell, too.
    filled.must("MACHINE[1].clear()?;")
    assert "4" in filled.must('MACHINE.retry_errors("")?.passed').text
    assert "no dead letters" in filled.must("%errors").text


def test_a_breakpoint_holds_and_continues(filled: Notebook) -> None:
    filled.must('%break f1 --where "polarity = 5"')
    filled.must("for x in [1.0, 500.0, 3.0] { MACHINE.put(x)?; }")
    held = filled.run("%held")
    while not held.ok:
        held = filled.run("%held")
    assert "not run yet (stopped before f1)" in held.text and "500.0" in held.text
    assert asked(filled, "%peek")["first"][0]["value"] == 3.0
    filled.must("%break\n%continue\n%drain")
    assert asked(filled, "%status")["processed"] == 103


def test_following_ends_with_an_interrupt(filled: Notebook) -> None:
    follows = filled.send("%tap f1 -n 1 --follow")
    filled.wait_for(follows, lambda ran: "99" in ran.text)
    # What comes within 60 ms counts as sent in one go, and keeps its order: this is asked for while the other runs.
    time.sleep(0.2)
    filled.must("%put 777.0")
    filled.wait_for(follows, lambda ran: "777" in ran.text)
    filled.interrupt()
    ran = filled.wait(follows)
    assert ran.ok and "777" in ran.text
