"""What the user sees while a step runs: its name, the time it takes, and what went wrong."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Failed(Exception):
    """A step did not succeed. The text says what to do about it, on one or a few lines."""


def elapsed(seconds: float) -> str:
    """Seconds as people write them: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def say(text: str) -> None:
    """Prints a line at once, so that it stays in order with what child processes print."""
    print(text, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announces a step and says at its end how long it took."""
    say(f"── {name}")
    begin = time.monotonic()
    yield
    say(f"   done in {elapsed(time.monotonic() - begin)}")


@contextmanager
def ticking(name: str) -> Iterator[None]:
    """While a silent command runs: the seconds on a terminal, a line every half minute elsewhere."""
    terminal = sys.stdout.isatty()
    over = threading.Event()
    begin = time.monotonic()

    def tick() -> None:
        while not over.wait(1 if terminal else 30):
            text = f"   {name}: {elapsed(time.monotonic() - begin)}"
            if terminal:
                print(f"\r{text}\x1b[K", end="", flush=True)
            else:
                say(text)
        if terminal:
            print("\r\x1b[K", end="", flush=True)

    ticker = threading.Thread(target=tick, name="ticker")
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


def command(argv: Sequence[str | Path], **options: object) -> None:
    """Runs a command that shows its own progress. Raises `Failed` if it does."""
    result = subprocess.run([str(part) for part in argv], **options)
    if result.returncode != 0:
        raise Failed(f"{shown(argv)} ended with {ending(result.returncode)}; its own messages are above")


def quiet(name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a silent command with a clock beside it and returns what it printed, which is shown only if it fails."""
    with ticking(name):
        result = subprocess.run(
            [str(part) for part in argv], env=env, cwd=cwd, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
    if result.returncode != 0:
        raise Failed(f"{shown(argv)} ended with {ending(result.returncode)}:\n{result.stdout.rstrip()}")
    return result.stdout


def shown(argv: Sequence[str | Path]) -> str:
    """The beginning of a command, as it is named in messages."""
    return " ".join(str(part) for part in argv[:4]) + (" …" if len(argv) > 4 else "")


def ending(code: int) -> str:
    """How a process ended."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
