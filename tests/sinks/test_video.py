"""Encoding frames as a video."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.pixels import Pixels
from infgen.sinks.encoders.video import VideoEncoder, video_format
from infgen.sinks.grid import Box

av: Any = pytest.importorskip("av")
COLOUR = 200, 40, 60


class Frames:
    """Two frames of one colour, one below the other, instead of a reader."""

    width, height = 64, 96

    def read(self, box: Box) -> Pixels:
        return np.full((box.h, box.w, 3), COLOUR, np.uint8)


def encoded(folder: Path, extension: str) -> Path:
    path = folder / f"a{extension}"
    reader: Any = Frames()
    encoder = VideoEncoder(reader, folder, {"infgen": "0"}, video=video_format(path), height=48, fps=25)
    encoder.encode()
    encoder.publish(path)
    return path


@pytest.mark.parametrize("extension", [".mp4", ".webm"])
def test_colours_are_kept_and_named_as_those_of_hd_video(extension: str, tmp_path: Path):
    with av.open(str(encoded(tmp_path, extension))) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 2
    assert frames[0].colorspace == 1  # BT.709
    assert np.abs(frames[0].to_ndarray(format="rgb24").astype(int) - COLOUR).max() <= 4


@pytest.mark.parametrize("extension", [".mp4", ".webm"])
def test_a_video_holds_its_provenance_and_rate(extension: str, tmp_path: Path):
    with av.open(str(encoded(tmp_path, extension))) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["comment"] == '{"infgen": "0"}'
        assert container.streams.video[0].average_rate == 25


@pytest.mark.parametrize("extension", [".gif", ".webp"])
def test_an_animation_keeps_colours(extension: str, tmp_path: Path):
    with Image.open(encoded(tmp_path, extension)) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - COLOUR).max() <= 4
