"""`install/run`: from a fresh checkout to a notebook that was executed."""

import json
import os
import shutil
import time
from pathlib import Path

from . import environment, kernel, notebook, outside, places, stamp, tweets
from .progress import elapsed, say

LAB = places.VENV / "bin" / "jupyter-lab"


def main(arguments: list[str]) -> int:
    """Carries out `install/run`; returns the exit code."""
    if "--uninstall" in arguments:
        return uninstall()
    begin = time.monotonic()
    environment.make()
    kernel.build()
    kernel.announce(places.venv_kernelspec(), places.user_kernelspec())
    tweets.fetch()
    kernel.warm()
    executed = notebook.execute()

    say("\nThe machine at the end of the notebook:\n")
    say(notebook.text_of(executed, "status"))
    say("\nThe result:\n")
    say(notebook.text_of(executed, "result"))
    say(f"\nReady after {elapsed(time.monotonic() - begin)}. The notebook with its outputs: {executed}")
    if "--lab" in arguments:
        say("Opening JupyterLab; Ctrl-C ends it.")
        os.chdir(places.ROOT)
        os.execv(LAB, [str(LAB), str(places.TUTORIAL)])
    say("To work with it:  install/run --lab   (or choose the kernel `Rust (Machine)` in your own Jupyter)")
    return 0


def uninstall() -> int:
    """Removes everything that is not inside the tree, and says what."""
    removed = []
    spec = places.user_kernelspec()
    if owner(spec) == str(places.KERNEL):
        shutil.rmtree(spec)
        removed.append(f"kernelspec     {spec}")
    elif spec.is_dir():
        say(f"Left alone, since it belongs to another checkout: {spec}")
    for name, directory in outside.DIRECTORIES.items():
        if directory.is_dir():
            shutil.rmtree(directory)
            removed.append(f"{name:14} {directory}")
    stamp.forget(kernel.WARM)
    say("Removed:\n  " + "\n  ".join(removed) if removed else "There was nothing to remove.")
    say(f"Everything else is inside {places.ROOT}: delete it to be rid of all.")
    return 0


def owner(spec: Path) -> str:
    """The executable that a kernelspec starts; empty if it cannot be read."""
    try:
        return json.loads((spec / "kernel.json").read_text())["argv"][0]
    except (OSError, ValueError, LookupError):
        return ""
