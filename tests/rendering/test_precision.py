"""The precision that a machine should render with."""

from pathlib import Path

import pytest

from infgen.model.generator import Generator
from infgen.rendering import studio as studios
from infgen.rendering.precision import Comparison, compare_precisions
from infgen.rendering.studio import Options, open_studio
from infgen.world.world import World


@pytest.mark.parametrize(
    ("ratio", "difference", "choice"),
    [(1.3, 2.0, "bf16"), (1.29, 0.5, "fp32"), (3.0, 2.1, "fp32"), (0.1, 0.0, "fp32")],
)
def test_bf16_is_chosen_only_if_it_is_faster_and_near(ratio: float, difference: float, choice: str) -> None:
    assert Comparison(ratio, difference).choice == choice


def test_both_precisions_are_compared_on_the_same_patch(tiny_model: Path) -> None:
    comparison = compare_precisions(Generator.from_pretrained(tiny_model))
    assert comparison.ratio > 0
    assert 0 < comparison.difference < 8


@pytest.mark.parametrize(("ratio", "expected"), [(2.0, "bf16"), (1.0, "fp32")])
def test_a_studio_records_the_precision_that_was_chosen(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    monkeypatch.setattr(studios, "compare_precisions", lambda _: Comparison(ratio, 0.5))
    lines: list[str] = []
    studio = open_studio(World(), model=tiny_model, options=Options(precision="auto"), report=lines.append)
    assert (studio.scene.engine.precision, studio.options.precision) == (expected, expected)
    assert lines == [str(Comparison(ratio, 0.5))]
