"""Reads who imports whom, between crates and between files, and fails where that is against the layout.

Crates: a workspace crate depends on crates of lower layers alone (LAYERS; dev-dependencies are free).
Files: a crate's lib.rs lists its rooms, lowest first, in a line of its documentation:

    //! Rooms, lowest first: `core`, `inspect`, `server`.

A file imports its own files room and of lower ones; a file at the root that no room names is lower than all rooms.
No circle of imports has more than LARGEST_CIRCLE files. `use` of a crate's own paths, paths in the code and
re-exports count; tests and what only they import do not.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Lowest first; a crate depends on crates of lower layers alone.
LAYERS = [
    {"machine-protocol", "machine-zmtp"},
    {"rust-machine", "machine-filter", "machine-remote", "machine-store", "machine-telemetry"},
    {"machine-async", "machine-engine"},
    {"machine-connect"},
    {"machine-run"},
    {"machine-kernel"},
    {"machine-cli"},
    {"machine-bench", "machine-models", "machine-testkit"},
]
LARGEST_CIRCLE = 5


def dependencies() -> list[str]:
    """Dependencies between crates that run upward."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"]
    packages = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)["packages"]
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = [f"{it['name']} is in no layer: add it to LAYERS" for it in packages if it["name"] not in layer]
    for package in packages:
        for dependency in package["dependencies"]:
            own, other = layer.get(package["name"]), layer.get(dependency["name"])
            if dependency["kind"] is None and own is not None and other is not None and other >= own:
                wrong.append(f"{package['name']} depends on {dependency['name']}, which is not in a lower layer")
    return wrong


def module(path: Path) -> tuple[str, ...]:
    """The module that a file is, from its path below src."""
    parts = path.with_suffix("").parts
    if parts[-1] in ("mod", "lib", "main"):
        parts = parts[:-1]
    return parts


def names(tree: str) -> list[str]:
    """The paths of a `use`, its braces resolved."""
    tree = tree.strip()
    brace = re.match(r"^([^{]*)\{(.*)\}$", tree, re.S)
    if not brace:
        return [tree.split(" as ")[0].strip()]
    found, depth, part = [], 0, ""
    for character in brace[2] + ",":
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if part.strip():
                found += [brace[1] + name for name in names(part)]
            part = ""
        else:
            part += character
    return found


def code(text: str) -> str:
    """A file without comments, texts and its tests."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'r(#*)".*?"\1', '""', text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text, flags=re.S)
    tests = re.search(r"#\[cfg\(test\)\]\s*mod tests \{", text)
    return text[: tests.start()] if tests else text


def graph(sources: Path) -> dict[Path, set[Path]]:
    """Which file of a crate imports which other ones."""
    files = {}
    for path in sources.rglob("*.rs"):
        relative = path.relative_to(sources)
        if not any(part in ("tests", "tests.rs") for part in relative.parts):
            files[module(relative)] = relative
    imports: dict[Path, set[Path]] = defaultdict(set)
    # What the root of the crate imports can be named there: `crate::Name` means the file that it is from.
    root = {}
    for tree in re.findall(r"\buse\s+([^;]*);", code((sources / "lib.rs").read_text())):
        for name in names(tree):
            parts = name.removeprefix("crate::").removeprefix("self::").split("::")
            root[parts[-1]] = parts
    for own, path in files.items():
        text = code((sources / path).read_text())
        paths = [name for tree in re.findall(r"\buse\s+((?:crate|super|self)\b[^;]*);", text) for name in names(tree)]
        paths += re.findall(r"\b(?:crate|super)(?:::\w+)+", re.sub(r"\buse\s[^;]*;", "", text))
        for name in paths:
            parts = [part.strip() for part in name.split("::")]
            base = list(own)
            if parts[0] == "crate":
                target = parts[1:]
            else:
                while parts and parts[0] in ("super", "self"):
                    base = base[:-1] if parts[0] == "super" else base
                    parts = parts[1:]
                target = base + parts
            if target and (target[0],) not in files and target[0] in root:
                target = root[target[0]] + target[1:]
            while target and tuple(target) not in files:
                target = target[:-1]
            found = files.get(tuple(target))
            if found is not None and found != path and target:
                imports[path].add(found)
    return {path: imports[path] for path in files.values()}


def circles(imports: dict[Path, set[Path]]) -> list[list[Path]]:
    """The strongly connected components with more than one file, largest first (Tarjan's algorithm)."""
    number, low, stack, found = {}, {}, [], []

    def visit(start: Path) -> None:
        work = [(start, iter(sorted(imports[start])))]
        number[start] = low[start] = len(number)
        stack.append(start)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    work.append((other, iter(sorted(imports[other]))))
                    break
                if other in stack:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    circle = []
                    while True:
                        circle.append(stack.pop())
                        if circle[-1] == node:
                            break
                    if len(circle) > 1:
                        found.append(sorted(circle))

    for path in sorted(imports):
        if path not in number:
            visit(path)
    return sorted(found, key=len, reverse=True)


def rooms(library: Path) -> list[str]:
    """The rooms of a crate, lowest first."""
    text = "".join(line[3:].strip() + " " for line in library.read_text().splitlines() if line.startswith("//!"))
    listed = re.search(r"Rooms, lowest first: ((?:`[\w:]+`(?:, )?)+)", text)
    return re.findall(r"`([\w:]+)`", listed[1]) if listed else []


def upward(imports: dict[Path, set[Path]], order: list[str]) -> list[tuple[Path, Path]]:
    """Imports of a higher room."""

    def height(path: Path) -> int:
        room = module(path)[:1]
        return order.index(room[0]) if room and room[0] in order else -1

    pairs = ((path, other) for path, others in imports.items() for other in others)
    return sorted((path, other) for path, other in pairs if height(other) > height(path) >= 0)


def check(name: str, sources: Path) -> list[str]:
    """What is wrong with the imports of one crate; prints what was found."""
    imports = graph(sources)
    found, order = circles(imports), rooms(sources / "lib.rs")
    against = upward(imports, order)
    largest = len(found[0]) if found else 0
    edges = sum(map(len, imports.values()))
    print(f"{name}: {len(imports)} files, {edges} imports, largest circle {largest}, {len(against)} upward")
    wrong = []
    if largest > LARGEST_CIRCLE:
        wrong.append(f"{name}: a circle of {largest} files: " + " ".join(map(str, found[0])))
    wrong += [f"{name}: {path} imports {other}, which is in a higher room" for path, other in against]
    if len(imports) > 12 and not order:
        wrong.append(f"{name}: lib.rs does not list its rooms")
    return wrong


def main() -> None:
    """Checks the workspace."""
    wrong = dependencies()
    for manifest in sorted([*ROOT.glob("machine/*/Cargo.toml"), *ROOT.glob("kernel/Cargo.toml"), *ROOT.glob("kernel/*/Cargo.toml")]):
        library = manifest.parent / "src" / "lib.rs"
        package = re.search(r'^name = "(.*)"', manifest.read_text(), re.M)[1]
        if library.is_file():
            wrong += check(package, library.parent)
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
