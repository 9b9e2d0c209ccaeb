"""Test the self-test of engines: accepted and refused results, and the engines that a studio tests."""

from pathlib import Path

import pytest
from torch import Tensor

from infgen.engines import EagerEngine
from infgen.engines.base import TileBatch
from infgen.errors import InfgenError, InputError
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering import studio
from infgen.rendering.selftest import check_engine, is_reference
from infgen.rendering.studio import Options, open_studio
from infgen.world.world import World
from tests.model.networks import random_generator
from tests.model.scaled import CELLS, SCALES, network


class Fixed(EagerEngine):
    """An engine for windows of one size, as exported files are."""

    def __init__(self, generator: Generator, cells: tuple[int, int], *, precision: str = "fp32") -> None:
        super().__init__(generator, precision=precision)
        self._cells = cells

    @property
    def fixed_cells(self) -> tuple[int, int] | None:
        return self._cells

    def render_float(self, batch: TileBatch) -> Tensor:
        shape = batch.noises[-1].shape[-2:]
        assert shape == self.config.noise_shapes(self._cells)[-1]
        return super().render_float(batch)


class Spoilt(EagerEngine):
    """An engine that adds ``error`` of 255 to every value."""

    def __init__(self, generator: Generator, error: float, *, precision: str = "fp32") -> None:
        super().__init__(generator, precision=precision)
        self._error = error

    def render_float(self, batch: TileBatch) -> Tensor:
        return super().render_float(batch).clamp(-0.9, 0.9) + self._error / 127.5


def refusal(engine: EagerEngine, generator: Generator) -> str:
    with pytest.raises(InfgenError) as caught:
        check_engine(engine, generator, model="tiny.safetensors")
    assert not isinstance(caught.value, InputError)
    return str(caught.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("cells", [(11, 11), (12, 31), (8, 14)])
def test_an_engine_of_any_window_that_draws_as_the_network_passes(
    cells: tuple[int, int], precision: str, tiny: Generator
) -> None:
    check_engine(Fixed(tiny, cells, precision=precision), tiny, model="tiny.safetensors")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("scale", SCALES)
def test_an_engine_of_a_scale_passes(scale: str, precision: str) -> None:
    cells = CELLS[scale], CELLS[scale] + 2
    check_engine(Fixed(network(scale), cells, precision=precision), network(scale), model="scaled.safetensors")


def test_an_engine_that_draws_another_model_is_refused(tiny: Generator) -> None:
    other = random_generator(preset("tiny"), seed=8)
    assert refusal(EagerEngine(other), tiny).startswith("self-test failed: engine eager differs by up to ")


@pytest.mark.parametrize(("precision", "error"), [("fp32", 2.0), ("bf16", 20.0), ("fp32", float("nan"))])
def test_an_engine_that_differs_by_more_than_its_precision_allows_is_refused(
    precision: str, error: float, tiny: Generator
) -> None:
    message = refusal(Spoilt(tiny, error, precision=precision), tiny)
    assert message.endswith(
        "of 255 from the network of tiny.safetensors; use another --engine, or export the model again"
    )


def test_the_reference_is_pytorch_in_fp32_on_a_cpu(tiny: Generator) -> None:
    assert is_reference(EagerEngine(tiny))
    assert not is_reference(EagerEngine(tiny, precision="bf16"))


def test_opening_a_studio_tests_every_engine_but_the_reference(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[str] = []
    monkeypatch.setattr(studio, "check_engine", lambda engine, *_, model: tested.append(f"{engine.precision} {model}"))
    for precision in ("fp32", "bf16"):
        open_studio(World(), model=tiny_model, options=Options(precision=precision, device="cpu"))
    assert tested == [f"bf16 {tiny_model.name}"]


def test_a_studio_with_an_engine_that_draws_garbage_is_not_opened(
    tiny: Generator, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Spoilt(tiny, 90.0, precision="bf16")
    monkeypatch.setattr(studio, "_engine", lambda path, options: (tiny, engine))
    with pytest.raises(InfgenError, match="self-test failed"):
        open_studio(World(), model=tiny_model)
