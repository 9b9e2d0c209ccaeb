"""``infgen video``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.rendering.frames import FrameRenderer
from tests.cli.conftest import Call

av = pytest.importorskip("av")
SHORT = ("--to", "9,4", "--seconds", 0.5, "--fps", 10, "--w", 48, "--h", 32)


@pytest.fixture
def video(call: Call, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``infgen video`` with the tiny model, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: call("video", "--model", tiny_model, "--quiet", *words)


def frames_of(path: str) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ["pan.mp4", "pan.webm"])
def test_a_video_shows_the_world_frame_by_frame(name: str, video: Call, render: Call):
    assert video(*SHORT, "-o", name)[:2] == (0, f"{name}\n")
    found = frames_of(name)
    assert len(found) == 5
    for frame, (x, y) in ((found[0], (0, 0)), (found[-1], (9, 4))):
        render("--x", x - 24, "--y", y - 16, "--w", 48, "--h", 32, "-o", "a.png")
        picture = np.asarray(Image.open("a.png"))
        assert np.corrcoef(frame.mean(2).ravel(), picture.mean(2).ravel())[0, 1] > 0.95
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", name]


@pytest.mark.parametrize("name", ["pan.gif", "pan.webp"])
def test_an_animation_repeats_and_lasts_as_long_as_asked(name: str, video: Call):
    assert video(*SHORT, "-o", name)[0] == 0
    with Image.open(name) as image:
        durations = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
        assert (sum(durations), image.info["loop"]) == (500, 0)


def test_a_video_without_a_name_is_named_after_its_world(video: Call):
    assert video(*SHORT)[:2] == (0, "world-48x32-seed0.mp4\n")


def test_an_interrupted_video_continues_with_its_frames(video: Call, monkeypatch: pytest.MonkeyPatch):
    frame, drawn = FrameRenderer.frame, []

    def counted(self: FrameRenderer, pose: object) -> object:
        drawn.append(pose)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return frame(self, pose)  # type: ignore[arg-type]

    monkeypatch.setattr(FrameRenderer, "frame", counted)
    assert video(*SHORT, "-o", "a.webp")[0] == 130
    assert not Path("a.webp").exists()
    code, _, err = video(*SHORT, "-o", "a.webp")
    assert code == 2
    assert "add --resume" in err
    assert video(*SHORT, "-o", "a.webp", "--resume")[0] == 0
    assert len(drawn) == 6  # three, the interrupted one, and the two that were missing
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to", "0,0"), "the camera does not move"),
        (("--to", "1;2"), "--to '1;2' is not a point"),
        (("--via", "1"), "--via '1' is not a point"),
        (("--zoom", "x"), "--zoom 'x' is not a zoom"),
        (("--zoom", "0.1"), "shows too much at once"),
        (("--w", 47), "MP4 (H.264) needs even sides, not 47 x 32 px; give 46 x 32 px"),
        (("--w", 9000), "holds 1 to 8,192 px per side"),
        (("--fps", 0), "0 frames per second are not possible; allowed are 1 to 240"),
        (("--fps", 1000), "allowed are 1 to 240"),
        (("--seconds", 0), "a video of 0 s is not possible"),
        (("--seconds", "nan"), "a video of nan s is not possible"),
        (("--seconds", 0.1), "a video of 1 frames is not possible"),
        (("--seconds", 1e6), "allowed are 2 to 100,000"),
        (("-o", "a.avi"), "'.avi'; allowed are .mp4, .webm, .gif, .webp"),
        (("-o", "none/a.mp4"), "does not exist"),
        (("-o", "a.gif", "--w", 3000, "--h", 3000, "--seconds", 9), "write .webp or .mp4"),
        (("--resume", "--restart"), "--resume and --restart are both given"),
        (("none.json",), "none.json"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(words: tuple[object, ...], message: str, video: Call):
    code, out, err = video(*SHORT, "-o", "a.mp4", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(Path().iterdir()) == []


def test_a_missing_library_is_named_with_its_extra(video: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    code, _, err = video(*SHORT, "-o", "a.mp4")
    assert code == 2
    assert "pip install 'infgen[video]'" in err
    assert list(Path().iterdir()) == []
