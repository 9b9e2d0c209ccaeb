"""Metadata of photographs: what a continued picture keeps, corrects and drops."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from infgen.metadata import (
    NO_METADATA,
    Metadata,
    corrected_exif,
    corrected_xmp,
    read_metadata,
    save_options,
    with_source_type,
)
from infgen.photo import open_photograph
from tests.train.photos import landscape

IPTC = b"\x1c\x02\x74" + struct.pack(">H", 9) + b"A. Lovelace"[:9]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6" exif:PixelXDimension="60" '
    b'GPano:FullPanoWidthPixels="9000" dc:rights="Ada"><tiff:ImageWidth>60</tiff:ImageWidth>'
    b"<xmp:Thumbnails><rdf:Alt>old</rdf:Alt></xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>"
)
KEPT = {ExifTags.Base.Make: "Camera", ExifTags.Base.Copyright: "Ada", ExifTags.Base.DateTime: "2026:01:02 03:04:05"}
SAVERS = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "webp": "WEBP"}


def exif_block() -> bytes:
    exif = Image.Exif()
    for tag, value in KEPT.items():
        exif[tag] = value
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2026:01:02 03:04:05", 0xA002: 60, 0x927C: b"secret" * 9}
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 3.0)}
    return exif.tobytes()


ALL = Metadata(exif_block(), IPTC, XMP, (300.0, 300.0))


def written(folder: Path, extension: str, metadata: Metadata = ALL, *, size: tuple[int, int] = (60, 40)) -> Path:
    path = folder / f"photo.{extension}"
    picture = Image.fromarray(landscape(1, height=size[1], width=size[0]))
    picture.save(path, SAVERS[extension], **save_options(metadata, file_format=SAVERS[extension], size=size))
    return path


def found(path: Path) -> tuple[Image.Exif, Metadata]:
    with Image.open(path) as image:
        image.load()
        return image.getexif(), read_metadata(image)


@pytest.mark.parametrize("source", SAVERS)
@pytest.mark.parametrize("target", SAVERS)
def test_metadata_pass_from_every_format_to_every_other(source: str, target: str, tmp_path: Path) -> None:
    read = open_photograph(written(tmp_path, source)).metadata
    (tmp_path / "new").mkdir()
    exif, kept = found(written(tmp_path / "new", target, read, size=(90, 40)))
    assert {tag: exif[tag] for tag in KEPT} == KEPT
    assert exif[ExifTags.Base.Orientation] == 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert (details[0xA002], details[0xA003]) == (90, 40)
    assert details[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    assert kept.xmp is not None
    assert b'dc:rights="Ada"' in kept.xmp
    if "webp" not in (source, target):  # WebP holds neither
        assert kept.iptc == IPTC
        assert kept.dpi == pytest.approx((300, 300), rel=1e-3)


def test_metadata_of_the_old_pixels_are_corrected_or_removed() -> None:
    packet = corrected_xmp(XMP, (220, 40))
    assert b'tiff:Orientation="1"' in packet
    assert b'exif:PixelXDimension="220"' in packet
    assert b"<tiff:ImageWidth>220</tiff:ImageWidth>" in packet
    assert b"GPano" not in packet
    assert b"Thumbnails" not in packet
    block = corrected_exif(exif_block(), (220, 40))
    assert block is not None
    assert b"secret" not in block


def test_a_thumbnail_does_not_survive() -> None:
    make = struct.pack("<HHI4s", 0x010F, 2, 4, b"Cam\0")
    first = struct.pack("<H", 1) + make + struct.pack("<I", 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, 9, 0)
    block = corrected_exif(b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + b"thumbnail", (10, 10))
    assert block is not None
    again = Image.Exif()
    again.load(block)
    assert again[ExifTags.Base.Make] == "Cam"
    assert not dict(again.get_ifd(ExifTags.IFD.IFD1))
    assert b"thumbnail" not in block


@given(damage=st.binary(max_size=64), where=st.integers(0, 400))
def test_damaged_metadata_never_stop_a_picture(damage: bytes, where: int) -> None:
    block = exif_block()
    block = block[:where] + damage + block[where + len(damage) :]
    for file_format in SAVERS.values():
        options = save_options(Metadata(block, damage, damage, None), file_format=file_format, size=(8, 8))
        Image.new("RGB", (8, 8)).save(io.BytesIO(), file_format, **options)


def test_the_source_type_is_added_once_and_keeps_the_rest() -> None:
    marked = with_source_type(with_source_type(Metadata(xmp=XMP))).xmp
    assert marked is not None
    assert marked.count(b"compositeWithTrainedAlgorithmicMedia") == 1
    assert b"dc:rights" in marked
    assert (with_source_type(NO_METADATA).xmp or b"").count(b"compositeWithTrainedAlgorithmicMedia") == 1
