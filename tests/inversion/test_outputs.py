"""Output files of a run: names, checks before the work, and hashes in the names of latents."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infgen.errors import InputError, LimitError
from infgen.geometry import Window, layer_spans
from infgen.inversion.arrangement import Arrangement, Extension, outpainting
from infgen.inversion.continuation import Joining
from infgen.inversion.outputs import MAX_SAMPLES, SHEET_SIDE_PX, Outputs, draw
from infgen.inversion.placing import place
from infgen.photo import PhotoSource, open_photograph
from infgen.rendering.studio import Studio, open_studio
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World
from tests.cli.photographs import pixels
from tests.profiles import profile
from tests.train.photos import landscape, load


def arrangement(right: int = 40, photograph: PhotoSource | None = None) -> Arrangement:
    source = landscape(1, height=40, width=60) if photograph is None else photograph
    return outpainting(place(open_photograph(source), height=40, horizon=0.5), Extension(right=right))


@pytest.fixture(scope="module")
def studio(tiny_model: Path) -> Studio:
    return open_studio(World(), model=tiny_model)


def drawn_latents(studio: Studio, *, seed: int = 0) -> AnchoredLatents:
    """Random latents for the window of the photograph."""
    config = studio.generator.config
    x, y = layer_spans(-2, 9, levels=config.levels), layer_spans(-4, 9, levels=config.levels)
    rng = torch.Generator().manual_seed(seed)
    return AnchoredLatents(
        cell_x=-2,
        cell_y=-4,
        z_l=torch.randn(config.local_channels, *Window(x.local, y.local).shape, generator=rng),
        noises=tuple(torch.randn(1, *Window(a, b).shape, generator=rng) for a, b in zip(x.noise, y.noise, strict=True)),
        z_g=torch.randn(config.global_channels, generator=rng),
        w_plus=torch.randn(config.style_layers, config.global_channels, generator=rng),
        model_sha256=studio.model_hash,
    )


def test_one_sample_has_the_name_that_was_asked_for() -> None:
    outputs = Outputs(Path("a/b.png"))
    assert (outputs.pictures, outputs.sheet) == ((Path("a/b.png"),), None)


def test_samples_are_numbered_and_have_a_sheet() -> None:
    outputs = Outputs(Path("a/b.jpg"), 2)
    assert outputs.pictures == (Path("a/b-1.jpg"), Path("a/b-2.jpg"))
    assert outputs.sheet == Path("a/b-sheet.png")


@pytest.mark.parametrize("samples", [0, -1, MAX_SAMPLES + 1])
def test_a_number_of_samples_out_of_range_is_refused(samples: int) -> None:
    with pytest.raises(InputError, match=f"{samples} samples are out of range; allowed are 1 to 64"):
        Outputs(Path("a.png"), samples)


@pytest.mark.parametrize(
    ("name", "right", "message"),
    [
        ("a.gif", 40, "a.gif has no known ending; give one of .png, .jpg"),
        ("a", 40, "has no known ending"),
        ("a.jpg", 65_441, "JPEG holds at most 65500 px per side, not 65501 x 40 px; write .png instead"),
        ("a.webp", 16_324, "WEBP holds at most 16383 px per side"),
        ("no/a.png", 40, "does not exist"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused(name: str, right: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Outputs(tmp_path / name).check(arrangement(right))


def test_a_sheet_that_would_be_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.rendering import sheet

    monkeypatch.setattr(sheet, "MAX_SHEET_PX", 10_000)
    with pytest.raises(LimitError, match="a sheet of 4 pictures"):
        Outputs(tmp_path / "a.png", 4).check(arrangement())


def test_checking_creates_nothing(tmp_path: Path) -> None:
    Outputs(tmp_path / "a.png", 3).check(arrangement())
    assert list(tmp_path.iterdir()) == []


def test_equal_latents_have_one_name_and_others_another(studio: Studio, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "a.png")
    names = [outputs.save_latents(drawn_latents(studio, seed=seed)) for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert sorted(tmp_path.iterdir()) == sorted(names[1:])


def test_latents_that_cannot_be_written_leave_nothing(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: AnchoredLatents, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no")

    monkeypatch.setattr(AnchoredLatents, "save", fail)
    with pytest.raises(OSError, match="no"):
        Outputs(tmp_path / "a.png").save_latents(drawn_latents(studio))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_lossless_files_hold_the_pixels_and_jpeg_nearly(name: str, studio: Studio, tmp_path: Path) -> None:
    found = {}
    for path in (tmp_path / name, tmp_path / "b.jpg"):
        outputs = Outputs(path)
        files = [outputs.save_latents(drawn_latents(studio))]
        assert draw(
            arrangement(), files, studio=studio, outputs=outputs, seed=0, joining=Joining(feather=0, candidates=1)
        ) == [path]
        found[path.suffix] = pixels(path)
    kept = landscape(1, height=40, width=60)
    assert np.array_equal(found[Path(name).suffix][:, :60], kept)
    assert np.abs(found[".jpg"][:, :60].astype(int) - kept).mean() < 4


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("embedded", [profile("p3"), None])
def test_the_pictures_and_the_sheet_carry_the_colour_profile_of_the_photograph(
    embedded: bytes | None, name: str, studio: Studio, tmp_path: Path
) -> None:
    image = Image.fromarray(landscape(1, height=40, width=60))
    if embedded is not None:
        image.info["icc_profile"] = embedded
    outputs = Outputs(tmp_path / name, 2)
    files = [outputs.save_latents(drawn_latents(studio))]
    around = arrangement(photograph=image)
    written = draw(around, files, studio=studio, outputs=outputs, seed=0, joining=Joining(candidates=1))
    assert [load(path).info.get("icc_profile") for path in written] == [embedded] * 3


def test_photographs_of_several_profiles_give_a_picture_without_one() -> None:
    around = arrangement()
    (photo,) = around.photographs
    other = replace(photo, photograph=replace(photo.photograph, profile=profile("p3")))
    assert replace(around, photographs=(photo, other)).profile is None


def test_seeds_of_samples_wrap_at_the_largest(studio: Studio, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "a.png", 2)
    files = [outputs.save_latents(drawn_latents(studio))]
    done: list[tuple[int, int]] = []
    draw(
        arrangement(SHEET_SIDE_PX),
        files,
        studio=studio,
        outputs=outputs,
        seed=2**64 - 1,
        joining=Joining(candidates=1),
        progress=lambda *step: done.append(step),
    )
    assert [World.load(tmp_path / f"a-{i}.world.json").seed for i in (1, 2)] == [2**64 - 1, 0]
    assert done == [(1, 2), (2, 2)]
    assert pixels(tmp_path / "a-sheet.png").shape[1] == SHEET_SIDE_PX
