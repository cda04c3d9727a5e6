"""The scripts that read the repository itself: each fails on what it is there for."""

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "install"))
import imports  # noqa: E402
import words  # noqa: E402


def crate(directory: Path, files: dict[str, str], rooms: str = "") -> Path:
    """The sources of a crate."""
    for name, text in {"lib.rs": f"//! Rooms, lowest first: {rooms}.\n" if rooms else "", **files}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def test_a_circle_of_six_files_is_too_large(tmp_path: Path) -> None:
    def ring(count: int) -> dict[str, str]:
        return {f"f{at}.rs": f"use crate::f{(at + 1) % count}::Name;" for at in range(count)}

    assert imports.check("ring", crate(tmp_path / "five", ring(5))) == []
    [wrong] = imports.check("ring", crate(tmp_path / "six", ring(6)))
    assert "a circle of 6 files" in wrong


@pytest.mark.parametrize("text", [
    "use crate::server::registry::find;", "use super::super::server::{registry, Other};",
    "fn f() { crate::server::registry::find() }", "use crate::find;",
])
def test_an_import_of_a_higher_room_is_found(tmp_path: Path, text: str) -> None:
    files = {"core/queue.rs": text, "core/mod.rs": "mod queue;", "server/mod.rs": "", "server/registry.rs": ""}
    sources = crate(tmp_path, files, "`core`, `server`")
    (sources / "lib.rs").write_text((sources / "lib.rs").read_text() + "pub use server::registry::find;\n")
    wrong = imports.check("rooms", sources)
    assert any("core/queue.rs imports server/registry.rs" in line for line in wrong), wrong


def test_tests_comments_and_texts_are_no_imports(tmp_path: Path) -> None:
    text = '// crate::server::registry\nconst T: &str = "crate::server::registry";\n#[cfg(test)]\nmod tests { use crate::server::registry; }'
    files = {"core/queue.rs": text, "core/mod.rs": "", "server/mod.rs": "", "server/registry.rs": ""}
    assert imports.check("rooms", crate(tmp_path, files, "`core`, `server`")) == []


def test_retired_names_and_phrases_are_found() -> None:
    assert words.definitions("struct Letter;\nfn take_off() {}\nlet letter = land();") == ["Letter", "take_off"]
    assert words.phrases("Whoever waits shall wait on a thread of its own.") == ["whoever", "shall", "of its own"]


def test_the_workflow_runs_the_commands_of_the_readme() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    job = workflow["jobs"]["test"]
    ran = [step["run"] for step in job["steps"] if step.get("run", "").startswith("./")]
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^(\./install/(?:run|test))\b", readme, re.M)
    assert ran == sorted(set(commands)) == ["./install/run", "./install/test"]
    assert {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos"}
