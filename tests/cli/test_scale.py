"""``--scale`` of ``infgen render``, ``styles`` and ``export``: a world drawn by a coarser level of the model."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from infgen.cli.export import command as export
from infgen.engines.onnx_file import read_onnx
from infgen.errors import InputError
from infgen.rendering.sheet import LABEL_PX
from infgen.sinks import find_unfinished, read_provenance
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.export.files import half_file, scaled_file, scaled_model, tiny_file
from tests.rendering.test_fused_seams import four_styles

WINDOW = (-11, -7, 205, 130)  # x, y, w, h in px of the world; at 1/4 it begins at (-3, -2) and has 52 x 33 px
WORDS = ("--x", -11, "--y", -7, "--w", 205, "--h", 130, "--seed", 3)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def draw(call: Call, tmp_path: Path) -> Call:
    """Render the window of the six-level model into a file."""
    words = ("render", "--model", scaled_model(), *WORDS, "--threads", 1, "--device", "cpu", "--quiet")
    return lambda name, *more: call(*words, "-o", tmp_path / name, *more)


def refusal(answer: tuple[int, str, str]) -> str:
    """The one line with which bad input is refused."""
    code, out, err = answer
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize(
    ("scale", "size"), [("1", (205, 130)), ("1/2", (103, 66)), ("1/4", (52, 33)), ("1/8", (27, 17))]
)
def test_the_picture_has_the_pixels_that_cover_the_window(
    draw: Call, tmp_path: Path, scale: str, size: tuple[int, int]
):
    assert draw("a.png", "--scale", scale)[0] == 0
    found = pixels(tmp_path / "a.png")
    assert found.shape == (size[1], size[0], 3)
    assert np.array_equal(found, World(seed=3).render(*WINDOW, model=scaled_model(), scale=scale))


def test_the_provenance_states_the_scale_and_the_region_in_its_own_pixels(draw: Call, tmp_path: Path):
    draw("a.png", "--scale", "1/4")
    provenance = read_provenance(tmp_path / "a.png")
    assert provenance is not None
    assert (provenance["scale"], provenance["region"]) == ("1/4", {"x": -3, "y": -2, "w": 52, "h": 33})


def test_at_full_size_the_provenance_has_no_scale(draw: Call, tmp_path: Path):
    draw("a.png", "--scale", "1")
    provenance = read_provenance(tmp_path / "a.png")
    assert provenance is not None
    assert "scale" not in provenance


@pytest.mark.parametrize("more", [(), ("--tile", 37, "--batch", 3)], ids=["one tile", "several tiles"])
def test_a_coarse_picture_is_verified_by_its_provenance(
    draw: Call, call: Call, tmp_path: Path, more: tuple[object, ...]
):
    draw("a.png", "--scale", "1/4", *more)
    code, said, _ = call("verify", tmp_path / "a.png", "--model", scaled_model(), "--threads", 1)
    assert code == 0, said
    assert "bit for bit" in said


def test_a_picture_that_was_scaled_by_another_program_is_not_verified(draw: Call, call: Call, tmp_path: Path):
    draw("fine.tif")
    draw("a.tif", "--scale", "1/2")
    code, said, err = call("verify", tmp_path / "a.tif", "--model", tiny_file(), "--threads", 1)
    assert code == 2, said
    assert "scale 1/2 is no picture of this model; it draws 1" in err


def test_a_render_goes_on_at_its_own_scale_only(draw: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import infgen.rendering.render as render

    real, drawn = render.to_pixels, []

    def failing(rgb: object) -> object:
        drawn.append(rgb)
        if len(drawn) > 1:
            raise KeyboardInterrupt
        return real(rgb)  # type: ignore[arg-type]

    monkeypatch.setattr("infgen.rendering.preflight._tile_seconds", lambda scene, plan: 1.0)
    quarter = ("--x", 0, "--y", 0, "--w", 208, "--h", 128, "--scale", "1/4", "--tile", 37)
    eighth = ("--x", 0, "--y", 0, "--w", 416, "--h", 256, "--scale", "1/8", "--tile", 37)  # as many pixels
    with monkeypatch.context() as patch:
        patch.setattr(render, "to_pixels", failing)
        assert draw("a.tif", *quarter)[0] == 130
    assert find_unfinished(str(tmp_path / "a.tif")) is not None
    code, _, said = draw("a.tif", *eighth, "--resume")
    assert code == 2
    assert 'scale was "1/4" and is "1/8"; give the same options, or --restart' in said
    assert draw("a.tif", *quarter, "--resume")[0] == 0
    draw("straight.tif", *quarter)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "straight.tif").read_bytes()


def test_a_model_of_one_scale_is_refused_in_one_line(call: Call, tmp_path: Path):
    words = ("render", "--model", tiny_file(), *WORDS, "--scale", "1/4", "-o", tmp_path / "a.png")
    assert "scale 1/4 is no picture of this model; it draws 1: choose one of them" in refusal(call(*words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scale", ["1/3", "0.5", "1/16", "2", ""])
def test_an_unknown_scale_is_refused_in_one_line(draw: Call, tmp_path: Path, scale: str):
    assert "--scale" in refusal(draw("a.png", "--scale", scale))
    assert list(tmp_path.iterdir()) == []


def test_tiles_have_the_sizes_of_the_scales_own_cells(draw: Call):
    assert "a multiple of 16 plus 5, from 37); nearest: 85 and 101" in refusal(
        draw("a.png", "--scale", "1/4", "--tile", 100)
    )


def test_percentages_of_a_layout_are_of_the_window_at_full_size(draw: Call, tmp_path: Path):
    centres = [{"style": "a", "x": "10%", "y": 0}, {"style": "b", "x": "90%", "y": 0}]
    layout = {"styles": {"a": {"seed": 1}, "b": {"seed": 2}}, "centres": centres, "transition": 0}
    (tmp_path / "layout.json").write_text(json.dumps(layout))
    for name, scale in (("a.png", "1"), ("b.png", "1/4")):
        assert draw(name, "--styles", tmp_path / "layout.json", "--scale", scale)[0] == 0
    full, coarse = (read_provenance(tmp_path / name) for name in ("a.png", "b.png"))
    assert full is not None
    assert coarse is not None
    assert coarse["world"] == full["world"]


def test_the_map_of_a_preview_lies_where_the_styles_do(draw: Call, tmp_path: Path):
    centres = [{"style": "a", "x": "10%", "y": 0}, {"style": "b", "x": "90%", "y": 0}]
    layout = {"styles": {"a": {"seed": 1}, "b": {"seed": 2}}, "centres": centres}
    (tmp_path / "layout.json").write_text(json.dumps(layout))
    words = ("--styles", tmp_path / "layout.json", "--dry-run", "--w", 512, "--scale", "1/4")
    assert draw("a.png", *words, "--preview", tmp_path / "map.png")[0] == 0
    row = pixels(tmp_path / "map.png")[5, :128]
    first = (row == row[0]).all(axis=1)
    assert 60 <= first.sum() <= 68
    assert first[:60].all()


def test_styles_are_drawn_at_a_scale(call: Call, tmp_path: Path):
    path = tmp_path / "styles.png"
    words = ("styles", "--seeds", "5", "--w", 98, "--h", 82, "--scale", "1/4", "--model", scaled_model(), "--quiet")
    assert call(*words, "-o", path)[0] == 0
    found = pixels(path)
    assert found.shape == (22 + LABEL_PX, 26, 3)
    world = World(seed=0).replace(style_seed=5)
    assert np.array_equal(found[LABEL_PX:], world.render(-49, -41, 98, 82, model=scaled_model(), scale="1/4"))


def test_styles_of_a_model_of_one_scale_are_refused_in_one_line(call: Call, tmp_path: Path):
    words = ("styles", "--style-seeds", "5", "--scale", "1/2", "--model", tiny_file(), "-o", tmp_path / "a.png")
    assert "scale 1/2 is no picture of this model" in refusal(call(*words))


def test_an_exported_file_is_of_the_scale_that_was_asked():
    file = read_onnx(half_file())[0]
    assert (file.config.halvings, file.config.levels, file.tile_px) == (2, 4, (101, 101))
    assert (file.precision, file.styles) == ("fp16", 4)


def test_an_exported_scale_renders_the_same_as_pytorch(draw: Call, tmp_path: Path):
    for name, more in (("a.png", ()), ("b.png", ("--engine-file", scaled_file("1/2")))):
        assert draw(name, "--scale", "1/2", *more)[0] == 0
    one, other = (pixels(tmp_path / name).astype(int) for name in ("a.png", "b.png"))
    assert np.abs(one - other).max() <= 1


def test_an_exported_scale_draws_layouts_and_is_verified_by_its_own_file(draw: Call, call: Call, tmp_path: Path):
    World.create(seed=3, layout=four_styles((-500, -480))).save(tmp_path / "world.json")
    words = ("--world", tmp_path / "world.json", "--engine-file", half_file())
    assert draw("a.png", *words, "--scale", "1/4")[0] == 0
    verify = ("verify", tmp_path / "a.png", "--model", scaled_model(), "--engine-file", half_file(), "--threads", 1)
    assert call(*verify)[0] == 0


@pytest.mark.parametrize("scale", [(), ("--scale", "1"), ("--scale", "1/4")], ids=["no scale", "1", "1/4"])
def test_an_exported_scale_is_refused_at_another_one(draw: Call, tmp_path: Path, scale: tuple[str, ...]):
    said = refusal(draw("a.png", "--engine-file", scaled_file("1/2"), *scale))
    asked = scale[1] if scale else "1"
    assert f"scale {asked} was asked and what engine onnx-cpu runs was exported at scale 1/2; give that --scale" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        (tiny_file, ("--onnx", "--scale", "1/2"), "scale 1/2 is no picture of this model; it draws 1: "),
        (
            scaled_model,
            ("--torchserve", "--scale", "1/2"),
            "--scale applies only to --onnx, --trt and --triton; omit it",
        ),
    ],
)
def test_an_impossible_export_at_a_scale_is_refused_in_one_line(
    tmp_path: Path, model: object, words: tuple[str, ...], message: str
):
    result = CliRunner().invoke(export, [str(model()), *words, "-o", str(tmp_path / "out")])  # type: ignore[operator]
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_info_shows_scales_view_and_trained_rows_of_a_model(call: Call):
    found = json.loads(call("info", scaled_model())[1])
    assert found["scales"] == ["1", "1/2", "1/4", "1/8"]
    assert (found["view_px"], found["rows_px"]) == (788, [-394, 394])


def test_info_lists_no_scales_for_a_model_without_them(call: Call):
    assert not {"scales", "view_px", "rows_px"} & set(json.loads(call("info", tiny_file())[1]))


def test_info_shows_the_scale_of_an_exported_file(call: Call):
    found = json.loads(call("info", scaled_file("1/8"))[1])
    assert (found["scale"], found["tile_px"]) == ("1/8", [101, 101])
