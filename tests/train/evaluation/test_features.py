"""The offline feature networks."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from infgen.errors import InputError, MissingExtraError
from infgen.perceptual import TRUNKS, Trunk, hash_weights
from infgen.train.evaluation import features
from infgen.train.evaluation.features import BATCH, EffNetFeatures, VggFeatures, collect, load_network
from tests.train.evaluation.stand_ins import Colours, Landscapes


@pytest.fixture(scope="module")
def effnet() -> EffNetFeatures:
    return EffNetFeatures()


@pytest.fixture
def vgg(monkeypatch: pytest.MonkeyPatch) -> VggFeatures:
    """VGG16 with random weights."""

    def random_trunk(path: Path | None) -> Trunk:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Trunk(TRUNKS["vgg"])

    monkeypatch.setattr(features, "vgg_trunk", random_trunk)
    return VggFeatures()


def pictures(count: int) -> Tensor:
    photos = Landscapes()
    return torch.stack([photos.patch(i, seed=0)[0] for i in range(count)])


def test_effnet_gives_1280_numbers_that_differ_between_pictures(effnet: EffNetFeatures) -> None:
    one, other = effnet(pictures(2))
    assert one.shape == (1280,)
    assert float((one - other).abs().max()) > 0.1


def test_effnet_sees_the_classifiers_own_input(effnet: EffNetFeatures) -> None:
    network = effnet._network
    x = (pictures(1).float() - 127) / 128
    with torch.inference_mode():
        pooled = network._avg_pooling(network.extract_features(x)).flatten(1)
    torch.testing.assert_close(effnet(pictures(1)), pooled)


def test_vgg_concatenates_the_means_of_three_layers(vgg: VggFeatures) -> None:
    x = pictures(1).float() / 127.5 - 1
    x = (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    found = []
    with torch.inference_mode():
        for i, conv in enumerate(vgg._trunk.convs):
            x = F.relu(conv(F.max_pool2d(x, 2) if i in (2, 4, 7, 10) else x))
            if i in (6, 9, 12):
                found.append(x.mean((2, 3)))
    torch.testing.assert_close(vgg(pictures(1)), torch.cat(found, 1))


@pytest.mark.parametrize("name", ["vgg", "effnet"])
def test_features_do_not_depend_on_the_batch(name: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(name)
    images = pictures(3)
    alone = torch.cat([network(images[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(images), alone, rtol=1e-3, atol=1e-4)


def test_the_key_is_that_of_the_weights(vgg: VggFeatures) -> None:
    before = hash_weights(vgg._trunk)
    assert vgg.key == before
    vgg._trunk.convs[5].bias.data[0] += 1
    assert hash_weights(vgg._trunk) != before


def test_collecting_fills_whole_batches_and_one_rest() -> None:
    network = Colours()
    images = pictures(5)
    found = collect((images[i % 5] for i in range(BATCH + 5)), [network], count=BATCH + 5)
    assert network.calls == [BATCH, 5]
    torch.testing.assert_close(found["vgg"][BATCH + 4], Colours()(images[(BATCH + 4) % 5][None])[0])


def test_collecting_reports_progress() -> None:
    told: list[tuple[int, int]] = []
    collect(pictures(3), [Colours()], count=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(3, 3)]


def test_fewer_pictures_than_announced_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 pictures came, 3 were announced"):
        collect(pictures(2), [Colours()], count=3)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(InputError, match="feature network 'resnet' is unknown; choose one of vgg, effnet, inception"):
        load_network("resnet")


def test_a_missing_effnet_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"infgen\[train\]"):
        EffNetFeatures()
