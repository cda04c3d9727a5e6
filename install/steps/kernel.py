"""The kernel: built, put in place, announced to Jupyter, its session cache warmed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from . import places, stamp
from .progress import Failed, command, quiet, say, step

TEMPLATE = places.INSTALL / "kernelspec"
# The stamp of the session cache.
WARM = "session cache"


def build() -> None:
    """Builds the kernel. Cargo knows by itself what is unchanged."""
    with step("Kernel, release build (minutes when it is built for the first time)"):
        command(["cargo", "build", "--release", "--locked", "--package", "machine-kernel"], cwd=places.ROOT)
        built = places.target() / "release" / "machine"
        if not built.is_file():
            raise Failed(f"cargo built no {built}; is a build.target or another profile configured?")
        # A copy, so that sessions go on while it is built anew; a rename, since a running file cannot be written.
        if not (places.KERNEL.is_file() and stamp.digest(places.KERNEL) == stamp.digest(built)):
            new = places.KERNEL.with_suffix(".new")
            shutil.copy2(built, new)
            new.replace(places.KERNEL)


def announce(*directories: Path) -> None:
    """Writes the kernelspec into these directories."""
    spec = json.loads((TEMPLATE / "kernel.json").read_text())
    # The front end may be started where cargo is not in PATH: from a desktop, say.
    cargo = Path(shutil.which("cargo") or "cargo").parent
    values = {"{executable}": places.KERNEL, "{crate}": places.CRATE, "{cargo}": cargo}
    written = json.dumps(filled(spec, {name: str(value) for name, value in values.items()}), indent=2) + "\n"
    for directory in directories:
        file = directory / "kernel.json"
        if file.is_file() and file.read_text() == written:
            say(f"── Kernelspec {directory}: unchanged")
            continue
        with step(f"Kernelspec {directory}"):
            shutil.copytree(TEMPLATE, directory, dirs_exist_ok=True)
            file.write_text(written)


def filled(template: object, values: dict[str, str]) -> object:
    """The template with its placeholders replaced, in all strings. The others, Jupyter's own, stay."""
    if isinstance(template, dict):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if isinstance(template, str):
        for name, value in values.items():
            template = template.replace(name, value)
    return template


def warm() -> None:
    """Compiles once what every session needs, so that the first cell of a notebook is fast."""
    inputs = stamp.digest(places.KERNEL, places.CRATE / "src", places.CRATE / "Cargo.toml", compiler())
    if stamp.is_fresh(WARM, inputs):
        return say("── Session cache: unchanged")
    with step("Session cache"):
        environment = {**os.environ, "MACHINE_CRATE": str(places.CRATE)}
        quiet("compiling what notebooks use", [places.KERNEL, "warm"], env=environment)
        stamp.succeeded(WARM, inputs)


def compiler() -> str:
    """The compiler's version: what it compiled is of no use to another."""
    return subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout


def host() -> str:
    """What the compiler compiles for, such as `x86_64-unknown-linux-gnu`."""
    return next(line.removeprefix("host: ") for line in compiler().splitlines() if line.startswith("host: "))
