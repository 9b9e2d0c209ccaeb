"""``infgen render`` with layouts, every format and resume, and ``infgen verify``, as people call them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.rendering import cluster
from infgen.sinks import Box, find_unfinished, picture_size, read_provenance, read_region
from tests.cli.conftest import Call
from tests.patience import until

LAYOUT = {
    "styles": {"day": {"seed": 3}, "dusk": {"seed": 40, "texture": {"seed": 9}}},
    "centres": [{"style": "day", "x": "10%", "y": "50%"}, {"style": "dusk", "x": "90%", "y": "50%"}],
    "transition": 31,
}
FILES = ["a.png", "a.webp", "a.tif", "a.dzi", "a.zarr"]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    path = tmp_path / "layout.json"
    path.write_text(json.dumps(LAYOUT))
    return path


def whole(path: Path) -> np.ndarray:
    width, height = picture_size(path)
    return read_region(path, Box(0, 0, width, height))


@pytest.mark.parametrize("name", FILES)
def test_every_lossless_format_holds_the_same_pixels_and_verifies(
    render: Call, call: Call, tiny_model: Path, tmp_path: Path, layout: Path, name: str
) -> None:
    size = ("--w", 300, "--h", 170, "--x", -7, "--tile", 101, "--styles", layout)
    assert render(*size, "-o", tmp_path / "reference.png")[0] == 0
    assert render(*size, "-o", tmp_path / name)[0] == 0
    np.testing.assert_array_equal(whole(tmp_path / name), whole(tmp_path / "reference.png"))
    code, out, _ = call("verify", tmp_path / name, "--model", tiny_model, "--tiles", 3, "--seed", 1)
    assert code == 0
    assert "all agree, 3 bit for bit" in out
    provenance = read_provenance(tmp_path / name)
    assert provenance is not None
    assert [style["name"] for style in provenance["world"]["layout"]["styles"]] == ["day", "dusk"]


@pytest.mark.parametrize(("name", "chosen"), [("a.jpg", None), ("b.tif", "cog"), ("c.zarr", "ome-zarr-0.4")])
def test_pictures_of_chosen_formats_verify(
    render: Call, call: Call, tiny_model: Path, tmp_path: Path, name: str, chosen: str | None
) -> None:
    assert render("--w", 200, "--h", 90, "-o", tmp_path / name, *(["--format", chosen] if chosen else []))[0] == 0
    assert call("verify", tmp_path / name, "--model", tiny_model)[0] == 0


def test_a_layout_in_a_picture_renders_any_other_window_of_it(
    render: Call, call: Call, tmp_path: Path, layout: Path
) -> None:
    """Percentages were fixed by the first region; the world in the picture keeps them."""
    render("--w", 300, "--h", 100, "--styles", layout, "-o", tmp_path / "a.png")
    (tmp_path / "world.json").write_text(call("info", "--only-world", tmp_path / "a.png")[1])
    assert (
        render(
            "--world", tmp_path / "world.json", "--w", 60, "--h", 50, "--x", 120, "--y", -20, "-o", tmp_path / "b.png"
        )[0]
        == 0
    )
    difference = np.abs(whole(tmp_path / "b.png").astype(int) - whole(tmp_path / "a.png")[30:80, 120:180])
    assert difference.max() <= 1


def test_a_preview_is_written_next_to_the_picture(render: Call, tmp_path: Path, layout: Path) -> None:
    code, out, _ = render(
        "--w",
        300,
        "--h",
        100,
        "--styles",
        layout,
        "--preview",
        tmp_path / "p.png",
        "--dry-run",
        "-o",
        tmp_path / "a.png",
    )
    assert code == 0
    assert out.split() == [str(tmp_path / "p.png")]
    with Image.open(tmp_path / "p.png") as image:
        assert image.width >= 300
    assert not (tmp_path / "a.png").exists()


def test_a_changed_pixel_fails_verification(render: Call, call: Call, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    render("--w", 150, "--h", 90, "-o", path)
    import zarr

    array = zarr.open_array(str(path / "0"), mode="r+")
    array[:, 40:60, 40:60] = 255 - array[:, 40:60, 40:60]
    code, _, err = call("verify", path, "--model", tiny_model)
    assert code == 1
    assert "differs from its provenance in" in err


def test_verification_needs_provenance_and_the_right_model(render: Call, call: Call, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "plain.png")
    assert "has no provenance" in call("verify", tmp_path / "plain.png")[2]
    render("--w", 40, "--h", 40, "-o", tmp_path / "a.png")
    code, _, err = call("verify", tmp_path / "a.png")  # with the shipped model
    assert code == 2
    assert "give the right one with --model" in err


SLOW_RENDER = """
import sys, time
from infgen.cli.main import main
from infgen.engines.eager import EagerEngine
at_once = EagerEngine.render_float
def render_float(*args):
    time.sleep(0.1)
    return at_once(*args)
