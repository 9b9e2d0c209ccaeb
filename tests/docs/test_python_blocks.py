"""Every Python block of README and docs runs on its own, in a folder with the files that it names, with a tiny model."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.model import checkpoint
from tests.docs.blocks import ROOT, Block, list_blocks
from tests.export.files import onnx_file, scaled_model, tiny_file
from tests.train.photos import landscape, save_landscapes

BLOCKS = [block for block in list_blocks() if block.language == "python"]
HERE = [block for block in BLOCKS if not block.needs]
ELSEWHERE = [block for block in BLOCKS if block.needs]
# Words of a page that take minutes -> words with the same names of arguments that take less than a second.
SMALLER = {
    "docs/outpainting.md": {
        "right=1024, samples=4": "right=16, samples=2, height=64, steps=1",
        "seconds=60": "seconds=0.1, height=64",
    },
    "docs/evaluation.md": {"n=500": "n=4"},
}
WITH_SCALES = ("docs/outpainting.md",)  # pages that render at scale 1/4
_SHAPE = re.compile(r"^(\w+) = .*# \((\d+(?:, \d+)+)\)", re.MULTILINE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name: photographs, worlds, layouts, latents, models."""
    from infgen import World, invert
    from infgen.inversion.settings import Settings

    folder = tmp_path_factory.mktemp("blocks")
    Image.fromarray(landscape(1, height=64, width=80)).save(folder / "photo.jpg")
    save_landscapes(folder / "photos")
    shutil.copy(ROOT / "docs" / "examples" / "four-styles.json", folder / "layout.json")
    found = invert(folder / "photo.jpg", tiny_file(), height=64, settings=Settings(steps=0))
    for name in ("left", "right"):
        found.latents.save(folder / f"{name}.safetensors")
    World(seed=1).save(folder / "world.json")
    (folder / "runs" / "mine").mkdir(parents=True)
    shutil.copy(tiny_file(), folder / "runs" / "mine" / "model.safetensors")
    shutil.copy(onnx_file(), folder / "scenery.onnx")
    return folder


def make_smaller(block: Block) -> str:
    text = block.text
    for words, smaller in SMALLER.get(block.page, {}).items():
        assert words in text, f"{block}: {words!r} is no longer in the block; change SMALLER, too"
        text = text.replace(words, smaller)
    return text


@pytest.mark.parametrize("block", HERE, ids=str)
def test_a_python_block_runs(block: Block, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHIPPED", scaled_model() if block.page in WITH_SCALES else tiny_file())
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(make_smaller(block), str(block), "exec"), names)
    for name, shape in _SHAPE.findall(block.text):
        assert f"{name} {np.shape(names[name])}" == f"{name} ({shape})"


@pytest.mark.parametrize("block", ELSEWHERE, ids=str)
def test_what_a_block_for_other_machines_imports_from_infgen_exists(block: Block) -> None:
    body = ast.parse(block.text).body
    imports = [one for one in body if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("infgen")]
    exec(compile(ast.Module(list[ast.stmt](imports), []), str(block), "exec"), {})
