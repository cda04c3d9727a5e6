"""Whether a step's inputs are what they were when it last succeeded."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from . import places


def digest(*parts: str | Path | Iterable[Path]) -> str:
    """A hash of texts and of files' contents; a directory counts with all files in it, and their names."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(b"text\0" + part.encode() + b"\0")
        elif isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    total.update(b"file\0" + str(file.relative_to(part)).encode() + b"\0")
                    total.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            total.update(digest(*part).encode())
    return total.hexdigest()


def is_fresh(name: str, inputs: str) -> bool:
    """True if the step last succeeded with these inputs."""
    try:
        return (places.STAMPS / name).read_text() == inputs
    except OSError:
        return False


def succeeded(name: str, inputs: str) -> None:
    """Notes that the step succeeded with these inputs."""
    places.STAMPS.mkdir(parents=True, exist_ok=True)
    (places.STAMPS / name).write_text(inputs)


def forget(name: str) -> None:
    """Lets the step run again."""
    (places.STAMPS / name).unlink(missing_ok=True)
