"""The engine's tests under ThreadSanitizer, which sees two threads touch the same memory without an order, and under
AddressSanitizer, which sees memory that is touched after it was freed, freed twice, touched beyond its end, or lost.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import kernel, places
from .progress import Failed, command


@dataclass(frozen=True)
class Sanitizer:
    """One of the compiler's sanitizers."""

    title: str
    # Below cargo's target directory.
    directory: str
    # What is known to be no fault: the variable of the runtime that knows the suppressions, and their file.
    variable: str
    known: Path
    # Arguments of `cargo test` that choose what is run.
    tests: tuple[str, ...]
    # How the release profile differs from that of the project.
    profile: tuple[tuple[str, str], ...] = ()


def files(*names: str) -> tuple[str, ...]:
    """Arguments for the files of tests of these names."""
    return tuple(argument for name in names for argument in ("--test", name))


# Those with threads of the engine's own making. The others test one function, or other processes.
THREADED = files(
    "promises", "flow", "classics", "cells", "outputs", "sources", "asynchronous", "control", "boundary",
)
SANITIZERS = {
    "thread": Sanitizer("ThreadSanitizer", "tsan", "TSAN_OPTIONS", places.INSTALL / "tsan.txt", THREADED),
    "address": Sanitizer(
        "AddressSanitizer", "asan", "LSAN_OPTIONS", places.INSTALL / "lsan.txt",
        ("--package", "rust-machine", "--package", "machine-async", "--lib", *THREADED, *files("retention", "live", "remote", "layouts", "types")),
        # Where unsafe code breaks a rule that the standard library can look at, it says so.
        (("DEBUG_ASSERTIONS", "true"),),
    ),
}


def run(name: str) -> None:
    """Builds the standard library and the tests with the sanitizer, and runs them. Neither the sanitizer nor building
    the standard library is stable yet; the stable compiler carries both out if it is told so.
    """
    if not (sysroot() / "lib/rustlib/src/rust/library/Cargo.lock").exists():
        raise Failed("the standard library's source is not installed: rustup component add rust-src")
    sanitizer = SANITIZERS[name]
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(places.target() / sanitizer.directory),
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
        **{f"CARGO_PROFILE_RELEASE_{key}": value for key, value in sanitizer.profile},
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": f"-Zsanitizer={name}",
        # In quotes: the sanitizer would end a path at a space.
        sanitizer.variable: f'suppressions="{sanitizer.known}"',
    }
    command(
        [
            "cargo", "test", "--release", "--locked", "--no-fail-fast", "-Zbuild-std", "--target", kernel.host(),
            "--package", "machine-engine", *sanitizer.tests,
        ],
        cwd=places.ROOT, env=environment,
    )


def sysroot() -> Path:
    """Where the compiler is installed."""
    asked = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    return Path(asked.stdout.strip())
