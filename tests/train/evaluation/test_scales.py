"""Evaluations of a model with scales: every scale, wide windows, columns beside it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from infgen.cache import CACHE_VARIABLE
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.model.scales import Scale, judged_scales
from infgen.photo import resize_short_side as shrunk
from infgen.train.evaluation import Other, Request, comparison, evaluate, frechet, generated, metrics_named, run
from infgen.train.evaluation.generated import patches, wide_crops
from infgen.train.evaluation.measurement import Measurement
from infgen.train.evaluation.painter import Painter
from infgen.train.evaluation.presentation import report_figure, report_tables
from infgen.train.evaluation.real import real_features
from infgen.train.evaluation.report import Report
from infgen.train.evaluation.report_files import write_report
from tests.train.evaluation.stand_ins import Colours, Landscapes

FOUR = judged_scales(preset("tiny-scales"))
NAMES = [scale.name for scale in FOUR]


class Few(Landscapes):
    """Three photographs."""

    def __len__(self) -> int:
        return 3


def landscapes(scale: Scale) -> Landscapes:
    """100 photographs, of which 97 are too small for the finest scale."""
    kind = Few if scale.halvings == 0 else Landscapes
    return kind(fingerprint=scale.name, view_px=scale.view_px, patch_px=scale.patch_px)


SETS = [landscapes(scale) for scale in FOUR]
DIVERSITY = Measurement(
    "diversity", "diversity", value=0.4, better="higher", detail={"pairs": 2}, at="1/8", view_px=98, patch_px=93
)
Measure = Callable[..., Report]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A network of colours, short strips, and a cache of its own for what all tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        patch.setattr(run, "load_network", lambda name, *rest, **options: Colours(name=name))
        patch.setattr(generated, "STRIP_PATCHES", 2)
        yield


@pytest.fixture(scope="module")
def measure(tiny_scales: Generator, stand_ins: None) -> Measure:
    def measure(*names: str, other: Other | None = None, **values: object) -> Report:
        request = Request(metrics_named(names), **{"n": 2, "scales": (1,)} | values)  # type: ignore[arg-type]
        return evaluate(tiny_scales, SETS, request=request, other=other, model="four.safetensors")

    return measure


@pytest.fixture(scope="module")
def plain(measure: Measure) -> Report:
    return measure("kd-vgg", "fd-vgg")


def test_every_distance_comes_at_every_scale_from_coarse_to_fine(plain: Report) -> None:
    assert [(m.metric, m.at) for m in plain.measurements] == [(n, at) for n in ("kd-vgg", "fd-vgg") for at in NAMES]


def test_a_value_names_view_and_patch(plain: Report) -> None:
    assert [(m.view_px, m.patch_px) for m in plain.measurements] == 2 * [(s.view_px, s.patch_px) for s in FOUR]


def test_scales_have_values_of_their_own(plain: Report) -> None:
    assert len({plain.value("fd-vgg", at=name) for name in NAMES}) == 4


def test_the_report_counts_photographs_that_are_too_small_for_a_scale(plain: Report) -> None:
    assert [(s.photographs, s.too_small) for s in plain.scales] == [(100, 0), (100, 0), (100, 0), (3, 97)]


@pytest.mark.parametrize("scale", FOUR, ids=lambda s: s.label)
def test_the_training_loops_distance_of_a_scale_is_the_reports(
    plain: Report, tiny_scales: Generator, scale: Scale
) -> None:
    network = Colours()
    real = real_features(landscapes(scale), [network], n=2, seed=0)["vgg"]
    value = frechet(tiny_scales, network, real=real, n=2, seed=0, scale=scale)
    assert value == plain.value("fd-vgg", at=scale.name)


def test_the_distance_of_a_scale_does_not_depend_on_the_view_that_a_recipe_gives_it(tiny: Generator) -> None:
    (scale,) = judged_scales(tiny.config)
    real = real_features(Landscapes(), [Colours()], n=2, seed=0)["vgg"]
    values = [
        frechet(tiny, Colours(), real=real, n=2, seed=0, scale=s) for s in (None, scale, replace(scale, view_px=101))
    ]
    assert len(set(values)) == 1


def test_photographs_of_another_view_are_refused(tiny_scales: Generator) -> None:
    wrong = [*SETS[:3], Landscapes(view_px=400, patch_px=101)]
    with pytest.raises(InputError, match="views of 400 px, scale 1 has views of 788 px; open them alike"):
        evaluate(tiny_scales, wrong, request=Request(metrics_named(["seam"]), n=2))


def test_photographs_of_one_scale_are_refused(tiny_scales: Generator) -> None:
    with pytest.raises(InputError, match="photographs come for 1 scales, the model has 4; open them for its scales"):
        evaluate(tiny_scales, SETS[0], request=Request(metrics_named(["seam"]), n=2))


def test_crops_of_strips_come_at_every_scale(measure: Measure) -> None:
    assert [m.at for m in measure("inf-fd-vgg").measurements] == NAMES


def test_diversity_comes_at_every_scale(measure: Measure) -> None:
    assert [m.at for m in measure("diversity").measurements] == NAMES


def test_seams_are_sought_at_full_size(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.picture_scores, "SEAM_WORLDS", 1)
    (seam,) = measure("seam").measurements
    assert seam.at is None
    assert seam.value == pytest.approx(1, abs=0.01)


# Wide windows


def test_scaleinv_is_measured_for_each_width_at_the_coarsest_scale(measure: Measure) -> None:
    report = measure("scaleinv-fd-vgg", scales=(1, 2))
    assert [(m.at, m.scale) for m in report.measurements] == [("1/8", 1), ("1/8", 2)]


@pytest.mark.parametrize(("n", "views"), [(3, 1), (3, 2), (4, 4)])
def test_as_many_crops_of_wide_windows_come_as_are_asked_for(tiny_scales: Generator, n: int, views: int) -> None:
    crops = list(wide_crops(Painter.of(tiny_scales), FOUR[0], n=n, seed=0, views=views))
    assert [crop.shape for crop in crops] == [(3, 93, 93)] * n


def test_crops_of_a_wide_window_are_windows_of_it_shrunk(
    tiny_scales: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = []
    monkeypatch.setattr(generated, "shrunk_photo", lambda image, px: pictures.append(shrunk(image, px)) or pictures[-1])
    crops = list(wide_crops(Painter.of(tiny_scales), FOUR[0], n=2, seed=0, views=2))
    (picture,) = pictures
    assert picture.size == (196, 98)
    small = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(98, 196, 3).permute(2, 0, 1)
    windows = [small[:, y : y + 93, x : x + 93] for y in range(6) for x in range(104)]
    assert all(any(torch.equal(crop, window) for window in windows) for crop in crops)


def test_wide_windows_show_exactly_the_view(tiny_scales: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Region] = []
    draw = Painter.draw
    monkeypatch.setattr(Painter, "draw", lambda self, world, region: drawn.append(region) or draw(self, world, region))
    next(wide_crops(Painter.of(tiny_scales), FOUR[0], n=1, seed=0, views=2))
    assert [(r.y, r.h, r.w) for r in drawn] == [(-394, 788, 1576)]


# Columns


def test_another_model_is_compared_at_every_scale(measure: Measure, tiny: Generator) -> None:
    report = measure("fd-vgg", other=Other(tiny, "one.safetensors", sha256="ab"))
    beside = [m for m in report.measurements if m.column == "other"]
    assert [(m.at, m.enlarged) for m in beside] == [("1/8", 98 / 197), ("1/4", None), ("1/2", 2), ("1", 4)]
    assert (report.other, report.other_hash) == ("one.safetensors", "ab")


def test_a_model_compared_with_itself_has_equal_values(measure: Measure, tiny_scales: Generator) -> None:
    report = measure("fd-vgg", "inf-fd-vgg", "scaleinv-fd-vgg", other=Other(tiny_scales))
    own, beside = (
        [(m.metric, m.at, m.value) for m in report.measurements if m.column == c] for c in ("model", "other")
    )
    assert own == beside


def test_two_models_of_one_scale_are_compared_at_the_same_places(
    tiny: Generator, photos: Landscapes, stand_ins: None
) -> None:
    request = Request(metrics_named(["fd-vgg", "scaleinv-fd-vgg"]), scales=(1, 2), n=3)
    report = evaluate(tiny, photos, request=request, other=Other(tiny))
    for metric, scale in (("fd-vgg", 1), ("scaleinv-fd-vgg", 2)):
        assert report.value(metric, scale=scale) == report.value(metric, scale=scale, column="other")


def test_the_floor_is_one_half_of_the_photographs_against_the_other(measure: Measure) -> None:
    report = measure("fd-vgg", "kd-vgg", floor=True, n=6)
    assert [m.at for m in report.measurements if m.column == "floor"] == 2 * NAMES
    assert report.value("fd-vgg", at="1/4", column="floor") < report.value("fd-vgg", at="1/4")


def test_a_floor_needs_two_photographs_before_anything_is_drawn(
    tiny_scales: Generator, stand_ins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "patches", lambda *rest, **options: pytest.fail("a sample was drawn"))
    monkeypatch.setattr(Few, "__len__", lambda self: 1)
    with pytest.raises(InputError, match="there is 1 with views of 788 px"):
        evaluate(tiny_scales, SETS, request=Request(metrics_named(["fd-vgg"]), n=2, floor=True))


def test_worlds_of_several_styles_have_columns_of_their_own(measure: Measure) -> None:
    report = measure("fd-vgg", fused=(1, 2))
    assert [m.column for m in report.measurements if m.at == "1/8"] == ["model", "1 style", "2 styles"]


def test_patches_of_fused_worlds_show_several_styles(tiny_scales: Generator) -> None:
    painter = Painter.of(tiny_scales, scale=FOUR[0])
    single, fused = (list(patches(painter, n=3, seed=0, styles=styles)) for styles in (None, 2))
    assert not any(torch.equal(a, b) for a, b in zip(single, fused, strict=True))


@pytest.mark.parametrize("fused", [(0,), (1, 17)])
def test_impossible_numbers_of_styles_are_refused(fused: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="is not possible; give numbers of styles from 1 to 16"):
        Request(metrics_named(["fd-vgg"]), fused=fused)


def test_zero_padding_draws_one_style_only() -> None:
    request = Request(metrics_named(["fd-vgg"]), fused=(2,))
    with pytest.raises(InputError, match="zero padding draws one style only; leave out --fused"):
        request.check(preset("tiny", padding=True))


# Estimates


def test_the_estimate_counts_a_patch_of_every_scale() -> None:
    request = Request(metrics_named(["fd-vgg"]), n=6)
    assert request.pixels(preset("tiny-scales")) == 6 * (93**2 + 3 * 101**2)


def test_the_estimate_counts_wide_windows_and_strips() -> None:
    request = Request(metrics_named(["scaleinv-fd-vgg", "inf-fd-vgg"]), n=4, scales=(1, 2))
    assert request.pixels(preset("tiny-scales")) == 2 * 4 * 788**2 + 16 * (93**2 + 3 * 101**2)


def test_the_estimate_counts_columns() -> None:
    config, one = preset("tiny-scales"), preset("tiny")
    plain, fused = (Request(metrics_named(["fd-vgg"]), n=6, fused=fused) for fused in ((), (1, 2)))
    assert fused.pixels(config) == 3 * plain.pixels(config)
    assert plain.pixels(config, other=config) == 2 * plain.pixels(config)
    sides = (186, 101, 50, 25)  # of 197 px, where the scales show 93 of 98, 101 of 197, 394 and 788
    assert plain.pixels(config, other=one) == plain.pixels(config) + 6 * sum(side**2 for side in sides)


def test_windows_over_the_limit_are_refused() -> None:
    with pytest.raises(LimitError, match=r"scale 11 gives pictures of 8668 px, .* give scales up to 10"):
        Request(metrics_named(["scaleinv-fd-vgg"]), scales=(11,)).check(preset("tiny-scales"))


# The report


@pytest.fixture(scope="module")
def full(measure: Measure, tiny: Generator) -> Report:
    names = ("fd-vgg", "scaleinv-fd-vgg")
    return measure(*names, scales=(1, 2), fused=(2,), floor=True, other=Other(tiny, "one.safetensors"))


def test_the_table_names_scales_views_and_columns(full: Report) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*report_tables(full))
    text = capture.get()
    expected = ("93 of 98 px, whole", "101 of 788 px", "1/8, 2 views wide", "(enlarged x4)", "(shrunk x2.01)")
    expected += ("four.safetensors", "one.safetensors", "2 styles", "floor", "1: 3 (97 too small)")
    assert [part for part in expected if part not in text] == []


def test_metrics_of_one_column_have_their_own_table_with_details(full: Report) -> None:
    report = replace(full, measurements=(*full.measurements, DIVERSITY))
    beside, alone = report_tables(report)
    assert "detail" not in [column.header for column in beside.columns]
    assert [column.header for column in alone.columns] == ["metric", "scale", "view", "value", "better", "detail"]
    assert (beside.row_count, alone.row_count) == (4 + 2, 1)


def test_a_score_for_which_higher_is_better_is_marked_in_tables_of_several_columns(full: Report) -> None:
    scores = [replace(DIVERSITY, metric="is", label="IS", column=column) for column in ("model", "other")]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*report_tables(replace(full, measurements=tuple(scores))))
    assert "IS (higher is better)" in capture.get()


def test_the_file_can_be_loaded_and_names_scales_and_columns(full: Report, tmp_path: Path) -> None:
    path, _ = write_report(full, tmp_path)
    stored = json.loads(path.read_text())
    assert [scale["name"] for scale in stored["scales"]] == NAMES
    assert {m.get("column") for m in stored["measurements"]} == {None, "other", "2 styles", "floor"}


def test_the_picture_has_a_panel_for_scales_and_one_for_widths(full: Report) -> None:
    figure = report_figure(full)
    assert figure is not None
    over_scales, over_widths = figure.axes
    assert [label.get_text() for label in over_scales.get_xticklabels()] == [
        "1/8\n93 of 98 px, whole",
        "1/4\n101 of 197 px",
        "1/2\n101 of 394 px",
        "1\n101 of 788 px",
    ]
    assert len(over_scales.lines) == 4
    assert len(over_widths.lines) == 2


def test_the_report_of_a_model_with_one_scale_names_no_scales(
    tiny: Generator, photos: Landscapes, stand_ins: None
) -> None:
    stored = evaluate(tiny, photos, request=Request(metrics_named(["fd-vgg"]), n=2)).to_dict()
    assert {"scales", "other", "other_hash"}.isdisjoint(stored)
    assert set(stored["measurements"][0]) == {"metric", "label", "value", "better", "scale", "deviation", "detail"}
