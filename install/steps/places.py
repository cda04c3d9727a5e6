"""Where everything is."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "install"
CRATES = ROOT / "machine"
NOTEBOOKS = ROOT / "notebooks"
TUTORIAL = NOTEBOOKS / "tweets.ipynb"
TESTS = ROOT / "kernel" / "tests" / "python"

# Git ignores all that follows.
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
KERNEL = VENV / "bin" / "machine"
STAMPS = VENV / "stamps"
EXECUTED = ROOT / "executed"
DATA = ROOT / "data"
TWEETS = DATA / "tweets_GroundTruth.txt"

# The name of the kernelspec's directory: what `jupyter --kernel` and notebooks' metadata say.
SPEC = "machine"


def target() -> Path:
    """Cargo's target directory. A relative `CARGO_TARGET_DIR` is cargo's: relative to where it runs, the root."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def venv_kernelspec() -> Path:
    """The kernelspec that programs of the private environment find."""
    return VENV / "share" / "jupyter" / "kernels" / SPEC


def user_kernelspec() -> Path:
    """The kernelspec that the user's other Jupyter installations find (jupyter_core's rule)."""
    if given := os.environ.get("JUPYTER_DATA_DIR"):
        data = Path(given).expanduser()
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Jupyter"
    else:
        share = os.environ.get("XDG_DATA_HOME")
        data = (Path(share) if share else Path.home() / ".local" / "share") / "jupyter"
    return data / "kernels" / SPEC
