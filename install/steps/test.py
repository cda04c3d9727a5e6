"""`install/test`: everything that is tested, with a line a step at the end."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from . import book, environment, fuzzing, interpreting, kernel, new_machine, places, repeating, sanitizing, tweets
from .progress import Failed, command, elapsed, quiet, say

CARGO_DENY = "cargo-deny"
VALGRIND = "valgrind"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
IN_BROWSER = places.TESTS / "test_browser.py"


def main(arguments: list[str]) -> int:
    """Carries out `install/test`; returns the exit code. A failed step does not keep the others from running,
    unless they need it.
    """
    begin = time.monotonic()
    summary = Summary()
    match arguments:
        case ["--fuzz", seconds]:
            fuzz(summary, int(seconds))
        case ["--book"]:
            summary.run("book", lambda: book.build(book.install()))
        case ["--repeat", rounds]:
            repeat(summary, int(rounds))
        case ["--sanitize", *names]:
            for name in names or sanitizing.SANITIZERS:
                summary.run(sanitizing.SANITIZERS[name].title, lambda name=name: sanitizing.run(name))
        case _:
            everything(summary)
    return summary.show(time.monotonic() - begin)


def everything(summary: "Summary") -> None:
    """All steps, the quick ones first."""
    summary.run("formatting", lambda: cargo("fmt", "--all", "--check"))
    ready = summary.run("kernel and Python environment", set_up)
    summary.run("clippy", lambda: cargo("clippy", *WORKSPACE, "--all-targets", "--", "--deny", "warnings"))
    for name, script in SCRIPTS.items():
        summary.run(name, lambda script=script: command([sys.executable, places.ROOT / "install" / script], cwd=places.ROOT))
    if mdbook := book.find():
        summary.run("book", lambda: book.build(mdbook))
    else:
        summary.skip("book", "mdbook is not installed: install/test --book installs it under the target directory")
    summary.run("Rust tests", rust_tests)
    summary.run("model checking", lambda: cargo("test", "--release", "--locked", "--package", MODELS))
    if interpreting.is_there():
        summary.run("boundary under Miri", interpreting.run)
    else:
        summary.skip("boundary under Miri", "not installed: rustup +nightly component add miri rust-src")
    fuzz(summary, fuzzing.SECONDS)
    if shutil.which(VALGRIND):
        summary.run("instructions of the hot path", hot_path)
    else:
        summary.skip("instructions of the hot path", f"{VALGRIND} is not installed")
    if shutil.which(CARGO_DENY):
        summary.run("licences, advisories, sources", lambda: cargo("deny", "check"))
    else:
        summary.skip("licences, advisories, sources", f"{CARGO_DENY} is not installed: cargo install --locked cargo-deny")
    if ready and summary.run("session cache", kernel.warm):
        summary.run("kernel through a Jupyter client, notebooks", python_tests)
    else:
        summary.skip("kernel through a Jupyter client, notebooks", "the kernel or its environment could not be made")
    if ready:
        start_anew(summary)
    else:
        summary.skip("new machine", "the kernel or its environment could not be made")
    if not any(map(shutil.which, BROWSERS)):
        summary.skip("live display in a browser", "Chromium is not installed: sudo apt install chromium")
    elif ready:
        summary.run("live display in a browser", lambda: pytest(IN_BROWSER))
    else:
        summary.skip("live display in a browser", "the kernel or its environment could not be made")


# What reads the repository itself.
SCRIPTS = {"imports": "imports.py", "retired names and phrases": "words.py", "links of the documents": "links.py"}
WORKSPACE = ("--release", "--locked", "--workspace")
# On its own: what it depends on wants other features of what evcxr and polars depend on, which would be built twice.
MODELS = "machine-models"


def rust_tests() -> None:
    """All tests in Rust but the models'."""
    cargo("test", *WORKSPACE, "--exclude", MODELS, "--no-fail-fast")


