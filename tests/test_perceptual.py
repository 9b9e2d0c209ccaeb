"""Test LPIPS: its properties, its values against a plain implementation, and its weight files."""

from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from infgen.errors import InputError, ModelFileError
from infgen.perceptual import ALEX_FILE, ASSETS, TRUNKS, Lpips, read_weights, vgg_trunk

SHARED_VGG = Path(__file__).parents[2] / "shared" / "weights" / "lpips-vgg16-v0.1-fp16.safetensors"


@pytest.fixture(scope="module")
def metric() -> Lpips:
    return Lpips.load()


def picture(seed: int = 0, *, size: int = 64) -> Tensor:
    """Smooth waves with grain (1, 3, size, size) in [-1, 1], the same on every machine."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    waves = [torch.sin(6.28 * ((seed + c + 1) * x + (c + 2) * y) + seed) for c in range(3)]
    grain = torch.frac(torch.arange(3 * size * size) * 0.618034).view(3, size, size) - 0.5
    return (0.7 * torch.stack(waves) + 0.3 * grain)[None]


def noise_of(strength: float) -> Tensor:
    return strength * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def blur(image: Tensor, width: int) -> Tensor:
    return F.avg_pool2d(F.pad(image, [width // 2] * 4, mode="reflect"), width, 1)


def plain_alex(a: Tensor, b: Tensor) -> float:
    """LPIPS with AlexNet in the fewest words, straight from the published description."""
    weights = {name: t.float() for name, t in load_file(ALEX_FILE).items()}

    def features(image: Tensor) -> list[Tensor]:
        x = (image - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[
            :, None, None
        ]
        maps = []
        for i, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
            if i in (1, 2):
                x = F.max_pool2d(x, kernel_size=3, stride=2)
            x = torch.relu(
                F.conv2d(x, weights[f"trunk.conv{i}.weight"], weights[f"trunk.conv{i}.bias"], stride, padding)
            )
            maps.append(x)
        return maps

    total = 0.0
    for i, (x, y) in enumerate(zip(features(a), features(b), strict=True)):
        unit_x, unit_y = (t / torch.linalg.vector_norm(t, dim=1, keepdim=True).clamp(min=1e-10) for t in (x, y))
        total += float(F.conv2d((unit_x - unit_y) ** 2, weights[f"head{i}"][None, :, None, None]).mean())
    return total


def test_equal_images_have_distance_0(metric: Lpips) -> None:
    assert float(metric(picture(), picture())) == 0


def test_the_distance_is_symmetric(metric: Lpips) -> None:
    torch.testing.assert_close(metric(picture(0), picture(1)), metric(picture(1), picture(0)))


def test_more_noise_is_farther_away(metric: Lpips) -> None:
    distances = [float(metric(picture(), picture() + noise_of(s))) for s in (0.02, 0.1, 0.3, 1.0)]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_more_blur_is_farther_away(metric: Lpips) -> None:
    distances = [float(metric(picture(), blur(picture(), width))) for width in (3, 7, 15)]
    assert distances == sorted(distances)


@pytest.mark.parametrize("size", [32, 64, 101])
def test_values_equal_those_of_a_plain_implementation(metric: Lpips, size: int) -> None:
    a, b = picture(0, size=size), picture(3, size=size)
    assert float(metric(a, b)) == pytest.approx(plain_alex(a, b), rel=1e-4)


@pytest.mark.parametrize(("one", "other", "expected"), [(0, 1, 0.0911996), (0, 3, 0.184496)])
def test_distances_equal_the_recorded_ones(metric: Lpips, one: int, other: int, expected: float) -> None:
    assert float(metric(picture(one), picture(other))) == pytest.approx(expected, rel=1e-3)


def test_every_row_of_a_batch_is_its_own_distance(metric: Lpips) -> None:
    a, b = torch.cat([picture(0), picture(2)]), torch.cat([picture(1), picture(2)])
    distances = metric(a, b)
    assert distances.shape == (2,)
    assert float(distances[0]) == pytest.approx(float(metric(picture(0), picture(1))), rel=1e-4)
    assert float(distances[1]) == 0


def test_gradients_reach_the_image(metric: Lpips) -> None:
    image = picture(0).requires_grad_()
    metric(image, picture(1)).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
    assert float(image.grad.abs().max()) > 0


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_gradients_of_flat_images_are_finite(metric: Lpips, value: float) -> None:
    image = torch.full((1, 3, 64, 64), value).requires_grad_()
    metric(image, picture(1)).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_weights_are_frozen(metric: Lpips) -> None:
    assert not any(p.requires_grad for p in metric.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (1, 1, 64, 64), (3, 64, 64)])
def test_images_of_another_shape_are_refused(metric: Lpips, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sides from 32 px"):
        metric(torch.zeros(shape), torch.zeros(shape))


def test_images_of_two_sizes_are_refused(metric: Lpips) -> None:
    with pytest.raises(ValueError, match="must be equal"):
        metric(picture(), picture(size=65))


# Weight files


@pytest.fixture(scope="module")
def vgg_tensors() -> Mapping[str, Tensor]:
    """Random VGG16 tensors under the names of the LPIPS files."""
    rng, spec = torch.Generator().manual_seed(0), TRUNKS["vgg"]
    tensors = {}
    for i, (inputs, outputs) in enumerate(zip((3, *spec.channels[:-1]), spec.channels, strict=True)):
        tensors[f"trunk.conv{i}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=rng) * (2 / (9 * inputs)) ** 0.5
        tensors[f"trunk.conv{i}.bias"] = torch.randn(outputs, generator=rng) * 0.1
    return tensors | {f"head{i}": torch.rand(spec.channels[tap], generator=rng) for i, tap in enumerate(spec.taps)}


@pytest.fixture(scope="module")
def vgg_file(vgg_tensors: Mapping[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg.safetensors"
    save_file({name: t.half() for name, t in vgg_tensors.items()}, path)
    return path


@pytest.fixture(scope="module")
def official_file(vgg_tensors: Mapping[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the network's tensors as torchvision stores them."""
    numbers = TRUNKS["vgg"].official
    state = {
        f"features.{number}.{kind}": vgg_tensors[f"trunk.conv{i}.{kind}"].half()
        for i, number in enumerate(numbers)
        for kind in ("weight", "bias")
    }
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save({**state, "classifier.0.bias": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)
    return path


def test_vgg_sees_five_maps_of_its_layers(vgg_file: Path) -> None:
    maps = vgg_trunk(vgg_file)(picture())
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]


