"""``infgen resample``, and worlds with anchors on the command line."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infgen.geometry import Region
from infgen.model.checkpoint import file_hash
from infgen.rendering.studio import open_studio
from infgen.world import anchoring
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.world.latents import make_latents, save_latents

Resample = Callable[..., tuple[int, str, str]]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World(seed=7).save(tmp_path / "world.json")
    return tmp_path / "world.json"


@pytest.fixture
def resample(call: Call, tiny_model: Path) -> Resample:
    return lambda *words: call("resample", "--model", tiny_model, *words)


@pytest.fixture
def anchored_world(tmp_path: Path, tiny_model: Path) -> Path:
    """A world file with an anchor of the tiny model beside it."""
    latents = make_latents(-6, -5, cells=(12, 14), model_sha256=file_hash(tiny_model))
    folder = tmp_path / "anchored"
    folder.mkdir()
    World.from_inversions([save_latents(folder, "photo.safetensors", latents)], seed=3).save(folder / "world.json")
    for read_once in (anchoring._load_latents, anchoring._place_file):  # as in a new process
        read_once.cache_clear()
    return folder / "world.json"


REGION = ("--region", "-32,-64,128,96")


def test_an_edit_is_added_to_the_world_file(resample: Resample, world: Path):
    code, out, err = resample(world, *REGION, "--seed", 5)
    assert (code, out.strip()) == (0, str(world))
    assert err.startswith("edit 1: 128 x 96 px at (-32, -64), local and noise, seed 5; changes pixels up to ")
    (edit,) = World.load(world).edits
    assert (edit.x, edit.y, edit.w, edit.h, edit.seed, edit.fields) == (-32, -64, 128, 96, 5, ("local", "noise"))


def test_a_seed_that_is_not_given_is_drawn_and_printed(resample: Resample, world: Path):
    seeds = [int(re.findall(r"seed (\d+)", resample(world, *REGION)[2])[0]) for _ in range(2)]
    assert [edit.seed for edit in World.load(world).edits] == seeds
    assert seeds[0] != seeds[1]


def test_another_output_leaves_the_world_as_it_is(resample: Resample, world: Path, tmp_path: Path):
    before = world.read_bytes()
    assert resample(world, *REGION, "-o", tmp_path / "other.json")[0] == 0
    assert world.read_bytes() == before
    assert len(World.load(tmp_path / "other.json").edits) == 1


def test_undo_gives_the_file_back_bit_for_bit(resample: Resample, call: Call, world: Path):
    before = world.read_bytes()
    resample(world, *REGION, "--seed", 5)
    code, _, err = call("resample", world, "--undo")
    assert (code, world.read_bytes()) == (0, before)
    assert err.startswith("undone: edit 1: 128 x 96 px")


def test_one_field_is_drawn_again(resample: Resample, world: Path):
    resample(world, *REGION, "--fields", " noise ")
    assert World.load(world).edits[0].fields == ("noise",)


def test_statistics_come_from_another_region(resample: Resample, world: Path):
    assert resample(world, *REGION, "--like-region", "512,0,64,64")[0] == 0
    assert len(World.load(world).edits[0].mean or ()) == 6


def test_a_resampled_region_is_drawn_otherwise(resample: Resample, render: Call, world: Path, tmp_path: Path):
    pictures = []
    for name in ("before.png", "after.png"):
        render("--w", 96, "--h", 64, "--x", -32, "--y", -64, "--world", world, "-o", tmp_path / name)
        pictures.append(np.asarray(Image.open(tmp_path / name)))
        resample(world, *REGION)
    assert not np.array_equal(*pictures)


def test_sizes_come_from_the_anchors(call: Call, anchored_world: Path):
    assert call("resample", anchored_world, *REGION, "--like-region", "0,0,64,64")[0] == 0
    assert len(World.load(anchored_world).edits[0].std or ()) == 6


def test_files_of_anchors_come_along_to_another_folder(call: Call, anchored_world: Path, tmp_path: Path):
    assert call("resample", anchored_world, *REGION, "-o", tmp_path / "other.json")[0] == 0
    assert World.load(tmp_path / "other.json").placed_anchors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to do; give --region X,Y,W,H"),
        (("--region", "1,2,3"), "--region '1,2,3' is not a region; give X,Y,W,H in whole px"),
        (("--region", "0,0,1e3,5"), "--region '0,0,1e3,5' is not a region"),
        (("--region", "0,0,0,16"), "width 0 px is not possible; give 1 or more"),
        (("--region", "0,0,16,-16"), "is not a region"),
        (("--region", "1099511627776,0,16,16"), "leaves the canvas; allowed is -2^40 to 2^40"),
        (("--region", "1,1,15,15"), "holds no centre of a cell; centres lie on multiples of 16 px"),
        ((*REGION, "--fields", "colour"), "--fields names 'colour'; allowed are local, noise"),
        ((*REGION, "--fields", ""), "--fields names ''; allowed are local, noise"),
        ((*REGION, "--like-region", "0,0,16,16"), "has 1 cells of 16 px; allowed are 2 to 65536"),
        ((*REGION, "--like-region", "here"), "--like-region 'here' is not a region"),
        ((*REGION, "--like-region", "0,0,64,64", "--fields", "noise"), "add local to fields"),
        ((*REGION, "--seed", 2**64), "seed is 18446744073709551616"),
        (("--undo", "--seed", 1), "--undo and --seed are both given"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_the_world_stays(
    call: Call, world: Path, tiny_model: Path, words: tuple[object, ...], message: str
):
    before = world.read_bytes()
    model = () if "--undo" in words else ("--model", tiny_model)
    code, out, err = call("resample", world, *model, *words)
    assert (code, out, err.count("\n"), world.read_bytes()) == (2, "", 1, before)
    assert message in err


def test_nothing_to_undo_is_refused(call: Call, world: Path):
    assert call("resample", world, "--undo") == (2, "", "Error: world has no edits; there is nothing to undo\n")


def test_a_world_that_does_not_exist_is_refused(call: Call, tmp_path: Path):
    code, _, err = call("resample", tmp_path / "none.json", *REGION)
    assert (code, "does not exist" in err) == (2, True)


def test_an_edit_wider_than_the_period_is_refused(resample: Resample, tmp_path: Path):
    World(period=64).save(tmp_path / "w.json")
    code, _, err = resample(tmp_path / "w.json", *REGION)
    assert (code, "allowed is at most the period, 64 px" in err) == (2, True)


def test_a_missing_anchor_is_refused(call: Call, anchored_world: Path):
    (anchored_world.parent / "photo.safetensors").unlink()
    code, _, err = call("resample", anchored_world, *REGION)
    assert (code, "does not exist" in err, err.count("\n")) == (2, True, 1)


WINDOW = ("--w", 160, "--h", 96, "--x", -64, "--y", -40)


def test_a_picture_next_to_its_anchor_files_is_verified(
    call: Call, render: Call, anchored_world: Path, tiny_model: Path
):
    picture = anchored_world.parent / "out.png"
    assert render(*WINDOW, "--world", anchored_world, "-o", picture)[0] == 0
    assert call("verify", picture, "--model", tiny_model, "--quiet") == (0, "", "")


def test_a_picture_without_its_anchor_files_names_the_missing_one(
    call: Call, render: Call, anchored_world: Path, tiny_model: Path, tmp_path: Path
):
    assert render(*WINDOW, "--world", anchored_world, "-o", tmp_path / "out.png")[0] == 0
    code, _, err = call("verify", tmp_path / "out.png", "--model", tiny_model)
    assert (code, err.count("\n")) == (2, 1)
    assert f"anchor file {tmp_path / 'photo.safetensors'} does not exist" in err


def test_an_altered_anchor_is_refused_before_anything_is_drawn(render: Call, anchored_world: Path, tmp_path: Path):
    file = anchored_world.parent / "photo.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + bytes(4))
    code, _, err = render(*WINDOW, "--world", anchored_world, "-o", tmp_path / "out.png")
    assert (code, "is not the file of this world" in err) == (2, True)
    assert not (tmp_path / "out.png").exists()


def test_an_anchor_of_another_model_is_refused(call: Call, anchored_world: Path, tmp_path: Path):
    code, _, err = call("render", *WINDOW, "--world", anchored_world, "-o", tmp_path / "out.png")
    assert (code, "give the right one with --model" in err) == (2, True)


def test_no_pixel_changes_beyond_the_stated_ones(resample: Resample, world: Path, tiny_model: Path) -> None:
    around = Region(-700, -500, 1300, 1000)
    before = open_studio(World.load(world), model=tiny_model).array(around)
    _, _, err = resample(world, *REGION, "--seed", 5)
    numbers = [int(number) for number in re.findall(r"-?\d+", err.split("from ", 1)[1])]
    after = open_studio(World.load(world), model=tiny_model).array(around)
    rows, columns = np.nonzero((before != after).any(2))
    assert columns.min() + around.x >= numbers[0]
    assert rows.min() + around.y >= numbers[1]
    assert columns.max() + around.x <= numbers[2]
    assert rows.max() + around.y <= numbers[3]
