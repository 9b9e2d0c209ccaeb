"""No command replaces a file that it reads."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from infgen.errors import InputError
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, photograph
from tests.train.photos import save_landscapes
from tests.world.latents import make_latents

# Command with {folder} as the place of all files, and the input that its output would replace.
CASES = {
    "outpaint-photo": ("outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/a.png", "a.png"),
    "outpaint-link": ("outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/link.png", "a.png"),
    "outpaint-hard-link": ("outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/hard.png", "a.png"),
    "outpaint-dots": ("outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/../{1}/a.png", "a.png"),
    "outpaint-preview": (
        "outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/o.png --preview {0}/a.png",
        "a.png",
    ),
    "outpaint-mask": ("outpaint {0}/a.png --mask {0}/b.png --model {0}/m.safetensors -o {0}/b.png", "b.png"),
    "outpaint-sample": (
        "outpaint {0}/s-1.png --right 9 --samples 2 --model {0}/m.safetensors -o {0}/s.png",
        "s-1.png",
    ),
    "outpaint-sheet": (
        "outpaint {0}/s-sheet.png --right 9 --samples 2 --model {0}/m.safetensors -o {0}/s.png",
        "s-sheet.png",
    ),
    "outpaint-model": (
        "outpaint {0}/a.png --right 9 --model {0}/m.safetensors -o {0}/o.png --preview {0}/m.safetensors",
        "m.safetensors",
    ),
    "inbetween": ("inbetween {0}/a.png {0}/b.png --gap 9 --model {0}/m.safetensors -o {0}/b.png", "b.png"),
    "panorama": ("panorama {0}/a.png --w 99 --model {0}/m.safetensors -o {0}/a.png", "a.png"),
    "render-painting": (
        "render --w 9 --h 9 --styles {0}/painted.json --model {0}/m.safetensors -o {0}/b.png",
        "b.png",
    ),
    "render-world": (
        "render --w 9 --h 9 --world {0}/w.json --model {0}/m.safetensors -o {0}/o.png --preview {0}/w.json",
        "w.json",
    ),
    "render-anchor": (
        "render --w 9 --h 9 --world {0}/w.json --model {0}/m.safetensors -o {0}/o.png --preview {0}/w.l.safetensors",
        "w.l.safetensors",
    ),
    "render-layout": (
        "render --w 9 --h 9 --styles {0}/painted.json --model {0}/m.safetensors -o {0}/o.png --preview "
        "{0}/painted.json",
        "painted.json",
    ),
    "render-into-folder": (
        "render --w 9 --h 9 --styles {0}/o.zarr/painted.json --model {0}/m.safetensors -o {0}/o.zarr --restart",
        "o.zarr/painted.json",
    ),
    "styles": ("styles --style-seeds 1 --model {0}/m.png -o {0}/m.png", "m.png"),
    "resample-anchor": ("resample {0}/w.json --region 0,-64,256,128 -o {0}/w.l.safetensors", "w.l.safetensors"),
    "convert": ("convert {0}/m.safetensors -o {0}/m.safetensors", "m.safetensors"),
    "export-onnx": ("export {0}/m.onnx --onnx -o {0}/m.onnx", "m.onnx"),
    "export-torchserve": ("export {0}/m.mar --torchserve -o {0}/m.mar", "m.mar"),
    "bench": ("bench render --model {0}/m.safetensors -o {0}/m.safetensors", "m.safetensors"),
    "data-sheet": ("data check {0}/photos --size 32 --sheet {0}/shared.png", "shared.png"),
    "eval-data": ("eval {0}/m.safetensors {0}/photos -o {0}/photos", "photos/0.png"),
    "train-init": ("train {0}/photos --init {0}/run/model.safetensors --output {0}/run", "run/model.safetensors"),
    "train-samples": ("train {0}/run/samples --output {0}/run", "run/samples/0.png"),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """One file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("a.png", "b.png", "s-1.png", "s-sheet.png"):
        photograph(folder, name)
    for name in ("m.safetensors", "m.png", "m.onnx", "m.mar", "run/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(tiny_model, folder / name)
    make_latents(0, -4, seed=1).save(folder / "w.l.safetensors")
    World.from_inversions([folder / "w.l.safetensors"]).save(folder / "w.json")
    painting = {"image": "b.png", "colours": {"#ff0000": "red"}}
    for name in ("painted.json", "o.zarr/painted.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps({"styles": {"red": {"seed": 1}}, "painting": painting}))
    save_landscapes(folder / "photos", 2)
    save_landscapes(folder / "run" / "samples", 2)
    return folder


@pytest.fixture
def folder(originals: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "f"
    shutil.copytree(originals, copy)
    (copy / "link.png").symlink_to("a.png")
    os.link(copy / "a.png", copy / "hard.png")
    os.link(copy / "photos" / "0.png", copy / "shared.png")
    return copy


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("name", CASES)
def test_an_output_that_is_an_input_is_refused_before_any_work(call: Call, folder: Path, name: str) -> None:
    words, read = CASES[name]
    before = hashes(folder)
    code, _, err = call(*words.format(folder, folder.name).split())
    assert code == 2, err
    assert read.rsplit("/", 1)[-1] in err or "inside data folder" in err
    assert err.count("\n") == 1
    assert hashes(folder) == before


def test_two_outputs_of_one_name_are_refused(call: Call, folder: Path) -> None:
    words = ("--model", folder / "m.safetensors", "-o", folder / "o.png", "--preview", folder / "o.png")
    for command in (("render", "--w", 9, "--h", 9), ("outpaint", folder / "a.png", "--right", 9, *QUICK)):
        code, _, err = call(*command, *words)
        assert (code, "are the same file" in err) == (2, True)


@pytest.mark.parametrize("kind", ["--onnx", "--torchserve"])
def test_an_export_needs_the_extension_of_its_kind(call: Call, folder: Path, kind: str) -> None:
    code, _, err = call("export", folder / "m.safetensors", kind, "-o", folder / "photo.jpg")
    assert code == 2, err
    assert not (folder / "photo.jpg").exists()


def test_a_world_is_changed_in_place_on_request(call: Call, folder: Path) -> None:
    code, _, err = call("resample", folder / "w.json", "--region", "0,-64,256,128", "-o", folder / "w.json")
    assert code == 0, err
    assert len(World.load(folder / "w.json").edits) == 1


@pytest.mark.parametrize("name", ["w.l.safetensors", "other/w.l.safetensors"])
def test_a_world_is_not_saved_over_its_own_anchor(folder: Path, name: str) -> None:
    world, before = World.load(folder / "w.json"), (folder / "w.l.safetensors").read_bytes()
    (folder / "other").mkdir()
    shutil.copy(folder / "w.l.safetensors", folder / "other")
    with pytest.raises(InputError, match="anchor file"):
        world.save(folder / name)
    assert (folder / name).read_bytes() == before
