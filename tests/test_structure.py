"""The structure drawn from imports: no circles but one, and no arrows up but the two lazy ones that docs explain."""

import re
from pathlib import Path

import pytest

from benchmarks.structure import Structure, draw, find_circles, read_structure

ROOT = Path(__file__).parents[1]
LONGEST = 350  # lines of a module


@pytest.fixture(scope="module")
def structure() -> Structure:
    return read_structure(ROOT)


def test_no_module_imports_itself_through_others(structure: Structure) -> None:
    assert find_circles(structure.eager) == []


def test_only_the_facade_of_worlds_closes_a_circle_later(structure: Structure) -> None:
    assert ["infgen.world.world" in circle for circle in find_circles(structure.all)] == [True]


def test_rooms_import_only_the_rooms_below_them(structure: Structure) -> None:
    assert structure.back_arrows(structure.eager) == {}


def test_two_lazy_imports_point_upwards(structure: Structure) -> None:
    assert set(structure.back_arrows(structure.all)) == {("world", "rendering"), ("rendering", "export")}


def test_every_module_fits_on_a_few_screens(structure: Structure) -> None:
    assert [name for name, module in structure.modules.items() if module.lines > LONGEST] == []


def test_the_page_shows_the_drawing_of_this_code(structure: Structure) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert "\n".join(draw(structure)) in page


def test_circles_and_kinds_of_imports_are_found(tmp_path: Path) -> None:
    files = {
        "infgen/__init__.py": "",
        "infgen/world/__init__.py": "",
        "infgen/world/a.py": "import infgen.world.b\n",
        "infgen/world/b.py": "from infgen.world import c\ndef f():\n    from infgen.rendering.d import x\n",
        "infgen/world/c.py": "from infgen.world.a import y\n",
        "infgen/rendering/__init__.py": "",
        "infgen/rendering/d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import infgen.world.a\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read_structure(tmp_path)
    assert find_circles(found.eager) == [{"infgen.world.a", "infgen.world.b", "infgen.world.c"}]
    assert found.back_arrows(found.eager) == {}
    assert found.back_arrows(found.all) == {("world", "rendering"): 1}


def test_the_page_lists_every_benchmark() -> None:
    table = (ROOT / "docs" / "benchmarks.md").read_text().split("## All scripts")[1]
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`([a-z_]+)`", table)) == scripts
