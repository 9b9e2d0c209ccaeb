"""The TorchServe archive and its handler, without TorchServe."""

import importlib.util
import inspect
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infgen import World
from infgen.errors import InputError
from infgen.export.torchserve import HANDLER, MANIFEST, SETTINGS, export_torchserve
from infgen.export.torchserve_handler import CACHED_WORLDS, Handler
from infgen.geometry import Region
from infgen.model.config import preset
from infgen.rendering import studio as studio_module
from infgen.sinks import read_provenance
from infgen.world.layout import Layout
from infgen.world.layout_files import resolve
from tests.export.files import scaled_model, tiny_file
from tests.export.test_cli import run
from tests.model.networks import random_generator
from tests.model.scaled import SCALES

WINDOW = {"seed": 7, "x": -40, "y": -20, "w": 90, "h": 50}
LAYOUT = {
    "styles": {"a": {"seed": 1}, "b": {"seed": 2, "texture": {"mean": True}}},
    "centres": [{"style": "a", "x": "0%", "y": 0}, {"style": "b", "x": "100%", "y": "50%"}],
    "transition": 31,
}


@dataclass
class FakeContext:
    """Expected response of TorchServe, and the handler's."""

    model_dir: str
    gpu_id: int | None = None
    model_yaml_config: Mapping[str, Any] | None = None
    answers: dict[int, tuple[int, str]] = field(default_factory=dict)

    @property
    def system_properties(self) -> Mapping[str, Any]:
        return {"model_dir": self.model_dir, "gpu_id": self.gpu_id}

    @property
    def manifest(self) -> Mapping[str, Any]:
        return json.loads(Path(self.model_dir, MANIFEST).read_text())

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.answers[idx] = code, ""

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.answers[idx] = self.answers[idx][0], value


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "tiny.mar"
    export_torchserve(tiny_file(), path)
    return path


@pytest.fixture(scope="module")
def unpacked_archive(archive: Path) -> Path:
    folder = archive.parent / "unpacked"
    with zipfile.ZipFile(archive) as parts:
        parts.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def handler(unpacked_archive: Path) -> Handler:
    made = Handler()
    made.initialize(FakeContext(str(unpacked_archive)))
    return made


def ask(handler: Handler, **changes: object) -> bytes:
    """The picture of WINDOW with some entries changed."""
    answer = handler.answer(WINDOW | changes)
    assert answer.status == 200, answer.body
    return answer.body


def refusal(handler: Handler, body: object) -> tuple[int, str]:
    """(status, message) of a response that must be an error."""
    answer = handler.answer(body)
    document = json.loads(answer.body)
    assert answer.content_type == "application/json"
    assert list(document) == ["error"]
    assert "\n" not in document["error"]
    return answer.status.value, document["error"]


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)))


def direct(**values: object) -> np.ndarray:
    """WINDOW without a server."""
    world = World.create(**{"seed": 7} | values)
    return world.render(*(int(WINDOW[k]) for k in "xywh"), model=tiny_file())


def test_the_archive_contains_all_files_of_its_manifest(archive: Path):
    with zipfile.ZipFile(archive) as parts:
        model = json.loads(parts.read(MANIFEST))["model"]
        assert model.items() >= {"modelName": "tiny", "handler": HANDLER, "configFile": SETTINGS}.items()
        assert parts.read(model["serializedFile"]) == tiny_file().read_bytes()
        assert {HANDLER, SETTINGS} <= set(parts.namelist())


def test_the_archive_makes_torchserve_install_nothing(archive: Path):
    with zipfile.ZipFile(archive) as parts:
        assert "requirementsFile" not in json.loads(parts.read(MANIFEST))["model"]


def test_equal_models_give_equal_archives(archive: Path, tmp_path: Path):
    export_torchserve(tiny_file(), tmp_path / "tiny.mar")
    assert (tmp_path / "tiny.mar").read_bytes() == archive.read_bytes()


