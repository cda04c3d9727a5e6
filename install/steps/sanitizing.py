"""The engine's tests under ThreadSanitizer, which sees two threads touch the same memory without an order."""

import os
import subprocess
from pathlib import Path

from . import kernel, places
from .progress import Failed, command

# Those with threads of the engine's own making. The others test one function, or other processes.
TESTS = ("promises", "flow", "classics", "cells", "outputs", "sources", "asynchronous")
# What is known to be no race.
KNOWN = places.INSTALL / "tsan.txt"


def run() -> None:
    """Builds the standard library and the engine's tests with the sanitizer, and runs them. Neither the sanitizer nor
    building the standard library is stable yet; the stable compiler carries both out if it is told so.
    """
    if not (sysroot() / "lib/rustlib/src/rust/library/Cargo.lock").exists():
        raise Failed("the standard library's source is not installed: rustup component add rust-src")
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(places.target() / "tsan"),
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": "-Zsanitizer=thread",
        # No spaces: the sanitizer would end the path there.
        "TSAN_OPTIONS": f"suppressions={os.path.relpath(KNOWN, places.ROOT / 'machine' / 'engine')}",
    }
    tests = [argument for test in TESTS for argument in ("--test", test)]
    command(
        ["cargo", "test", "--release", "--locked", "-Zbuild-std", "--target", kernel.host(), "--package", "machine-engine", *tests],
        cwd=places.ROOT, env=environment,
    )


def sysroot() -> Path:
    """Where the compiler is installed."""
    asked = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    return Path(asked.stdout.strip())
