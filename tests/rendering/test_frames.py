"""Frames: pixels of the world at any place between its pixels, at any zoom."""

from pathlib import Path

import numpy as np
import pytest

from infgen.errors import LimitError
from infgen.geometry import Region
from infgen.pixels import Pixels
from infgen.rendering import frames
from infgen.rendering.camera import Pose
from infgen.rendering.frames import FrameRenderer
from infgen.rendering.studio import Studio, open_studio
from infgen.world.world import World
from tests.export.files import scaled_model

SIZE = 61, 40


@pytest.fixture
def studio(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(frames, "BLOCK_PX", 48)
    return open_studio(World(seed=3), model=tiny_model)


def test_a_frame_on_whole_pixels_is_the_picture_itself(studio: Studio):
    frame = FrameRenderer(studio, SIZE).frame(Pose(17, -5, 1))
    picture = studio.array(Region(17 - 30, -5 - 20, *SIZE))
    assert np.abs(frame.astype(int) - picture).max() <= 1


def test_half_a_pixel_further_lies_between_two_pictures(studio: Studio):
    renderer = FrameRenderer(studio, SIZE)
    left, middle, right = (renderer.frame(Pose(x, 0, 1)).astype(float) for x in (0, 0.5, 1))
    between = np.abs(middle - (left + right) / 2).mean()
    assert between < 0.5 * np.abs(left - right).mean()


def test_frames_move_by_the_distance_of_the_camera(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    """The centre of mass of the brightness of a spot moves with the camera, in parts of a pixel."""
    renderer = FrameRenderer(studio, SIZE)
    y, x = np.mgrid[-100:100, -100:100]
    light = 60 + 150 * np.exp(-(x**2 + y**2) / 50)
    spot = np.repeat(light.round().astype(np.uint8)[..., None], 3, axis=2)

    def window(halvings: int, region: Region) -> Pixels:
        top, left = region.y + 100, region.x + 100
        return spot[top : top + region.h, left : left + region.w]

    monkeypatch.setattr(renderer, "_window", window)
    columns = np.arange(SIZE[0])
    centres = []
    for place in np.arange(0, 1.01, 0.125):
        brightness = renderer.frame(Pose(float(place), 0, 1))[..., 0].astype(float).sum(0) - 60 * SIZE[1]
        centres.append((brightness * columns).sum() / brightness.sum())
    assert np.array(centres) - centres[0] == pytest.approx(-np.arange(0, 1.01, 0.125), abs=0.05)


def test_neighbouring_frames_render_no_block_twice(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    rendered: list[Region] = []
    array = Studio.array
    monkeypatch.setattr(Studio, "array", lambda self, region: (rendered.append(region), array(self, region))[1])
    renderer = FrameRenderer(studio, SIZE)
    for x in np.arange(0, 20, 0.7):
        renderer.frame(Pose(float(x), 0, 1))
    assert len(rendered) == len(set(rendered))


def test_the_cache_holds_few_blocks(studio: Studio):
    renderer = FrameRenderer(studio, SIZE)
    for x in range(0, 3000, 200):
        renderer.frame(Pose(x, 0, 1))
    assert renderer._block.cache_info().currsize <= 2 * 5 * 4


def test_a_zoomed_out_frame_takes_the_coarser_scale():
    studio = open_studio(World(seed=3), model=scaled_model())
    frame = FrameRenderer(studio, SIZE, widest=4).frame(Pose(64, -32, 0.25))
    picture = studio.coarser(2).array(Region(16 - 30, -8 - 20, *SIZE))
    assert np.abs(frame.astype(int) - picture).max() <= 1


def test_a_change_of_zoom_has_no_jump_between_two_scales():
    renderer = FrameRenderer(open_studio(World(seed=3), model=scaled_model()), SIZE, widest=2)
    before, after = (renderer.frame(Pose(0, 0, zoom)).astype(int) for zoom in (0.501, 0.5))
    assert np.abs(before - after).mean() < 1.5


def test_a_zoom_beyond_the_coarsest_scale_is_refused_with_the_limit(studio: Studio):
    with pytest.raises(LimitError, match=r"zoom 0\.1 shows too much at once: .* allows 0\.25 or more"):
        FrameRenderer(studio, SIZE, widest=10)
