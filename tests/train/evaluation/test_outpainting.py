"""The paper's Table 2: continued halves of photographs against simple methods."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infgen.cli.main import main
from infgen.errors import InputError
from infgen.inversion.settings import CONTINUING
from infgen.pixels import Pixels
from infgen.rendering.studio import open_studio
from infgen.train.data import open_source
from infgen.train.evaluation import metrics_named, outpainting
from infgen.train.evaluation.continuations import join_step
from infgen.train.evaluation.outpainting import (
    ITSELF,
    KNOWN_PX,
    OURS,
    OutpaintReport,
    OutpaintRequest,
    baselines,
    evaluate_outpainting,
    mirror,
)
from infgen.world.world import World
from tests.train.evaluation.stand_ins import Colours
from tests.train.photos import landscape, save

QUICK = replace(CONTINUING, steps=1, weights=replace(CONTINUING.weights, lpips=0))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(2):
        save(folder, f"{i}.png", landscape(i, height=256, width=300))
    return folder


@pytest.fixture(scope="module")
def kept() -> dict[str, Pixels]:
    """Continuations by the name of their photograph, filled by ``report``."""
    return {}


@pytest.fixture(scope="module")
def report(photos: Path, tiny_model: Path, kept: dict[str, Pixels]) -> OutpaintReport:
    request = OutpaintRequest(metrics_named(["fd-vgg"]), n=2, settings=QUICK)
    studio = open_studio(World(), model=tiny_model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outpainting, "load_network", lambda name, *rest: Colours(name=name))
        return evaluate_outpainting(
            studio, open_source(photos), request=request, keep=lambda name, picture: kept.update({name: picture})
        )


def test_every_method_is_compared_with_the_photographs(report: OutpaintReport, kept: dict[str, Pixels]) -> None:
    assert [row.method for row in report.rows] == [ITSELF, OURS, *baselines()]
    assert report.rows[0].distances["FD-VGG"] == pytest.approx(0, abs=1e-6)
    assert report.rows[1].distances["FD-VGG"] > 1e-4
    assert [r.name for r in report.reconstructions] == ["0.png", "1.png"]
    assert {name: picture.shape for name, picture in kept.items()} == {f"{i}.png": (256, 256, 3) for i in range(2)}


def test_few_photographs_have_no_score(report: OutpaintReport) -> None:
    assert {row.score for row in report.rows} == {None}


@pytest.mark.parametrize("name", baselines())
def test_a_baseline_keeps_the_known_half(name: str) -> None:
    known = landscape(0, height=256, width=128)
    made = baselines()[name](known)
    assert made.shape == (256, 256, 3)
    assert np.array_equal(made[:, :128], known)


def test_a_mirror_has_no_step_at_the_join() -> None:
    assert join_step(mirror(landscape(0, height=256, width=128)), KNOWN_PX) == 0


def test_one_photograph_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    save(tmp_path, "a.png", landscape(0, height=256, width=300))
    request = OutpaintRequest(metrics_named(["fd-vgg"]), settings=QUICK)
    with pytest.raises(InputError, match="holds 1 photographs; a distance needs 2 or more"):
        evaluate_outpainting(open_studio(World(), model=tiny_model), open_source(tmp_path), request=request)


def test_the_command_prints_a_table_and_writes_all_figures(
    photos: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outpainting, "load_network", lambda name, *rest: Colours(name=name))
    out, dump = tmp_path / "a.json", tmp_path / "dump"
    words = [
        "eval",
        "outpaint",
        tiny_model,
        photos,
        "--n",
        2,
        "--inversion-steps",
        1,
        "--output",
        out,
        "--dump",
        dump,
        "--quiet",
    ]
    with pytest.raises(SystemExit) as leave:
        main([str(w) for w in words])
    assert leave.value.code == 0
    assert "step at the join" in capsys.readouterr().out
    assert [row["method"] for row in json.loads(out.read_text())["rows"]][:2] == [ITSELF, OURS]
    assert sorted(p.name for p in dump.iterdir()) == ["0.png", "1.png"]
