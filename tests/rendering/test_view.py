"""Views of worlds behave like NumPy arrays, and render only the requested pixels."""

import dataclasses
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen import World
from infgen.errors import InputError, MissingExtraError
from infgen.rendering.studio import Options
from infgen.rendering.view import View
from infgen.world.facade import RenderOptions
from tests.rendering.test_seams import assert_same_picture

INTERNAL = {"halvings", "engine_styles"}  # options that callers give in another form
REGION = (-30, -20, 50, 40)


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=3)


@pytest.fixture(scope="module")
def view(world: World, tiny_model: Path) -> View:
    return world.view(*REGION, model=tiny_model)


@pytest.fixture(scope="module")
def whole(world: World, tiny_model: Path) -> np.ndarray:
    return world.render(*REGION, model=tiny_model)


def test_a_world_renders_a_window(whole: np.ndarray) -> None:
    assert whole.shape == (40, 50, 3)
    assert whole.dtype == np.uint8
    assert whole.std() > 1


def test_a_view_looks_like_an_array(view: View, whole: np.ndarray) -> None:
    assert (view.shape, view.ndim, view.dtype, view.size, len(view)) == (
        whole.shape,
        whole.ndim,
        whole.dtype,
        whole.size,
        len(whole),
    )


INDICES = [
    np.s_[...],
    np.s_[3:9, 5:30],
    np.s_[3:9],
    np.s_[-7:, -4:],
    np.s_[::-1, ::7],
    np.s_[30:3:-5, 2],
    np.s_[5],
    np.s_[-1, -1, -1],
    np.s_[..., 0],
    np.s_[4, ..., 1:],
    np.s_[9:3, :],
    np.s_[100:, 2:4],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_index_of_a_view_gives_the_same_as_for_an_array(view: View, whole: np.ndarray, index: object) -> None:
    found, expected = view[index], whole[index]  # type: ignore[index]
    assert found.shape == expected.shape
    if found.size:
        assert_same_picture(np.atleast_1d(found), np.atleast_1d(expected))


@pytest.mark.parametrize("index", [40, -41, (0, 50), (0, 0, 0, 0), "a", (Ellipsis, Ellipsis), [1, 2]], ids=str)
def test_an_unsupported_index_is_an_index_error(view: View, index: object) -> None:
    with pytest.raises(IndexError):
        view[index]


def test_only_the_window_asked_for_is_drawn(world: World, tiny_model: Path) -> None:
    huge = world.view(-(2**39), -(2**39), 2**40, 2**40, model=tiny_model)
    assert_same_picture(huge[2**39 : 2**39 + 9, 2**39 : 2**39 + 7], world.render(0, 0, 7, 9, model=tiny_model))


def test_numpy_draws_the_whole_view(view: View, whole: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(view), whole)


def test_dask_draws_chunk_by_chunk(world: World, view: View, whole: np.ndarray, tiny_model: Path) -> None:
    lazy = view.to_dask(chunk_px=16)
    assert lazy.shape == view.shape
    assert lazy.chunks[0] == (16, 16, 8)
    assert_same_picture(lazy[10:30, 20:].compute(), whole[10:30, 20:])
    assert lazy.name == world.view(*REGION, model=tiny_model).to_dask(chunk_px=16).name
    assert lazy.name != World(seed=4).view(*REGION, model=tiny_model).to_dask(chunk_px=16).name


def test_a_world_as_dask_array_has_the_size_of_the_window(world: World, tiny_model: Path) -> None:
    assert world.to_dask(0, 0, 3000, 2000, model=tiny_model).shape == (2000, 3000, 3)


def test_without_dask_the_extra_is_named(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[cluster\]"):
        view.to_dask()


def test_an_impossible_window_is_refused(world: World, tiny_model: Path) -> None:
    with pytest.raises(InputError, match="width"):
        world.render(0, 0, 0, 5, model=tiny_model)


def test_a_view_refuses_numpys_copy_false(view: View) -> None:
    with pytest.raises(ValueError, match="copy"):
        np.asarray(view, copy=False)


def test_numpy_converts_a_view_to_the_type_asked_for(view: View, whole: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(view, dtype=np.float32), whole.astype(np.float32))


def test_pillow_makes_an_image_of_a_view(view: View, whole: np.ndarray) -> None:
    image = Image.fromarray(view)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), whole)


def test_the_bytes_of_a_view_are_those_of_its_array(view: View, whole: np.ndarray) -> None:
    assert view.tobytes() == whole.tobytes()


def test_a_view_prints_as_one_short_line(view: View, tiny_model: Path) -> None:
    assert repr(view) == f"<View of 50 x 40 px at (-30, -20), model {tiny_model.name}>"


def test_a_notebook_shows_a_view_as_a_png(view: View, whole: np.ndarray) -> None:
    image = Image.open(io.BytesIO(view._repr_png_()), formats=["PNG"])
    np.testing.assert_array_equal(np.asarray(image), whole)


def test_a_notebook_shows_the_middle_of_a_large_view(
    world: World, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infgen.rendering.view.NOTEBOOK_PX", 20)
    shown = np.asarray(Image.open(io.BytesIO(world.view(-30, -40, 60, 80, model=tiny_model)._repr_png_())))
    assert_same_picture(shown, world.render(-10, -10, 20, 20, model=tiny_model))


@pytest.mark.parametrize("method", [World.render, World.view, World.to_dask])
def test_a_misspelt_option_of_a_world_is_a_type_error(method: Callable[..., object], world: World) -> None:
    with pytest.raises(TypeError, match="modle"):
        method(world, 0, 0, 9, 9, modle="tiny.safetensors")


def test_a_world_takes_every_option_of_a_studio() -> None:
    options = {field.name for field in dataclasses.fields(Options)} - INTERNAL
    assert options <= RenderOptions.__optional_keys__


def test_a_world_passes_its_options_on(world: World, tiny_model: Path) -> None:
    view = world.view(*REGION, model=tiny_model, tile_px=101, batch=2, precision="bf16", device="cpu", engine="eager")
    expected = Options(tile_px=101, batch=2, precision="bf16", device="cpu", engine="eager")
    assert view.studio.options == expected


def test_a_dask_array_of_a_world_takes_a_scale(world: World) -> None:
    with pytest.raises(InputError, match="scale"):
        world.to_dask(0, 0, 9, 9, scale="3")
