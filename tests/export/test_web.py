"""``infgen export --web``: graphs that compute what PyTorch computes, and a folder that is complete or not there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from infgen.cli.export import command
from infgen.engines.eager import EagerEngine
from infgen.engines.exported import make_feed
from infgen.errors import InputError
from infgen.export.web import RUNTIME_FILES, export_web
from infgen.export.web_graph import graph_bytes, styles_graph_bytes, weights_bytes
from infgen.model.config import CoordinateSystem, Structure, preset
from infgen.model.generator import Generator
from infgen.rendering.palette import world_palette
from infgen.rendering.tile_inputs import TilePosition, tile_batch
from infgen.world.world import World
from tests.export.files import tiny_file
from tests.fixtures.make_vectors import FILE, LAYOUT, vectors
from tests.model.networks import random_generator

onnxruntime = pytest.importorskip("onnxruntime")


def run_graph(graph: bytes, generator: Generator, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph that is joined with the weights of ``generator``."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph + weights_bytes(generator), options, ["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feed)
    return found


def check_window(generator: Generator, *, halvings: int = 0, styles: int = 1) -> None:
    """Compare a window of a world with PyTorch's."""
    drawn = generator.coarser(halvings)
    world = World.create(seed=7, **({} if styles == 1 else {"layout": LAYOUT}))
    batch = tile_batch(
        world,
        [TilePosition(-6, -5)],
        cells=(8, 11),
        config=drawn.config,
        palette=world_palette(world, drawn),
        device=torch.device("cpu"),
    )
    count = len(batch.style.z_g)
    feed = {name: value.numpy() for name, value in make_feed(batch, styles=count).items()}
    if styles > 1:
        first, second = torch.triu_indices(count, count)
        times = torch.where(first == second, 1.0, 2.0)[:, None]
        feed |= {"first": first.numpy(), "second": second.numpy(), "times": times.numpy()}
    (rgb,) = run_graph(graph_bytes(drawn.config, mixed=styles > 1), generator, feed)
    assert rgb == pytest.approx(EagerEngine(drawn).render_float(batch).numpy(), abs=1e-4)


@pytest.mark.parametrize("styles", [1, 4])
@pytest.mark.parametrize("halvings", [0, 3])
def test_a_graph_with_the_weights_computes_the_window_of_pytorch(halvings: int, styles: int) -> None:
    check_window(random_generator(preset("tiny-scales"), seed=7), halvings=halvings, styles=styles)


@pytest.mark.parametrize("structure", ["pointwise", "none"])
def test_a_graph_has_the_structure_of_its_model(structure: Structure) -> None:
    check_window(random_generator(preset("tiny", structure=structure), seed=7))


@pytest.mark.parametrize("coordinates", ["texture", "object"])
def test_a_graph_has_the_coordinates_of_its_model(coordinates: CoordinateSystem) -> None:
    check_window(random_generator(preset("tiny", coordinates=coordinates), seed=7))


def test_the_graph_of_styles_truncates_as_pytorch_does(tiny: Generator) -> None:
    latents = torch.randn(3, tiny.config.global_channels, generator=torch.Generator().manual_seed(0))
    truncation = np.array([[1.0], [0.7], [0.0]], np.float32)
    z, w = run_graph(styles_graph_bytes(tiny.config), tiny, {"z_g": latents.numpy(), "truncation": truncation})
    for i, share in enumerate(truncation.ravel().tolist()):
        style = tiny.style(latents[i : i + 1], truncation=share)
        assert z[i] == pytest.approx(style.z_g[0].numpy(), abs=1e-6)
        assert w[i] == pytest.approx(style.w_plus[0, 0].numpy(), abs=1e-5)


def test_weights_that_fit_half_precision_take_half_the_bytes(tiny: Generator) -> None:
    halved = Generator(tiny.config)
    halved.load_state_dict({name: tensor.half().float() for name, tensor in tiny.state_dict().items()})
    assert len(weights_bytes(halved)) < 0.75 * len(weights_bytes(tiny))


def flat(value: object) -> list[object]:
    """All values of a JSON document in order."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in (key, *flat(value[key]))]
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


def test_the_vectors_for_browsers_are_those_of_this_code() -> None:
    found, expected = flat(json.loads(FILE.read_text())), flat(json.loads(json.dumps(vectors())))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == (pytest.approx(other, abs=2e-6) if isinstance(other, float) else other)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with empty files of the names of the runtime."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in RUNTIME_FILES.values():
        (folder / name).touch()
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_writes_page_model_and_runtime_and_prints_their_sizes(tmp_path: Path, runtime: Path) -> None:
    site = tmp_path / "site"
    result = run("--web", site, "--model", tiny_file(), "--ort", runtime)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{site}\n"
    assert "page 0." in result.stderr
    record = json.loads((site / "model" / "model.json").read_text())
    graphs = {f"{name}-{k}.onnx" for name in ("one", "mixed") for k in record["halvings"]}
    assert {path.name for path in (site / "model").iterdir()} == graphs | {"model.json", "styles.onnx", "weights.bin"}
    assert {path.name for path in (site / "ort").iterdir()} == {*RUNTIME_FILES, "LICENSE"}
    assert len(list((site / "styles").iterdir())) == record["previews"]
    assert "local/api.js" in (site / "static" / "js" / "api.js").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runtime", "site"]


def test_an_empty_folder_is_filled(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "site").mkdir()
    export_web(tiny_file(), tmp_path / "site", runtime=runtime)
    assert (tmp_path / "site" / "index.html").is_file()


def test_an_empty_folder_behind_a_link_is_filled(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "link").symlink_to("site")
    export_web(tiny_file(), tmp_path / "link", runtime=runtime)
    assert (tmp_path / "site" / "index.html").is_file()
    assert (tmp_path / "link").is_symlink()


def test_a_folder_with_files_is_not_touched(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not empty"):
        export_web(tiny_file(), tmp_path / "site", runtime=runtime)
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["mine.txt"]


def test_a_missing_runtime_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"npm install onnxruntime-web@\d.*--ort"):
        export_web(tiny_file(), tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_runtime_is_refused_by_the_name_of_the_file(tmp_path: Path, runtime: Path) -> None:
    (runtime / RUNTIME_FILES["wasm.wasm"]).unlink()
    with pytest.raises(InputError, match=r"lacks ort-wasm-simd-threaded\.wasm"):
        export_web(tiny_file(), tmp_path / "site", runtime=runtime)
    assert [path.name for path in tmp_path.iterdir()] == ["runtime"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--web", "site", "--onnx"), "both given"),
        (("--web", "site", "--tile", 101), "--tile applies only to"),
        (("--web", "site", "-o", "other"), "--output applies only to"),
        (("--onnx", "--ort", "folder"), "--ort applies only to --web"),
        (("other.safetensors", "--web", "site", "--model", "scenery"), "both given"),
        (("--web", "none/site"), "does not exist"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(
    arguments: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []
