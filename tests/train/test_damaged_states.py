"""Training states with values that no run can have saved are refused before training."""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.errors import InputError
from tests.train.photos import save_landscapes
from tests.train.runs import begin, load_state, train

Damage = Callable[[dict[str, Any]], object]


def first(part: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The first entry of an optimiser."""
    return lambda content: content[part]["state"][0]


DAMAGES: dict[str, Damage] = {
    "step is -5": lambda c: c.update(step=-5),
    "step is True": lambda c: c.update(step=True),
    "augment_p holds nan": lambda c: c.update(augment_p=[math.nan]),
    "augment_p holds 2.0": lambda c: c.update(augment_p=[2.0]),
    "augment_p has 2 values": lambda c: c.update(augment_p=[0.0, 0.0]),
    "real_sign holds 'a'": lambda c: c.update(real_sign=["a"]),
    "best has entries": lambda c: c.update(best={"value": 1.0}),
    "best holds inf": lambda c: c.update(best={"value": math.inf, "step": 1.0}),
    "path_mean": lambda c: c.update(path_mean=torch.zeros(3)),
    "is not finite": lambda c: next(iter(c["ema"].values())).fill_(math.nan),
    "size mismatch": lambda c: c["generator"].update({next(iter(c["generator"])): torch.zeros(2)}),
    "no usable exp_avg of parameter 0": lambda c: first("generator_optimizer")(c).update(exp_avg=torch.zeros(1)),
    "impossible average": lambda c: first("discriminator_optimizer")(c)["exp_avg_sq"].fill_(-1.0),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"), 1)


@pytest.fixture(scope="module")
def state(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return load_state(train(photos, tmp_path_factory.mktemp("run") / "a", steps=1))


@pytest.fixture
def folder(photos: Path, tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    return tmp_path / "a"


@pytest.mark.parametrize("message", DAMAGES)
def test_an_impossible_value_is_refused_and_named(
    message: str, state: dict[str, Any], photos: Path, folder: Path
) -> None:
    torch.save(state, folder / "state.pt")
    content = torch.load(folder / "state.pt", weights_only=True)
    DAMAGES[message](content)
    torch.save(content, folder / "state.pt")
    with pytest.raises(InputError, match="does not match its recipe") as caught:
        begin(photos, folder, steps=2, resume=True)
    assert message in str(caught.value)


def test_a_compressed_state_is_not_unpacked(state: dict[str, Any], photos: Path, folder: Path) -> None:
    torch.save({**state, "padding": torch.zeros(10**7)}, folder / "plain.pt")
    with (
        zipfile.ZipFile(folder / "plain.pt") as plain,
        zipfile.ZipFile(folder / "state.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    with pytest.raises(InputError, match="holds compressed data"):
        begin(photos, folder, steps=2, resume=True)
