"""Logs from outside: `machine verify` and `machine cat`, on the log of a released format that the store's tests read."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, executable

LOG = ROOT / "machine" / "store" / "tests" / "formats" / "1"
# The longest that reading a small log may take.
PATIENCE = 60.0


def machine(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([executable(), *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    shutil.copytree(LOG, tmp_path / "log")
    return tmp_path / "log"


def test_a_whole_log_passes(log: Path) -> None:
    before = {file.name: file.read_bytes() for file in log.iterdir()}
    ran = machine("verify", log)
    assert ran.returncode == 0, ran.stderr
    assert "records        4, 1 to 4" in ran.stdout and "waiting        3" in ran.stdout, ran.stdout
    found = json.loads(machine("verify", log, "--json").stdout)
    assert (found["records"], found["waiting"], found["corrupt"], found["was_closed"]) == (4, 3, [], True)
    assert [segment["first"] for segment in found["segments"]] == [1, 3]
    assert {file.name: file.read_bytes() for file in log.iterdir()} == before


def test_records_are_lines(log: Path) -> None:
    lines = [json.loads(line) for line in machine("cat", log).stdout.splitlines()]
    assert [line["payload"] for line in lines] == [{"text": "hello"}, [1, 2.5, None], "ä", {"error": "no text"}]
    assert lines[0] == {
        "seq": 1, "time": "2025-11-24T16:00:00.123Z", "oid": "692000001234567800000001", "kind": "message", "plan": 3,
        "is_finished": True, "payload": {"text": "hello"},
    }
    assert lines[1]["position"] == "tweets.tsv:120" and lines[3]["kind"] == "dead_letter"
    assert machine("cat", log, "--waiting", "--raw").stdout == '[1,2.5,null]\n"ä"\n{"error":"no text"}\n'
    assert machine("cat", log, "--from", 4, "--raw").stdout == '{"error":"no text"}\n'


def test_damage_is_named_and_fails(log: Path) -> None:
    segment = log / "00000000000000000003.log"
    content = bytearray(segment.read_bytes())
    content[1024 + 20] ^= 1
    segment.write_bytes(content)
    ran = machine("verify", log)
    assert ran.returncode == 1
    assert "corrupt        3: damaged although they were synced" in ran.stdout, ran.stdout
    assert json.loads(machine("verify", log, "--json").stdout)["corrupt"] == [[3, 4]]
    ran = machine("cat", log, "--raw")
    assert ran.returncode == 0 and ran.stdout.splitlines()[-1] == '{"error":"no text"}' and "ä" not in ran.stdout
    assert "damaged bytes were left out" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["verify", "cat"])
def test_what_is_no_log_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    for path, expected in [
        (tmp_path, "is not the directory of a log"), (tmp_path / "notes.txt", "is a file"), (tmp_path / "nowhere", "No such file"),
    ]:
        ran = machine(command, path)
        assert ran.returncode == 1 and ran.stdout == ""
        assert expected in ran.stderr and ran.stderr.count("\n") == 1, ran.stderr
