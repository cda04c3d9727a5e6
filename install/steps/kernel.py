"""The kernel: built, put in place, announced to Jupyter, its session cache warmed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from . import outside, places, stamp
from .progress import Failed, command, quiet, say, step

TEMPLATE = places.INSTALL / "kernelspec"
# The stamp of the session cache.
WARM = "session cache"
# Names the CARGO_HOME of the build alone: cargo compiles everything again if the sources lie in another place.
BUILD_CARGO_HOME = "BUILD_CARGO_HOME"


def build() -> None:
    """Builds the kernel. Cargo knows by itself what is unchanged."""
    with step("Kernel, release build (minutes when it is built for the first time)"):
        home = os.environ.get(BUILD_CARGO_HOME)
        environment = {**os.environ, "CARGO_HOME": home} if home else None
        cargo = ["cargo", "build", "--release", "--locked", "--package", "machine-kernel"]
        command(cargo, cwd=places.ROOT, env=environment)
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
    values = {"{executable}": places.KERNEL, "{crates}": places.CRATES, "{cargo}": cargo}
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
    cache = outside.cache()
    crate = tuple(places.CRATES / folder for folder in ("api", "protocol", "async"))
    inputs = stamp.digest(places.KERNEL, *crate, compiler(), str(cache))
    # The stamp is in the tree, and the cache is not: it may be gone, or only half made.
    if stamp.is_fresh(WARM, inputs) and (cache / "sessions" / "0" / "seal.json").is_file():
        return say("── Session cache: unchanged")
    with step("Session cache"):
        environment = {**os.environ, "MACHINE_CRATES": str(places.CRATES)}
        quiet("compiling what notebooks use", [places.KERNEL, "warm"], env=environment)
        stamp.succeeded(WARM, inputs)


def compiler() -> str:
    """The compiler's version: what it compiled is of no use to another."""
    return subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout


def host() -> str:
    """What the compiler compiles for, such as `x86_64-unknown-linux-gnu`."""
    return next(line.removeprefix("host: ") for line in compiler().splitlines() if line.startswith("host: "))
