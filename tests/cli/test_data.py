"""``infgen data`` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from infgen.cli import data as module
from infgen.cli.main import main
from infgen.train.data.photo_set import PhotoSet
from tests.train.photos import landscape, load, save, save_landscapes

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``infgen data``. Returns exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main(["data", *(str(w) for w in words)])
        code = leave.value.code
        captured = capsys.readouterr()
        assert code is None or isinstance(code, int)
        return code or 0, captured.out, captured.err

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three landscapes of 300 x 220 px, a copy of the first, and a small photograph."""
    folder = save_landscapes(tmp_path / "photos")
    save(folder, "copy.png", landscape(0))
    save(folder, "small.png", landscape(0, height=100))
    return folder


def test_check_prints_the_report_as_plain_lines(call: Call, photos: Path) -> None:
    code, out, err = call("check", photos, "--quiet")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == ["pictures found: 5", "usable, short side 197 px or more: 4", "skipped: 1"]
    assert f"skipped {photos / 'small.png'}: 300 x 100 px is too small" in out
    assert lines[-1] == (f"near-duplicates {photos / '0.png'} and {photos / 'copy.png'} (0 of 256 bits differ)")


def test_check_shows_a_table_on_a_terminal(call: Call, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Console", lambda: Console(force_terminal=True, width=100))
    _, out, _ = call("check", photos, "--quiet")
    assert "│ pictures found" in out


@pytest.mark.parametrize(("options", "usable"), [(("--size", 90), 5), (("--preset", "scenery-197"), 0), ((), 4)])
def test_the_size_may_be_given_by_number_or_by_preset(
    options: tuple[object, ...], usable: int, call: Call, photos: Path
) -> None:
    _, out, _ = call("check", photos, "--quiet", "--json", *options)
    assert json.loads(out)["result"]["usable"] == usable


def test_the_json_report_holds_everything(call: Call, photos: Path) -> None:
    code, out, _ = call("check", photos, "--quiet", "--json")
    report = json.loads(out)["result"]
    assert code == 0
    assert report["short_side"] == {"min": 220, "median": 220, "max": 220}
    assert [skip["name"] for skip in report["skipped"]] == [str(photos / "small.png")]
    assert report["copies_found"] == 1


def test_without_a_usable_photograph_the_exit_code_is_2(call: Call, photos: Path) -> None:
    code, out, err = call("check", photos, "--quiet", "--size", 4000)
    assert code == 2
    assert out.startswith("pictures found: 5\n")
    assert err.startswith("Error: data folder ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_contact_sheet_is_written_in_addition_to_the_report(
    as_json: tuple[str, ...], call: Call, photos: Path, tmp_path: Path
) -> None:
    code, out, err = call("check", photos, "--quiet", "--sheet", tmp_path / "s.jpg", *as_json)
    assert code == 0
    assert f"{tmp_path / 's.jpg'}: 4 of 4 photographs\n" in (err if as_json else out)
    assert load(tmp_path / "s.jpg").size == (256, 256)


def test_progress_goes_to_standard_error(call: Call, photos: Path) -> None:
    assert "reading photographs: 100 %" in call("check", photos)[2]


def test_pack_prints_the_pattern_to_train_from(call: Call, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    code, out, err = call("pack", photos, "-o", tmp_path / "shards", "--size", 200, "--format", "webp", "--quiet")
    pattern = tmp_path / "shards" / "000000.tar"
    assert (code, out) == (0, f"{pattern}: 4 photographs in 1 shard, 1 skipped\n")
    assert err.startswith(f"skipped {photos / 'small.png'}: ")
    assert len(PhotoSet.open(pattern, view_px=197, patch_px=101)[0]) == 4


BAD_INPUT: list[tuple[list[object], str]] = [
    (["check"], "Missing argument 'DATA'"),
    (["check", "missing"], "data folder missing does not exist or is not a folder"),
    (["check", "nonsense://a"], "data nonsense://a cannot be used"),
    (["check", "PHOTOS", "--size", 0], "Invalid value for '--size'"),
    (["check", "PHOTOS", "--size", 90, "--preset", "tiny"], "give one of them"),
    (["check", "PHOTOS", "--preset", "nonsense"], "Invalid value for '--preset'"),
    (["check", "PHOTOS", "--sheet", "s.gif"], "contact sheet s.gif has an unknown extension"),
    (["pack", "PHOTOS", "--size", 90], "Missing option '-o'"),
    (["pack", "PHOTOS", "-o", "shards"], "Missing option '--size'"),
    (["pack", "PHOTOS", "-o", "PHOTOS", "--size", 90], "exists and is not empty"),
    (["pack", "PHOTOS", "-o", "shards", "--size", 90, "--quality", 101], "Invalid value for '--quality'"),
    (["pack", "PHOTOS", "-o", "shards", "--size", 90, "--format", "png"], "Invalid value for '--format'"),
    (["pack", "PHOTOS", "-o", "shards", "--size", 4000], "holds no usable photograph"),
]


def test_data_alone_prints_help(call: Call):
    code, out, err = call()
    assert (code, err) == (0, "")
    assert "Usage: infgen data" in out


@pytest.mark.parametrize(("words", "message"), BAD_INPUT, ids=[message[:60] for _, message in BAD_INPUT])
def test_bad_input_is_one_line_with_exit_code_2_and_changes_nothing(
    words: list[object], message: str, call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*(photos if word == "PHOTOS" else word for word in words), "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    """A map of 128 x 64 px: land on the left, sea on the right."""
    pixels = np.empty((64, 128, 3), np.uint8)
    pixels[:, :64], pixels[:, 64:] = (150, 130, 70), (10, 20, 90)
    path = tmp_path / "map.png"
    Image.fromarray(pixels).save(path)
    return path


def test_tiles_prints_the_names_of_its_files(call: Call, map_file: Path, tmp_path: Path):
    words = ("tiles", map_file, "--size", 32, "--balance", 0.2, "-o", tmp_path / "tiles", "--quiet")
    assert call(*words) == (0, f"{tmp_path / 'tiles'}: 15 tiles; left out: 6 of open sea, 0 transparent\n", "")
    code, _, line = call(*words)
    assert (code, "exists and is not empty" in line) == (2, True)


@pytest.mark.parametrize(("name", "words"), [("missing.jpg", "is not a file"), ("text.jpg", "cannot be read")])
def test_tiles_refuses_anything_but_a_map_in_one_line(call: Call, tmp_path: Path, name: str, words: str):
    (tmp_path / "text.jpg").write_text("no picture")
    code, _, line = call("tiles", tmp_path / name, "--size", 32, "-o", tmp_path / "tiles", "--quiet")
    assert (code, words in line, line.count("\n")) == (2, True, 1)
    assert not (tmp_path / "tiles").exists()
