"""The tests that have threads and processes, again and again beside a load on all cores: a test that goes by chance fails
one of these times.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# As long as the process that started it lives.
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(1_000_000))"


@contextmanager
def load() -> Iterator[None]:
    """Keeps each core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def run(rounds: int, steps: dict[str, Callable[[], None]], step: Callable[[str, Callable[[], None]], bool]) -> None:
    """Runs all steps so many times. `step` runs one under its name, and notes how it ended."""
    for number in range(1, rounds + 1):
        with load():
            for name, action in steps.items():
                step(f"round {number} of {rounds}: {name}", action)
