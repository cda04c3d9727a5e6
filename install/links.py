"""Checks the relative links and anchors of the documents: `python install/links.py`.

It reads README.md and its neighbours, the book, and the prose of the notebooks. Pages of the book may link to files of
the book only, because no others are published with it, and SUMMARY.md must list each page. It follows no link to the web.
Prints one line per broken link, `file:line: what is wrong`, and exits with 1 if there is any.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "src"
SUMMARY = BOOK / "SUMMARY.md"
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
# Neither code nor links go beyond a paragraph.
CODE = re.compile(r"(`+)(?!`)(?:(?!\n\n).)*?(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# The target of [text](target) and ![text](target "title").
INLINE = re.compile(r"\]\(\s*(<[^>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+[\"'][^)]*)?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(<[^>]*>|\S+)", re.MULTILINE)
HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
NAMED = re.compile(r"<[a-z][^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)? *$", re.MULTILINE)
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:|^//", re.IGNORECASE)


@dataclass
class Text:
    """The Markdown of a file, and the line of the file that each of its lines is on."""

    path: Path
    lines: list[str]
    numbers: list[int]

    def prose(self) -> str:
        """The same lines, with code blocks and comments blanked."""
        kept, fence = [], ""
        for line in self.lines:
            mark = FENCE.match(line)
            if fence:
                kept.append("")
                if mark and mark[1].startswith(fence) and not line.strip("`~ "):
                    fence = ""
            elif mark:
                kept.append("")
                fence = mark[1]
            else:
                kept.append(line)
        return COMMENT.sub(blank, "\n".join(kept))

    def links(self) -> Iterator[tuple[int, str]]:
        """The target of each link, and its line."""
        prose = CODE.sub(blank, self.prose())
        for pattern in (INLINE, REFERENCE, HTML):
            for found in pattern.finditer(prose):
                line = prose.count("\n", 0, found.start(1))
                yield self.numbers[line], found[1].removeprefix("<").removesuffix(">")

    def anchors(self) -> set[str]:
        """What a link can name behind `#`."""
        prose = self.prose()
        anchors = set(NAMED.findall(prose))
        for heading in HEADING.finditer(prose):
            anchor, count = slug(heading[1]), 0
            while (name := f"{anchor}-{count}" if count else anchor) in anchors:
                count += 1
            anchors.add(name)
        return anchors


def blank(found: re.Match[str]) -> str:
    """As many spaces, so that all else stays where it is."""
    return re.sub(r"[^\n]", " ", found[0])


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts and mdBook make it."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]*>", "", text)
    kept = (c for c in text.lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")


def read(path: Path) -> Text:
    """Reads a Markdown file, or the prose of a notebook."""
    written = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        lines = written.splitlines()
        return Text(path, lines, list(range(1, len(lines) + 1)))
    in_file = written.splitlines()
    lines, numbers, at = [], [], 0
    for cell in json.loads(written)["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        for line in [*"".join(cell["source"]).splitlines(), ""]:
            # In the file, each line of a cell is a string on a separate line.
            text = json.dumps(line, ensure_ascii=False)[1:-1]
            at = next((number for number in range(at, len(in_file)) if text and text in in_file[number]), at)
            lines.append(line)
            numbers.append(at + 1)
    return Text(path, lines, numbers)


class Checker:
    """Checks texts, and reads each file once."""

    def __init__(self) -> None:
        self.anchors: dict[Path, set[str]] = {}

    def anchors_of(self, path: Path) -> set[str]:
        """The anchors of a file."""
        if path not in self.anchors:
            self.anchors[path] = read(path).anchors()
        return self.anchors[path]

    def wrong(self, text: Text, target: str) -> str | None:
        """What is wrong with a link, if anything."""
        if SCHEME.match(target):
            return None
        name, _, anchor = target.partition("#")
        path = (text.path.parent / unquote(name)).resolve() if name else text.path
        if not path.is_relative_to(ROOT):
            return f"{target} leads out of the repository"
        if not path.exists():
            return f"{target} does not exist"
        if text.path.is_relative_to(BOOK) and not path.is_relative_to(BOOK):
            return f"{target} is not part of the book"
        if anchor and path.suffix in (".md", ".ipynb") and unquote(anchor) not in self.anchors_of(path):
            return f"{target}: {path.name} has no heading #{anchor}"
        return None

    def broken(self, text: Text) -> Iterator[str]:
        """A line for each broken link of a text."""
        for number, target in text.links():
            if why := self.wrong(text, target):
                yield f"{text.path.relative_to(ROOT)}:{number}: {why}"


def unlisted() -> Iterator[str]:
    """Pages of the book that its table of contents does not have."""
    if not SUMMARY.is_file():
        return
    listed = {(BOOK / target.partition("#")[0]).resolve() for _, target in read(SUMMARY).links()}
    for page in sorted(BOOK.rglob("*.md")):
        if page != SUMMARY and page not in listed:
            yield f"{page.relative_to(ROOT)}:1: not in SUMMARY.md"


def main() -> int:
    """Checks all documents; returns the exit code."""
    paths = [ROOT / name for name in DOCUMENTS if (ROOT / name).is_file()]
    paths += sorted(BOOK.rglob("*.md")) + sorted((ROOT / "notebooks").glob("*.ipynb"))
    checker = Checker()
    broken = [line for path in paths for line in checker.broken(read(path))]
    broken += unlisted()
    for line in broken:
        print(line)
    if not broken:
        print(f"the links of {len(paths)} documents lead somewhere")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
