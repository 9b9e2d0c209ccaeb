import base64
import json
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infgen.errors import InputError, LimitError
from infgen.sinks import check_provenance, read_provenance, xmp
from infgen.sinks.provenance import pack
from tests.sinks.pictures import noise, save

EXTENSIONS = ("png", "jpg", "webp", "tif")
SMALL = {
    "infgen": "1.2.3",
    "model": "sha256:00",
    "world": {"seed": 2**63, "name": "Küste 海岸 🌊 <&\"'>"},
    "region": [0, -5, 8, 8],
}
LONG = {**SMALL, "noise": np.random.default_rng(0).integers(0, 2**31, 20_000).tolist()}  # 200 KB that hardly shrink


def write(path: Path, provenance: dict[str, Any]) -> Path:
    return save(path, noise(width=8, height=8), provenance=provenance)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("pictures")
    kinds = (("small", SMALL), ("long", LONG))
    return {(e, name): write(folder / f"{name}.{e}", provenance) for e in EXTENSIONS for name, provenance in kinds}


def test_the_long_provenance_is_longer_than_a_jpeg_segment_even_when_packed() -> None:
    assert len(json.dumps(LONG)) > 200_000
    assert len(xmp.packet(pack(LONG))) > 2**16


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(("name", "provenance"), [("small", SMALL), ("long", LONG)])
def test_provenance_is_read_back_as_it_was_written(
    extension: str, name: str, provenance: dict[str, Any], pictures: dict[tuple[str, str], Path]
) -> None:
    assert read_provenance(pictures[extension, name]) == provenance


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_other_programs_find_the_creator_in_the_xmp_packet(
    extension: str, pictures: dict[tuple[str, str], Path]
) -> None:
    with Image.open(pictures[extension, "small"]) as image:
        packet = image.tag_v2[700] if extension == "tif" else image.info["xmp"]  # type: ignore[attr-defined]
    assert b"<xmp:CreatorTool>infgen 1.2.3</xmp:CreatorTool>" in packet


def test_a_png_names_its_software(pictures: dict[tuple[str, str], Path]) -> None:
    with Image.open(pictures["png", "small"]) as image:
        assert image.info["Software"] == "infgen 1.2.3"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_other_programs_decode_a_picture_with_a_long_provenance(
    extension: str, pictures: dict[tuple[str, str], Path]
) -> None:
    with Image.open(pictures[extension, "long"]) as image:
        image.load()
        assert image.size == (8, 8)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_picture_of_another_program_has_no_provenance(extension: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / f"a.{extension}")
    assert read_provenance(tmp_path / f"a.{extension}") is None


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_xmp_packet_of_another_program_is_no_provenance(extension: str, tmp_path: Path) -> None:
    more = {"tiffinfo": {700: b"<x:xmpmeta/>"}} if extension == "tif" else {"xmp": b"<x:xmpmeta/>"}
    Image.new("RGB", (8, 8)).save(tmp_path / f"a.{extension}", **more)
    assert read_provenance(tmp_path / f"a.{extension}") is None


def test_provenance_that_an_editor_turned_into_an_attribute_is_read(tmp_path: Path) -> None:
    packet = (
        xmp.packet(pack(SMALL)).replace(b"<infgen:recipe>", b'<x infgen:recipe = "').replace(b"</infgen", b'"/><infgen')
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=packet)
    assert read_provenance(tmp_path / "a.jpg") == SMALL


def test_a_compressed_packet_in_a_png_is_read(tmp_path: Path) -> None:
    data = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp.packet(pack(SMALL)))
    (tmp_path / "a.png").write_bytes(xmp.PNG_SIGNATURE + struct.pack(">I", len(data)) + b"iTXt" + data + bytes(4))
    assert read_provenance(tmp_path / "a.png") == SMALL


def test_the_provenance_of_a_picture_too_large_to_decode_is_read(tmp_path: Path) -> None:
    header = struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 100_000, 100_000, 8, 2, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(xmp.PNG_SIGNATURE + header + xmp.png_chunks(pack(SMALL)))
    assert read_provenance(tmp_path / "a.png") == SMALL


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_truncated_picture_is_refused(extension: str, pictures: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pictures[extension, "long"].read_bytes()[:-1000][:90_000])
    if extension in ("webp", "tif"):  # the packet stands at the end
        (tmp_path / "a").write_bytes(pictures[extension, "long"].read_bytes()[:-1000])
    with pytest.raises(InputError, match="is damaged"):
        read_provenance(tmp_path / "a")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_provenance_with_a_changed_byte_is_refused(
    extension: str, pictures: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    data = bytearray(pictures[extension, "long"].read_bytes())
    place = data.index(b"<infgen:recipe>") + 50_000
    data[place] = ord("A") if data[place] != ord("A") else ord("B")
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=r"\A[^\n]* damaged[^\n]*\Z"):
        read_provenance(tmp_path / "a")


