"""Earlier training states, without scales (version 4) or with summed distances in L_div: resuming and starting from them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from infgen.errors import InputError
from infgen.train import start
from infgen.train.checkpoint import RunFolder
from infgen.train.loop import Schedule
from tests.train.photos import save_landscapes
from tests.train.runs import SMALL, differences, load_state, train

pytestmark = pytest.mark.usefixtures("small_sheets")

LATER = ("colour_jitter", "diversity_norm", "steps")  # entries of a recipe that the first runs of version 5 lack
NOT_IN_4 = ("scales", "scale_shares", "fusion", "warmup_steps", *LATER)
SUMMED = SMALL.with_values(diversity_norm="sum")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


def as_version_4(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a state of one scale to version 4."""
    old = {name: value for name, value in content.items() if name not in ("discriminators", "ema")}
    discriminator = {name.removeprefix("0."): value for name, value in content["discriminators"].items()}
    recipe = {name: value for name, value in content["recipe"].items() if name not in NOT_IN_4}
    numbers = {name: content[name][0] for name in ("augment_p", "real_sign")}
    path_mean = content["path_mean"][0]
    return (
        old
        | {"version": 4, "discriminator": discriminator, "average": content["ema"], "recipe": recipe}
        | numbers
        | {"path_mean": path_mean}
    )


def drop_entries(folder: RunFolder, names: tuple[str, ...]) -> None:
    """Remove ``names`` from the folder's ``recipe.json``."""
    recipe = json.loads(folder.recipe.read_text())
    folder.recipe.write_text(json.dumps({name: value for name, value in recipe.items() if name not in names}))


@pytest.fixture
def old_run(photos: Path, tmp_path: Path) -> RunFolder:
    folder = train(photos, tmp_path / "old", steps=2, recipe=SUMMED)
    torch.save(as_version_4(load_state(folder)), folder.state)
    drop_entries(folder, NOT_IN_4)
    return folder


@pytest.fixture
def summed_run(photos: Path, tmp_path: Path) -> RunFolder:
    """A run from before L_div had a norm, with another weight than today's preset."""
    folder = train(photos, tmp_path / "summed", steps=2, recipe=SUMMED.with_values(diversity_weight=0.1))
    content = load_state(folder)
    for name in LATER:
        del content["recipe"][name]
    torch.save(content, folder.state)
    drop_entries(folder, LATER)
    return folder


def test_a_run_of_version_4_is_resumed_to_the_same_state(old_run: RunFolder, photos: Path, tmp_path: Path) -> None:
    resumed = train(photos, old_run.path, steps=4, resume=True)
    full_run = train(photos, tmp_path / "whole", steps=4, recipe=SUMMED)
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


def test_a_run_with_summed_distances_keeps_its_diversity_loss(
    summed_run: RunFolder, photos: Path, tmp_path: Path
) -> None:
    for steps in (3, 4):  # the second resumes a state that this version wrote
        train(photos, summed_run.path, steps=steps, resume=True)
    full_run = train(photos, tmp_path / "whole", steps=4, recipe=SUMMED.with_values(diversity_weight=0.1))
    assert differences(load_state(summed_run), load_state(full_run)) == []


def test_a_run_with_summed_distances_is_not_resumed_without_its_diversity_loss(
    summed_run: RunFolder, photos: Path
) -> None:
    with pytest.raises(
        InputError, match=r"another recipe \(diversity_weight 0.1 -> 0.0, diversity_norm 'sum' -> 'mean'\)"
    ):
        train(photos, summed_run.path, steps=4, resume=True, recipe=SMALL.with_values(diversity_weight=0.0))


def test_a_run_may_be_resumed_with_another_length(photos: Path, tmp_path: Path) -> None:
    folder = train(photos, tmp_path / "a", steps=1)
    train(photos, folder.path, steps=2, resume=True, recipe=SMALL.with_values(steps=7))
    assert load_state(folder)["step"] == 2
