"""Fuzz targets: any bytes for everything that decodes, guided by what code they reach."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import kernel, places
from .progress import Failed, command, say, ticking

FUZZ = places.ROOT / "fuzz"
TARGETS = ("lines", "body", "frames", "commands", "publisher", "subscriber", "peer", "wire", "edits", "log")
# Seconds for each target, unless told otherwise.
SECONDS = 20
# Bytes of an input at most, and of memory for it.
LONGEST = 4096
MEGABYTES = 1024
# An input that takes longer than this, in seconds, hangs.
HANGS = 10
# As many lines of a target's output as tell what happened.
TAIL = 40


def cpp_compiler() -> str | None:
    """The compiler for libFuzzer itself, which is written in C++."""
    return shutil.which(os.environ.get("CXX") or "c++")


def run(seconds: int = SECONDS) -> None:
    """Builds the targets and runs each for so many seconds, as many at once as there are cores. What they find is kept
    beside the build, and tried first the next time; the corpora in the tree stay as they are.
    """
    target = places.target() / "fuzz"
    command(["cargo", "build", "--release", "--locked"], cwd=FUZZ, env=environment(target))
    built = target / kernel.host() / "release"
    with ticking("fuzzing"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda name: fuzz(built / name, target, seconds), TARGETS))
    for passed, text in results:
        if passed:
            say(f"   {text}")
    if failures := [text for passed, text in results if not passed]:
        raise Failed("\n".join(failures))


def environment(target: Path) -> dict[str, str]:
    """Flags of the user's would take the place of those that the targets need."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("RUSTFLAGS")}
    return {**kept, "CARGO_TARGET_DIR": str(target)}


def fuzz(program: Path, target: Path, seconds: int) -> tuple[bool, str]:
    """Runs one target; returns whether nothing went wrong, and what is to be told."""
    found, artifacts = target / "found" / program.name, target / "artifacts"
    found.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        [
            program, found, FUZZ / "corpus" / program.name, f"-max_total_time={seconds}", f"-timeout={HANGS}",
            f"-rss_limit_mb={MEGABYTES}", f"-max_len={LONGEST}", f"-artifact_prefix={artifacts}/{program.name}-",
            "-print_final_stats=1",
        ],
        text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if result.returncode != 0:
        last = "\n".join(result.stdout.splitlines()[-TAIL:])
        return False, f"{program.name} failed; to see it again: {program} {artifacts}/{program.name}-…\n{last}"
    runs = next((line.split()[-1] for line in result.stdout.splitlines() if "number_of_executed_units" in line), "?")
    return True, f"{program.name}: {runs} inputs in {seconds} s, none fails"
