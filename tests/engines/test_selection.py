"""Test the choice of an engine: names, files that match the request or not, and checks before any work."""

from pathlib import Path

import pytest

from infgen.engines import OnnxEngine
from infgen.engines.selection import engine_kind, open_exported
from infgen.errors import InputError
from infgen.geometry import Region
from infgen.model.generator import Generator
from infgen.rendering import studio as studios
from infgen.rendering.engine_files import EngineNeeds
from infgen.rendering.job import Output, prepare
from infgen.rendering.plan import make_plan
from infgen.rendering.studio import Options, open_studio
from infgen.world.world import World
from tests.export.files import onnx_file, tiny_file
from tests.rendering.test_fused_seams import four_styles


@pytest.mark.parametrize(
    ("name", "file", "kind"),
    [
        ("auto", None, "eager"),
        ("eager", None, "eager"),
        ("auto", "a.onnx", "onnx"),
        ("auto", "a.ENGINE", "trt"),
        ("onnx", "any.name", "onnx"),
        ("trt", "a.engine", "trt"),
        ("triton://host:8001", None, "triton"),
    ],
)
def test_the_engine_goes_by_name_and_file(name: str, file: str | None, kind: str):
    assert engine_kind(name, file) == kind


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("abacus", None, "choose one of auto, eager, onnx, trt, triton://host:8001"),
        ("eager", "a.onnx", "takes no file"),
        ("triton://host", "a.onnx", "takes no file"),
        ("auto", "a.bin", "ends in '.bin'; allowed are .onnx, .engine"),
    ],
)
def test_names_and_files_that_do_not_fit_are_refused(name: str, file: str | None, message: str):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        engine_kind(name, file)


def open_engine(**options: object) -> object:
    values = {"device": "cpu", "threads": 1, "provider": None, "precision": None} | options
    return open_exported("onnx", str(onnx_file()), **values)  # type: ignore[arg-type]


def test_a_cpu_runs_an_onnx_file_with_the_cpu_provider():
    engine = open_engine()
    assert isinstance(engine, OnnxEngine)
    assert engine.provider == "CPUExecutionProvider"


def test_another_precision_than_the_files_is_refused():
    with pytest.raises(InputError, match=r"precision fp16 was given.*has fp32"):
        open_engine(precision="fp16")


def test_an_unknown_provider_is_refused_by_name():
    with pytest.raises(InputError, match="cpu, cuda, tensorrt"):
        open_engine(provider="abacus")


def test_a_provider_without_onnx_runtime_is_refused():
    with pytest.raises(InputError, match="leave --provider out"):
        open_exported("triton://x", None, device="cpu", threads=1, provider="cpu", precision=None)


def studio_options(**values: object) -> Options:
    return Options(threads=1, device="cpu", **values)  # type: ignore[arg-type]


def test_the_plan_has_the_tiles_of_the_engine():
    studio = open_studio(World(), model=tiny_file(), options=studio_options(engine_file=str(onnx_file()), batch=3))
    plan = studio.plan(Region(-7, 5, 300, 200))
    assert (plan.cells, plan.batch) == ((11, 11), 3)
    assert studio.provenance(plan)["engine"] == "onnx-cpu"


def test_another_tile_than_the_engines_is_refused_with_both_sizes(tiny: Generator):
    with pytest.raises(InputError, match=r"tile 229 px was given.*101 x 101 px only"):
        make_plan(Region(0, 0, 50, 50), tiny.config, memory=2**40, tile_px=229, fixed_cells=(11, 11))


def test_tiles_that_do_not_fit_together_are_refused(tiny: Generator):
    with pytest.raises(InputError, match="too small for a picture of several tiles"):
        make_plan(Region(0, 0, 50, 50), tiny.config, memory=2**40, fixed_cells=(6, 11))


def test_a_file_of_another_model_is_refused_before_work(tmp_path: Path, tiny: Generator):
    other = tmp_path / "other.safetensors"
    tiny.save_pretrained(other)
    other_bytes = other.read_bytes()
    other.write_bytes(other_bytes[:-1] + bytes([other_bytes[-1] ^ 1]))
    with pytest.raises(InputError, match="was made from model"):
        open_studio(World(), model=other, options=studio_options(engine_file=str(onnx_file())))


def test_more_styles_in_a_tile_than_the_file_mixes_are_refused_before_work(tmp_path: Path):
    world = World.create(seed=5, layout=four_styles((-515, -515), 401))
    studio = open_studio(world, model=tiny_file(), options=studio_options(engine_file=str(onnx_file())))
    with pytest.raises(InputError, match=r"styles reach one tile and ONNX file .* draws one style"):
        prepare(studio, Region(-100, -100, 200, 200), Output(str(tmp_path / "out.png")))
    assert list(tmp_path.iterdir()) == []


def test_a_layout_of_more_styles_is_drawn_where_few_enough_meet(tmp_path: Path):
    world = World.create(seed=5, layout=four_styles(transition=31))
    studio = open_studio(world, model=tiny_file(), options=studio_options(engine_file=str(onnx_file())))
    prepare(studio, Region(-30, -30, 60, 60), Output(str(tmp_path / "out.png"))).run()
    assert (tmp_path / "out.png").exists()


def test_a_picture_in_python_takes_the_default_file_for_its_styles(monkeypatch: pytest.MonkeyPatch):
    needed: list[int] = []

    def find(needs: EngineNeeds, **options: object) -> Path:
        needed.append(needs.styles)
        return onnx_file(styles=4)

    monkeypatch.setattr(studios, "default_engine_file", find)
    world = World.create(seed=5, layout=four_styles((-515, -515), 401))
    assert world.render(0, 0, 24, 16, model=tiny_file(), engine="onnx", device="cpu").shape == (16, 24, 3)
    assert needed == [4]
