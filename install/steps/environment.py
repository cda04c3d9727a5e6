"""The private Python environment."""

import shutil
import subprocess
import sys

from . import places, stamp
from .progress import quiet, say, step

REQUIREMENTS = places.INSTALL / "requirements.txt"
CONSTRAINTS = places.INSTALL / "constraints.txt"
FOR_TESTS = places.TESTS / "requirements.txt"


def make() -> None:
    """JupyterLab and what else the notebooks need, at pinned versions."""
    # A virtual environment knows its own place, so one that was moved is made anew.
    base = f"{places.VENV} {sys.version}"
    if not (stamp.is_fresh("python", base) and starts()):
        with step("Python environment in .venv"):
            shutil.rmtree(places.VENV, ignore_errors=True)
            quiet("making it", [sys.executable, "-m", "venv", places.VENV])
            stamp.succeeded("python", base)
    install("packages", REQUIREMENTS)


def make_for_tests() -> None:
    """The same with what the tests need on top."""
    make()
    install("test packages", FOR_TESTS)


def install(name: str, requirements: object) -> None:
    """Installs packages unless exactly these are there already."""
    inputs = stamp.digest(requirements, CONSTRAINTS)
    if stamp.is_fresh(name, inputs):
        return say(f"── Python {name}: unchanged")
    with step(f"Python {name}"):
        pip = [places.PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        quiet("downloading and installing", [*pip, "-r", requirements, "-c", CONSTRAINTS])
        stamp.succeeded(name, inputs)


def starts() -> bool:
    """True if the environment's interpreter works."""
    try:
        return subprocess.run([places.PYTHON, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False
