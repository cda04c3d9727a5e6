"""What sessions have compiled before: shared, shown while it is made anew, and never trusted when it is damaged."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Notebook, executable

# In the registry of every machine on which the kernel was built, and none of what every session has.
CRATE = ':dep smallvec = "1"\nlet v: smallvec::SmallVec<[u8; 4]> = smallvec::smallvec![1, 2]; v.len()'
DAMAGED = "the session cache is damaged"


def users_cache() -> Path:
    """The cache that the kernel uses unless a variable names another."""
    if given := os.environ.get("MACHINE_CACHE_DIR"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "machine"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "machine"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, with the user's template and compiled crates in it."""
    origin, own = users_cache(), tmp_path / "cache"
    if not (origin / "sessions" / "0" / "seal.json").is_file():
        pytest.skip("there is no template: machine warm makes it")
    for part in ("sessions/0", "crates"):
        if (origin / part).is_dir():
            # Whole files: a damaged one of a test's is not the user's.
            shutil.copytree(origin / part, own / part, symlinks=True)
    monkeypatch.setenv("MACHINE_CACHE_DIR", str(own))
    return own


@pytest.fixture
def notebooks() -> Iterator[Callable[[], Notebook]]:
    """Starts kernels, which are gone at the end."""
    started: list[Notebook] = []

    def start() -> Notebook:
        started.append(Notebook())
        return started[-1]

    yield start
    for notebook in started:
        notebook.close()


def cells(*codes: str) -> tuple[list[dict], str]:
    """Runs cells in a session; gives what became of each, and all that was printed on standard error."""
    lines = "".join(json.dumps({"cell": code}) + "\n" for code in codes)
    environment = {**os.environ, "MACHINE_CRATES": str(ROOT / "machine")}
    ran = subprocess.run([executable(), "cells"], input=lines, env=environment, capture_output=True, text=True)
    printed = [json.loads(line) for line in ran.stdout.splitlines()]
    return [line for line in printed if "done" in line], "".join(line.get("stderr", "") for line in printed)


@pytest.mark.parametrize("name", ["libmachine-*.rlib", "libserde_json-*.rlib", "libserde_derive-*.so"])
def test_a_damaged_file_heals_once(cache: Path, name: str) -> None:
    """Cut in a session's directory. The template is whole."""
    [first], _ = cells("1 + 1")
    assert "result" in first, first
    [file] = (cache / "sessions" / "1" / "target").rglob(f"deps/{name}")
    times, content = file.stat(), file.read_bytes()
    # Another file, not the one that the template has, too.
    file.unlink()
    file.write_bytes(content[: len(content) // 2])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    use = "#[derive(serde::Serialize)] struct A { x: u8 } serde_json::json!(A { x: 1 })"
    [value, used], said = cells("1 + 1", use)
    assert value.get("result", {}).get("text/plain") == "2", value
    assert "result" in used, used
    assert said.count(DAMAGED) == 1, said
    ran, said = cells("1 + 1", use)
    assert all("result" in cell for cell in ran) and DAMAGED not in said, (ran, said)


def test_a_compiler_that_is_killed_is_the_reason(notebook: Notebook, tmp_path: Path) -> None:
    """By a macro here; mostly by the system, for want of memory."""
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "killer"\nedition = "2024"\n[lib]\nproc-macro = true\n')
    (tmp_path / "src" / "lib.rs").write_text(
        "#[proc_macro] pub fn kill(_: proc_macro::TokenStream) -> proc_macro::TokenStream { std::process::abort() }\n"
    )
    ran = notebook.run(f':dep killer = {{ path = "{tmp_path}" }}\nkiller::kill!();')
    assert not ran.ok and "rustc was ended by signal: 6" in ran.reply["evalue"], ran.text
    assert "2" in notebook.must("1 + 1").text


def test_two_kernels_that_want_a_crate_at_once_compile_it_once(cache: Path, notebooks: Callable[[], Notebook]) -> None:
    """And a third one takes what is there."""
    shutil.rmtree(cache / "crates", ignore_errors=True)
    pair = [notebooks(), notebooks()]
    for request, notebook in [(notebook.send(CRATE), notebook) for notebook in pair]:
        ran = notebook.wait(request)
        assert ran.ok and "2" in ran.text, ran.text
    ran = notebooks().must(CRATE)
    assert "2" in ran.text
    files = [file.read_bytes() for file in (cache / "sessions").glob("*/target/*/debug/deps/libsmallvec-*.rlib")]
    assert len(files) == 3 and len(set(files)) == 1
    assert len([entry for entry in (cache / "crates").iterdir() if any(entry.glob("libsmallvec-*.rlib"))]) == 1


def test_a_session_that_has_to_be_prepared_shows_it_in_the_first_cell(
    cache: Path, notebooks: Callable[[], Notebook]
) -> None:
    """The cache is gone, but for the crates."""
    shutil.rmtree(cache / "sessions")
    ran = notebooks().must("1 + 1")
    bars = [bar["data"]["text/plain"] for bar in ran.updates()]
    assert any("preparing the session: compiling" in bar for bar in bars), ran.text
