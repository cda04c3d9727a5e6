"""The tutorial notebook, executed without a front end."""

import json
from pathlib import Path

from . import places, stamp
from .progress import command, say, step

EXECUTE = places.INSTALL / "execute.py"


def execute() -> Path:
    """Executes the tutorial and returns the notebook with its outputs."""
    executed = places.EXECUTED / places.TUTORIAL.name
    crates = (places.CRATES / folder for folder in ("api", "protocol"))
    inputs = stamp.digest(sources(places.TUTORIAL), places.KERNEL, places.TWEETS, *crates)
    if executed.is_file() and stamp.is_fresh("tutorial", inputs):
        say("── Notebook: unchanged, as it was executed last")
        return executed
    with step(f"Notebook {places.TUTORIAL.relative_to(places.ROOT)}"):
        command([places.PYTHON, EXECUTE, places.TUTORIAL, executed])
        stamp.succeeded("tutorial", inputs)
    return executed


def sources(notebook: Path) -> str:
    """What is executed in a notebook: its code, without the outputs it was saved with."""
    cells = json.loads(notebook.read_text())["cells"]
    return json.dumps(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"])


def text_of(notebook: Path, tag: str) -> str:
    """What the cells with this tag show, as text."""
    lines = []
    for cell in json.loads(notebook.read_text())["cells"]:
        if tag in cell["metadata"].get("tags", []):
            for output in cell.get("outputs", []):
                text = output.get("text") or output.get("data", {}).get("text/plain") or ""
                lines.append("".join(text).rstrip())
    return "\n".join(lines)
