"""Attackers without the key, byte by byte, on every port of a listening kernel: it lives, and its memory grows with what came."""

import select
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Notebook, executable, is_idle, parent

# The longest that anything here may take.
DEADLINE = 60.0
MEGABYTE = 1 << 20
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
PORTS = ("shell_port", "control_port", "stdin_port", "iopub_port", "hb_port")
# What a peer of each port is.
KINDS = {"iopub_port": b"SUB", "hb_port": b"REQ"}


def ready(kind: bytes) -> bytes:
    """A whole handshake."""
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return GREETING + bytes([4, len(body)]) + body


def long_frame(length: int, flags: int = 2) -> bytes:
    """The header of a frame of this length."""
    return bytes([flags]) + struct.pack(">Q", length)


def resident(pid: int) -> int:
    """The memory of a process, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


class Watched:
    """The most memory that a process takes meanwhile, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most, self.over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        """Looks until it is over."""
        while True:
            self.most = max(self.most, resident(self.pid))
            if self.over.wait(0.01):
                return

    def __enter__(self) -> "Watched":
        self.before = resident(self.pid)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @property
    def grown(self) -> int:
        """By how much it grew, bytes."""
        return self.most - self.before


def pid_of(notebook: Notebook) -> int:
    """The kernel's process."""
    return notebook.manager.provisioner.process.pid


@contextmanager
def connected(notebook: Notebook, port: str) -> Iterator[socket.socket]:
    """A connection to a port."""
    address = ("127.0.0.1", notebook.manager.get_connection_info()[port])
    with socket.create_connection(address, timeout=DEADLINE) as peer:
        yield peer


def attack(peer: socket.socket, data: bytes, times: int = 1) -> None:
    """Sends; the kernel may end the connection before all is read."""
    try:
        for _ in range(times):
            peer.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def wait_for_end(peer: socket.socket) -> None:
    """Reads until the kernel ends the connection."""
    try:
        while peer.recv(MEGABYTE):
            pass
    except ConnectionResetError:
        pass


def heart_beats(notebook: Notebook) -> None:
    """The heartbeat's port echoes."""
    with connected(notebook, "hb_port") as peer:
        beat = b"\x01\0\0\x04ping"
        peer.sendall(ready(b"REQ") + beat)
        got = b""
        while not got.endswith(beat):
            piece = peer.recv(4096)
            assert piece, got
            got += piece


@pytest.fixture(scope="module")
def session() -> Iterator[Notebook]:
    """A kernel whose cell counts how often it ran."""
    notebook = Notebook()
    notebook.must("let mut ran = 0;")
    yield notebook
    notebook.close()


@pytest.fixture
def counted(session: Notebook) -> Iterator[Notebook]:
    """After the test the same kernel and the same session are there, and the next cell runs once."""
    before = int(session.must("ran").shown()[0])
    pid = pid_of(session)
    yield session
    assert session.manager.is_alive() and pid_of(session) == pid
    heart_beats(session)
    assert session.must("ran += 1; ran").shown() == [str(before + 1)]


@pytest.mark.parametrize("port", PORTS)
def test_a_frame_is_not_believed_how_long_it_says_it_is(counted: Notebook, port: str) -> None:
    kind = KINDS.get(port, b"DEALER")
    with Watched(pid_of(counted)) as memory:
        for data in (
            GREETING + long_frame(1 << 62),
            GREETING + long_frame(1 << 62, 6),
            ready(kind) + long_frame(1 << 62),
            ready(kind) + long_frame((1 << 64) - 1, 3),
            ready(kind) + long_frame(1 << 40, 6),
            ready(kind) + b"\x01\0" * 300_000,
        ):
            with connected(counted, port) as peer:
                attack(peer, data)
                wait_for_end(peer)
    assert memory.grown < 64 * MEGABYTE


def test_700_megabytes_in_one_frame_are_not_kept(counted: Notebook) -> None:
    with Watched(pid_of(counted)) as memory, connected(counted, "shell_port") as peer:
        attack(peer, ready(b"DEALER") + long_frame(700 * MEGABYTE))
        attack(peer, bytes(MEGABYTE), times=700)
        wait_for_end(peer)
    assert memory.grown < 64 * MEGABYTE


def test_what_is_announced_takes_no_memory(counted: Notebook) -> None:
    with Watched(pid_of(counted)) as memory, ExitStack() as stack:
        for _ in range(90):
            peer = stack.enter_context(connected(counted, "shell_port"))
            peer.sendall(ready(b"DEALER") + long_frame(30 * MEGABYTE) + b"some")
        heart_beats(counted)
        assert counted.must("ran").ok
    assert memory.grown < 64 * MEGABYTE


def test_many_unfinished_messages_are_bounded_together(counted: Notebook) -> None:
    with Watched(pid_of(counted)) as memory, ExitStack() as stack:
        peers = [stack.enter_context(connected(counted, port)) for port in PORTS[:3] for _ in range(10)]
        half = ready(b"DEALER") + long_frame(32 * MEGABYTE) + bytes(24 * MEGABYTE)
        threads = [threading.Thread(target=attack, args=(peer, half)) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "every one of them is read or cut off"
        heart_beats(counted)
        assert counted.must("ran").ok
    # 720 MB were sent. Twice 96 MiB, since a buffer grows by doubling, and what its allocator keeps.
    assert memory.grown < 320 * MEGABYTE


def test_whoever_connects_and_says_nothing_leaves_room(counted: Notebook) -> None:
    with ExitStack() as stack:
        for port in PORTS:
            for _ in range(150):
                stack.enter_context(connected(counted, port))
        # A new front end gets through all the same.
        client = counted.manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=DEADLINE)
        client.stop_channels()