def test_torchvisions_file_gives_the_same_trunk(vgg_file: Path, official_file: Path) -> None:
    for ours, theirs in zip(vgg_trunk(vgg_file)(picture()), vgg_trunk(official_file)(picture()), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_vgg_from_torchvision_gets_the_shipped_heads(official_file: Path) -> None:
    shipped = load_file(ASSETS / "lpips-vgg16-v0.1-heads-fp16.safetensors")
    metric = Lpips.load("vgg", official_file)
    torch.testing.assert_close(metric.heads[2].detach(), shipped["head2"].float())


def test_vgg_reads_heads_that_are_in_the_file(vgg_file: Path, vgg_tensors: Mapping[str, Tensor]) -> None:
    metric = Lpips.load("vgg", vgg_file)
    torch.testing.assert_close(metric.heads[4].detach(), vgg_tensors["head4"].half().float())


def test_without_a_file_torchvisions_cache_is_asked(official_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.load(official_file, weights_only=True)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, **options: state)
    assert len(vgg_trunk()(picture())) == 5


def test_without_file_cache_or_network_one_line_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=r"\AVGG16 weights .* cannot be downloaded .* with --vgg-weights PATH\Z"):
        vgg_trunk()


def test_the_file_of_another_network_is_refused(vgg_file: Path) -> None:
    with pytest.raises(ModelFileError, match=r"trunk.conv0.weight is .* needed are floats \(64, 3, 11, 11\)"):
        Lpips.load("alex", vgg_file)


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    save_file({"head0": torch.zeros(64)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match=r"lack the tensor 'features\.0\.weight'"):
        vgg_trunk(tmp_path / "a.safetensors")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors = load_file(ALEX_FILE)
    tensors["head3"][7] = float("nan")
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="head3 holds values that are not finite"):
        Lpips.load("alex", tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"PK\x03\x04nonsense", b"\x80\x02nonsense", b"12345678{nonsense"]
)
def test_a_damaged_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"\Aweights [^\n]*; give the right file\Z"):
        read_weights(tmp_path / "a")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_weights(tmp_path / "missing")


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_MODEL_MB", "1")
    with pytest.raises(ModelFileError, match=r"over the limit of 1 MiB \(INFGEN_MAX_MODEL_MB\)"):
        read_weights(ALEX_FILE)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ModelFileError, match="no state dictionary of tensors"):
        vgg_trunk(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


def test_every_shipped_file_of_others_has_its_notice() -> None:
    notice = (ASSETS / "NOTICE.md").read_text()
    assert all(f"`{path.name}`" in notice for path in ASSETS.glob("lpips-*"))


@pytest.mark.skipif(not SHARED_VGG.exists(), reason="the folder ../shared with real VGG16 weights is not here")
def test_real_vgg_weights_rank_noise_like_alexnet() -> None:
    metric = Lpips.load("vgg", SHARED_VGG)
    distances = [float(metric(picture(), picture() + noise_of(s))) for s in (0.1, 0.3, 1.0)]
    assert distances == sorted(distances)
