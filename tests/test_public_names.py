"""Test the public names: listing, import, and refusal of illegal arguments."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import infgen
from infgen import InputError, World
from infgen.errors import WorldError
from infgen.rendering.studio import Options
from infgen.train import Schedule
from infgen.world.facade import EngineOptions
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


def bad_calls() -> dict[str, Callable[[], object]]:
    """Calls with one illegal value each, which must be refused before any work."""
    world = World(seed=3)
    pixels = np.full((64, 80, 3), 128, np.uint8)
    return {
        "x 0.5": lambda: world.render(0.5, 0, 64, 64),  # type: ignore[arg-type]
        "w '64'": lambda: world.render(0, 0, "64", 64),  # type: ignore[arg-type]
        "x nan": lambda: infgen.Region(float("nan"), 0, 64, 64),  # type: ignore[arg-type]
        "scale '0.5'": lambda: world.render(0, 0, 64, 64, scale=0.5),  # type: ignore[arg-type]
        "tile '101'": lambda: world.render(0, 0, 64, 64, tile_px="101"),  # type: ignore[arg-type]
        "batch 0": lambda: world.render(0, 0, 64, 64, batch=0),
        "threads 0": lambda: world.render(0, 0, 64, 64, threads=0),
        "precision 'fp99'": lambda: world.render(0, 0, 64, 64, precision="fp99"),  # type: ignore[arg-type]
        "engine 'foo'": lambda: world.render(0, 0, 64, 64, engine="foo"),
        "chunk 0": lambda: world.view(0, 0, 64, 64).to_dask(chunk_px=0),
        "files is one file": lambda: World.from_inversions("photo.safetensors"),
        "right 10.5": lambda: infgen.outpaint(pixels, right=10.5, height=64),  # type: ignore[arg-type]
        "scale 'big'": lambda: infgen.outpaint(pixels, right=10, height=64, scale="big"),  # type: ignore[arg-type]
        "seconds -1": lambda: infgen.outpaint(pixels, right=10, height=64, seconds=-1),
        "seed 'a'": lambda: infgen.outpaint(pixels, right=10, height=64, seed="a"),  # type: ignore[arg-type]
        "samples 0": lambda: infgen.outpaint(pixels, right=10, height=64, samples=0),
        "photos is one file": lambda: infgen.inbetween("photo.jpg", gap=10),
        "seconds 0": lambda: infgen.invert(pixels, height=64, seconds=0),
        "steps 0": lambda: Schedule(steps=0),
        "hours 0": lambda: Schedule(steps=1, hours=0),
        "threads 0 ": lambda: Schedule(steps=1, threads=0),
        f"seed {2**64}": lambda: Schedule(steps=1, seed=2**64),
        "precision 'x'": lambda: Schedule(steps=1, precision="x"),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_a_public_function_refuses_an_illegal_value_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as refusal:
        bad_calls()[name]()
    assert str(refusal.value).startswith(name.strip())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", ["render", "view", "to_dask"])
def test_an_option_with_an_unknown_name_is_a_type_error(method: str) -> None:
    with pytest.raises(TypeError, match="modle"):
        getattr(World(), method)(0, 0, 64, 64, modle="tiny.safetensors")


def test_worlds_render_with_the_options_of_a_studio() -> None:
    inner = {"halvings", "engine_styles"}  # the scale as a number, and a choice of views and of the server
    assert set(EngineOptions.__annotations__) | {"engine_file"} == {f.name for f in fields(Options)} - inner


def test_a_region_of_numpy_integers_holds_plain_ones() -> None:
    region = infgen.Region(np.int64(1), np.int32(2), np.int64(3), np.uint8(4))  # type: ignore[arg-type]
    assert region == infgen.Region(1, 2, 3, 4)
    assert {type(value) for value in dataclasses.astuple(region)} == {int}
