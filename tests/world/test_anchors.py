"""Test anchors: position in a world, values in its fields, and pixels."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from infgen.engines.base import to_pixels
from infgen.errors import InfgenError, WorldError
from infgen.geometry import Region, Span, Window, tile_px
from infgen.model.checkpoint import file_hash
from infgen.model.generator import Generator, Style
from infgen.rendering.palette import check_world
from infgen.rendering.plan import MIN_TILE_CELLS
from infgen.rendering.remote import StudioSpec
from infgen.rendering.studio import Options, open_studio
from infgen.world import coordinates, fields, world_fields
from infgen.world.anchoring import Anchor, PlacedAnchor, anchor_layout
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World
from tests.export.files import scaled_model, tiny_file
from tests.model.scaled import FOUR_LEVELS, NETWORKS, SCALES, halvings, network, six_levels
from tests.world.latents import SIZES, S, make_latents, save_latents

PERIOD = 60 * S


def local(world: World, window: Window) -> Tensor:
    return world_fields.local_latent(world, window, sizes=SIZES)


def noise(world: World, window: Window, conv: int) -> Tensor:
    return world_fields.noise(world, window, conv=conv, levels=SIZES.levels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b, c: blocks of different sizes and heights; p, q: the same for a period."""
    folder = tmp_path_factory.mktemp("anchors")
    for names, period in (("abc", None), ("pqr", PERIOD)):
        save_latents(folder, names[0], make_latents(0, -4, seed=1, period=period))
        save_latents(folder, names[1], make_latents(5, 3, cells=(7, 6), seed=2, period=period))
        save_latents(folder, names[2], make_latents(-3, -9, cells=(12, 8), seed=3, period=period))
    return folder


def world_of(folder: Path, names: str, positions: list[int] | None = None, **values: object) -> World:
    world = World.from_inversions([folder / name for name in names], seed=7, positions=positions)
    return world.replace(local_truncation=1.0, **values)


cells = st.integers(-30, 30)
positions = st.lists(st.integers(-25, 25), min_size=3, max_size=3)


def nearest(world: World, field: str, x: int, y: int, spacing: int, conv: int) -> tuple[Tensor, int, int] | None:
    """(values, row, column) of the anchor that rules at a position, by trying each."""
    found = []
    period = None if world.period is None else world.period // spacing
    for number, anchor in enumerate(world.placed_anchors):
        values, block = anchor.local if field == "local" else anchor.noise(conv)
        column, row = x - block.x.start, y - block.y.start
        column = column if period is None else column % period
        if not (0 <= column < block.x.size and 0 <= row < block.y.size):
            continue
        px, py = (block.x.start + column) * spacing, y * spacing
        across = max(anchor.x.pixels.start - px, px - (anchor.x.pixels.stop - 1), 0)
        down = max(anchor.y.pixels.start - py, py - (anchor.y.pixels.stop - 1), 0)
        found.append((across**2 + down**2, number, (values, row, column)))
    return min(found, key=lambda entry: entry[:2])[2] if found else None


