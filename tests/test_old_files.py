"""Files that the version at commit aa6eb47 wrote (tests/fixtures/old) load, render, verify and resume today."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from infgen import Generator, World
from infgen.engines.onnx_file import read_onnx
from infgen.geometry import Region
from infgen.model.checkpoint import file_hash
from infgen.rendering.inspect import describe
from infgen.rendering.job import Output, prepare
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.rendering.verify import CLOSE, MOSTLY, verify
from infgen.serve import create_app
from infgen.sinks import find_unfinished, read_region
from infgen.sinks.grid import Box
from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.data import open_source
from infgen.train.loop import Schedule
from infgen.train.presets import find_recipe
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve
from tests.serve.client import Client, client_of, if_match

ARCHIVE = Path(__file__).parent / "fixtures" / "old" / "files.tar.xz"
REGION = Region(-9, -18, 44, 36)
WORLDS = ("plain", "style", "periodic", "edits", "centres", "painting", "anchors")
PICTURES = (
    "picture.tif",
    "picture.jpg",
    "picture.webp",
    "picture.dzi",
    "picture.zarr",
    "picture-cog.tif",
    "engine.png",
)
TILE_PX = 21
RECIPE = find_recipe("tiny").with_values(
    width=0.25, discriminator_width=1 / 64, structure="pointwise", batch=2, r1_every=2, path_every=2
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of old files. Tests that change files copy them first."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def read(path: Path, region: Region = REGION) -> np.ndarray:
    return read_region(str(path), Box(0, 0, region.w, region.h))


def assert_same_picture(drawn: np.ndarray, stored: np.ndarray) -> None:
    """Machines round differently: allow one grey level on one value in a thousand."""
    difference = np.abs(drawn.astype(int) - stored)
    assert difference.max() <= 1
    assert (difference != 0).mean() <= 1e-3


def studio(old: Path, world: str) -> Studio:
    return open_studio(
        World.load(old / f"world-{world}.json"), model=old / "model.safetensors", options=Options(tile_px=TILE_PX)
    )


def test_an_old_model_file_loads_and_is_saved_with_the_same_hash(old: Path, tmp_path: Path) -> None:
    path = old / "model.safetensors"
    Generator.from_pretrained(path).save_pretrained(tmp_path / "again.safetensors")
    assert file_hash(tmp_path / "again.safetensors") == file_hash(path)


@pytest.mark.parametrize("world", WORLDS)
def test_an_old_world_renders_the_pixels_that_the_old_version_rendered(world: str, old: Path) -> None:
    assert_same_picture(studio(old, world).array(REGION), read(old / f"world-{world}.png"))


@pytest.mark.parametrize("world", WORLDS)
def test_an_old_world_file_is_saved_with_the_same_bytes(world: str, old: Path, tmp_path: Path) -> None:
    path = old / f"world-{world}.json"
    World.load(path).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()


@pytest.mark.parametrize("kind", ["centres", "painting"])
def test_an_old_layout_file_gives_the_layout_of_the_old_world(kind: str, old: Path) -> None:
    layout = resolve(Layout.load(old / f"layout-{kind}.json"), REGION, folder=old)
    assert layout == World.load(old / f"world-{kind}.json").layout


@pytest.mark.parametrize("name", [*PICTURES, *(f"world-{name}.png" for name in WORLDS)])
def test_an_old_picture_verifies_against_its_provenance(name: str, old: Path) -> None:
    options = Options(engine_file=str(old / "engine.onnx")) if name == "engine.png" else None
    result = verify(str(old / name), model=old / "model.safetensors", tiles=99, options=options)
    assert len(result.checks) == result.tiles_in_all
    if result.lossy:
        assert result.passed
        return
    assert max(check.largest for check in result.checks) <= CLOSE
    assert np.mean([check.equal for check in result.checks]) >= MOSTLY  # tiles are too small to be judged one by one


@pytest.mark.parametrize("name", PICTURES)
def test_info_describes_an_old_picture_by_its_provenance(name: str, old: Path) -> None:
    found = describe(old / name)
    assert found["kind"] == "picture"
    assert found["model"]["sha256"] == file_hash(old / "model.safetensors")


def test_old_latents_of_a_photograph_make_the_world_that_the_old_version_made(old: Path) -> None:
    (latents,) = old.glob("anchors.*.safetensors")
    world = World.from_inversions([latents], transition=1).replace(truncation=1.0, local_truncation=1.0)
    renderer = studio(old, "anchors")
    unedited = World.load(old / "world-anchors.json").without_last_edit()
    drawn, expected = (renderer.with_world(each).array(REGION) for each in (world, unedited))
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("ending", ["png", "zarr"])
def test_an_old_unfinished_render_is_resumed(ending: str, old: Path, tmp_path: Path) -> None:
    name = f".unfinished.{ending}.infgen"
    shutil.copytree(old / name, tmp_path / name)
    target = tmp_path / f"unfinished.{ending}"
    assert find_unfinished(target) == (2, 9)
    prepare(studio(old, "plain"), REGION, Output(str(target), start="resume")).run()
    assert_same_picture(read(target), read(old / "world-plain.png"))


def test_an_old_onnx_file_is_accepted_for_its_model_and_renders_the_same_pixels(old: Path) -> None:
    file, _ = read_onnx(old / "engine.onnx")
    assert file.model_sha256 == file_hash(old / "model.safetensors")
    world = World.load(old / "world-plain.json")
    model, engine = old / "model.safetensors", old / "engine.onnx"
    drawn = world.render(0, -18, 40, 36, model=model, engine_file=engine)
    assert_same_picture(drawn, read(old / "engine.png", Region(0, -18, 40, 36)))


def test_an_old_training_run_is_resumed_with_the_losses_of_the_old_version(old: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(old / "run", folder.path)
    schedule = Schedule(steps=4, device="cpu", checkpoint_every=1000, sample_every=1000)
    start(old / "photos", RECIPE, schedule, out=folder.path, resume=True).train(lambda step, terms: None)
    before, after = ((f / "log.jsonl").read_text().splitlines() for f in (old / "run", folder.path))
    for line, other in zip(before, after, strict=True):
        expected = {k: v for k, v in json.loads(line).items() if not k.startswith("seconds")}
        assert {k: json.loads(other)[k] for k in expected} == pytest.approx(expected, rel=1e-3)


def test_an_old_packed_shard_is_read(old: Path) -> None:
    assert len(open_source(old / "shards")) == 2


@pytest.fixture
def canvas(old: Path, tmp_path: Path) -> Iterator[Client]:
    """A server with a copy of the old server's data folder."""
    shutil.copytree(old / "canvas", tmp_path / "canvas")
    with client_of(create_app(tmp_path / "canvas", model=old / "model.safetensors")) as client:
        yield client


