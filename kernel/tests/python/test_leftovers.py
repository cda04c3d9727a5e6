"""What a kernel leaves behind: nothing, however it ends."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE, Notebook, eventually, executable


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Empty directories for temporary files and for sockets, which kernels that are started from now on use."""
    places = tmp_path / "tmp", tmp_path / "run"
    for name, place in zip(("TMPDIR", "XDG_RUNTIME_DIR"), places, strict=True):
        place.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(place))
    return places


def contents(*places: Path) -> set[Path]:
    """All that is below directories. What disappears meanwhile is no error: other sessions work there."""
    walked = (triple for place in places for triple in os.walk(place))
    return {Path(directory, name) for directory, directories, files in walked for name in (*directories, *files)}


def cells() -> set[Path]:
    """The libraries of cells that sessions have left."""
    cache = os.environ.get("MACHINE_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "machine"
    return {path for path in contents(Path(cache) / "sessions") if path.name.startswith("libcode_")}


def is_as(before: tuple[set[Path], set[Path]], places: tuple[Path, Path]) -> bool:
    """Whether nothing has come. What earlier sessions have left of their cells may be gone: it is swept."""
    return contents(*places) == before[0] and cells() <= before[1]


def shut_down(notebook: Notebook) -> None:
    """As a front end does."""
    notebook.client.stop_channels()
    notebook.manager.shutdown_kernel()


def terminate(notebook: Notebook) -> None:
    """As a service manager does."""
    notebook.manager.signal_kernel(signal.SIGTERM)
    eventually(lambda: not notebook.manager.is_alive(), "the end of the kernel")
    notebook.close()


@pytest.mark.parametrize("end", [shut_down, terminate])
def test_an_orderly_end_leaves_nothing(places: tuple[Path, Path], end: Callable[[Notebook], None]) -> None:
    before = contents(*places), cells()
    notebook = Notebook()
    notebook.must('MACHINE.publish("")?;')
    assert contents(*places) - before[0], "a kernel listens somewhere"
    end(notebook)
    eventually(lambda: is_as(before, places), "nothing is left")


def test_what_a_killed_kernel_leaves_is_removed_by_the_next(places: tuple[Path, Path]) -> None:
    before = contents(*places), cells()
    notebook = Notebook()
    notebook.must('MACHINE.publish("")?;')
    [runtime] = notebook.must("std::process::id()").shown()
    os.kill(int(runtime), signal.SIGKILL)
    notebook.manager.signal_kernel(signal.SIGKILL)
    notebook.close()
    assert contents(*places) - before[0], "a killed process removes nothing"
    ran = subprocess.run([executable(), "cells"], input='{"cell": "1 + 1"}\n', text=True, capture_output=True,
                         timeout=PATIENCE, env={**os.environ, "MACHINE_CRATES": str(Path(__file__).parents[3] / "machine")})
    assert '"2"' in ran.stdout, ran.stderr
    assert is_as(before, places)
