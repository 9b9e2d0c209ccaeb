"""``infgen render --seeds``: several worlds, one picture each."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from infgen.rendering import batch
from infgen.rendering.render import render_to
from tests.cli.conftest import Call

SIZE = ("--w", 24, "--h", 16)


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_picture_is_that_of_its_seed(render: Call):
    assert render(*SIZE, "--seeds", "7,-3", "-o", "out/{seed}.png")[:2] == (0, "out/7.png\nout/-3.png\n")
    render(*SIZE, "--seed", -3, "-o", "alone.png")
    assert Path("out/-3.png").read_bytes() == Path("alone.png").read_bytes()


def test_pictures_without_a_name_are_named_after_their_seeds(render: Call):
    assert render(*SIZE, "--seeds", "0-1")[:2] == (0, "world-24x16-seed0.png\nworld-24x16-seed1.png\n")


def test_resume_keeps_finished_pictures(render: Call, monkeypatch: pytest.MonkeyPatch):
    words = (*SIZE, "--seeds", "0-2", "-o", "{seed}.png")
    assert render(*words)[0] == 0
    Path("1.png").unlink()
    drawn: list[int] = []

    def count(scene: object, plan: object, sink: object, **options: object) -> None:
        drawn.append(scene.world.seed)  # type: ignore[attr-defined]
        render_to(scene, plan, sink, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("infgen.rendering.job.render_to", count)
    assert render(*words, "--resume")[:2] == (0, "0.png\n1.png\n2.png\n")
    assert drawn == [1]


def test_a_kept_picture_of_other_options_is_refused(render: Call):
    assert render(*SIZE, "--seeds", "0-1", "-o", "{seed}.png")[0] == 0
    code, _, err = render(*SIZE, "--seeds", "0-1", "-o", "{seed}.png", "--noise", 0.5, "--resume")
    assert (code, err.count("\n")) == (2, 1)
    assert "0.png exists and is another picture: world.noise was 1.0 and is 0.5" in err


def test_restart_replaces_all(render: Call):
    Path("1.png").write_text("old")
    assert render(*SIZE, "--seeds", "0-1", "-o", "{seed}.png", "--restart")[0] == 0
    assert Path("1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "9-5", "-o", "{seed}.png"), "9-5 runs backwards"),
        (("--seeds", "", "-o", "{seed}.png"), "neither a seed nor a range"),
        (("--seeds", "0-100000", "-o", "{seed}.png"), "more than 100000 seeds"),
        (("--seeds", "0-3", "-o", "a.png"), "give a file name with {seed}, such as 'out/{seed}.png'"),
        (("--seeds", "0-3", "-o", "{seed}/a.png"), "give a file name with {seed}"),
        (("--seeds", "0-3", "-o", "s3://bucket/{seed}.zarr"), "give a file name with {seed}"),
        (("--seeds", "0-3", "-o", "out/{seed}.gif"), "'.gif'; allowed are"),
        (("--seeds", "0-3", "-o", "file/{seed}.png"), "output folder file cannot be created"),
        (("--seeds", "0-3", "--seed", 1), "--seed and --seeds are both given"),
        (("--seeds", "0-3", "-o", "out/{seed}.png", "--device", "cpu,cpu"), "renders on one device"),
        (("--seeds", "0-18446744073709551616", "-o", "{seed}.png"), "more than 100000 seeds"),
        (("--seeds", "18446744073709551615-18446744073709551616", "-o", "out/{seed}.png"), "18446744073709551616"),
        (("--seeds", "0-3", "-o", "mine-{seed}.png"), "mine-2.png exists, and 1 of 4 pictures in all; add --resume"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(words: tuple[object, ...], message: str, render: Call):
    Path("file").touch()
    Path("mine-2.png").write_text("mine")
    code, out, err = render(*SIZE, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert sorted(path.name for path in Path().iterdir()) == ["file", "mine-2.png"]
    assert Path("mine-2.png").read_text() == "mine"


def test_too_little_disk_space_is_refused_before_work(render: Call, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(".")._replace(free=10**7)
    monkeypatch.setattr(batch.shutil, "disk_usage", lambda path: usage)
    code, _, err = render(*SIZE, "--seeds", "0-99999", "-o", "{seed}.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "100000 pictures of 24 x 16 px need up to" in err


def test_a_picture_that_the_batch_reads_is_not_replaced(render: Call):
    painting = {"image": "0.png", "colours": {"#ffffff": "a"}}
    Path("layout.json").write_text(json.dumps({"schema": 1, "styles": {"a": {"seed": 1}}, "painting": painting}))
    Image.new("RGB", (24, 16), "white").save("0.png")
    before = Path("0.png").read_bytes()
    code, _, err = render(*SIZE, "--styles", "layout.json", "--seeds", "0-1", "-o", "{seed}.png", "--restart")
    assert code == 2
    assert "which this command reads" in err
    assert Path("0.png").read_bytes() == before
