"""The names of the package: what ``dir`` lists, what can be imported, and what illegal arguments raise."""

import subprocess
import sys
from pathlib import Path

import pytest

import infgen
from infgen import InputError, World
from infgen.errors import WorldError
from infgen.world.layout import ResolvedLayout


def test_dir_lists_exactly_the_public_names() -> None:
    assert dir(infgen) == sorted(infgen.__all__)


@pytest.mark.parametrize("name", infgen.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(infgen, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="wrold"):
        _ = infgen.wrold  # type: ignore[attr-defined]


def test_importing_the_package_does_not_import_pytorch() -> None:
    program = "import sys, infgen; dir(infgen); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sed": 3}, "unknown entry 'sed'"),
        ({"seed": "3"}, "seed is '3'"),
        ({"seed": 2**70}, "seed is"),
        ({"edits": ({"x": 0},)}, "edits.0"),
    ],
)
def test_a_world_refuses_illegal_values_in_one_line(values: dict[str, object], words: str) -> None:
    with pytest.raises(WorldError) as refusal:
        World(**values)  # type: ignore[arg-type]
    assert str(refusal.value).startswith("world: ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_error_in_a_world_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"sed": 3}')
    with pytest.raises(InputError, match=r"^world file .*bad\.json: unknown entry 'sed'"):
        World.load(path)


def test_a_world_loads_and_saves_with_a_path_as_text(tmp_path: Path) -> None:
    path = str(tmp_path / "world.json")
    World(seed=3).save(path)
    assert World.load(path) == World(seed=3)
    assert World.load(path).folder == tmp_path


def test_a_layout_loads_with_a_path_as_text(tmp_path: Path) -> None:
    layout = ResolvedLayout.from_json('{"styles": [{"name": "a", "seed": 1}], "transition": 1}')
    (tmp_path / "layout.json").write_text(layout.to_json())
    assert ResolvedLayout.load(str(tmp_path / "layout.json")) == layout
