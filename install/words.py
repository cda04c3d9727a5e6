"""Fails where a name or phrase comes back that the project has given up for the field's own.

Names: definitions of types and functions, and files, in Rust. Phrases: everywhere in code and documents. What is left
of a phrase is counted per phrase (LEFT) and may only fall.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TYPES = """
Letter Letters LetterQuery Air Flights Flight Gate InHand Visit Caught Missing KeptQuery KeptMessage Ending Left Stretch
Stretches Handover Intake Feed Origin Patience Need Inside Given Want Wish Spot Trouble Happening Happened Told Said
""".split()
FUNCTIONS = """
take_off take_on arrive let_in bury keep_in_hand lacked fallen_out pass_gone hand_over hand_out make_way begins_anew
fitting hire dismiss lend_first begin_look nearest understand
""".split()
FILES = """
letters air flying gate given_up recall kept ended ending outlets intake blocked visit stand_in past loss told assist
driver
""".split()
PHRASES = {
    "whoever": r"\bwhoever\b",
    "to be had": r"\b(is|are|be) (not )?to be had\b",
    "shall": r"\bshall\b",
    "of its own": r"\bof (its|their) own\b",
    "there is no … of it": r"\bthere is no\b[^.\n]{0,40}\bof it\b",
}
# Scripts that name the words, and data that nobody here wrote.
EXCEPT = {"install/words.py", "kernel/tests/python/test_house.py", "LICENSE-APACHE", "LICENSE-MIT"}
TEXTS = {".rs", ".py", ".js", ".css", ".html", ".md", ".ipynb", ".toml", ".yml", ".yaml", ".sh", ".json", ""}


def files() -> list[Path]:
    """All files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
    )
    return [Path(name) for name in listed.stdout.decode().split("\0") if name]


def definitions(text: str) -> list[str]:
    """Retired names that Rust code defines."""
    found = re.findall(r"\b(?:struct|enum|trait|type|union)\s+(\w+)", text)
    names = [name for name in found if name in TYPES]
    return names + [name for name in re.findall(r"\bfn\s+(\w+)", text) if name in FUNCTIONS]


def phrases(text: str) -> list[str]:
    """Retired phrases of a text, each as often as it stands there."""
    return [name for name, pattern in PHRASES.items() for _ in re.findall(pattern, text, re.IGNORECASE)]


def main() -> None:
    """Checks the repository."""
    wrong = []
    where: dict[str, list[str]] = {name: [] for name in PHRASES}
    for path in files():
        if path.suffix not in TEXTS or str(path) in EXCEPT or not (ROOT / path).is_file() or path.parts[:2] == ("fuzz", "corpus"):
            continue
        text = (ROOT / path).read_text(errors="replace")
        if path.suffix == ".rs":
            if path.stem in FILES:
                wrong.append(f"{path}: the name of the file is retired")
            wrong += [f"{path}: the name {name} is retired" for name in definitions(text)]
        for number, line in enumerate(text.splitlines(), 1):
            for name in phrases(line):
                where[name].append(f"{path}:{number}: {line.strip()[:120]}")
    for name, places in where.items():
        print(f"“{name}”: {len(places)}")
        wrong += [f"retired phrase “{name}”: {place}" for place in places]
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
