"""Test model files: round trips, and refusal of all other files in one line."""

import json
import pickle
import re
import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from infgen.errors import InfgenError, InputError, MissingExtraError, ModelFileError
from infgen.model.checkpoint import FORMAT, HUB_FILE, VERSION, file_hash, resolve
from infgen.model.config import preset
from infgen.model.generator import Generator

Tensors = dict[str, Tensor]
Metadata = dict[str, str]


def refusal(path: Path | str, kind: type[InfgenError] = ModelFileError) -> str:
    """The one line with which ``load`` refuses ``path``."""
    with pytest.raises(kind) as caught:
        Generator.from_pretrained(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def change_file(tiny_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the tiny model with other tensors or metadata."""

    def write(change: Callable[[Tensors], object] = lambda tensors: None, **metadata: Any) -> Path:
        tensors = load_file(tiny_model)
        change(tensors)
        entries = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(preset("tiny").to_dict())} | metadata
        path = tmp_path / "changed.safetensors"
        save_file(tensors, path, metadata={k: v for k, v in entries.items() if v is not None})
        return path

    return write


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "executed")


def test_a_float32_file_gives_every_tensor_back(tiny: Generator, tiny_model: Path) -> None:
    again = Generator.from_pretrained(tiny_model).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in tiny.state_dict().items())


def test_a_file_gives_the_configuration_back(tiny: Generator, tiny_model: Path) -> None:
    assert Generator.from_pretrained(tiny_model).config == tiny.config


def test_a_float16_file_gives_rounded_tensors_back_in_float32(tiny: Generator, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path / "half.safetensors", dtype=torch.float16)
    again = Generator.from_pretrained(tmp_path / "half.safetensors").state_dict()
    assert all(torch.equal(tensor.half().float(), again[name]) for name, tensor in tiny.state_dict().items())


def test_a_float16_file_is_half_as_large(tiny: Generator, tiny_model: Path, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path / "half.safetensors", dtype=torch.float16)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * tiny_model.stat().st_size


def test_values_beyond_float16_are_not_written_as_infinity(change_file: Callable[..., Path], tmp_path: Path) -> None:
    model = Generator.from_pretrained(change_file(lambda t: t["texture.convs.0.bias"].fill_(1e6)))
    with pytest.raises(InputError, match=r"texture\.convs\.0\.bias .*float16"):
        model.save_pretrained(tmp_path / "half.safetensors", dtype=torch.float16)


def test_a_loaded_generator_is_ready_to_render(tiny_model: Path) -> None:
    generator = Generator.from_pretrained(tiny_model)
    assert not generator.training
    assert not any(p.requires_grad for p in generator.parameters())


def test_a_saved_model_is_loaded_with_the_same_weights(tiny: Generator, tiny_model: Path) -> None:
    assert torch.equal(Generator.from_pretrained(tiny_model).mean_style, tiny.mean_style)


def test_the_metadata_name_format_version_and_configuration(tiny_model: Path) -> None:
    with tiny_model.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(size))["__metadata__"]
    assert (metadata["format"], metadata["version"]) == ("infgen-generator", "1")
    assert json.loads(metadata["config"]) == preset("tiny").to_dict()


def test_a_folder_stands_for_the_model_in_it(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / HUB_FILE).write_bytes(tiny_model.read_bytes())
    assert Generator.from_pretrained(tmp_path).config == preset("tiny")


def test_equal_files_have_equal_hashes(tiny: Generator, tiny_model: Path, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path / "again.safetensors")
    assert file_hash(tmp_path / "again.safetensors") == file_hash(tiny_model)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(tiny_model: Path, tmp_path: Path, kept: float) -> None:
    data = tiny_model.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    assert "is damaged or not a safetensors file" in refusal(path)


def test_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    assert "not a safetensors file" in refusal(path)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_raw_pickle_is_named_as_such(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight": 1.0}, protocol=protocol))
    assert "is a pickle, which infgen does not load because it can run code" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_is_refused_with_the_way_out(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save({"g_ema": {}}, path, _use_new_zipfile_serialization=zipped)
    assert "infgen convert" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "model.safetensors", tmp_path / "executed"
    torch.save({"g_ema": Attack(target)}, path, _use_new_zipfile_serialization=zipped)
    refusal(path)
    assert not target.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_raw_pickle_is_never_run(tmp_path: Path, protocol: int) -> None:
    path, target = tmp_path / "model.safetensors", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Attack(target), protocol=protocol))
    refusal(path)
    assert not target.exists()


def test_a_file_of_another_project_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "pt"})
    assert "is not an infgen generator" in refusal(path)


def test_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "is not an infgen generator" in refusal(path)


@pytest.mark.parametrize("version", ["2", "", None, "1.0", "two\nlines"])
def test_another_format_version_is_refused(change_file: Callable[..., Path], version: str | None) -> None:
    assert "this infgen reads version 1: update infgen" in refusal(change_file(version=version))


@pytest.mark.parametrize("text", ["", "{", "NaN NaN", None, "[" * 100_000])
def test_an_unreadable_configuration_is_refused(change_file: Callable[..., Path], text: str | None) -> None:
    assert "has no readable configuration" in refusal(change_file(config=text))


@pytest.mark.parametrize("text", ["[]", "1", "null", '"tiny"'])
def test_a_configuration_that_is_no_mapping_is_refused(change_file: Callable[..., Path], text: str) -> None:
    assert "has a configuration that is not a mapping" in refusal(change_file(config=text))


def test_unknown_configuration_entries_are_refused_by_name(change_file: Callable[..., Path]) -> None:
    config = preset("tiny").to_dict() | {"attention": True}
    assert "'attention'" in refusal(change_file(config=json.dumps(config)))


def test_illegal_sizes_are_refused(change_file: Callable[..., Path]) -> None:
    config = preset("tiny").to_dict() | {"global_channels": 10**9}
    assert "must be whole numbers from 1 to 8192" in refusal(change_file(config=json.dumps(config)))


def test_a_configuration_of_another_size_is_refused_with_both_shapes(change_file: Callable[..., Path]) -> None:
    config = preset("tiny").to_dict() | {"global_channels": 32}
    assert re.search(
        r"has shape \(\d.*\), its configuration says \(\d.*\)", refusal(change_file(config=json.dumps(config)))
    )


def test_a_configuration_with_another_number_of_levels_is_refused(change_file: Callable[..., Path]) -> None:
    config = preset("tiny").to_dict() | {"texture_channels": [8, 8]}
    assert "tensors differ from its configuration" in refusal(change_file(config=json.dumps(config)))


def test_a_tensor_of_another_shape_is_refused_by_name(change_file: Callable[..., Path]) -> None:
    path = change_file(lambda t: t.update({"texture.convs.3.bias": torch.zeros(9)}))
    assert "texture.convs.3.bias has shape (9,), its configuration says (8,)" in refusal(path)


def test_a_missing_tensor_is_named(change_file: Callable[..., Path]) -> None:
    path = change_file(lambda t: t.pop("mapping.layers.0.weight"))
    assert "'mapping.layers.0.weight' is missing" in refusal(path)


def test_an_extra_tensor_is_named(change_file: Callable[..., Path]) -> None:
    path = change_file(lambda t: t.update({"second\nline": torch.zeros(1)}))
    assert r"'second\nline' is not part of such a generator" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused_by_name(change_file: Callable[..., Path], value: float) -> None:
    path = change_file(lambda t: t["texture.convs.2.conv.weight"].view(-1)[5:6].fill_(value))
    assert "texture.convs.2.conv.weight holds values that are not finite numbers" in refusal(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_tensors_that_are_no_real_floats_are_refused(change_file: Callable[..., Path], dtype: torch.dtype) -> None:
    path = change_file(lambda t: t.update({"texture.convs.3.bias": torch.zeros(8, dtype=dtype)}))
    assert "texture.convs.3.bias has type" in refusal(path)


def test_a_file_over_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(2**20 + 1)
    assert "1048577 bytes, over the limit of 1 MiB (INFGEN_MAX_MODEL_MB)" in refusal(path)


class Hub(types.ModuleType):
    """A stand-in for ``huggingface_hub`` that counts the requests. ``model``: the file that it has, if any."""

    def __init__(self) -> None:
        super().__init__("huggingface_hub")
        self.asked: list[str] = []
        self.model: Path | None = None
        self.downloaded = False

    def hf_hub_url(self, repository: str, file: str) -> str:
        return f"{repository}/{file}"

    def get_hf_file_metadata(self, url: str, *, timeout: float) -> None:
        self.asked.append(url)
        if self.model is None or self.downloaded:
            raise OSError("404 not found\nsecond line")

    def hf_hub_download(self, repository: str, file: str, *, local_files_only: bool = False, **_: float) -> str:
        if self.model is None:
            raise FileNotFoundError(file)
        return str(self.model)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    module = Hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


@pytest.mark.parametrize(
    "source",
    [
        "no/such/place/model.safetensors",
        "model.safetensors",
        "",
        "a\0b",
        "x" * 5000,
        "~/m",
        "./a/b",
        "runs/mine.safetensors",
        "runs/model.pt",
    ],
)
def test_a_missing_file_is_refused(source: str, hub: Hub) -> None:
    assert "a .safetensors file, or hf:owner/name of the hub" in refusal(source, InputError)
    assert hub.asked == []


def test_a_name_in_a_folder_that_is_here_never_goes_to_the_hub(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert "does not exist" in refusal("runs/mine", InputError)
    assert hub.asked == []


def test_a_missing_path_object_is_never_taken_for_a_hub_id() -> None:
    assert "does not exist" in refusal(Path("someone/some-model"), InputError)


def test_a_hub_id_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'infgen[hub]'" in refusal("someone/some-model", MissingExtraError)


def test_a_hub_model_that_cannot_be_fetched_is_one_line_after_one_request(hub: Hub) -> None:
    message = refusal("someone/some-model", InputError)
    assert "no such file is here, and the hub gave none (404 not found second line)" in message
    assert hub.asked == ["someone/some-model/model.safetensors"]


@pytest.mark.parametrize("source", ["someone/some-model", "someone/model-v1.5", "hf:runs/mine"])
def test_a_hub_id_is_fetched(source: str, hub: Hub, tiny_model: Path) -> None:
    hub.model = tiny_model
    assert resolve(source) == tiny_model
    assert hub.asked == [f"{source.removeprefix('hf:')}/model.safetensors"]


def test_without_an_answer_an_earlier_download_is_used(hub: Hub, tiny_model: Path) -> None:
    hub.model, hub.downloaded = tiny_model, True
    assert resolve("someone/some-model") == tiny_model


@pytest.mark.parametrize("source", ["hf:mine", "hf:a/b/c", "hf:", "hf:../b"])
def test_what_is_no_hub_id_is_refused(source: str, hub: Hub) -> None:
    assert "is no hub id; give hf:owner/name" in refusal(source, InputError)


def survives(path: Path) -> None:
    """``load`` gives a generator or refuses in one line."""
    message = ""
    try:
        tensors = list(Generator.from_pretrained(path).state_dict().values())
    except InfgenError as error:
        message, tensors = str(error), []
    assert "\n" not in message
    assert all(bool(t.isfinite().all()) for t in tensors)


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@fuzz
@given(data=st.data())
def test_flipped_and_missing_bytes_never_raise_anything_else(
    data: st.DataObject, tiny_model: Path, tmp_path: Path
) -> None:
    content = bytearray(tiny_model.read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    places = st.integers(0, header - 1) | st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = value
    kept = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content[:kept])
    survives(path)


@fuzz
@given(data=st.data())
def test_damaged_headers_of_the_right_length_never_raise_anything_else(
    data: st.DataObject, tiny_model: Path, tmp_path: Path
) -> None:
    content = tiny_model.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + size].decode()
    words = re.findall(r'"[^"]+"|\d+', header)
    old = data.draw(st.sampled_from(words))
    new = data.draw(
        st.sampled_from([*words[:40], "-1", "18446744073709551615", "null", '"F16"', '"C64"', '"I4"', '"\\n"', "[]"])
    )
    changed = header.replace(old, new, data.draw(st.sampled_from([1, -1]))).encode()
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])
    survives(path)


@fuzz
@given(st.binary(max_size=400))
def test_arbitrary_bytes_never_raise_anything_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "arbitrary"
    path.write_bytes(content)
    survives(path)