@pytest.mark.parametrize("names", ["abc", "pqr"])
@given(at=positions, x=cells, y=cells)
def test_each_cell_has_the_latents_of_the_nearest_anchor_or_else_of_the_seed(
    folder: Path, names: str, at: list[int], x: int, y: int
):
    world = world_of(folder, names, at)
    found = local(world, Window(Span(x - 3, 5), Span(y - 2, 4)))[:, 2, 3]
    expected = nearest(world, "local", x, y, S, 0)
    if expected is None:
        column = x if world.period is None else x % (world.period // S)
        seeded = fields.local_latent(7, Window(Span(column, 1), Span(y, 1)), channels=SIZES.local_channels)
        assert torch.equal(found, seeded[:, 0, 0])
    else:
        values, row, column = expected
        assert torch.equal(found, values[:, row, column])


@pytest.mark.parametrize("names", ["abc", "pqr"])
@given(at=positions, x=cells, y=cells, conv=st.integers(0, 7))
def test_each_noise_is_that_of_the_nearest_anchor_or_else_of_the_seed(
    folder: Path, names: str, at: list[int], x: int, y: int, conv: int
):
    world = world_of(folder, names, at)
    spacing = S >> (conv // 2 + 1)
    x, y = x * S // spacing, y * S // spacing
    found = noise(world, Window(Span(x - 3, 5), Span(y - 2, 4)), conv)[0, 2, 3]
    expected = nearest(world, "noise", x, y, spacing, conv)
    if expected is None:
        column = x if world.period is None else x % (world.period // spacing)
        assert found == fields.noise(7, Window(Span(column, 1), Span(y, 1)), conv=conv)[0, 0, 0]
    else:
        values, row, column = expected
        assert found == values[0, row, column]


def test_edits_win_over_anchors(folder: Path):
    world = world_of(folder, "a").resample(Region(0, 0, 64, 64), seed=9, sizes=SIZES)
    window = Window(Span(0, 4), Span(0, 4))
    assert torch.equal(local(world, window), fields.local_latent(9, window, channels=SIZES.local_channels))


@pytest.fixture(scope="module")
def inverted_file(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an anchor of the tiny model."""
    latents = make_latents(-6, -5, cells=(12, 14), model_sha256=file_hash(tiny_model))
    return save_latents(tmp_path_factory.mktemp("inverted"), "photo.safetensors", latents)


def model_of(name: str) -> Path:
    """The model file of the network called ``name``, which draws its scale."""
    return tiny_file() if name == FOUR_LEVELS else scaled_model()


def scale_of(name: str) -> str:
    return "1" if name == FOUR_LEVELS else name


def photograph(name: str, cell_x: int = -6, **values: Any) -> AnchoredLatents:
    """Latents of the whole model of the network called ``name``."""
    sizes = network(FOUR_LEVELS).config if name == FOUR_LEVELS else six_levels().config
    cells = (12, 14) if name == FOUR_LEVELS else (7, 8)
    fixed = {"cells": cells, "model_sha256": file_hash(model_of(name)), "sizes": sizes}
    return make_latents(cell_x, -5, **fixed | values)


def direct(latents: AnchoredLatents, generator: Generator) -> np.ndarray:
    """The pixels (h, w, 3) that the network makes of latents, without a world."""
    x, y = latents.spans()
    columns, rows = (torch.arange(span.start, span.stop)[None] for span in (x.local, y.local))
    encoded = coordinates.encode(columns, rows, system=generator.config.coordinates)
    style = Style(latents.z_g[None], latents.w_plus[None, : generator.config.style_layers])
    noises = [noise[None] for noise in latents.noises[: len(generator.config.texture_channels)]]
    with torch.inference_mode():
        rgb = generator(latents.z_l[None], encoded, style, noises)
    return to_pixels(rgb)[0].numpy()


@pytest.mark.parametrize("tiled", [False, True], ids=["one tile", "several tiles"])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_anchor_is_drawn_as_it_was_inverted_in_every_tiling(name: str, tiled: bool, tmp_path: Path):
    latents = photograph(name)
    spans, level = latents.spans(), network(name).config.levels
    x, y = (span.noise[2 * level - 1] for span in spans)  # the pixels of that level
    world = World.from_inversions([save_latents(tmp_path, "photo.safetensors", latents)], seed=3)
    smallest = tile_px(MIN_TILE_CELLS, levels=level)
    options = Options(tile_px=smallest if tiled else None, device="cpu", halvings=halvings(name))
    drawn = open_studio(world, model=model_of(name), options=options).array(Region(x.start, y.start, x.size, y.size))
    difference = np.abs(drawn.astype(int) - direct(latents, network(name)))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cyclic_world_shows_an_anchor_once_in_every_period(name: str, tmp_path: Path):
    period = 60 * (16 if name == FOUR_LEVELS else 64)
    latents = photograph(name, 57, period=period)
    world = World.from_inversions([save_latents(tmp_path, "a", latents)])
    scale, model = scale_of(name), model_of(name)
    size = 200 << halvings(name), 120 << halvings(name)
    here, there = (world.render(x, -48, *size, model=model, scale=scale) for x in (period - 40, -40 - 4 * period))
    assert here.shape == (120, 200, 3)
    assert np.array_equal(here, there)


@pytest.mark.parametrize("name", SCALES)
def test_an_anchor_of_a_coarser_scale_is_drawn_alike_in_every_tiling(name: str, tmp_path: Path):
    latents = photograph("1/4", sizes=six_levels().config.coarser(2))
    world = World.from_inversions([save_latents(tmp_path, "a", latents)], seed=3)
    pixels = latents.pixels
    region = Region(pixels.x.start - 64, pixels.y.start, 320, 192).coarser(halvings(name))
    options = Options(device="cpu", halvings=halvings(name))
    whole = open_studio(world, model=scaled_model(), options=options)
    tiled = replace(
        whole, options=replace(options, tile_px=tile_px(MIN_TILE_CELLS, levels=network(name).config.levels))
    )
    assert np.abs(whole.array(region).astype(int) - tiled.array(region)).max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_photograph_is_seen_at_every_scale(name: str, tmp_path: Path):
    world = World.from_inversions([save_latents(tmp_path, "a", photograph(name))], seed=3)
    pixels, scale, model = world.placed_anchors[0].pixels, scale_of(name), model_of(name)
    window = (pixels.x.start, pixels.y.start, 96, 96)
    with_photograph, without = (w.render(*window, model=model, scale=scale) for w in (world, World(seed=3)))
    assert not np.array_equal(with_photograph, without)


def test_seeds_change_the_surroundings_of_an_anchor_and_not_the_anchor(inverted_file: Path, tiny_model: Path):
    where = AnchoredLatents.load(inverted_file).pixels
    region = (where.x.start - 200, where.y.start, where.x.size + 400, where.y.size)
    one, other = (World.from_inversions([inverted_file], seed=s).render(*region, model=tiny_model) for s in (1, 2))
    inside = slice(200, 200 + where.x.size)
    assert np.array_equal(one[:, inside], other[:, inside])
    assert not np.array_equal(one, other)


def test_an_anchor_may_stand_at_another_column(folder: Path):
    moved = world_of(folder, "a", [100])
    window = Window(Span(88, 33), Span(-16, 32))
    assert torch.equal(local(moved, window), AnchoredLatents.load(folder / "a").z_l)


def test_an_anchor_at_another_height_is_refused(folder: Path):
    entry = world_of(folder, "a").anchors[0].model_copy(update={"cell_y": 0})
    with pytest.raises(WorldError, match="placed at cell_y 0 and was inverted at -4"):
        _ = World(anchors=(entry,)).in_folder(folder).placed_anchors


def test_an_anchor_of_another_period_is_refused(folder: Path):
    with pytest.raises(WorldError, match="inverted for no period and the world has period 960 px"):
        check_world(world_of(folder, "a", period=PERIOD), SIZES)


def test_an_anchor_of_a_model_with_other_sizes_is_refused(folder: Path):
    with pytest.raises(WorldError, match="anchor a has 4 levels and 6 local channels, and this model 4 and 8"):
        check_world(world_of(folder, "a"), replace(SIZES, local_channels=8))


def test_an_anchor_of_another_model_is_refused_by_hash(folder: Path, tiny_model: Path):
    with pytest.raises(WorldError, match=r"inverted with model 000000000000\.\.\. and this model is") as refusal:
        open_studio(world_of(folder, "a"), model=tiny_model)
    assert file_hash(tiny_model)[:12] in str(refusal.value)


def test_a_studio_refuses_worlds_of_other_models(folder: Path, tiny_model: Path):
    studio = open_studio(World(), model=tiny_model, options=Options(device="cpu"))
    with pytest.raises(WorldError, match="give the right one with --model"):
        studio.with_world(world_of(folder, "a"))


def test_an_altered_file_is_refused(tmp_path: Path):
    path = save_latents(tmp_path, "a", make_latents())
    world = World.from_inversions([path])
    save_latents(tmp_path, "a", make_latents(seed=1))
    other = world.replace(anchors=[world.anchors[0].model_copy(update={"sha256": "f" * 64})])
    with pytest.raises(WorldError, match=r"is not the file of this world \(sha256 [0-9a-f]{12}\.\.\., not f{12}"):
        _ = other.placed_anchors


def test_a_file_that_is_gone_is_refused(tmp_path: Path):
    path = save_latents(tmp_path, "a", make_latents())
    world = World.from_inversions([path])
    path.unlink()
    other = World.from_json(world.to_json()).in_folder(tmp_path / "elsewhere")
    with pytest.raises(WorldError, match="elsewhere/a does not exist"):
        _ = other.placed_anchors


def test_a_world_without_a_folder_is_refused_with_the_remedy(folder: Path):
    with pytest.raises(WorldError, match=r"anchor file a and no folder to read it from; .* World\.in_folder"):
        _ = World.from_json(world_of(folder, "a").to_json()).placed_anchors


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save_latents(tmp_path, "once", make_latents(seed=11))
    reads = []
    load = AnchoredLatents.load
    monkeypatch.setattr(AnchoredLatents, "load", lambda path: reads.append(path) or load(path))
    world = World.from_inversions([path])
    for cell_x in (0, 40, 80):
        _ = World.from_inversions([path], positions=[cell_x]).placed_anchors
    local(world.replace(seed=5), Window(Span(0, 3), Span(0, 3)))
    assert len(reads) == 1


def test_worlds_with_equal_fields_are_equal(folder: Path):
    world = world_of(folder, "ab")
    elsewhere = world.in_folder("/")
    assert (world, hash(world.in_folder(None))) == (elsewhere, hash(world.in_folder(None)))
    assert world != world.replace(seed=8)


def test_a_loaded_world_has_the_folder_of_its_file(folder: Path, tmp_path: Path):
    world_of(folder, "ab").save(tmp_path / "w.json")
    read = World.load(tmp_path / "w.json")
    assert (read, read.folder) == (world_of(folder, "ab"), tmp_path)


def test_a_change_keeps_the_folder(folder: Path):
    assert world_of(folder, "ab").replace(seed=8, noise=0.5).folder == folder


def test_saving_copies_anchor_files_next_to_the_world(folder: Path, tmp_path: Path):
    world_of(folder, "ab").save(tmp_path / "w.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "w.json"]
    assert World.load(tmp_path / "w.json").placed_anchors


def test_saving_does_not_replace_another_file(folder: Path, tmp_path: Path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(WorldError, match="a exists and is not the anchor file of this world"):
        world_of(folder, "ab").save(tmp_path / "w.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_other_processes_find_the_files(inverted_file: Path, tiny_model: Path):
    world = World.from_inversions([inverted_file], seed=3)
    studio = open_studio(world, model=tiny_model, options=Options(device="cpu"))
    assert StudioSpec.of(studio).open().scene.world.placed_anchors


def test_a_recipe_holds_name_and_hash_of_the_file(inverted_file: Path):
    (entry,) = World.from_inversions([inverted_file]).to_dict()["anchors"]
    sha256 = hashlib.sha256(inverted_file.read_bytes()).hexdigest()
    assert entry == {"file": "photo.safetensors", "sha256": sha256, "cell_x": -6, "cell_y": -5}


def test_one_anchor_makes_a_layout_of_one_style(folder: Path):
    layout = world_of(folder, "a").layout
    assert layout is not None
    (style,) = layout.styles
    assert style.latent is not None
    assert torch.equal(torch.tensor(style.latent.w_plus), AnchoredLatents.load(folder / "a").w_plus)


def test_styles_lie_in_the_middle_of_their_anchors():
    placed = [PlacedAnchor.at(latents, x) for latents, x in ((make_latents(), 0), (make_latents(), 99))]
    layout = anchor_layout(placed, transition=200)
    assert [(c.x, c.y) for c in layout.centres] == [(30 + 34, 30 + 26), (99 * S + 30 + 34, 30 + 26)]
    assert layout.transition == 201


@pytest.mark.parametrize(
    ("names", "arguments", "words"),
    [
        ("", {}, "no files of latents given"),
        ("ab", {"positions": [1]}, "1 positions given for 2 files"),
        ("ap", {}, "different models or periods"),
        ("a", {"positions": [2**41]}, "cell_x is 2199023255552"),
        ("a", {"transition": 9999}, "transition"),
        ("a", {"seed": 2**64}, "seed"),
        ("z", {}, "does not exist"),
    ],
)
def test_inversions_that_make_no_world_are_refused(folder: Path, names: str, arguments: dict, words: str):
    with pytest.raises(WorldError, match=words):
        World.from_inversions([folder / name for name in names], **arguments)


def test_inversions_of_different_folders_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(WorldError, match="are in different folders; move all files of latents into one"):
        World.from_inversions([folder / "a", save_latents(tmp_path, "b", make_latents())])


@pytest.mark.parametrize("name", ["", "..", ".", "/etc/passwd", "../a", "a/b", "a\\b", "c:a", "a\nb", "a\0"])
def test_a_file_name_with_a_folder_in_it_is_refused(name: str):
    entry = {"file": name, "sha256": "0" * 64, "cell_x": 0, "cell_y": 0}
    with pytest.raises(InfgenError, match=r"anchors\.0\.file") as refusal:
        World.from_json(json.dumps({"anchors": [entry]}))
    assert "\n" not in str(refusal.value)


def test_too_many_anchors_are_refused():
    entry = Anchor(file="a", sha256="0" * 64, cell_x=0, cell_y=0)
    with pytest.raises(WorldError, match="at most 256 items"):
        World().replace(anchors=(entry,) * 257)
