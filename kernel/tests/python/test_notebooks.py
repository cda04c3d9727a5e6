"""Every notebook, executed from its first cell to its last, without a front end."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

EXECUTE = ROOT / "install" / "execute.py"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# A new network namespace has nothing but a loopback device, which is down.
CUT_OFF = ["unshare", "--map-root-user", "--net", sys.executable, str(Path(__file__).with_name("cut_off.py"))]


@functools.cache
def executed(notebook: Path, *before: str) -> nbformat.NotebookNode:
    """Executes a notebook where it is, once, and gives it back with its outputs, written to another place."""
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / notebook.name
        command = [*before, sys.executable, str(EXECUTE), str(notebook), str(result)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return nbformat.read(result, as_version=4)


def tagged(notebook: nbformat.NotebookNode, tag: str) -> str:
    """What the cells with a tag show, as text."""
    cells = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    assert cells, f"no cell is tagged {tag}"
    return "\n".join(output.get("text") or output["data"]["text/plain"] for cell in cells for output in cell.outputs)


def check_errors(notebook: nbformat.NotebookNode) -> None:
    """Exactly the cells that say so have failed."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            errors = [output for output in cell.outputs if output.output_type == "error"]
            assert bool(errors) == ("raises-exception" in cell.metadata.get("tags", [])), f"{cell.source}\n{errors}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    notebook = executed(path)
    check_errors(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_the_tutorial_shows_what_it_promises_also_with_the_network_cut_off() -> None:
    if subprocess.run([*CUT_OFF, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may not make network namespaces")
    notebook = executed(ROOT / "notebooks" / "tweets.ipynb", *CUT_OFF)
    check_errors(notebook)

    assert re.search(r"4,?200", tagged(notebook, "status")), tagged(notebook, "status")
    assert "f3" in tagged(notebook, "errors") and "multiple of 31" in tagged(notebook, "errors")
    correlation = re.search(r"4200 tweets: (0\.\d+)", tagged(notebook, "result"))
    assert correlation is not None, tagged(notebook, "result")
    # Of the crate's scores, computed in one plain loop over the file.
    assert correlation.group(1) == "0.875"


def test_notebooks_are_kept_for_our_kernel() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        spec = json.loads(path.read_text())["metadata"]["kernelspec"]
        assert spec == {"display_name": "Rust (Machine)", "language": "rust", "name": "machine"}, path


def test_a_notebook_that_fails_says_which_cell(tmp_path: Path) -> None:
    path = tmp_path / "fails.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("let x: u8 = \"no number\";")])
    notebook.metadata["kernelspec"] = {"display_name": "Rust (Machine)", "language": "rust", "name": "machine"}
    nbformat.write(notebook, path)
    command = [sys.executable, str(EXECUTE), str(path), str(tmp_path / "result.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1
    assert "no number" in done.stderr


def test_the_enrichment_notebook_shows_what_it_promises() -> None:
    notebook = executed(ROOT / "notebooks" / "enrich.ipynb")

    message = json.loads(tagged(notebook, "message"))
    assert set(message["enrichments"]) == {"sentiment", "words"} and message["id"] == "1"
    timed = r"wall time: .* \(compiling .*, running .*\)"
    assert all(re.search(timed, tagged(notebook, way)) for way in ("sequential", "pool", "async"))
    rows = [list(map(int, row)) for row in re.findall(r"┆ (\d+) +┆ (\d+) +┆ \d+ +┆ \d+ +│", tagged(notebook, "ways"))]
    assert [at_once for at_once, _ in rows] == [1, 10, 100]
    # A hundred tweets need as many rounds of 50 ms as their share that waits at once allows.
    assert all(took >= 50 * 100 // at_once for at_once, took in rows), rows
    assert re.search(r"4200 lines in [\d.]+ s: \d+ a second", tagged(notebook, "series"))
    assert tagged(notebook, "complete").count(" ms  tweet ") == 5
    series = re.search(r"(\d+) tweets in (\d+) minutes, (\d+) lines", tagged(notebook, "series"))
    assert series is not None, tagged(notebook, "series")
    tweets, minutes, broken = map(int, series.groups())
    assert (tweets, broken) == (4192, 8)
    assert f"shape: ({minutes}, 5)" in tagged(notebook, "frame")
    assert "datetime" in tagged(notebook, "frame")
    assert "f0" in tagged(notebook, "errors") and "EOF while parsing" in tagged(notebook, "errors")