def find_world(canvas: Client, name: str) -> dict[str, object]:
    (entry,) = (entry for entry in canvas.get("/worlds").json() if entry["name"] == name)
    record: dict[str, object] = canvas.get(f"/worlds/{entry['id']}").json()
    return record


def test_a_server_goes_on_with_the_undo_history_of_the_old_one(canvas: Client) -> None:
    record = find_world(canvas, "World 7")
    assert (record["can_undo"], record["can_redo"]) == (True, True)
    redone = canvas.post(f"/worlds/{record['id']}/redo", headers=if_match(record)).json()
    assert [edit["seed"] for edit in redone["world"]["edits"]] == [2]
    undone = canvas.post(f"/worlds/{record['id']}/undo", headers=if_match(redone)).json()
    assert undone["world"] == record["world"]


def test_a_server_draws_the_tile_of_the_old_one(canvas: Client, old: Path, tmp_path: Path) -> None:
    tile = canvas.tile(find_world(canvas, "World 7"), 0, 0, 0)
    (tmp_path / "tile.png").write_bytes(tile.content)
    size = Region(0, 0, 256, 256)
    assert_same_picture(read(tmp_path / "tile.png", size), read(old / "canvas-tile.png", size))


def test_a_server_draws_an_old_world_with_a_photograph(canvas: Client) -> None:
    assert canvas.tile(find_world(canvas, "Photograph"), 0, 0, 0).status_code == 200


def test_a_server_lists_the_jobs_of_the_old_one(canvas: Client, old: Path) -> None:
    stored = [json.loads(path.read_text()) for path in (old / "canvas" / "jobs").glob("*/job.json")]
    states = {job["id"]: canvas.get(f"/jobs/{job['id']}").json()["state"] for job in stored}
    assert states == {job["id"]: "failed" if job["state"] == "running" else "done" for job in stored}


def test_a_server_gives_out_the_results_of_old_jobs(canvas: Client, old: Path) -> None:
    results = sorted((old / "canvas" / "jobs").glob("*/*.png"))
    answers = [canvas.get(f"/jobs/{path.parent.name}/result").content for path in results]
    assert answers == [path.read_bytes() for path in results]
