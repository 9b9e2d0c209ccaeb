"""``infgen outpaint`` and the metadata of its photograph."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from infgen.metadata import NO_METADATA, with_source_type
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK
from tests.test_metadata import IPTC, KEPT, found, written


@pytest.fixture
def outpaint(call: Call, tiny_model: Path) -> Call:
    return lambda *words: call("outpaint", *words[:1], *QUICK, "--model", tiny_model, "--quiet", *words[1:])


def test_outpaint_keeps_the_metadata_of_the_photograph(outpaint: Call, tmp_path: Path) -> None:
    code, _, err = outpaint(written(tmp_path, "jpg"), "--right", 60, "-o", tmp_path / "out.jpg")
    assert code == 0, err
    exif, kept = found(tmp_path / "out.jpg")
    assert {tag: exif[tag] for tag in KEPT} == KEPT
    with Image.open(tmp_path / "out.jpg") as image:
        assert exif.get_ifd(ExifTags.IFD.Exif)[0xA002] == image.width
    assert kept.iptc == IPTC


def test_strip_drops_all_of_it(outpaint: Call, tmp_path: Path) -> None:
    code, _, err = outpaint(written(tmp_path, "jpg"), "--right", 60, "--strip", "-o", tmp_path / "out.jpg")
    assert code == 0, err
    exif, kept = found(tmp_path / "out.jpg")
    assert dict(exif) == {}
    assert (kept.exif, kept.iptc) == (None, None)
    assert kept == with_source_type(NO_METADATA)  # which says only that a model continued the photograph
