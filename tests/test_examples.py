"""The examples in the docstrings of the public names run, and every public name has one.

They run in a folder with ``photo.jpg``, a folder ``photos``, the model file ``tiny.safetensors``, and the names of
the files of onnxruntime-web, which is not installed.
"""

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infgen import GeneratorConfig
from infgen.engines.tensorrt_library import Library
from infgen.export import tensorrt
from infgen.export.web import RUNTIME, RUNTIME_FILES
from tests.model.networks import random_generator
from tests.train.photos import landscape, save_landscapes

PACKAGES = ("infgen", "infgen.train", "infgen.export", "infgen.serve")
FINDER = doctest.DocTestFinder(exclude_empty=True)


def public_names() -> list[str]:
    names = [f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(package).__all__]
    return [name for name in names if not name.endswith("__version__")]


def resolve(name: str) -> Any:
    package, _, last = name.rpartition(".")
    return getattr(importlib.import_module(package), last)


def find_examples(name: str) -> list[doctest.DocTest]:
    """The examples of a function, or of a class and all its methods."""
    item = resolve(name)
    parts = (
        [part for part in item.__mro__ if part.__module__.startswith("infgen")] if isinstance(item, type) else [item]
    )
    found = (test for part in parts for test in FINDER.find(part, part.__name__, module=False, globs={}))
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    config = GeneratorConfig((8, 8, 4, 4), local_channels=4, global_channels=8)
    random_generator(config, seed=7).save_pretrained(folder / "tiny.safetensors")
    Image.fromarray(landscape(1, height=64, width=80)).save(folder / "photo.jpg")
    save_landscapes(folder / "photos")
    runtime = folder / "node_modules" / RUNTIME
    runtime.mkdir(parents=True)
    for name in RUNTIME_FILES.values():
        (runtime / name).touch()
    return folder


@pytest.fixture
def in_folder(folder: Path, small_sheets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder of the examples, with a TensorRT that builds without a GPU."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tensorrt, "choose_library", lambda: Library("rtx", None, "1.2.3"))
    monkeypatch.setattr(tensorrt, "_build", lambda *arguments: (b"engine", tensorrt.BuildStats(7, 0.5)))


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_has_an_example(name: str) -> None:
    assert find_examples(name)


@pytest.mark.parametrize("name", public_names())
def test_the_examples_of_a_public_name_run(name: str, in_folder: None) -> None:
    lines: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in find_examples(name):
        runner.run(example, out=lines.append)
    assert not lines, "".join(lines)
