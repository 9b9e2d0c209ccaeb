"""Configurations to measure: every style reaches every tile, models are the same every time, bad requests are refused."""

from pathlib import Path

import pytest
import torch

from infgen.bench.bound import largest_convolution
from infgen.bench.configurations import (
    MAX_STYLES,
    Request,
    model_file,
    open_configurations,
    random_generator,
    ring_world,
)
from infgen.engines.eager import EagerEngine
from infgen.errors import InputError, LimitError
from infgen.geometry import Region
from infgen.model.generator import Generator
from infgen.rendering import studio
from infgen.rendering.cost import layer_costs
from infgen.rendering.engine_files import EngineNeeds
from infgen.rendering.palette import world_palette
from infgen.rendering.plan import make_plan
from infgen.rendering.render import Scene, batch_inputs
from tests.export.files import onnx_file, tiny_file


@pytest.mark.parametrize(
    ("styles", "side", "tile"),
    [(2, 100, None), (4, 150, 101), (MAX_STYLES, 90, None), (3, 60, 37), (MAX_STYLES, 60, 37)],
)
def test_every_style_reaches_every_tile(tiny: Generator, styles: int, side: int, tile: int | None):
    plan = make_plan(Region(-(side // 2), -(side // 2), side, side), tiny.config, memory=2**40, tile_px=tile)
    world = ring_world(plan, styles)
    scene = Scene(world, world_palette(world, tiny), EagerEngine(tiny))
    for number in range(plan.tile_count):
        weights = batch_inputs(scene, plan, [plan.tile(number)]).weights
        assert weights is not None
        assert weights.structure.shape[1] == styles


def test_one_style_is_drawn_without_weights(tiny: Generator):
    plan = make_plan(Region(0, 0, 90, 90), tiny.config, memory=2**40)
    world = ring_world(plan, 1)
    scene = Scene(world, world_palette(world, tiny), EagerEngine(tiny))
    assert batch_inputs(scene, plan, [plan.tile(0)]).weights is None


def test_random_models_of_a_preset_are_the_same_every_time():
    torch.manual_seed(1)
    first = random_generator("tiny").state_dict()
    torch.manual_seed(2)
    second = random_generator("tiny").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_making_a_random_model_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    random_generator("tiny")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_file_of_a_random_model_goes_away():
    with model_file(model=None, preset_name="tiny") as path:
        assert path.exists()
    assert not path.parent.exists()


def test_a_model_and_a_preset_together_are_refused(tiny_model: Path):
    with pytest.raises(InputError, match="give one of them"), model_file(model=tiny_model, preset_name="tiny"):
        pass


def test_the_convolution_is_the_largest_layer_that_is_not_an_upsampling(tiny: Generator):
    plan = make_plan(Region(0, 0, 90, 90), tiny.config, memory=2**40, batch=1)
    found = largest_convolution(plan, tiny.config, dtype=torch.float32, device=torch.device("cpu"))
    found.run()
    plain = [c.flops for c in layer_costs(tiny.config, plan.cells) if c.name in {f"texture.{i}" for i in (1, 3, 5, 7)}]
    assert found.flops == max(plain)


@pytest.mark.parametrize("styles", [0, MAX_STYLES + 1])
def test_numbers_of_styles_out_of_range_are_refused(tiny_model: Path, styles: int):
    with pytest.raises(InputError, match=f"styles {styles} is out of range"):
        open_configurations(Request(tiny_model, side=64, styles=(styles,)))


def test_pictures_of_too_many_tiles_are_refused(tiny_model: Path):
    with pytest.raises(LimitError, match="give a smaller side"):
        open_configurations(Request(tiny_model, side=10_000, tile_px=37, styles=(1,), precisions=("fp32",)))


def test_an_engine_without_a_file_is_measured_with_its_default_one_and_its_tile(monkeypatch: pytest.MonkeyPatch):
    needed: list[EngineNeeds] = []

    def find(needs: EngineNeeds, **options: object) -> Path:
        needed.append(needs)
        return onnx_file(styles=4)

    monkeypatch.setattr(studio, "default_engine_file", find)
    request = Request(tiny_file(), side=64, styles=(1, 4), precisions=("fp32",), engines=("onnx",), device="cpu")
    found = open_configurations(request)
    assert [(one.engine, one.plan.tile_px) for one in found] == [("eager", (101, 101)), ("onnx-cpu", (101, 101))]
    assert {needs.styles for needs in needed} == {4}
    assert found[1].options.engine_file == str(onnx_file(styles=4))  # new processes need not look for it