EagerEngine.render_float = render_float
main(sys.argv[1:])
"""  # as slow as a large model, so that the picture is not finished when it is killed


@pytest.mark.parametrize("name", ["a.png", "a.zarr"])
def test_a_killed_render_goes_on_and_ends_in_the_same_bytes(
    render: Call, tiny_model: Path, tmp_path: Path, name: str
) -> None:
    size = ["--w", "800", "--h", "700", "--tile", "101"]
    words = ["render", "--model", str(tiny_model), "--quiet", *size]
    killed, straight = tmp_path / "killed" / name, tmp_path / "straight" / name
    killed.parent.mkdir()
    straight.parent.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RENDER, *words, "-o", str(killed)], stdout=subprocess.DEVNULL
    )
    until(lambda: (find_unfinished(killed) or (0, 0))[0] >= 8, alive=[process])
    process.kill()
    process.wait()
    kept = find_unfinished(killed)
    assert kept is not None
    assert 8 <= kept[0] < kept[1]
    code, _, err = render(*size, "-o", killed)
    assert code == 2
    assert "--resume" in err
    code, _, err = render(*size, "--seed", 5, "--resume", "-o", killed)
    assert code == 2
    assert "seed" in err
    assert render(*size, "--resume", "-o", killed)[0] == 0
    assert render(*size, "-o", straight)[0] == 0
    assert find_unfinished(killed) is None
    assert [p.name for p in killed.parent.iterdir() if not p.name.endswith(".lock")] == [name]
    if straight.is_file():
        assert killed.read_bytes() == straight.read_bytes()
    else:
        files = sorted(p.relative_to(straight) for p in straight.rglob("*") if p.is_file())
        assert files == sorted(p.relative_to(killed) for p in killed.rglob("*") if p.is_file())
        assert all((straight / f).read_bytes() == (killed / f).read_bytes() for f in files)


def edit_document(**changes: object) -> dict[str, object]:
    return {**LAYOUT, **changes}


REFUSED = [
    (edit_document(colour=1), "unknown entry 'colour'"),
    ({"centres": []}, "styles"),
    ({"styles": {}}, "styles"),
    (edit_document(centres=[{"style": "night", "x": 0, "y": 0}]), "'night'"),
    (edit_document(transition=-1), "transition is -1"),
    (edit_document(transition=float("nan")), "transition"),
    (edit_document(styles={"day": {"seed": 1, "truncation": float("nan")}}, centres=[]), "truncation"),
    (edit_document(styles={"day": {"latent": "gone.safetensors"}}, centres=[]), "does not exist"),
    (edit_document(centres=[], painting={"image": "gone.png", "colours": {"#000000": "day"}}), "does not exist"),
    (edit_document(centres=[], painting={"image": "big.png", "colours": {"#000000": "day"}}), "limit"),
    (edit_document(centres=[], painting={"image": "two.png", "colours": {"#000000": "day"}}), "#ff0000 (6 px)"),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_a_layout_that_means_nothing_is_refused_in_one_line(
    render: Call, tmp_path: Path, document: dict[str, object], message: str
) -> None:
    if "big.png" in json.dumps(document):  # 10^9 px, in a file of a few hundred kB
        Image.new("1", (31_000, 33_000)).save(tmp_path / "big.png")
    two = Image.new("RGB", (3, 4))
    two.paste((255, 0, 0), (0, 0, 3, 2))
    two.save(tmp_path / "two.png")
    (tmp_path / "layout.json").write_text(json.dumps(document))
    code, _, err = render("--w", 40, "--h", 40, "--styles", tmp_path / "layout.json", "-o", tmp_path / "a.png")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_name_given_twice_is_refused(render: Call, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text('{"styles": {"a": {"seed": 1}, "a": {"seed": 2}}}')
    code, _, err = render("--w", 40, "--h", 40, "--styles", tmp_path / "l.json", "-o", tmp_path / "a.png")
    assert code == 2
    assert "'a' is given twice" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--w", 200_000, "--h", 200_000, "-o", "a.png"), "BigTIFF"),
        (("--w", 40, "--h", 40, "-o", "a.gif"), "allowed are"),
        (("--w", 40, "--h", 40, "-o", "missing/a.tif"), "does not exist"),
        (("--w", 40, "--h", 40, "-o", "a.png", "--resume", "--restart"), "give one of them"),
        (("--w", 40, "--h", 40, "-o", "a.png", "--format", "cog"), "cog"),
        (("--w", 40, "--h", 40, "-o", "a.png", "--scheduler", "tcp://127.0.0.1:9"), ".zarr"),
        (("--w", 40, "--h", 40, "-o", "a.zarr", "--scheduler", "tcp://127.0.0.1:9"), "scheduler"),
        (
            ("--w", 40, "--h", 40, "-o", "a.zarr", "--format", "ome-zarr-0.4", "--scheduler", "tcp://127.0.0.1:9"),
            "without --format",
        ),
        (("--w", 40, "--h", 40, "-o", "a.png", "--device", "cpu,abacus"), "abacus"),
    ],
    ids=str,
)
def test_impossible_requests_are_refused_in_one_line(
    render: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    code, _, err = render(*words)
    assert code == 2
    assert message.lower() in err.lower()
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_refused(render: Call, tmp_path: Path) -> None:
    """Below a regular file nobody can write, not even root."""
    (tmp_path / "file").write_text("")
    code, _, err = render("--w", 40, "--h", 40, "-o", tmp_path / "file" / "a.zarr")
    assert code == 2
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
