"""The adapter of torch-fidelity, on a stand-in for that library."""

import sys
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from infgen.errors import InputError, MissingExtraError, ModelFileError
from infgen.train.evaluation.inception import InceptionFeatures
from tests.train.evaluation.stand_ins import TinyInception, tiny_inception_state


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch_fidelity with a tiny network."""
    package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = TinyInception  # type: ignore[attr-defined]
    module.URL_INCEPTION_V3 = "https://example.org/weights.pth"  # type: ignore[attr-defined]
    package.feature_extractor_inceptionv3 = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(tiny_inception_state(), tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


IMAGES = torch.arange(2 * 3 * 8 * 8, dtype=torch.int64).remainder(256).to(torch.uint8).view(2, 3, 8, 8)


@pytest.mark.usefixtures("library")
def test_features_equal_those_of_the_library(weights: Path) -> None:
    state = tiny_inception_state()
    expected = IMAGES.float().mean((2, 3)) / 255 @ state["mix.weight"].T + state["mix.bias"]
    torch.testing.assert_close(InceptionFeatures(weights)(IMAGES), expected)


@pytest.mark.usefixtures("library")
def test_logits_are_the_classifier_without_its_bias(weights: Path) -> None:
    network = InceptionFeatures(weights)
    features = network(IMAGES)
    torch.testing.assert_close(network.logits(features), features @ tiny_inception_state()["fc.weight"].T)


@pytest.mark.usefixtures("library")
def test_safetensors_give_the_same_network(weights: Path, tmp_path: Path) -> None:
    save_file(tiny_inception_state(), tmp_path / "inception.safetensors")
    assert InceptionFeatures(tmp_path / "inception.safetensors").key == InceptionFeatures(weights).key


@pytest.mark.usefixtures("library")
def test_without_a_file_pytorchs_cache_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find_cached(url: str, **options: object) -> object:
        asked.append(url)
        return tiny_inception_state()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", find_cached)
    InceptionFeatures()
    assert asked == ["https://example.org/weights.pth"]


@pytest.mark.usefixtures("library")
def test_offline_one_line_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=r"\AInception-v3 weights [^\n]* with --inception-weights PATH\Z"):
        InceptionFeatures()


@pytest.mark.usefixtures("library")
def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match="do not fit torch-fidelity's Inception-v3"):
        InceptionFeatures(tmp_path / "other.pth")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("sprung"),)


@pytest.mark.usefixtures("library")
def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"mix.weight": Trap()}, "trap.pth")
    with pytest.raises(ModelFileError, match="no state dictionary of tensors"):
        InceptionFeatures(Path("trap.pth"))
    assert not Path("sprung").exists()


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[fid\].*choose fd-vgg"):
        InceptionFeatures()


def test_a_torchvision_of_another_pytorch_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch_fidelity").mkdir()
    (tmp_path / "torch_fidelity" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist\\nmore')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch_fidelity", raising=False)
    with pytest.raises(
        InputError, match=r"\Atorch-fidelity cannot be imported \(operator nms does not exist\); [^\n]*\Z"
    ):
        InceptionFeatures()
