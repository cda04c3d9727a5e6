"""`machine top` and `machine tap` in a terminal: what is on the screen, and what keys do."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest
from conftest import Notebook, executable
from test_command_line import Machine, machine  # noqa: F401

# The longest that anything may take.
PATIENCE = 60.0
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[()=>].?")


class Terminal:
    """A terminal with a program in it, and what its screen shows: as much of one as such programs use."""

    def __init__(self, machine: Machine, *arguments: object, columns: int = 80, lines: int = 24) -> None:
        self.size = (columns, lines)
        self.cells: dict[tuple[int, int], str] = {}
        self.place = (0, 0)
        self.raw = ""
        self.left = b""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execve(executable(), [str(executable()), *map(str, arguments)], machine.environment)
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Gives it another size, which the program is told."""
        self.size = (columns, lines)
        self.cells.clear()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Presses keys."""
        os.write(self.terminal, keys.encode())

    def read(self, seconds: float) -> bool:
        """Takes in what the program writes; whether it still may."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            text = os.read(self.terminal, 1 << 16)
        except OSError:
            return False
        # The bytes of a character may come in two reads.
        self.left += text
        whole = self.left.decode(errors="ignore")
        self.left = self.left[len(whole.encode()):]
        self.raw += whole
        self.draw(whole)
        return bool(text)

    def draw(self, text: str) -> None:
        """Puts what was written where it belongs."""
        at = 0
        while at < len(text):
            if control := CONTROL.match(text, at):
                numbers, what = control.group(1) or "", control.group(2)
                if what == "H":
                    line, _, column = numbers.partition(";")
                    self.place = (int(line or 1) - 1, int(column or 1) - 1)
                elif what == "J":
                    self.cells.clear()
                at = control.end()
                continue
            line, column = self.place
            if text[at] == "\n":
                self.place = (line + 1, column)
            elif text[at] == "\r":
                self.place = (line, 0)
            else:
                self.cells[line, column] = text[at]
                self.place = (line, column + 1)
            at += 1

    @property
    def screen(self) -> str:
        """What is seen."""
        columns, lines = self.size
        rows = ("".join(self.cells.get((line, column), " ") for column in range(columns)) for line in range(lines))
        return "\n".join(row.rstrip() for row in rows)

    def shows(self, words: str) -> None:
        """Waits until the screen has these words."""
        end = time.monotonic() + PATIENCE
        while words not in self.screen:
            assert time.monotonic() < end, f"{words} is not on the screen:\n{self.screen}"
            assert self.read(0.1), f"it has ended without {words}:\n{self.raw}"

    def ended(self) -> int:
        """Waits for the end: the exit code. The terminal is as it was."""
        while self.read(0.1):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        assert self.raw.count("\x1b[?1049h") == self.raw.count("\x1b[?1049l") == 1
        assert self.raw.rindex("\x1b[?25h") > self.raw.rindex("\x1b[?25l")
        assert self.echoes
        os.close(self.terminal)
        return code

    @property
    def echoes(self) -> bool:
        """Whether it shows what is typed, as terminals do unless a program does it itself."""
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    @property
    def told(self) -> str:
        """What was written after the terminal was given back."""
        return self.raw.split("\x1b[?1049l")[-1]


