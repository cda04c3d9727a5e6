"""A kernel process of the built executable, with no kernelspec installed.

The executable is the one in the environment variable MACHINE, or the release build of the workspace
(`CARGO_TARGET_DIR` is respected).
"""

import json
import os
import tempfile
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[3]
KERNEL_NAME = "machine-under-test"


def executable() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", WORKSPACE / "target"))
    path = Path(os.environ.get("MACHINE", target / "release" / "machine"))
    if not path.exists():
        raise FileNotFoundError(f"{path}: not built; expected `cargo build --release -p machine-kernel` before the tests")
    return path


def install_kernelspec() -> str:
    """Makes a kernelspec in a directory of its own, which Jupyter finds from now on; gives its name."""
    data = Path(tempfile.mkdtemp(prefix="machine-kernel-test-"))
    spec = data / "kernels" / KERNEL_NAME
    spec.mkdir(parents=True)
    command = [str(executable()), "kernel", "--connection-file", "{connection_file}"]
    content = {"argv": command, "display_name": "under test", "language": "rust", "interrupt_mode": "message"}
    (spec / "kernel.json").write_text(json.dumps(content))
    paths = [str(data), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    # The user's own history stays out of the tests, and the tests out of it.
    os.environ["XDG_DATA_HOME"] = str(data / "data")
    return KERNEL_NAME
