"""The book: docs/, built with mdbook."""

import shutil
from pathlib import Path

from . import places
from .progress import command

# Without what watches and serves.
PACKAGE = ("mdbook@0.5.4", "--no-default-features", "--features", "search")


def tools() -> Path:
    """Where `install` puts what it compiles."""
    return places.target() / "tools"


def find() -> Path | None:
    """mdbook, wherever it is installed."""
    own = tools() / "bin" / "mdbook"
    found = own if own.is_file() else shutil.which("mdbook")
    return Path(found) if found else None


def install() -> Path:
    """mdbook under the target directory; compiled once."""
    own = tools() / "bin" / "mdbook"
    if not own.is_file():
        command(["cargo", "install", "--locked", *PACKAGE, "--root", tools(), "--target-dir", tools() / "build"])
    return own


def build(mdbook: Path) -> None:
    """Builds the book under the target directory."""
    command([mdbook, "build", places.ROOT / "docs", "--dest-dir", places.target() / "book"])
