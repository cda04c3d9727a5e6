"""The boundary's tests interpreted by Miri, which knows of each pointer what it may touch, and until when: it sees what
no sanitizer does, a value read through a pointer that a later borrow has ended.
"""

import os
import subprocess

from . import places
from .progress import command

# Only nightly toolchains have it.
MIRI = ("cargo", "+nightly", "miri")
# What is interpreted takes a thousand times as long: the boundary's own tests, and those of single functions there.
TESTS = (
    ("--package", "rust-machine", "--lib"),
    ("--package", "machine-engine", "--lib", "raw::"),
    ("--package", "machine-engine", "--test", "boundary"),
)
FLAGS = (
    # Clocks and threads are the real ones.
    "-Zmiri-disable-isolation",
    # Libraries are told apart by addresses.
    "-Zmiri-permissive-provenance",
    # Machines live as long as their process, and so do their workers.
    "-Zmiri-ignore-leaks",
)


def is_there() -> bool:
    """Whether there is a toolchain with Miri."""
    try:
        return subprocess.run([*MIRI, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def run() -> None:
    """Runs the tests, each as often as it takes to see some orders of its threads."""
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(places.target() / "miri"),
        "MIRIFLAGS": " ".join(FLAGS),
        # It has no sockets with users' numbers.
        "MACHINE_REMOTE": "off",
        "PROPTEST_CASES": "8",
        "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    }
    for tests in TESTS:
        command([*MIRI, "test", "--locked", *tests], cwd=places.ROOT, env=environment)
