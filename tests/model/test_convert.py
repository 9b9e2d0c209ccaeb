"""Released checkpoints: all four sizes are read, draw the same pixels, and anything else is refused in one line."""

import io
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infgen.errors import InfgenError, InputError, ModelFileError
from infgen.model.config import GeneratorConfig
from infgen.model.convert import convert, official_names
from infgen.model.generator import Generator
from tests import oracle
from tests.model import official
from tests.model.networks import random_inputs, read_weights, tensor

# Levels -> channels of each level, halved like the released ones but narrow.
REDUCED = {4: (12, 12, 12, 12), 5: (12, 12, 12, 12, 8), 6: (12, 12, 12, 12, 8, 6), 7: (12, 12, 12, 12, 8, 6, 4)}
CHANNELS = {levels: tuple(c for c in widths for _ in range(2)) for levels, widths in REDUCED.items()}
SMALL = (8, 8)  # one level, for refusals


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a one-level checkpoint after ``change`` has had its way with the state_dict."""

    def write(change: Callable[[official.State], object] = lambda state: None, **more: Any) -> Path:
        state = official.random_state(SMALL)
        change(state)
        return official.write(tmp_path / "best_fid.pth.tar", state, **more)

    return write


def refusal(path: Path, kind: type[InfgenError] = ModelFileError) -> str:
    """The one line with which ``convert`` refuses ``path``."""
    with pytest.raises(kind) as caught:
        convert(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("levels", REDUCED)
def test_a_converted_checkpoint_draws_the_official_pixels(levels: int, tmp_path: Path) -> None:
    state = official.random_state(CHANNELS[levels], seed=levels)
    generator = convert(official.write(tmp_path / "best_fid.pth.tar", state))
    z_g, z_l, coordinates, noises = random_inputs(generator.config, cells=6, batch=2)
    image = generator(z_l, coordinates, generator.style(z_g), noises)
    torch.testing.assert_close(image, official.render(state, z_g, z_l, coordinates, noises), rtol=0, atol=1e-4)


@pytest.mark.parametrize("levels", REDUCED)
def test_the_configuration_follows_from_the_shapes(levels: int, tmp_path: Path) -> None:
    state = official.random_state(CHANNELS[levels], local=5, dim=24)
    expected = GeneratorConfig(CHANNELS[levels], local_channels=5, global_channels=24)
    assert convert(official.write(tmp_path / "best_fid.pth.tar", state)).config == expected


@pytest.mark.parametrize(("channels", "system"), [(1, "object"), (3, "scenery"), (4, "texture")])
def test_the_coordinate_system_follows_from_the_first_layer(channels: int, system: str, tmp_path: Path) -> None:
    state = official.random_state(SMALL, coordinates=channels)
    assert convert(official.write(tmp_path / "best_fid.pth.tar", state)).config.coordinates == system


def test_a_converted_model_survives_its_file(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    generator = convert(checkpoint())
    generator.save_pretrained(tmp_path / "model.safetensors")
    again = Generator.from_pretrained(tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(t, again[name]) for name, t in generator.state_dict().items())


def test_a_converted_model_has_a_mean_style(checkpoint: Callable[..., Path]) -> None:
    assert bool(convert(checkpoint()).mean_style.any())


@pytest.mark.parametrize("network", ["g", "g_ema"])
def test_either_network_can_be_taken(network: str, checkpoint: Callable[..., Path]) -> None:
    other = official.random_state(SMALL, seed=1)
    bias = {"g": other, "g_ema": official.random_state(SMALL)}[network][f"{official.TEXTURE}.convs.0.activate.bias"]
    assert torch.equal(convert(checkpoint(g=other), network=network).state_dict()["texture.convs.0.bias"], bias)


def test_the_average_is_taken_where_nothing_is_said(checkpoint: Callable[..., Path]) -> None:
    bias = official.random_state(SMALL)[f"{official.TEXTURE}.convs.0.activate.bias"]
    assert torch.equal(
        convert(checkpoint(g=official.random_state(SMALL, seed=1))).state_dict()["texture.convs.0.bias"], bias
    )


def test_an_unknown_network_is_refused(checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="network 'd' is unknown; choose one of g_ema, g"):
        convert(checkpoint(), network="d")


def test_numpy_numbers_next_to_the_networks_are_accepted(checkpoint: Callable[..., Path]) -> None:
    assert convert(checkpoint(best_fid=np.float64(9.5), iter=np.int64(4))).config.levels == 1


def test_numpy_numbers_under_their_old_module_name_do_no_harm(tmp_path: Path) -> None:
    path = official.write(tmp_path / "best_fid.pth.tar", official.random_state(SMALL), best_fid=np.float64(9.5))
    torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(old)
    assert b"numpy.core.multiarray" in old
    assert convert(path).config.levels == 1


def test_files_of_the_old_torch_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "best_fid.pth.tar"
    torch.save({"g_ema": official.random_state(SMALL)}, path, _use_new_zipfile_serialization=False)
    assert convert(path).config.levels == 1


def test_temporary_variables_of_the_official_code_are_ignored(checkpoint: Callable[..., Path]) -> None:
    assert (
        convert(checkpoint(lambda s: s.update({"structure_synthesizer.tmp_var.0": torch.zeros(2)}))).config.levels == 1
    )


def test_half_precision_weights_become_float32(checkpoint: Callable[..., Path]) -> None:
    generator = convert(checkpoint(lambda s: s.update({k: v.half() for k, v in s.items()})))
    assert {t.dtype for t in generator.state_dict().values()} == {torch.float32}


def test_every_parameter_of_the_helper_is_one_that_is_read() -> None:
    config = GeneratorConfig(CHANNELS[5], local_channels=6, global_channels=16)
    unused = re.compile(r".*(const_z\.input|noise_\d+|kernel)")
    helper = {key for key in official.shapes(CHANNELS[5], 6, 16) if not unused.fullmatch(key)}
    assert {name for name, _ in official_names(config)} == helper


def test_the_helper_has_the_shapes_of_the_official_reduced_network() -> None:
    state = read_weights(oracle.load("generator_small"))
    compact = {k: tuple(v.shape) for k, v in state.items()}
    helper = official.shapes((16, 16, 16, 16, 12, 12, 8, 8), 12, 32)
    assert {k: helper[k] for k in compact} == compact


@pytest.mark.parametrize("patch", ["101", "197", "389", "773"])
def test_the_helper_has_the_shapes_of_the_released_networks(patch: str) -> None:
    path = oracle.FULL / "state_dict_keys_full.json"
    if not path.is_file():
        pytest.skip("the full oracle set (state_dict_keys_full.json) is not on this machine")
    entry = json.loads(path.read_text())[patch]
    helper = official.shapes([spec["out_ch"] for spec in entry["convs_specs"]], 256, 512)
    assert {k: list(shape) for k, shape in helper.items()} == {k: v[0] for k, v in entry["g"].items()}


def test_the_plain_reference_draws_the_official_image() -> None:
    data = oracle.load("generator_small")
    noises = [tensor(data, f"A_noise_{i}") for i in range(8)]
    state = {**official.random_state((16, 16, 16, 16, 12, 12, 8, 8), local=12, dim=32), **read_weights(data)}
    image = official.render(
        state, tensor(data, "A_global_latent")[:, 0], tensor(data, "A_local_latent"), tensor(data, "A_coords"), noises
    )
    torch.testing.assert_close(image, tensor(data, "A_image"), rtol=0, atol=1e-4)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist; give a released .pth.tar file" in refusal(tmp_path / "best_fid.pth.tar", InputError)


def test_a_file_over_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    path = tmp_path / "best_fid.pth.tar"
    with path.open("wb") as file:
        file.truncate(2**20 + 1)
    assert "over the limit of 1 MiB (INFGEN_MAX_MODEL_MB)" in refusal(path)


def test_a_small_file_that_expands_beyond_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Callable[..., Path]
) -> None:
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    path = checkpoint(lambda s: s.update({f"{official.TEXTURE}.mapping.3.weight": torch.zeros(1).expand(1024, 1024)}))
    assert re.search(r"expands to \d+ bytes, over the limit of 1 MiB", refusal(path))


@pytest.mark.parametrize(
    "content",
    [{}, [], 3, None, torch.zeros(2), {"g": {}}, {"g_ema": 3}, {"g_ema": {"a": 1}}, {"g_ema": {3: torch.zeros(1)}}],
)
def test_a_torch_file_of_another_kind_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "best_fid.pth.tar"
    torch.save(content, path)
    assert "it is not a released InfinityGAN checkpoint" in refusal(path)


def test_an_empty_network_is_refused(tmp_path: Path) -> None:
    assert "InfinityGAN generator has 0, 1, ... in pairs" in refusal(official.write(tmp_path / "a.pth.tar", {}))


@pytest.mark.parametrize(
    "key",
    [
        f"{official.STRUCTURE}.0.conv.conv.weight",
        f"{official.TEXTURE}.mapping.1.weight",
        f"{official.TEXTURE}.mapping.8.bias",
        f"{official.TEXTURE}.to_rgbs.0.bias",
        f"{official.TEXTURE}.convs.1.noise.weight",
    ],
)
def test_a_missing_tensor_is_named(key: str, checkpoint: Callable[..., Path]) -> None:
    assert key in refusal(checkpoint(lambda s: s.pop(key)))


@pytest.mark.parametrize("index", [0, 1])
def test_a_gap_in_the_convolutions_is_refused(index: int, checkpoint: Callable[..., Path]) -> None:
    assert "in pairs" in refusal(checkpoint(lambda s: s.pop(f"{official.TEXTURE}.convs.{index}.conv.weight")))


def test_an_unknown_tensor_is_named(checkpoint: Callable[..., Path]) -> None:
    path = checkpoint(lambda s: s.update({"texture_synthesizer.attention\n.weight": torch.zeros(1)}))
    assert r"1 unknown (first: 'texture_synthesizer.attention\n.weight')" in refusal(path)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (f"{official.STRUCTURE}.0.conv.conv.weight", (6, 9, 7, 7)),
        (f"{official.STRUCTURE}.0.conv.conv.weight", (1, 6, 9, 5, 5)),
        (f"{official.STRUCTURE}.0.conv.conv.weight", (1, 6, 8, 7, 7)),
        (f"{official.STRUCTURE}.2.conv.conv.weight", (1, 6, 8, 7, 7)),
        (f"{official.TEXTURE}.convs.0.conv.weight", (1, 8, 6, 3)),
        (f"{official.TEXTURE}.convs.0.conv.weight", (1, 0, 6, 3, 3)),
        (f"{official.TEXTURE}.convs.1.conv.weight", (1, 8, 8, 5, 5)),
        (f"{official.TEXTURE}.mapping.1.weight", (16,)),
        (f"{official.TEXTURE}.mapping.2.weight", (16, 17)),
        (f"{official.TEXTURE}.to_rgbs.0.conv.weight", (1, 4, 8, 1, 1)),
    ],
)
def test_another_shape_is_refused(key: str, shape: tuple[int, ...], checkpoint: Callable[..., Path]) -> None:
    assert re.search(r"shape|must be whole numbers", refusal(checkpoint(lambda s: s.update({key: torch.zeros(shape)}))))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_name(value: float, checkpoint: Callable[..., Path]) -> None:
    key = f"{official.TEXTURE}.mapping.3.weight"
    assert f"{key} holds values that are not finite" in refusal(checkpoint(lambda s: s[key].view(-1)[3:4].fill_(value)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_tensors_that_are_no_real_floats_are_refused(dtype: torch.dtype, checkpoint: Callable[..., Path]) -> None:
    key = f"{official.TEXTURE}.mapping.3.weight"
    assert f"{key} has type" in refusal(checkpoint(lambda s: s.update({key: s[key].to(dtype)})))


@pytest.mark.parametrize("kind", ["sparse", "meta"])
def test_tensors_without_values_of_their_own_are_refused(kind: str, checkpoint: Callable[..., Path]) -> None:
    key = f"{official.TEXTURE}.mapping.3.weight"
    changed = official.random_state(SMALL)[key]
    changed = changed.to_sparse() if kind == "sparse" else changed.to("meta")
    assert f"{key} has type" in refusal(checkpoint(lambda s: s.update({key: changed})))


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "executed")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "best_fid.pth.tar", tmp_path / "executed"
    content = {"g_ema": official.random_state(SMALL), "best_fid": Attack(target)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    message = refusal(path)
    assert (target.exists(), "more than plain tensors" in message) == (False, True)


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_raw_pickle_is_never_run(tmp_path: Path, protocol: int) -> None:
    path, target = tmp_path / "best_fid.pth.tar", tmp_path / "executed"
    path.write_bytes(pickle.dumps({"g_ema": Attack(target)}, protocol=protocol))
    refusal(path)
    assert not target.exists()


def test_no_refusal_advises_to_load_without_the_guard(tmp_path: Path) -> None:
    path = tmp_path / "best_fid.pth.tar"
    torch.save({"g_ema": Attack(tmp_path / "executed")}, path)
    assert "weights_only" not in refusal(path)


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(path: Path) -> None:
    """``convert`` gives a finite generator or refuses in one line."""
    message = ""
    try:
        tensors = list(convert(path).state_dict().values())
    except InfgenError as error:
        message, tensors = str(error), []
    assert "\n" not in message
    assert all(bool(t.isfinite().all()) for t in tensors)


@fuzz
@given(
    content=st.binary(max_size=300),
    magic=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x02}q\x00", b"\x93NUMPY"]),
)
def test_arbitrary_bytes_never_raise_anything_else(tmp_path: Path, content: bytes, magic: bytes) -> None:
    path = tmp_path / "best_fid.pth.tar"
    path.write_bytes(magic + content)
    survives(path)


@fuzz
@given(data=st.data(), zipped=st.booleans())
def test_flipped_and_missing_bytes_never_raise_anything_else(data: st.DataObject, zipped: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    state = official.random_state((2, 2), local=2, dim=2)
    torch.save({"best_fid": 1.0, "g_ema": state}, buffer, _use_new_zipfile_serialization=zipped)
    content = bytearray(buffer.getvalue())
    places = st.integers(0, len(content) - 1) | st.integers(0, 2000)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = value
    path = tmp_path / "best_fid.pth.tar"
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    survives(path)