@pytest.fixture
def notebook(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:  # noqa: F811
    """A notebook whose machine has processed 100 messages, and failed on three of them."""
    monkeypatch.setenv("MACHINE_RUNTIME_DIR", str(machine.runtime))
    notebook = Notebook()
    notebook.must("MACHINE[0] = |x: f64| if x < 3.0 { Err(format!(\"{x} is small\")) } else { Ok(x) };")
    notebook.must("for n in 0..100 { MACHINE.put(f64::from(n))?; } MACHINE.drain();")
    yield notebook
    notebook.close()


def test_a_machine_is_seen_and_controlled_in_a_terminal(machine: Machine, notebook: Notebook) -> None:  # noqa: F811
    top = Terminal(machine, "top", "main")
    top.shows("● running")
    for words in ["processed 100 ", "errored 3", "dead letters 3", "2 is small"]:
        top.shows(words)
    top.press("p")
    top.shows("● paused")
    assert machine.json("status", "main")["state"] == "paused"
    machine("put", "main", "7")
    top.shows("1 of 1,024 wait")
    top.press("t")
    top.shows("f0 = 7.0")
    # What is chosen unfolds: the newest dead letter.
    top.press("\t\n")
    top.shows("error in f0, revision 1")
    top.press("\x1b")
    # Esc and a key at once would be another key: the next one comes when it is folded.
    top.shows("waiting, 5 min")
    # One that asks before, and does nothing for another key than yes.
    top.press("x")
    top.shows("stop main?")
    top.press("nx")
    top.shows("stop main?")
    top.press("y")
    top.shows("● stopped")
    top.press("s")
    top.shows("● running")
    notebook.must("MACHINE[0] = |x: f64| if x < 1.0 { Err(\"too small\") } else { Ok(x) };")
    top.press("R")
    top.shows("retry all")
    top.press("y")
    top.shows("2 of 3 passed, 1 failed again")
    top.shows("dead letters 1")
    top.resize(120, 40)
    top.shows("dead letters 1")
    top.press("?")
    top.shows("next machine")
    top.press("q")
    assert top.ended() == 0


@pytest.mark.parametrize("end", ["Ctrl-C", "SIGTERM"])
def test_the_terminal_is_given_back(machine: Machine, notebook: Notebook, end: str) -> None:  # noqa: F811
    top = Terminal(machine, "top")
    top.shows("processed 100 ")
    assert not top.echoes
    if end == "Ctrl-C":
        top.press("\x03")
    else:
        os.kill(top.process, signal.SIGTERM)
    assert top.ended() == 0
    assert top.told == ""


def test_a_machine_that_goes_away_is_told(machine: Machine, notebook: Notebook) -> None:  # noqa: F811
    top = Terminal(machine, "top", "main", columns=60, lines=12)
    top.shows("● running")
    notebook.close()
    assert top.ended() == 1
    assert "has ended" in top.told, top.told


def test_without_a_terminal_it_says_what_to_do(machine: Machine) -> None:  # noqa: F811
    ran = machine("top")
    assert ran.returncode == 2 and ran.stdout == ""
    assert "`machine status NAME`" in ran.stderr and ran.stderr.count("\n") == 1, ran.stderr
    ran = machine("top", "main")
    assert ran.returncode == 1 and "there is no machine main" in ran.stderr, ran.stderr


def test_outputs_are_tapped_from_outside(machine: Machine, notebook: Notebook) -> None:  # noqa: F811
    del notebook
    values = [message["value"] for message in machine.json("tap", "f0", "-n", 3)["messages"]]
    assert values == [99.0, 98.0, 97.0]
    tapped = machine.json("tap", "main", "f0", "--where", "f0 >= 90 and f0 < 92")
    assert [message["value"] for message in tapped["messages"]] == [91.0, 90.0] and tapped["matching"] == 2
    assert machine.json("tap", "main", "in", "--where", "in < 1")["messages"][0]["value"] == 0.0
    assert "20 of 100 messages shown" in machine("tap", "main").stdout
    ran = machine("tap", "main", "f9")
    assert ran.returncode == 1 and "has no slot f9; it has f0 to f7" in ran.stderr
    ran = machine("tap", "main", "f0", "--where", "f0 >")
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1, ran.stderr


def test_a_tap_that_follows_gives_each_message_once(machine: Machine, notebook: Notebook) -> None:  # noqa: F811
    tap = machine.start("tap", "main", "f0", "-n", 2, "--follow", "--json")
    try:
        assert [message["value"] for message in json.loads(tap.stdout.readline())["messages"]] == [99.0, 98.0]
        notebook.must("MACHINE.put(500.0)?; MACHINE.drain();")
        assert [message["value"] for message in json.loads(tap.stdout.readline())["messages"]] == [500.0]
        tap.send_signal(signal.SIGINT)
        out, errors = tap.communicate(timeout=PATIENCE)
        assert tap.returncode == 0 and json.loads(out)["messages"] == [], errors
    finally:
        tap.kill()


def test_a_tap_in_a_terminal_takes_the_place_of_the_one_before(machine: Machine, notebook: Notebook) -> None:  # noqa: F811
    tap = Terminal(machine, "tap", "main", "f0", "-n", 2, "--follow")
    tap.shows("2 of 100 messages shown")
    notebook.must("MACHINE.put(500.0)?; MACHINE.drain();")
    tap.shows("2 of 101 messages shown")
    assert re.search(r"\x1b\[\d+F\x1b\[J", tap.raw)
    tap.press("\x03")
    while tap.read(0.1):
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(tap.process, 0)[1]) == 0
