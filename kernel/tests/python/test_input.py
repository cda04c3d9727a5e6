"""A cell's standard input is empty: reading it gives its end at once, and nothing hangs."""

import json

from conftest import Notebook

READ = 'let mut line = String::new();\nlet read = std::io::stdin().read_line(&mut line)?;\nprintln!("{read} {line:?}");'


def test_reading_standard_input_finds_its_end_at_once(notebook: Notebook) -> None:
    assert notebook.must(READ).stream() == '0 ""\n'
    # Whether or not the front end could ask its user.
    assert notebook.wait(notebook.send(READ, allow_stdin=False)).stream() == '0 ""\n'
    # What a cell starts finds the same, and takes nothing away from the session.
    child = 'std::process::Command::new("cat").status()?.success()'
    assert notebook.must(child).shown() == ["true"]
    assert notebook.must("40 + 2").shown() == ["42"]


def test_a_slot_that_reads_standard_input_goes_on(notebook: Notebook) -> None:
    notebook.must("MACHINE[0] = |_: u64| std::io::read_to_string(std::io::stdin()).map(|text| text.len());")
    notebook.must("MACHINE.put(1u64)?;\nMACHINE.drain();")
    [shown] = notebook.must("%status --json").shown("application/json")
    status = shown if isinstance(shown, dict) else json.loads(shown)
    assert (status["processed"], status["errored"]) == (1, 0)