def test_a_jpeg_that_lost_a_part_of_its_provenance_is_refused(
    pictures: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    data = (
        pictures["jpg", "long"]
        .read_bytes()
        .replace(b"http://ns.adobe.com/xmp/extension/", b"http://ns.other.com/xmp/extension/", 1)
    )
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(InputError, match="parts are missing"):
        read_provenance(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"", "no data"), (b"!!!!", "no data"), (b"AAAA", "is damaged"), (b"eJw", "is damaged")],
)
def test_a_value_that_is_no_packed_provenance_is_refused(value: bytes, message: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=b"<infgen:recipe>" + value + b"</infgen:recipe>")
    with pytest.raises(InputError, match=message):
        read_provenance(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"[1]", "JSON object"), (b"{", "not JSON"), (b"\xff", "not JSON"), (b"[" * 10**5, "not JSON")],
)
def test_a_value_that_is_no_json_object_is_refused(text: bytes, message: str, tmp_path: Path) -> None:
    packet = b"<infgen:recipe>" + base64.b64encode(zlib.compress(text)) + b"</infgen:recipe>"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=packet)
    with pytest.raises(InputError, match=message):
        read_provenance(tmp_path / "a.jpg")


def test_provenance_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.png", {"zeros": "0" * (2 * 2**20)})
    monkeypatch.setenv("INFGEN_MAX_PROVENANCE_MB", "1")
    with pytest.raises(LimitError, match="INFGEN_MAX_PROVENANCE_MB"):
        read_provenance(tmp_path / "a.png")


def test_provenance_over_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PROVENANCE_MB", "1")
    with pytest.raises(LimitError, match="INFGEN_MAX_PROVENANCE_MB"):
        check_provenance({"zeros": "0" * 2**20})


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes", "\ud800"])
def test_provenance_that_is_not_json_is_not_written(value: object) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        check_provenance({"value": value})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png cannot be read: No such file"):
        read_provenance(tmp_path / "a.png")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_provenance(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(InputError, match="is not a PNG, JPEG, WebP or TIFF picture"):
        read_provenance(tmp_path / "a.png")


@settings(max_examples=150, deadline=None)
@given(extension=st.sampled_from(EXTENSIONS), data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    extension: str, data: st.DataObject, pictures: dict[tuple[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    original = bytearray(pictures[extension, "small"].read_bytes())
    place = data.draw(st.integers(0, len(original) - 1))
    original[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(original[: data.draw(st.integers(0, len(original)))])
    with suppress(InputError):
        read_provenance(path)


def test_other_programs_find_seed_model_and_source_type(tmp_path: Path) -> None:
    names = {"name": "a<b>&\u00e9\n.safetensors", "sha256": "ab" * 32}
    packet = xmp.packet(pack({"infgen": "1.2.3", "model": names, "world": {"seed": -7}}))
    root = ElementTree.fromstring(packet.decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    found = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    assert (found["seed"], found["model"], found["modelHash"]) == ("-7", "a<b>&\u00e9.safetensors", "ab" * 32)
    assert json.loads(str(found["provenance"]))["model"] == names
    assert str(found["DigitalSourceType"]).endswith("/trainedAlgorithmicMedia")


def test_a_png_holds_the_provenance_as_readable_text_and_says_that_it_is_srgb(tmp_path: Path) -> None:
    header = xmp.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixels = xmp.png_chunk(b"IDAT", zlib.compress(bytes(4))) + xmp.png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(xmp.PNG_SIGNATURE + header + xmp.png_chunks(pack(SMALL)) + pixels)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert json.loads(image.info["Provenance"]) == SMALL
        assert image.info["srgb"] == 0


def test_large_provenance_is_embedded_once_only() -> None:
    assert "infgen:provenance" not in pack({"world": {"seed": 1, "text": "a" * 2**16}}).values
