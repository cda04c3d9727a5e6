"""What `install/run` and `install/test` do about what a machine lacks."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

RUSTC = """#!/bin/sh
case "$*" in
    "--version") echo "rustc 1.99.0 (stand-in)" ;;
    "--print sysroot") echo "{sysroot}" ;;
esac
"""
RUSTUP = """#!/bin/sh
echo "$@" >> "{record}"
{does}
"""


class Machine:
    """A machine with a Rust toolchain that has no sources of the standard library."""

    def __init__(self, place: Path) -> None:
        self.place, self.record = place, place / "record"
        self.library = place / "sysroot" / "lib" / "rustlib" / "src" / "rust" / "library"
        self.write("rustc", RUSTC.format(sysroot=place / "sysroot"))
        self.write("cargo", "#!/bin/sh\n")

    def write(self, name: str, text: str) -> None:
        """Puts a program into the PATH."""
        program = self.place / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def rustup(self, does: str) -> None:
        """Puts a rustup into the PATH that records its arguments and does this."""
        self.write("rustup", RUSTUP.format(record=self.record, does=does))

    def check(self) -> subprocess.CompletedProcess:
        """Makes the check of the set-up for Rust."""
        script = f'. "{ROOT}/install/needs.sh"; need_rust "{ROOT}"; stop_if_missing; echo ready'
        environment = {name: value for name, value in os.environ.items() if name not in ("CI", "RUST_SRC_PATH")}
        environment["PATH"] = f"{self.place / 'bin'}:/usr/bin:/bin"
        return subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of the test's own."""
    return Machine(tmp_path)


def test_rustup_adds_the_sources_of_the_standard_library_and_says_so(machine: Machine) -> None:
    """Nobody is asked to do what a program can do."""
    source = machine.library / "core" / "src"
    machine.rustup(f'mkdir -p "{source}"; touch "{source}/lib.rs"')
    ran = machine.check()
    assert (ran.returncode, ran.stdout) == (0, "ready\n"), ran.stderr
    assert "Adding the sources of the Rust standard library: rustup component add rust-src" in ran.stderr
    assert machine.record.read_text() == "component add rust-src\n"
    assert machine.check().stderr == "", "it is there now"
    assert machine.record.read_text() == "component add rust-src\n"


def test_what_rustup_cannot_add_is_named_with_the_command(machine: Machine) -> None:
    """Offline, for example."""
    machine.rustup("echo 'error: could not download file' >&2; exit 1")
    ran = machine.check()
    assert ran.returncode == 1 and not ran.stdout
    assert "could not download file" in ran.stderr and "rustup could not add them" in ran.stderr
    assert "get: rustup component add rust-src\n" in ran.stderr
    machine.rustup("exit 0")
    ran = machine.check()
    assert ran.returncode == 1 and "another toolchain than rustup's" in ran.stderr, ran.stderr


@pytest.mark.skipif(shutil.which("rustup", path="/usr/bin:/bin") is not None, reason="the system has a rustup")
def test_without_rustup_the_package_is_named(machine: Machine) -> None:
    """A toolchain of the distribution's."""
    ran = machine.check()
    assert ran.returncode == 1 and "apt install rust-src" in ran.stderr, ran.stderr
