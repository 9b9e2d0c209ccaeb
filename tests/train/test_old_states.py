"""Training states of version 4, which has no scales: resuming them, and starting from them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule
from tests.train.photos import save_landscapes
from tests.train.runs import SMALL, differences, load_state, train

pytestmark = pytest.mark.usefixtures("small_sheets")

# Entries of a recipe that version 4 does not have. Early states of version 5 have no colour_jitter.
LATER = ("scales", "scale_shares", "fusion", "warmup_steps", "colour_jitter")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


def as_version_4(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a state of one scale to version 4."""
    old = {name: value for name, value in content.items() if name not in ("discriminators", "ema")}
    discriminator = {name.removeprefix("0."): value for name, value in content["discriminators"].items()}
    recipe = {name: value for name, value in content["recipe"].items() if name not in LATER}
    numbers = {name: content[name][0] for name in ("augment_p", "real_sign")}
    path_mean = content["path_mean"][0]
    return (
        old
        | {"version": 4, "discriminator": discriminator, "average": content["ema"], "recipe": recipe}
        | numbers
        | {"path_mean": path_mean}
    )


@pytest.fixture
def old_run(photos: Path, tmp_path: Path) -> RunFolder:
    folder = train(photos, tmp_path / "old", steps=2)
    torch.save(as_version_4(load_state(folder)), folder.state)
    return folder


def test_a_run_of_version_4_is_resumed_to_the_same_state(old_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    resumed = train(photos, old_run.path, steps=4, resume=True)
    full_run = train(photos, tmp_path / "whole", steps=4)
    assert differences(load_state(resumed), load_state(full_run)) == []


def test_a_run_from_before_colour_jitter_is_resumed_to_the_same_state(photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "old", steps=2)
    state = load_state(folder)
    del state["recipe"]["colour_jitter"]
    torch.save(state, folder.state)
    resumed = train(photos, folder.path, steps=4, resume=True)
    full_run = train(photos, tmp_path / "whole", steps=4)
    assert differences(load_state(resumed), load_state(full_run)) == []


def test_a_new_run_starts_from_a_run_of_version_4(old_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    state = torch.load(old_run.state, weights_only=True)
    run = start(photos, SMALL, Schedule(steps=1, device="cpu"), out=tmp_path / "new", init=old_run.path)
    assert differences(run.trainer.state.ema.state_dict(), state["average"]) == []


def test_a_damaged_state_of_version_4_is_refused_in_one_line(old_run: RunFolder, photos: Path) -> None:
    state = torch.load(old_run.state, weights_only=True)
    del state["path_mean"]
    torch.save(state, old_run.state)
    with pytest.raises(Exception, match=r"training state .* has version 4, infgen needs 5"):
        train(photos, old_run.path, steps=4, resume=True)
