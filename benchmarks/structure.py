"""Draw the structure of the code from its imports: circles, arrows against the order of rooms, modules and lines.

    python -m benchmarks.structure                     # this checkout
    python -m benchmarks.structure /path/to/another    # any other one, such as a git worktree of an earlier commit
    python -m benchmarks.structure --mermaid           # the drawing in docs/architecture.md

A room is a package: ``infgen/world``, ``train`` and so on. The modules directly in ``infgen`` form the room ``base``, and
``infgen`` itself with ``infgen.__main__`` the room ``infgen``, which may import everything. An import inside of a function
is lazy and counted apart, because it runs late. Imports for type checking never run and do not count.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

FOLDERS = {"infgen": "infgen", "train": "infgen.train", "export": "infgen.export", "serve": "infgen.serve"}
# From the ground up: a room may import the rooms before it.
ORDER = ("base", "model", "world", "engines", "sinks", "rendering", "inversion", "bench", "train", "export", "serve")
ORDER += ("cli", "infgen")

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Module:
    """One module: its room, its lines, and the names of the modules that it imports, eagerly and lazily."""

    room: str
    lines: int
    eager: frozenset[str]
    lazy: frozenset[str]


@dataclass(frozen=True)
class Structure:
    """The modules of one checkout by name."""

    modules: Mapping[str, Module]

    @cached_property
    def eager(self) -> Graph:
        """Imports that run when a module is imported."""
        return {name: module.eager for name, module in self.modules.items()}

    @cached_property
    def all(self) -> Graph:
        """All imports, including the lazy ones."""
        return {name: module.eager | module.lazy for name, module in self.modules.items()}

    def arrows(self, graph: Graph) -> dict[tuple[str, str], int]:
        """Count the imports of ``graph`` between each pair of rooms, (importing room, imported room)."""
        found: dict[tuple[str, str], int] = defaultdict(int)
        for name, imported in graph.items():
            for other in imported:
                pair = self.modules[name].room, self.modules[other].room
                found[pair] += pair[0] != pair[1]
        return {pair: count for pair, count in sorted(found.items()) if count}

    def back_arrows(self, graph: Graph) -> dict[tuple[str, str], int]:
        """The arrows of ``graph`` from a room to a later one of ``ORDER``."""
        return {(a, b): n for (a, b), n in self.arrows(graph).items() if ORDER.index(a) < ORDER.index(b)}


def read_structure(root: Path) -> Structure:
    """Read every module below ``root``, the top folder of a checkout."""
    files = dict(_list_modules(root))
    modules = {}
    for name, path in files.items():
        text = path.read_text()
        eager: set[str] = set()
        lazy: set[str] = set()
        _collect(ast.parse(text), files, eager, lazy, late=False)
        eager.discard(name)
        modules[name] = Module(
            _room_of(name, path), text.count("\n"), frozenset(eager), frozenset(lazy - eager - {name})
        )
    return Structure(modules)


def find_circles(graph: Graph) -> list[frozenset[str]]:
    """The groups of modules that import each other, directly or through others, largest first."""
    left, circles = dict(graph), []
    while True:
        try:
            TopologicalSorter(left).prepare()
            return sorted(circles, key=len, reverse=True)
        except CycleError as error:
            start = error.args[1][0]
            circle = frozenset(n for n in _reach(start, left) if start in _reach(n, left))
            circles.append(circle)
            left = {name: others - circle for name, others in left.items() if name not in circle}


def _reach(start: str, graph: Graph) -> set[str]:
    found: set[str] = set()
    queue = [start]
    while queue:
        new = set(graph.get(queue.pop(), ())) - found
        found |= new
        queue += new
    return found


def _list_modules(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, package in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            yield ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts))), path


def _room_of(name: str, path: Path) -> str:
    parts = name.split(".")
    if name in ("infgen", "infgen.__main__"):
        return "infgen"
    return "base" if len(parts) == 2 and path.name != "__init__.py" else parts[1]


def _collect(node: ast.AST, files: Mapping[str, Path], eager: set[str], lazy: set[str], *, late: bool) -> None:
    """Sort the imports below ``node`` into ``eager`` and ``lazy``."""
    for child in ast.iter_child_nodes(node):
        into = lazy if late else eager
        if isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
            full = {f"{child.module}.{alias.name}" for alias in child.names}
            into |= {name if name in files else child.module for name in full} & files.keys()
        elif isinstance(child, ast.Import):
            into |= {alias.name for alias in child.names} & files.keys()
        else:
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            _collect(child, files, eager, lazy, late=late or inner)


def describe(structure: Structure) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{'room':10} modules  lines  largest"
    for room in (*ORDER, "together"):
        lines = [module.lines for module in structure.modules.values() if room in (module.room, "together")]
        yield f"{room:10} {len(lines):7} {sum(lines):6} {max(lines):8}"
    for title, graph in (("eager", structure.eager), ("with lazy imports", structure.all)):
        circles, back = find_circles(graph), structure.back_arrows(graph)
        yield f"\nimport circles, {title}: {len(circles)}"
        yield from (f"  {len(circle)} modules: {', '.join(sorted(circle)[:4])} ..." for circle in circles)
        yield f"back arrows, {title}: {len(back)}"
        yield from (f"  {a} -> {b}: {count} imports" for (a, b), count in back.items())


def draw(structure: Structure) -> Iterator[str]:
    """The rooms and the arrows between them as a Mermaid diagram; an arrow implied by others is left out."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for a, b in structure.arrows(structure.eager):
        arrows[a].add(b)
    yield "graph TD"
    for a in reversed(ORDER):
        for b in sorted(arrows[a], key=ORDER.index, reverse=True):
            implied = any(b in _reach(c, arrows) for c in arrows[a] - {b})
            if not implied:
                yield f"    {a} --> {b}"
    yield from (f"    {a} -. lazy .-> {b}" for a, b in structure.back_arrows(structure.all))


def main() -> None:
    """Print the structure of a checkout."""
    parser = argparse.ArgumentParser(description="Draw the structure of the code from its imports.")
    parser.add_argument("root", type=Path, nargs="?", default=Path(), help="top folder of a checkout")
    parser.add_argument("--mermaid", action="store_true", help="print a Mermaid diagram of the rooms")
    arguments = parser.parse_args()
    structure = read_structure(arguments.root)
    print("\n".join(draw(structure) if arguments.mermaid else describe(structure)))


if __name__ == "__main__":
    main()
