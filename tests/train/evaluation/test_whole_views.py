"""The paper's protocol: whole views of 128 px, larger ones, and strips of one and several styles."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infgen.errors import InputError
from infgen.geometry import Region
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.train.evaluation import Request, comparison, evaluate, generated, metrics_named, run, whole_views
from infgen.train.evaluation.generated import anchored_strip, plain_strip, strip_crops
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.places import place
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.whole_views import WholeViews, open_whole_views, paper_scale, shrink_view, strip_views
from tests.train.evaluation.stand_ins import Colours, Landscapes
from tests.train.photos import landscape, save, save_landscapes


@pytest.fixture
def squares() -> WholeViews:
    return WholeViews(Landscapes(view_px=128, patch_px=128))


@pytest.fixture
def measure(tiny: Generator, squares: WholeViews, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    monkeypatch.setattr(run, "load_network", lambda name, *rest, **options: Colours(name=name))
    monkeypatch.setattr(whole_views, "STRIP_VIEWS", 2)

    def measured(*names: str, **values: object) -> Report:
        options = {"n": 4, "scales": (1, 2), "protocol": "paper"} | values
        return evaluate(tiny, squares, request=Request(metrics_named(names), **options))  # type: ignore[arg-type]

    return measured


def test_scaleinv_at_scale_1_is_exactly_the_distance_of_whole_views(measure: Callable[..., Report]) -> None:
    report = measure("fd-vgg", "scaleinv-fd-vgg")
    assert report.value("scaleinv-fd-vgg", scale=1) == report.value("fd-vgg")
    assert report.value("scaleinv-fd-vgg", scale=2) != report.value("fd-vgg")


def test_the_report_names_the_protocol_and_the_size_of_views(measure: Callable[..., Report]) -> None:
    report = measure("fd-vgg")
    assert (report.protocol, report.view_px, report.patch_px) == ("paper", 128, 128)
    assert report.to_dict()["protocol"] == "paper"


def test_only_distances_of_patches_are_called_so(measure: Callable[..., Report], tiny: Generator) -> None:
    assert measure("scaleinv-fd-vgg").measurements[0].label == "ScaleInv FD-VGG"
    patches = evaluate(tiny, Landscapes(), request=Request(metrics_named(["scaleinv-fd-vgg"]), scales=(1,), n=2))
    assert patches.measurements[0].label == "patch ScaleInv FD-VGG"


def test_a_photograph_counts_once(measure: Callable[..., Report], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def real_features(photos: object, networks: object, *, n: int, **options: object) -> dict[str, torch.Tensor]:
        seen.append(n)
        return {"vgg": torch.randn(n, 9)}

    monkeypatch.setattr(comparison, "real_features", real_features)
    monkeypatch.setattr(Landscapes, "__len__", lambda self: 3)
    measure("fd-vgg")
    assert seen == [3]


def test_a_view_is_the_world_about_its_horizon_shrunk(tiny: Generator) -> None:
    painter = Painter.of(tiny)
    found = place(painter.config, painter.scale, 0, seed=5)
    drawn = painter.draw(found.world, Region(found.region.x, -197, 394, 394))
    expected = shrink_view(torch.from_numpy(drawn.copy()).permute(2, 0, 1), 2)
    assert torch.equal(next(whole_views.whole_views(painter, n=1, seed=5, scale=2)), expected)


def test_shrinking_keeps_the_corners_and_gives_128_px() -> None:
    picture = torch.from_numpy(landscape(3, height=394, width=394)).permute(2, 0, 1)
    small = shrink_view(picture, 2)
    assert (small.shape, small.dtype) == ((3, 128, 128), torch.uint8)
    assert torch.equal(small[:, ::127, ::127], picture[:, ::393, ::393])


def test_photographs_give_their_middle_squares(tmp_path: Path) -> None:
    pixels = np.zeros((128, 400, 3), np.uint8)
    pixels[:, 136:264] = 255
    photos, skipped = open_whole_views(save(tmp_path, "a.png", pixels).parent)
    assert (skipped, len(photos)) == ([], 1)
    assert bool((photos.view(0) == 255).all())


def test_views_of_photographs_are_not_mirrored(tmp_path: Path) -> None:
    photos, _ = open_whole_views(save_landscapes(tmp_path, count=1))
    assert all(torch.equal(photos.patch(i, seed=i)[0], photos.patch(0, seed=0)[0]) for i in range(8))


def test_the_papers_scale_is_the_one_with_the_nearest_view() -> None:
    assert paper_scale(preset("tiny")).view_px == 197
    assert paper_scale(preset("tiny-scales")).view_px == 197


def test_a_model_with_scales_is_measured_at_one_of_them(
    tiny_scales: Generator, squares: WholeViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_network", lambda name, *rest, **options: Colours(name=name))
    request = Request(metrics_named(["scaleinv-fd-vgg"]), scales=(1,), n=2, protocol="paper")
    report = evaluate(tiny_scales, squares, request=request)
    assert [(m.at, m.scale) for m in report.measurements] == [(None, 1)]
    assert report.scales == ()


# Strips


def test_fused_strips_have_the_latents_of_plain_ones_and_a_row_of_styles(tiny: Generator) -> None:
    painter = Painter.of(tiny)
    plain, x = plain_strip(painter.config, painter.scale, 0, seed=1, width_px=600)
    fused, left = anchored_strip(painter.config, painter.scale, 0, seed=1, width_px=600)
    assert (fused.seed, left) == (plain.seed, x)
    assert fused.layout is not None
    centres = [c.x for c in fused.layout.centres]
    assert centres == [x + 13 * 16 * k for k in range(4)]
    assert fused.layout.transition == 127


def test_fused_infinity_distances_differ_from_plain_ones(measure: Callable[..., Report]) -> None:
    report = measure("inf-fd-vgg", "inf-fused-fd-vgg")
    assert report.value("inf-fd-vgg") != report.value("inf-fused-fd-vgg")


@pytest.mark.parametrize("fused", [False, True])
def test_as_many_crops_come_as_are_asked_for(fused: bool, tiny: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_views, "STRIP_VIEWS", 2)
    monkeypatch.setattr(generated, "STRIP_PATCHES", 2)
    painter = Painter.of(tiny)
    assert [len(list(strips(painter, n=5, seed=0, fused=fused))) for strips in (strip_views, strip_crops)] == [5, 5]


# Refusals


def test_fused_columns_are_refused(measure: Callable[..., Report]) -> None:
    with pytest.raises(InputError, match="--fused compares patches"):
        measure("fd-vgg", fused=(2,))


def test_photographs_of_another_size_are_refused(tiny: Generator) -> None:
    request = Request(metrics_named(["fd-vgg"]), n=2, protocol="paper")
    with pytest.raises(InputError, match="patches of 101 px, the model draws 128 px"):
        evaluate(tiny, replace(Landscapes()), request=request)


def test_the_request_tells_how_much_it_draws() -> None:
    request = Request(metrics_named(["scaleinv-fd-vgg"]), scales=(1, 2), n=6, protocol="paper")
    assert request.pixels(preset("tiny")) == 6 * 197**2 * (1 + 4)
