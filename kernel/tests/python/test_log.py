"""The kernel's log: what `MACHINE_LOG` asks for, on standard error."""

import os
import re
from pathlib import Path

import pytest
from conftest import KERNEL_NAME
from jupyter_client.manager import KernelManager


def log_of(place: Path, level: str | None, code: str) -> str:
    """What a kernel that runs a cell writes on standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "MACHINE_LOG"}
    if level is not None:
        environment["MACHINE_LOG"] = level
    manager = KernelManager(kernel_name=KERNEL_NAME)
    with place.open("wb") as stderr:
        manager.start_kernel(env=environment, stderr=stderr)
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=120)
            reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok"
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
    return place.read_text()


def test_requests_and_cells_are_told_with_their_times(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", "debug", "let three = 1 + 2;")
    request = re.search(r'DEBUG request\{msg_type="execute_request" id="[^"]+"\}: machine_kernel::\S+: close time.busy=\S+', log)
    assert request, log
    cell = re.search(r"DEBUG cell\{number=1\}: machine_kernel::\S+: evaluated compile=([0-9.]+)(m?s) run=[0-9.]+\S+ ok=true", log)
    assert cell, log
    assert float(cell[1]) > 0
    assert "TRACE" not in log and "\x1b" not in log


@pytest.mark.parametrize(("level", "told"), [
    (None, ""),
    ("warn", ""),
    ("machine_kernel=off", ""),
    ("debgu", "MACHINE_LOG: debgu is no level: there is off, error, warn, info, debug, trace; did you mean debug?\n"),
])
def test_without_being_asked_it_says_nothing(tmp_path: Path, level: str | None, told: str) -> None:
    log = log_of(tmp_path / "log", level, "%machines")
    assert log.endswith(told) and log.count("\n") == told.count("\n"), log
