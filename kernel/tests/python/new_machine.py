"""What the first hour on a machine needs of the registry. `install/test` runs this with a home, a cargo home and caches
in which nothing was before, and then again without a network; it is no part of the tests of a machine that has them.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Notebook, executable

OFFLINE = "NEW_MACHINE_OFFLINE" in os.environ
ONLINE_ONLY = pytest.mark.skipif(OFFLINE, reason="needs a network")
OFFLINE_ONLY = pytest.mark.skipif(not OFFLINE, reason="needs that there is no network")
# Small, and none of what notebooks or the kernel need.
CRATE, USE, VALUE = ':dep roman = "0.1"\n', "roman::to(14)", "XIV"
PROGRAM = f"""{CRATE}println!("{{}}", {USE}.unwrap());
MACHINE[0] = |x: u64| x + 1;
MACHINE.put(1)?;
"""


def is_cached(name: str) -> bool:
    """Whether cargo has downloaded a crate."""
    return any((Path(os.environ["CARGO_HOME"]) / "registry" / "cache").glob(f"*/{name}-*.crate"))


def test_a_crate_is_downloaded_once(notebook: Notebook) -> None:
    """A `:dep` of a crate that is nowhere in the cache works, and says what it waits for."""
    assert is_cached("roman") == OFFLINE
    begin = time.monotonic()
    ran = notebook.must(CRATE + USE)
    print(f":dep of a crate that is {'cached' if OFFLINE else 'to be downloaded'}: {time.monotonic() - begin:.1f} s")
    assert VALUE in ran.text
    assert ("crate `roman` is not in the local cache: asking the registry" in ran.stream("stderr")) != OFFLINE
    assert is_cached("roman")
    # In one more notebook it is there already.
    again = Notebook()
    try:
        again.must("1")
        begin = time.monotonic()
        ran = again.must(CRATE + USE)
        print(f"the same in a second notebook: {time.monotonic() - begin:.1f} s")
        assert VALUE in ran.text and "registry" not in ran.stream("stderr")
    finally:
        again.close()


def test_an_async_slot_has_its_runtime(notebook: Notebook) -> None:
    """It brings tokio."""
    notebook.must("MACHINE[0] = async |x: f64| x + 1.0;")
    notebook.must("MACHINE.put(1.0)?; MACHINE.drain();")
    assert notebook.must("MACHINE.status().slots[0].ok").shown() == ["1"]


@ONLINE_ONLY
def test_what_does_not_exist_is_an_error_of_its_line(notebook: Notebook) -> None:
    """And the session goes on."""
    ran = notebook.run(':dep no-crate-has-this-name-9b1f = "1"\n1')
    assert not ran.ok and "no matching package named `no-crate-has-this-name-9b1f` found" in ran.text, ran.text
    assert "offline mode" not in ran.text, ran.text
    assert "2" in notebook.must("1 + 1").text


@OFFLINE_ONLY
def test_what_is_not_in_the_cache_is_named(notebook: Notebook) -> None:
    """Soon, and the session goes on."""
    assert not is_cached("fnv")
    notebook.must("1")
    begin = time.monotonic()
    ran = notebook.run(':dep fnv = "1"\n1')
    print(f"an error after {time.monotonic() - begin:.1f} s")
    assert not ran.ok and "offline: crate `fnv` is not in the local cache" in ran.text, ran.text
    assert VALUE in notebook.must(CRATE + USE).text


def run_program(place: Path, text: str) -> subprocess.CompletedProcess:
    """Runs a pipeline's file."""
    file = place / "pipeline.rs"
    file.write_text(text)
    return subprocess.run([executable(), "run", file], capture_output=True, text=True)


def test_a_file_runs_with_its_dependencies(tmp_path: Path) -> None:
    """Without a network, too: the path is another one than before, and so is the project."""
    ran = run_program(tmp_path, PROGRAM)
    assert ran.returncode == 0 and VALUE in ran.stdout, ran.stdout + ran.stderr


@OFFLINE_ONLY
def test_a_file_whose_dependency_is_not_there_does_not_run(tmp_path: Path) -> None:
    """With an exit code, and the crate's name."""
    ran = run_program(tmp_path, ':dep fnv = "1"\n')
    assert ran.returncode == 1, ran.stderr
    assert "offline: crate `fnv` is not in the local cache" in ran.stderr, ran.stderr