def start_anew(summary: "Summary") -> None:
    """The first hour on a machine that has nothing, with a network and without."""
    with new_machine.machine() as machine:
        if not summary.run("new machine: install/run", machine.set_up):
            return summary.skip("new machine", "install/run failed on it")
        summary.run("new machine: notebooks, crates to download", machine.test)
        if why_not := new_machine.why_not_offline():
            summary.skip("new machine: without a network", why_not)
        else:
            summary.run("new machine: without a network", machine.test_offline)


def repeat(summary: "Summary", rounds: int) -> None:
    """The Rust tests and the kernel's so many times, beside a load. What they need is built before."""
    if not summary.run("kernel and Python environment", set_up) or not summary.run("session cache", kernel.warm):
        return summary.skip("all rounds", "the kernel or its environment could not be made")
    if not summary.run("building the tests", lambda: cargo("test", *WORKSPACE, "--exclude", MODELS, "--no-run")):
        return summary.skip("all rounds", "the tests could not be built")
    steps = {"Rust tests": rust_tests, "kernel through a Jupyter client": python_tests}
    repeating.run(rounds, steps, summary.run)


def set_up() -> None:
    """What `install/run` does, without touching anything that the user's own Jupyter sees."""
    environment.make_for_tests()
    kernel.build()
    kernel.announce(places.venv_kernelspec())
    tweets.fetch()


def cargo(*arguments: str) -> None:
    """Runs cargo in the root."""
    command(["cargo", *arguments], cwd=places.ROOT)


def fuzz(summary: "Summary", seconds: int) -> None:
    """Any bytes for everything that decodes."""
    if fuzzing.cpp_compiler():
        summary.run("fuzzing", lambda: fuzzing.run(seconds))
    else:
        summary.skip("fuzzing", "there is no C++ compiler, in which libFuzzer is written")


def hot_path() -> None:
    """Compares what a message costs with what it cost."""
    # Together with the kernel: alone it would want other features of what they share, which would be built twice.
    cargo("build", "--release", "--locked", "--package", "machine-kernel", "--package", "machine-bench")
    say(quiet("counting", [places.target() / "release" / "hot-path"], cwd=places.ROOT).rstrip())


def python_tests() -> None:
    """Runs all tests but those in a browser."""
    pytest(places.TESTS, f"--ignore={IN_BROWSER}")


def pytest(*arguments: object) -> None:
    """Runs pytest on the kernel that was just built."""
    environment = {**os.environ, "MACHINE_KERNEL": str(places.KERNEL)}
    command([places.PYTHON, "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=places.ROOT, env=environment)


class Summary:
    """The steps that were run, each with its result and its time."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []

    def run(self, name: str, action: Callable[[], None]) -> bool:
        """Runs a step and notes how it ended; true if it succeeded."""
        say(f"\n━━ {name}")
        begin = time.monotonic()
        try:
            action()
        except (Failed, OSError, subprocess.CalledProcessError) as failure:
            say(f"failed: {failure}")
            self.failures.append(f"{name}: {failure}")
            self.note("FAILED", name, elapsed(time.monotonic() - begin))
            return False
        self.note("passed", name, elapsed(time.monotonic() - begin))
        return True

    def skip(self, name: str, reason: str) -> None:
        """Notes a step that was not run. What is skipped because something else failed fails with it."""
        self.note("skipped", name, reason)

    def note(self, result: str, name: str, rest: str) -> None:
        """Adds a line."""
        self.lines.append(f"{result:8} {name:44} {rest}")

    def show(self, seconds: float) -> int:
        """Prints what failed once more, and the lines; returns the exit code."""
        for failure in self.failures:
            say(f"\n{failure}")
        say("\n" + "\n".join(self.lines))
        say(f"{'FAILED' if self.failures else 'passed':8} {'all':44} {elapsed(seconds)}")
        return int(bool(self.failures))
