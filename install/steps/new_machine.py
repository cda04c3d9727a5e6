"""A machine with rustup, a C compiler and Python, and nothing else: no home, cache or crate from before.

`install/run` to its end, every notebook, crates that have to be downloaded; then once more without a network. The target
directory and `.venv` are kept, so that this takes minutes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import kernel, notebook, places, stamp
from .progress import Failed, command, quiet, say

# Variables by which programs find what is the user's; all that begin so.
OWN = ("XDG_", "MACHINE_", "JUPYTER", "IPYTHON", "EVCXR_")
# Runs its arguments where there is no network but the loopback device, on which the kernel's ports are.
CUT_OFF = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
TESTS = places.TESTS / "new_machine.py"
# Says to `TESTS` that there is no network.
OFFLINE = "NEW_MACHINE_OFFLINE"
# What `install/run` takes for unchanged although it is not on another machine.
STAMPS = (kernel.WARM, "tutorial")


def why_not_offline() -> str:
    """Why the network cannot be cut off here; empty if it can."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run([*CUT_OFF, "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"network namespaces are not permitted: {tried.stderr.strip()}"


class Machine:
    """The machine: a directory, and the environment that makes it the user's home."""

    def __init__(self, place: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        user_cargo = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
        self.environment = {
            **kept,
            "HOME": str(place / "home"),
            "CARGO_HOME": str(place / "cargo"),
            "TMPDIR": str(place / "tmp"),
            # rustup looks below HOME unless it is set, and the interpreter of a version manager does, too.
            "RUSTUP_HOME": rustup_home(),
            "PYTHON": sys.executable,
            kernel.BUILD_CARGO_HOME: str(user_cargo),
        }
        for name in ("HOME", "CARGO_HOME", "TMPDIR"):
            Path(self.environment[name]).mkdir(parents=True)

    def set_up(self) -> None:
        """`install/run`, from nothing to the tutorial's result."""
        printed = quiet("install/run", [places.INSTALL / "run"], env=self.environment, cwd=places.ROOT)
        result = notebook.text_of(places.EXECUTED / places.TUTORIAL.name, "result")
        if not result or result not in printed:
            raise Failed(f"install/run did not end with the tutorial's result, but so:\n{printed[-2000:]}")
        say("\n".join(line for line in printed.splitlines() if line.startswith(("──", "   done", "Ready"))))

    def test(self) -> None:
        """All notebooks, and what needs crates that are nowhere in the cache."""
        self.pytest(places.TESTS / "test_notebooks.py", TESTS)

    def test_offline(self) -> None:
        """What needs crates that are in the cache by now, and one that is not."""
        self.environment[OFFLINE] = "1"
        self.pytest(TESTS, before=CUT_OFF)

    def pytest(self, *files: Path, before: tuple[str, ...] = ()) -> None:
        """Runs tests of the kernel."""
        environment = {**self.environment, "MACHINE_KERNEL": str(places.KERNEL)}
        argv = [*before, places.PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "--durations=3", *files]
        command(argv, cwd=places.ROOT, env=environment)


def rustup_home() -> str:
    """Where rustup keeps toolchains."""
    if shutil.which("rustup"):
        return subprocess.run(["rustup", "show", "home"], capture_output=True, text=True, check=True).stdout.strip()
    return os.environ.get("RUSTUP_HOME") or str(Path.home() / ".rustup")


@contextmanager
def machine() -> Iterator[Machine]:
    """A new machine, which is gone at the end. The stamps of this one are what they were."""
    stamps = {places.STAMPS / name: None for name in STAMPS}
    for file in stamps:
        stamps[file] = file.read_text() if file.is_file() else None
    for name in STAMPS:
        stamp.forget(name)
    # Short: the paths of sockets have a bound.
    with tempfile.TemporaryDirectory(prefix="new-", ignore_cleanup_errors=True) as place:
        try:
            yield Machine(Path(place).resolve())
        finally:
            for file, text in stamps.items():
                file.unlink(missing_ok=True)
                if text is not None:
                    file.write_text(text)
