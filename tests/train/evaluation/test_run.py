"""Test evaluations of the tiny model with a network without weights, and distances of photographs."""

import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.errors import InputError, LimitError
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.train.data.photo_set import PhotoSet
from infgen.train.evaluation import Request, distances, evaluate, frechet, generated, metrics_named, real_features, run
from infgen.train.evaluation.features import EffNetFeatures, FeatureNetwork, collect
from infgen.train.evaluation.real import Photos, real_patches
from infgen.train.evaluation.report import Report
from tests.train.evaluation.stand_ins import Colours, Landscapes

PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "photos-256.tar"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Colours]:
    """Every network is one of colours."""
    made: dict[str, Colours] = {}

    def load(name: str, *rest: object, **options: object) -> Colours:
        return made.setdefault(name, Colours(name=name))

    monkeypatch.setattr(run, "load_network", load)
    monkeypatch.setattr(generated, "STRIP_PATCHES", 2)
    return made


def asked(*names: str, **values: object) -> Request:
    return Request(metrics_named(names), **{"n": 6, "scales": (1, 2)} | values)  # type: ignore[arg-type]


@pytest.fixture
def measure(tiny: Generator, photos: Landscapes, networks: dict[str, Colours]) -> Callable[..., Report]:
    return lambda *names, **values: evaluate(tiny, photos, request=asked(*names, **values))


Measure = Callable[..., Report]


def test_scaleinv_at_scale_1_is_exactly_the_plain_distance(measure: Measure) -> None:
    report = measure("fd-vgg", "scaleinv-fd-vgg")
    assert report.value("scaleinv-fd-vgg", scale=1) == report.value("fd-vgg")


def test_scaleinv_comes_once_for_each_scale(measure: Measure) -> None:
    report = measure("scaleinv-fd-vgg")
    assert [m.scale for m in report.measurements] == [1, 2]
    assert report.value("scaleinv-fd-vgg", scale=1) != report.value("scaleinv-fd-vgg", scale=2)


def test_each_picture_is_drawn_once_for_all_networks(measure: Measure, networks: dict[str, Colours]) -> None:
    measure("fd-vgg", "fid", "kid")
    assert [n.calls for n in networks.values()] == [[6, 6], [6, 6]]  # photographs, samples


def test_the_same_request_gives_the_same_values(measure: Measure) -> None:
    names = ("fd-vgg", "inf-fd-vgg", "kd-vgg")
    assert measure(*names).measurements == measure(*names).measurements


def test_another_seed_gives_other_values(measure: Measure) -> None:
    assert measure("fd-vgg").value("fd-vgg") != measure("fd-vgg", seed=1).value("fd-vgg")


def test_the_training_loops_distance_is_the_reports(measure: Measure, tiny: Generator, photos: Landscapes) -> None:
    network = Colours()
    real = real_features(photos, [network], n=6, seed=0)["vgg"]
    assert frechet(tiny, network, real=real, n=6, seed=0) == measure("fd-vgg").value("fd-vgg")


def test_measurements_come_in_the_order_of_the_request(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.picture_scores, "SEAM_WORLDS", 1)
    report = measure("seam", "kd-vgg", "fd-vgg")
    assert [m.metric for m in report.measurements] == ["seam", "kd-vgg", "fd-vgg"]


def test_scores_of_pictures_need_no_network(
    measure: Measure, networks: dict[str, Colours], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.picture_scores, "REPETITION_PX", (16, 1200))
    report = measure("repetition", "diversity", n=2)
    assert networks == {}
    assert report.measurements[1].detail is not None
    assert report.measurements[1].detail["pairs"] == 2


def test_a_request_states_its_cost() -> None:
    assert asked("scaleinv-fd-vgg").pixels(preset("tiny")) == 6 * 101**2 * (1 + 4)


def test_a_request_without_scaleinv_draws_no_larger_pictures() -> None:
    assert asked("fd-vgg", "seam").drawn_scales() == (1,)


def test_photographs_of_another_size_are_refused(tiny: Generator, photos: Landscapes) -> None:
    with pytest.raises(InputError, match="patches of 197 px, the model draws 101 px"):
        evaluate(tiny, replace(photos, patch_px=197), request=asked("seam"))


@pytest.mark.parametrize("n", [1, 0, -1, 100_001])
def test_impossible_numbers_of_pictures_are_refused(n: int) -> None:
    with pytest.raises(InputError, match=f"{n} pictures are not possible; give a number from 2 to 100000"):
        asked("fd-vgg", n=n)


@pytest.mark.parametrize("scales", [(), (0,), (-1, 2)])
def test_impossible_scales_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="are not possible; give whole numbers from 1"):
        asked("fd-vgg", scales=scales)


def test_too_few_pictures_for_a_score_are_refused_before_anything_is_drawn() -> None:
    with pytest.raises(InputError, match="too few for an Inception Score"):
        asked("is")


def test_pictures_over_the_limit_are_refused_before_anything_is_drawn(measure: Measure) -> None:
    with pytest.raises(LimitError, match="scale 82 gives pictures of 8282 px, over the limit of 8192 px"):
        measure("scaleinv-fd-vgg", scales=(1, 82))


# Distances of photographs


def blur(patch: Tensor) -> Tensor:
    soft = F.avg_pool2d(patch[None].float(), 15, stride=1, padding=7, count_include_pad=False)[0]
    return soft.round().to(torch.uint8)


def redden(patch: Tensor) -> Tensor:
    shift = torch.tensor([80.0, 0.0, -80.0])[:, None, None]
    return (patch + shift).clamp(0, 255).to(torch.uint8)


def distances_of(one: Photos, other: Photos, network: FeatureNetwork, n: int) -> tuple[float, float, float]:
    """Frechet distances of ``n`` patches of ``one`` from as many of ``other``: as they are, blurred, reddened."""

    def features(photos: Photos, change: Callable[[Tensor], Tensor], seed: int) -> Tensor:
        found = collect(map(change, real_patches(photos, n=n, seed=seed)), [network], count=n)
        return found[network.name][:, ::20]  # the rest would only cost time

    first = features(one, torch.clone, 0)
    plain, soft, red = (distances.frechet(first, features(other, c, 1)) for c in (torch.clone, blur, redden))
    return plain, soft, red


@pytest.fixture(scope="module")
def effnet() -> EffNetFeatures:
    return EffNetFeatures()


def test_spoilt_photographs_are_farther_away_than_other_photographs(effnet: EffNetFeatures) -> None:
    plain, soft, red = distances_of(Landscapes(first=0), Landscapes(first=1000), effnet, 40)
    assert plain < min(soft, red)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[PhotoSet, PhotoSet]:
    if not PHOTOS.exists():
        pytest.skip("the folder ../shared with real photographs is not here")
    folder = tmp_path_factory.mktemp("photos")
    with tarfile.open(PHOTOS) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(".jpg")][:80]
        for i, member in enumerate(members):
            file = archive.extractfile(member)
            assert file is not None
            half = folder / str(i % 2)
            half.mkdir(exist_ok=True)
            (half / f"{i}.jpg").write_bytes(file.read())
    one, other = (PhotoSet.open(folder / str(i), view_px=197, patch_px=101)[0] for i in (0, 1))
    return one, other


def test_real_photographs_are_nearer_to_others_than_to_spoilt_ones(
    halves: tuple[PhotoSet, PhotoSet], effnet: EffNetFeatures
) -> None:
    plain, soft, red = distances_of(*halves, effnet, 40)
    assert plain < min(soft, red)