def test_torchserve_finds_one_handler_class_in_the_archive(unpacked_archive: Path):
    spec = importlib.util.spec_from_file_location("infgen_handler", unpacked_archive / HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    assert len(own) == 1
    assert issubclass(own[0], Handler)


def test_without_infgen_the_handler_names_the_package_to_install(
    unpacked_archive: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "infgen.export.torchserve_handler", None)
    with pytest.raises(RuntimeError, match="install infgen"):
        exec((unpacked_archive / HANDLER).read_text(), {})


@pytest.mark.parametrize("name", ["tiny.zip", "tiny", "a b.mar", ".mar", "é.mar"])
def test_a_name_that_torchserve_does_not_take_is_refused(name: str, tmp_path: Path):
    with pytest.raises(InputError, match=r"ending in \.mar"):
        export_torchserve(tiny_file(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_drawn_in_tiles_leaves_no_archive(tmp_path: Path):
    random_generator(preset("tiny", padding=True), seed=1).save_pretrained(tmp_path / "padded.safetensors")
    with pytest.raises(InputError, match="padding"):
        export_torchserve(tmp_path / "padded.safetensors", tmp_path / "out.mar")
    assert [path.name for path in tmp_path.iterdir()] == ["padded.safetensors"]


def test_the_command_writes_the_same_file_as_the_library(archive: Path, tmp_path: Path):
    result = run(tiny_file(), "--torchserve", "-o", tmp_path / "tiny.mar")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(tmp_path / "tiny.mar")]
    assert (tmp_path / "tiny.mar").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize("option", [("--tile", 101), ("--max-styles", 2), ("--precision", "fp16")])
def test_options_of_other_kinds_of_files_are_refused(option: tuple[str, object], tmp_path: Path):
    result = run(tiny_file(), "--torchserve", "-o", tmp_path / "tiny.mar", *option)
    assert isinstance(result.exception, InputError)
    assert option[0] in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_png_has_the_pixels_of_the_direct_render(handler: Handler):
    assert np.array_equal(pixels(ask(handler)), direct())


def test_a_lossless_webp_has_the_same_pixels(handler: Handler):
    assert np.array_equal(pixels(ask(handler, format="webp")), direct())


def test_a_jpeg_has_nearly_the_same_pixels(handler: Handler):
    picture = pixels(ask(handler, format="jpeg")).astype(int)
    assert np.abs(picture - direct()).mean() < 8


def test_world_values_of_a_request_act_as_in_a_world(handler: Handler):
    values = {"truncation": 0.5, "noise": 2.0, "period": 160}
    assert np.array_equal(pixels(ask(handler, **values)), direct(**values))


def test_a_layout_acts_as_in_a_world_with_percentages_of_the_window(handler: Handler):
    region = Region(*(int(WINDOW[k]) for k in "xywh"))
    layout = resolve(Layout.from_json(json.dumps(LAYOUT)), region, folder=Path())
    assert np.array_equal(pixels(ask(handler, styles=LAYOUT)), direct(layout=layout))


def test_the_entry_that_editors_read_is_left_aside(handler: Handler):
    assert ask(handler, styles=LAYOUT | {"$schema": "layout.schema.json"}) == ask(handler, styles=LAYOUT)


@pytest.fixture(scope="module")
def scaled_handler(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    """A handler of the six-level model."""
    folder = tmp_path_factory.mktemp("scaled")
    export_torchserve(scaled_model(), folder / "scaled.mar")
    with zipfile.ZipFile(folder / "scaled.mar") as parts:
        parts.extractall(folder)
    made = Handler()
    made.initialize(FakeContext(str(folder)))
    return made


@pytest.mark.parametrize("scale", SCALES)
def test_a_window_is_drawn_at_the_asked_scale(scaled_handler: Handler, scale: str):
    region = tuple(int(WINDOW[k]) for k in "xywh")
    expected = World(seed=7).render(*region, model=scaled_model(), scale=scale)
    assert np.array_equal(pixels(ask(scaled_handler, scale=scale)), expected)


def test_a_layout_has_its_percentages_of_the_window_at_every_scale(scaled_handler: Handler):
    region = Region(*(int(WINDOW[k]) for k in "xywh"))
    layout = resolve(Layout.from_json(json.dumps(LAYOUT)), region, folder=Path())
    world = World.create(seed=7, layout=layout)
    expected = world.render(region.x, region.y, region.w, region.h, model=scaled_model(), scale="1/2")
    assert np.array_equal(pixels(ask(scaled_handler, styles=LAYOUT, scale="1/2")), expected)


def test_the_limit_of_pixels_is_of_those_that_are_drawn(scaled_handler: Handler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFGEN_MAX_REQUEST_PIXELS", "60000")
    assert refusal(scaled_handler, WINDOW | {"w": 700, "h": 500})[0] == 413
    assert pixels(ask(scaled_handler, w=700, h=500, scale="1/4")).shape == (125, 175, 3)


def test_a_scale_that_the_model_does_not_draw_is_status_400(handler: Handler):
    assert refusal(handler, WINDOW | {"scale": "1/2"}) == (
        400,
        "scale 1/2 is no picture of this model; it draws 1: choose one of them, or train a model with scales",
    )


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_a_picture_contains_its_provenance(handler: Handler, file_format: str, tmp_path: Path):
    path = tmp_path / f"window.{file_format}"
    path.write_bytes(ask(handler, format=file_format))
    recipe = read_provenance(path)
    assert recipe is not None
    assert recipe["world"]["seed"] == 7
    assert recipe["region"] == {k: WINDOW[k] for k in "xywh"}


def test_json_that_torchserve_decoded_and_json_that_it_did_not_give_the_same(handler: Handler):
    text = json.dumps(WINDOW)
    bodies = [handler.answer(body).body for body in (WINDOW, text, text.encode(), bytearray(text.encode()))]
    assert bodies == [ask(handler)] * 4


BAD = [
    (None, "no body"),
    (b"", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b'{"x": 1, "x": 2}', "given twice"),
    ([WINDOW], "list, not a mapping"),
    (WINDOW | {"model": "other"}, "unknown entry 'model'; allowed are seed"),
    (WINDOW | {"format": "tiff"}, "format is 'tiff'"),
    (WINDOW | {"scale": "1/3"}, "scale is '1/3'"),
    (WINDOW | {"scale": 0.5}, "scale is 0.5"),
    ({"x": 0, "y": 0, "w": 10}, "h: Field required"),
    (WINDOW | {"w": 0}, "w is 0"),
    (WINDOW | {"h": -5}, "h is -5"),
    (WINDOW | {"x": 0.5}, "x is 0.5"),
    (WINDOW | {"x": True}, "x is True"),
    (WINDOW | {"x": 2**40 - 1}, "leaves the canvas"),
    (WINDOW | {"y": 10**30}, "y is 1000"),
    (WINDOW | {"seed": 2**64}, "seed is"),
    (WINDOW | {"truncation": 3}, "truncation is 3"),
    (WINDOW | {"noise": -1}, "noise is -1"),
    (WINDOW | {"noise": float("nan")}, "noise is nan"),
    (WINDOW | {"period": 100}, "nearest are 96 and 112"),
    (WINDOW | {"styles": "layout.json"}, "styles holds str"),
    (WINDOW | {"styles": {"styles": {"a": {"seed": 1}, "b": {"seed": 2}}}}, "no place for them"),
    (WINDOW | {"styles": {"styles": {"a": {"latent": "a.safetensors"}}}}, "style 'a' names the file 'a.safetensors'"),
    (WINDOW | {"styles": {"styles": {"a": {"seed": 1, "texture": {"latent": "/b"}}}}}, "names the file '/b'"),
    (
        WINDOW
        | {"styles": {"styles": {"a": {"seed": 1}}, "painting": {"image": "p.png", "colours": {"#000000": "a"}}}},
        "painting names the file 'p.png'",
    ),
]
LARGE = [
    (b" " * 300_000, "over the limit of 256 KiB"),
    (WINDOW | {"w": 1415, "h": 1415}, "INFGEN_MAX_REQUEST_PIXELS"),
    (WINDOW | {"w": 1, "h": 100_000}, "INFGEN_MAX_REQUEST_PIXELS"),
    (WINDOW | {"w": 2**40, "h": 2**40}, "INFGEN_MAX_PIXELS"),
    (WINDOW | {"w": 17_000, "h": 1, "format": "webp"}, "WebP holds at most 16383 px per side"),
    (
        WINDOW | {"styles": LAYOUT | {"styles": {k: {"seed": 1} for k in "abcdefghijklmnopq"}}},
        "17 styles, over the limit",
    ),
    (WINDOW | {"styles": LAYOUT | {"centres": LAYOUT["centres"] * 129}}, "258 centres, over the limit"),
    (WINDOW | {"styles": LAYOUT | {"transition": 1025}}, "1025 px of transition, over the limit"),
]


@pytest.fixture
def idle(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> Handler:
    """The handler, which fails when it begins to draw."""

    def draw(*arguments: object) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr(studio_module, "render_array", draw)
    return handler


@pytest.mark.parametrize(("body", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_status_400_before_anything_is_drawn(idle: Handler, body: object, message: str):
    status, found = refusal(idle, body)
    assert (status, message in found) == (400, True), found


@pytest.mark.parametrize(("body", "message"), LARGE, ids=range(len(LARGE)))
def test_a_request_over_a_limit_is_status_413_before_any_rendering(idle: Handler, body: object, message: str):
    status, found = refusal(idle, body)
    assert (status, message in found) == (413, True), found


def test_a_picture_that_torchserve_would_not_pass_on_is_status_413(handler: Handler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFGEN_MAX_RESPONSE_KB", "1")
    status, message = refusal(handler, WINDOW)
    assert (status, "INFGEN_MAX_RESPONSE_KB" in message) == (413, True)


def test_any_other_failure_is_status_500_without_details(idle: Handler, caplog: pytest.LogCaptureFixture):
    status, message = refusal(idle, WINDOW)
    assert (status, message) == (500, "the server could not render this window; see its log")
    assert "AssertionError: drawn" in caplog.text


@pytest.mark.parametrize("depth", [900, 960, 2000, 15_000])
def test_deep_nesting_is_bad_input(handler: Handler, depth: int):
    text = b'{"styles":' * depth + b"1" + b"}" * depth
    assert refusal(handler, text)[0] == 400


def test_each_request_of_a_batch_has_its_own_answer(handler: Handler, unpacked_archive: Path):
    context = FakeContext(str(unpacked_archive))
    bodies = handler.handle([{"body": WINDOW | {"w": 0}}, {"body": WINDOW}, {}], context)
    assert context.answers == {0: (400, "application/json"), 1: (200, "image/png"), 2: (400, "application/json")}
    assert np.array_equal(pixels(bodies[1]), direct())


def test_the_next_window_of_a_world_makes_no_styles_again(handler: Handler, monkeypatch: pytest.MonkeyPatch):
    made = []
    real = studio_module.world_palette
    monkeypatch.setattr(studio_module, "world_palette", lambda *a: made.append(a) or real(*a))
    for x in (0, 50, 100):
        ask(handler, seed=12345, x=x)
    assert len(made) == 1


def test_worlds_that_are_not_asked_for_any_more_are_let_go(handler: Handler, monkeypatch: pytest.MonkeyPatch):
    made = []
    real = studio_module.world_palette
    monkeypatch.setattr(studio_module, "world_palette", lambda *a: made.append(a) or real(*a))
    for seed in [*range(1000, 1001 + CACHED_WORLDS), 1000]:
        ask(handler, seed=seed, w=1, h=1)
    assert len(made) == CACHED_WORLDS + 2


def test_threads_come_from_the_configuration_of_the_model(unpacked_archive: Path, monkeypatch: pytest.MonkeyPatch):
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    Handler().initialize(FakeContext(str(unpacked_archive), model_yaml_config={"handler": {"threads": 3}}))
    assert given == [3]


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5])
def test_impossible_threads_are_refused(threads: object, unpacked_archive: Path):
    with pytest.raises(InputError, match=r"handler\.threads .* whole number above 0"):
        Handler().initialize(FakeContext(str(unpacked_archive), model_yaml_config={"handler": {"threads": threads}}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_refused_and_not_replaced_by_the_cpu(unpacked_archive: Path):
    with pytest.raises(InputError, match="cuda:0"):
        Handler().initialize(FakeContext(str(unpacked_archive), gpu_id=0))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = [*WINDOW, "styles", "truncation", "noise", "period", "format", "scale", "other"]
PARTS = ["schema", "styles", "centres", "painting", "transition"]


@settings(max_examples=150)
@given(
    JSON
    | st.dictionaries(st.sampled_from(ENTRIES), JSON).map(WINDOW.__or__)
    | st.dictionaries(st.sampled_from(PARTS), JSON).map(lambda part: WINDOW | {"styles": LAYOUT | part})
)
def test_any_request_gives_a_picture_or_a_one_line_error(handler: Handler, body: object):
    answer = handler.answer(body)
    if answer.status != 200:
        assert refusal(handler, body)[0] in (400, 413)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_one_line_error(handler: Handler, body: bytes):
    assert refusal(handler, body)[0] == 400
