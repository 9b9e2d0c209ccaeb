"""The report's file, table and picture."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from infgen.errors import InputError, MissingExtraError
from infgen.train.evaluation.measurement import Measurement
from infgen.train.evaluation.presentation import report_figure, report_tables
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.report_files import check_folder, write_report
from infgen.train.evaluation.request import Protocol

VALUES = (
    Measurement("scaleinv-fd-vgg", "ScaleInv FD-VGG", value=118.7, better="lower", scale=1),
    Measurement("scaleinv-fd-vgg", "ScaleInv FD-VGG", value=150.2, better="lower", scale=2),
    Measurement("kd-vgg", "KD-VGG", value=1.5, better="lower", deviation=0.25),
    Measurement("repetition", "repetition", value=0.125, better="lower", detail={"shift_px": 139}),
)


def report(*values: Measurement) -> Report:
    return Report(
        measurements=values,
        n=1000,
        seed=0,
        precision="fp32",
        photographs=645,
        fingerprint="ab",
        view_px=197,
        patch_px=101,
        weights={"vgg": "cd"},
        versions={"infgen": "1"},
        seconds=1.5,
        model="a.safetensors",
    )


def test_values_are_found_by_metric_and_scale() -> None:
    assert report(*VALUES).value("scaleinv-fd-vgg", scale=2) == 150.2


def test_a_value_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError, match="fid at scale 1"):
        report(*VALUES).value("fid")


def test_the_file_holds_everything(tmp_path: Path) -> None:
    write_report(report(*VALUES), tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored == json.loads(json.dumps(report(*VALUES).to_dict()))
    assert stored["measurements"][3]["detail"] == {"shift_px": 139}


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    files = write_report(report(*VALUES), tmp_path)
    with Image.open(files[1]) as image:
        assert (image.format, image.size) == ("PNG", (600, 400))


def test_without_a_distance_there_is_no_picture(tmp_path: Path) -> None:
    write_report(report(VALUES[3]), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_the_table_shows_value_spread_and_detail() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*report_tables(report(*VALUES)))
    text = capture.get()
    assert all(part in text for part in ("118.7", "1.5 ± 0.25", "shift px 139", "N = 1000"))


def test_a_missing_matplotlib_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[train\]"):
        write_report(report(*VALUES), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/a/b"])
def test_a_file_in_the_way_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder; give another one"):
        check_folder(tmp_path / name)


def test_a_folder_that_does_not_exist_yet_is_allowed(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metric", "protocol", "drawn"),
    [("scaleinv-fid", "paper", True), ("scaleinv-fid", "patches", False), ("scaleinv-fd-vgg", "paper", False)],
)
def test_the_papers_values_stand_only_next_to_its_own_protocol(metric: str, protocol: Protocol, drawn: bool) -> None:
    figure = report_figure(
        replace(report(Measurement(metric, metric, value=50.0, better="lower", scale=1)), protocol=protocol)
    )
    assert figure is not None
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert any("paper" in str(label) for label in labels) is drawn
