"""Pictures of infgen next to photographs."""

from pathlib import Path

import pytest
from PIL import Image

from infgen.geometry import Region
from infgen.rendering.job import Output, prepare
from infgen.rendering.sheet import save_sheet
from infgen.rendering.studio import open_studio
from infgen.train.data.own_pictures import without_own_pictures
from infgen.train.data.sources import open_source
from infgen.world.world import World
from tests.train.photos import landscape, save


def kept(folder: Path) -> list[str]:
    return [picture.name for picture in without_own_pictures(open_source(folder), folder).pictures]


@pytest.mark.parametrize("name", ["world.png", "world.tif", "world.webp", "world.jpg"])
def test_a_rendered_picture_is_left_out(name: str, tiny_model: Path, tmp_path: Path):
    save(tmp_path, "photo.png", landscape(0))
    prepare(open_studio(World(), model=tiny_model), Region(0, 0, 40, 30), Output(str(tmp_path / name))).run()
    assert kept(tmp_path) == ["photo.png"]


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_a_sheet_is_left_out(name: str, tmp_path: Path):
    save(tmp_path, "photo.png", landscape(0))
    save_sheet(Image.new("RGB", (40, 30)), tmp_path / name, profile=b"profile" * 2000)
    assert kept(tmp_path) == ["photo.png"]


def test_a_continued_photograph_is_left_out_and_named(tmp_path: Path):
    save(tmp_path, "photo.png", landscape(0))
    save(tmp_path, "photo-outpainted.png", landscape(1))
    (tmp_path / "photo-outpainted.world.json").touch()
    source = without_own_pictures(open_source(tmp_path), tmp_path)
    assert [picture.name for picture in source.pictures] == ["photo.png"]
    assert [skip.reason for skip in source.skipped if skip.name.endswith(".png")] == ["infgen made it"]


def test_photographs_and_broken_files_stay(tmp_path: Path):
    save(tmp_path, "photo.png", landscape(0))
    save(tmp_path / "trip", "a.png", landscape(1))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert kept(tmp_path) == ["broken.png", "photo.png", "trip/a.png"]
