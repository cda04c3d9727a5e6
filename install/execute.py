"""Executes a notebook without a front end: `execute.py NOTEBOOK RESULT`. Runs in the private environment.

The result is also written when a cell fails, with everything up to there. Cells tagged `raises-exception` may fail.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

CELL_SECONDS = 300
STARTUP_SECONDS = 120


def main() -> int:
    """Executes, tells each cell and its time, and returns the exit code."""
    source, result = map(Path, sys.argv[1:])
    # This environment's kernelspec, not one of the same name that another checkout put into the user's directory.
    os.environ.setdefault("JUPYTER_PATH", str(Path(sys.prefix) / "share" / "jupyter"))
    notebook = nbformat.read(source, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    begins: dict[int, float] = {}

    def started(cell, cell_index: int) -> None:
        begins[cell_index] = time.monotonic()

    def executed(cell, cell_index: int, execute_reply) -> None:
        seconds = time.monotonic() - begins[cell_index]
        first = cell.source.strip().splitlines()[0]
        print(f"   {code.index(cell_index) + 1:3}/{len(code)}  {seconds:5.1f} s  {first:.80}", flush=True)

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        startup_timeout=STARTUP_SECONDS,
        resources={"metadata": {"path": str(source.parent)}},
        on_cell_start=started,
        on_cell_executed=executed,
    )
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        print(f"{source.name}: {error}", file=sys.stderr)
        return 1
    finally:
        result.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, result)
    return 0


sys.exit(main())
