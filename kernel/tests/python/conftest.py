"""What all tests of the kernel share: where it is, and a client that speaks to it."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

import pytest

ROOT = Path(__file__).resolve().parents[3]
KERNEL_NAME = "machine"
# The longest that a reply may take: a first `:dep` on a slow machine.
PATIENCE = 120.0


def executable() -> Path:
    """The kernel under test: `MACHINE_KERNEL`, or the one that the set-up put in place."""
    return Path(os.environ.get("MACHINE_KERNEL", ROOT / ".venv" / "bin" / "machine")).resolve()


def pytest_configure(config: pytest.Config) -> None:
    """Makes a kernelspec for the kernel under test, found before all others, also by processes that tests start."""
    # Under nohup it is ignored, also by the processes that tests start, and some tests are about it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    place = tempfile.TemporaryDirectory(prefix="machine-tests-")
    config.add_cleanup(place.cleanup)
    spec = json.loads((ROOT / "install" / "kernelspec" / "kernel.json").read_text())
    spec["argv"][0] = str(executable())
    spec["env"] = {"MACHINE_CRATES": str(ROOT / "machine")}
    directory = Path(place.name) / "kernels" / KERNEL_NAME
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = place.name
    # The user's own history stays out of the tests, and the tests out of it.
    os.environ["XDG_DATA_HOME"] = str(Path(place.name) / "data")
    if not executable().is_file():
        sys.exit(f"There is no kernel at {executable()}: build it with install/run, or name it in MACHINE_KERNEL")


@dataclass
class Ran:
    """What a request to execute gave: its reply, and all that came on iopub for it."""

    reply: dict
    messages: list[dict] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the cell succeeded."""
        return self.reply["status"] == "ok"

    @property
    def count(self) -> int:
        """The execution count."""
        return self.reply["execution_count"]

    @property
    def request(self) -> str:
        """The request that ran."""
        return parent(self.messages[0])

    def stream(self, name: str = "stdout") -> str:
        """What was written to a stream."""
        return "".join(m["content"]["text"] for m in self.messages
                       if m["msg_type"] == "stream" and m["content"]["name"] == name)

    def shown(self, mime: str = "text/plain") -> list:
        """What was displayed, the final expression's value included, in one of its forms."""
        return [m["content"]["data"][mime] for m in self.messages
                if m["msg_type"] in ("display_data", "execute_result") and mime in m["content"]["data"]]

    def updates(self) -> list[dict]:
        """What was displayed under a name, each state of it."""
        return [m["content"] for m in self.messages if m["msg_type"] in ("display_data", "update_display_data")
                and m["content"].get("transient", {}).get("display_id")]

    @property
    def errors(self) -> list[dict]:
        """The error messages on iopub."""
        return [m["content"] for m in self.messages if m["msg_type"] == "error"]

    @property
    def text(self) -> str:
        """Everything that a reader would see, to search in and to print when a test fails."""
        trace = "\n".join("\n".join(error["traceback"]) for error in self.errors)
        return "\n".join([self.stream(), *self.shown(), self.stream("stderr"), trace])


def parent(message: dict) -> str:
    """The request that a message belongs to."""
    return message["parent_header"].get("msg_id", "")


def is_idle(message: dict) -> bool:
    """Whether this is the end of what a request publishes."""
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


def eventually(condition: Callable[[], object], what: str) -> object:
    """What a condition gives once it is true."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


class Notebook:
    """A running kernel and a client, with the few calls that tests need."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name=KERNEL_NAME, startup_timeout=60)
        self.replies: dict[str, dict] = {}
        self.published: dict[str, list[dict]] = {}

    def close(self) -> None:
        """Ends the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def send(self, code: str, **options: object) -> str:
        """Asks for execution and does not wait; returns the request's id."""
        return self.client.execute(code, **options)

    def run(self, code: str, timeout: float = PATIENCE, **options: object) -> Ran:
        """Executes and waits for the reply and for `idle`."""
        return self.wait(self.send(code, **options), timeout)

    def must(self, code: str, timeout: float = PATIENCE) -> Ran:
        """Executes what has to succeed."""
        ran = self.run(code, timeout)
        assert ran.ok, f"{code}\n{ran.text}\n{ran.reply}"
        return ran

    def wait(self, request: str, timeout: float = PATIENCE) -> Ran:
        """Waits for the reply to a request and for `idle`. What comes for other requests is kept for their turn."""
        end = time.monotonic() + timeout
        while request not in self.replies:
            message = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            self.replies[parent(message)] = message["content"]
        while not any(is_idle(message) for message in self.published.get(request, [])):
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            self.published.setdefault(parent(message), []).append(message)
        return Ran(self.replies.pop(request), self.published.pop(request))

    def wait_for(self, request: str, condition: Callable[[Ran], bool], timeout: float = PATIENCE) -> Ran:
        """Waits until what a running request has published fulfils a condition."""
        end = time.monotonic() + timeout
        while not condition(so_far := Ran({}, self.published.get(request, []))):
            message = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            self.published.setdefault(parent(message), []).append(message)
        return so_far

    def later(self, ran: Ran) -> str:
        """What was printed for a request after its end, as far as it has come while others were waited for."""
        late = self.published.pop(ran.request, [])
        return "".join(m["content"]["text"] for m in late if m["msg_type"] == "stream")

    def messages(self, seconds: float) -> list[dict]:
        """What comes on iopub in the next seconds, whatever it belongs to."""
        end = time.monotonic() + seconds
        got = []
        while (left := end - time.monotonic()) > 0:
            try:
                got.append(self.client.get_iopub_msg(timeout=left))
            except Empty:
                break
        return got

    def interrupt(self) -> None:
        """Sends an interrupt request on the control channel, as front ends do."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    """A kernel of the test's own."""
    started = Notebook()
    yield started
    started.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Notebook]:
    """A kernel for all tests of a file that leave it usable."""
    started = Notebook()
    yield started
    started.close()
