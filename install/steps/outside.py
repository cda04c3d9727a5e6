"""What the kernel keeps outside of the tree. The rules are the kernel's own."""

import os
import sys
from pathlib import Path


def cache() -> Path:
    """Compiled dependencies of sessions."""
    if given := os.environ.get("MACHINE_CACHE_DIR"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "machine"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "machine"


def history() -> Path:
    """The cells that were executed, for the front ends' history."""
    if given := os.environ.get("XDG_DATA_HOME"):
        return Path(given) / "rust-machine"
    return Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / "rust-machine"


DIRECTORIES = {"session cache": cache(), "history": history()}