def test_a_replayed_request_does_not_run_again(counted: Notebook) -> None:
    before = int(counted.must("ran").shown()[0])
    session = counted.manager.session
    frames = session.serialize(session.msg("execute_request", {"code": "ran += 1;", "silent": False}))
    message = ready(b"DEALER") + b"".join(
        bytes([int(at + 1 < len(frames)) | 2]) + struct.pack(">Q", len(frame)) + frame for at, frame in enumerate(frames))
    for _ in range(3):
        with connected(counted, "shell_port") as peer:
            peer.sendall(message)
            # The reply, or nothing: what was sent on this port before is read before what a client sends next.
            select.select([peer], [], [], DEADLINE)
            heart_beats(counted)
    counted.must("()")
    assert counted.must("ran").shown() == [str(before + 1)]
    counted.must("ran -= 1;")


# Texts that overflow the stack of a parser, of what walks its tree, or of what drops it.
NESTED = {
    "braces": "{" * 2_055, "brackets": "[" * 100_000, "question marks": "1" + "?" * 20_000, "signs": "1" + "+ 1" * 20_000,
    "pluses": "+" * 26_000, "calls": "a" + ".a()" * 20_000, "paths": "a" + "::a" * 20_000, "not": "!" * 50_000,
    "else": "if a {} " + "else if a {} " * 10_000, "generics": "let a: " + "Vec<" * 20_000, "closures": "|| " * 20_000,
    "long": "f();\n" * 150_000,
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_a_nested_or_long_text_is_refused_and_the_next_cell_runs(counted: Notebook, text: str) -> None:
    client = counted.client

    def asked(message_type: str, content: dict) -> dict:
        request = client.session.msg(message_type, content)
        client.shell_channel.send(request)
        while True:
            reply = client.get_shell_msg(timeout=DEADLINE)
            if parent(reply) == request["header"]["msg_id"]:
                return reply["content"]

    assert asked("is_complete_request", {"code": text})["status"] in ("invalid", "unknown")
    assert asked("complete_request", {"code": text, "cursor_pos": len(text)})["status"] == "ok"
    assert asked("inspect_request", {"code": text, "cursor_pos": len(text)})["status"] == "ok"
    # Before it is looked at, other requests are answered: no socket waits for a parser.
    client.shell_channel.send(client.session.msg("is_complete_request", {"code": text}))
    assert asked("kernel_info_request", {})["status"] == "ok"
    ran = counted.run(text)
    assert not ran.ok and ran.errors[0]["ename"] == "TooComplex", ran.text
    assert counted.must("1 + 1").shown() == ["2"]


class Stalled:
    """An iopub client that subscribes and never reads."""

    def __init__(self, notebook: Notebook) -> None:
        self.peer = socket.create_connection(("127.0.0.1", notebook.manager.get_connection_info()["iopub_port"]))
        self.peer.sendall(ready(b"SUB") + b"\0\x01\x01")

    def close(self) -> None:
        """Goes."""
        self.peer.close()


def test_an_iopub_client_that_does_not_read_stalls_nobody(counted: Notebook) -> None:
    stalled = [Stalled(counted) for _ in range(3)]
    cell = 'for _ in 0..300 { println!("{}", "x".repeat(1_000_000)); }'
    printed = 0
    with Watched(pid_of(counted)) as memory:
        request = counted.send(cell)
        while True:
            message = counted.client.get_iopub_msg(timeout=DEADLINE)
            if message["msg_type"] == "stream":
                printed += len(message["content"]["text"])
            if is_idle(message) and parent(message) == request:
                break
    for client in stalled:
        client.close()
    # The client that reads may be a slow one, since it decodes JSON, and lose some; the end it gets.
    assert printed > 60 * MEGABYTE
    assert memory.grown < 400 * MEGABYTE


@contextmanager
def publisher(data: bytes) -> Iterator[str]:
    """An endpoint that sends bytes to each client, and keeps the connection."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(DEADLINE)

    def serve() -> None:
        with server.accept()[0] as peer:
            attack(peer, data)
            try:
                wait_for_end(peer)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    thread.join(DEADLINE)
    server.close()


@pytest.mark.parametrize(("data", "lives"), [
    (GREETING + long_frame(1 << 62), False),
    (ready(b"PUB") + long_frame(1 << 62, 6), True),
    (ready(b"PUB") + long_frame(1 << 62), True),
    (ready(b"PUB") + long_frame(1 << 40, 3), True),
], ids=["greeting", "command", "message", "first frame"])
def test_machine_log_outlives_a_publisher_that_lies(data: bytes, lives: bool) -> None:
    with publisher(data) as endpoint:
        log = subprocess.Popen([executable(), "log", endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            if lives:
                # It says what came, or that the publisher is gone, and goes on.
                assert select.select([log.stderr], [], [], DEADLINE)[0], "nothing was said"
                assert log.stderr.readline().startswith(b"machine: tcp://")
                assert log.poll() is None
                assert resident(log.pid) < 150 * MEGABYTE
            else:
                assert log.wait(DEADLINE) == 1, "an error, and no abort"
        finally:
            log.kill()
            log.communicate()
