"""Edits: which positions are drawn again, with which values, and how far that is seen."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import WorldError
from infgen.geometry import Region, Span, Window, tile_px
from infgen.rendering.palette import check_world
from infgen.rendering.plan import MIN_TILE_CELLS
from infgen.world import fields as seeded
from infgen.world import world_fields
from infgen.world.edits import MAX_EDITS, Edit
from infgen.world.overlaps import positions_in, span_overlaps
from infgen.world.world import World
from tests.model.scaled import NETWORKS, halvings, network
from tests.rendering.scenes import make_scene, picture
from tests.world.latents import SIZES, S

PLACES = st.sampled_from([0, -1000, 2**31, -(2**31) - 7, 2**40 - 4000, -(2**40) + 1000])
near = st.integers(-300, 300)
lengths = st.integers(1, 200)
names = st.sampled_from([("local", "noise"), ("local",), ("noise",)])
numbers = st.lists(st.floats(-2, 2, width=32), min_size=SIZES.local_channels, max_size=SIZES.local_channels)


@st.composite
def edits_at(draw: st.DrawFn, px: int) -> Edit:
    fields = draw(names)
    values = {"x": px + draw(near), "y": draw(near), "w": draw(lengths), "h": draw(lengths), "fields": fields}
    if "local" in fields and draw(st.booleans()):
        values |= {"mean": draw(numbers), "std": [abs(v) for v in draw(numbers)]}
    return Edit(seed=draw(st.integers(0, 3)), **values)


@st.composite
def worlds_and_places(draw: st.DrawFn) -> tuple[World, int]:
    px = draw(PLACES)
    edits = tuple(draw(st.lists(edits_at(px), max_size=4)))
    period = draw(st.sampled_from([None, 208, 400]))  # as wide as the widest edit, or wider
    return World(seed=2, local_truncation=1.0, edits=edits, period=period), px


def windows(px: int, spacing: int) -> st.SearchStrategy[Window]:
    def span(start: int) -> st.SearchStrategy[Span]:
        return st.builds(Span, st.integers(-30, 30).map(lambda d: start // spacing + d), st.integers(1, 40))

    return st.builds(Window, span(px), span(0))


def owner(world: World, field: str, px: int, py: int) -> Edit | None:
    """The edit that rules at a pixel, by trying each."""
    for edit in reversed(world.edits):
        across = px - edit.x if world.period is None else (px - edit.x) % world.period
        if field in edit.fields and 0 <= across < edit.w and 0 <= py - edit.y < edit.h:
            return edit
    return None


def one_local(world: World, x: int, y: int) -> Tensor:
    edit = owner(world, "local", x * S, y * S)
    column = x if world.period is None else x % (world.period // S)
    normals = seeded.local_latent(
        world.seed if edit is None else edit.seed, Window(Span(column, 1), Span(y, 1)), channels=SIZES.local_channels
    )
    return (normals if edit is None else edit.apply_statistics(normals))[:, 0, 0]


def one_noise(world: World, x: int, y: int, *, conv: int) -> float:
    level = conv // 2 + 1
    spacing = S >> level
    edit = owner(world, "noise", x * spacing, y * spacing)
    column = x if world.period is None else x % (world.period // spacing)
    seed = world.seed if edit is None else edit.seed
    return seeded.noise(seed, Window(Span(column, 1), Span(y, 1)), conv=conv).item()


def local(world: World, window: Window) -> Tensor:
    return world_fields.local_latent(world, window, sizes=SIZES)


def noise(world: World, window: Window, conv: int) -> Tensor:
    return world_fields.noise(world, window, conv=conv, levels=SIZES.levels)


@given(worlds_and_places(), st.data())
def test_each_cell_has_the_latents_of_the_last_edit_that_holds_its_pixel(case: tuple[World, int], data: st.DataObject):
    world, px = case
    window = data.draw(windows(px, S))
    found = local(world, window)
    row, column = (data.draw(st.integers(0, size - 1)) for size in window.shape)
    expected = one_local(world, window.x.start + column, window.y.start + row)
    assert torch.equal(found[:, row, column], expected)


@given(worlds_and_places(), st.integers(0, 7), st.data())
def test_each_noise_has_the_value_of_the_last_edit_that_holds_its_pixel(
    case: tuple[World, int], conv: int, data: st.DataObject
):
    world, px = case
    window = data.draw(windows(px, S >> (conv // 2 + 1)))
    row, column = (data.draw(st.integers(0, size - 1)) for size in window.shape)
    found = noise(world, window, conv)[0, row, column].item()
    assert found == one_noise(world, window.x.start + column, window.y.start + row, conv=conv)


@given(worlds_and_places(), st.data())
def test_any_window_is_cut_from_a_larger_one(case: tuple[World, int], data: st.DataObject):
    world, px = case
    window = data.draw(windows(px, S))
    left, top, right, bottom = (data.draw(st.integers(0, 20)) for _ in range(4))
    larger = Window(
        Span(window.x.start - left, left + window.x.size + right),
        Span(window.y.start - top, top + window.y.size + bottom),
    )
    part = local(world, larger)[:, top : top + window.y.size, left : left + window.x.size]
    assert torch.equal(part, local(world, window))


@given(worlds_and_places(), st.integers(0, 7))
def test_an_edit_with_the_worlds_own_seed_restores_the_original(case: tuple[World, int], conv: int):
    world, px = case
    whole = Edit(x=px - 100, y=-300, w=200, h=600, seed=world.seed)
    undone = world.replace(edits=(*world.edits, whole))
    lattice = S >> (conv // 2 + 1)
    inside = Window(positions_in(whole.x, whole.w, spacing=lattice), positions_in(-300, 600, spacing=lattice))
    assert torch.equal(noise(undone, inside, conv), noise(World(seed=2, period=world.period), inside, conv))


@given(worlds_and_places(), st.data())
def test_edits_that_a_later_one_hides_can_be_left_out(case: tuple[World, int], data: st.DataObject):
    world, px = case
    later = data.draw(edits_at(px))
    region = Region(later.x, later.y, later.w, later.h)
    bare = world.without_edits_inside(region, later.fields)
    assert set(bare.edits) <= set(world.edits)
    full, short = (w.replace(edits=(*w.edits, later)) for w in (world, bare))
    window = data.draw(windows(px, S))
    assert torch.equal(local(full, window), local(short, window))
    assert torch.equal(noise(full, window, 2), noise(short, window, 2))


def test_only_edits_wholly_inside_and_of_the_same_fields_are_left_out():
    inside, across = (Edit(x=x, y=0, w=20, h=20, seed=1) for x in (5, 50))
    grain = Edit(x=0, y=0, w=60, h=60, seed=2, fields=("noise",))
    world = World(edits=(inside, across, grain))
    assert world.without_edits_inside(Region(0, 0, 60, 60)).edits == (across,)
    assert world.without_edits_inside(Region(0, 0, 60, 60), ("noise",)).edits == (inside, across)


@given(st.integers(-50, 50), st.integers(0, 40), st.integers(-50, 50), st.integers(0, 30), st.none() | st.just(30))
def test_overlaps_are_the_positions_that_two_spans_share(
    start: int, size: int, at: int, length: int, period: int | None
):
    window, block = Span(start, size), Span(at, length)
    found = {
        (window.start + i, block.start + j)
        for here, there in span_overlaps(window, block, period=period)
        for i, j in zip(range(here.start, here.stop), range(there.start, there.stop), strict=True)
    }
    expected = {
        (w, b)
        for w in range(start, start + size)
        for b in range(at, at + length)
        if (w == b if period is None else (w - b) % period == 0)
    }
    assert found == expected


def test_statistics_move_the_latents():
    mean, std = tuple(float(i) for i in range(6)), (0.5,) * 6
    plain = Edit(x=0, y=0, w=2**12, h=2**12, seed=5)
    moved = Edit(x=0, y=0, w=2**12, h=2**12, seed=5, mean=mean, std=std)
    window = Window(Span(3, 4), Span(2, 5))
    normals, values = (local(World(local_truncation=1.0, edits=(edit,)), window) for edit in (plain, moved))
    assert torch.equal(values, normals * 0.5 + torch.arange(6.0).view(-1, 1, 1))


def test_local_truncation_multiplies_the_latents_of_world_and_edits_but_no_given_statistics():
    window = Window(Span(3, 4), Span(2, 5))
    rectangle = {"x": 0, "y": 0, "w": 2**12, "h": 2**12, "seed": 5}
    copied = Edit(**rectangle, mean=(1.0,) * 6, std=(0.5,) * 6)
    for edits, factor in (((), 0.25), ((Edit(**rectangle),), 0.25), ((copied,), 1.0)):
        calm, full = (local(World(seed=2, local_truncation=t, edits=edits), window) for t in (0.25, 1.0))
        assert torch.equal(calm, full * factor)


def drawn(name: str, world: World, region: Region) -> np.ndarray:
    values = {"seed": world.seed, "edits": world.edits, "period": world.period}
    return picture(make_scene(network(name), **values), region)


EVERY_NETWORK = pytest.mark.parametrize("name", NETWORKS)


@EVERY_NETWORK
@pytest.mark.parametrize("field", ["local", "noise"])
def test_an_edit_changes_only_pixels_in_its_receptive_field(name: str, field: str):
    size, step = network(name).config.cell_px, 1 << halvings(name)  # px of a cell, px from pixel to pixel
    reach = 3 * size + (12 * size if field == "local" else 0)
    edit = Edit(x=-size, y=-2 * size, w=3 * size, h=2 * size + 8, seed=9, fields=(field,))
    left, top = edit.x - reach - 2 * step, edit.y - reach - 2 * step
    region = Region(left, top, edit.w + 2 * reach + 4 * step, edit.h + 2 * reach + 4 * step).coarser(halvings(name))
    before, after = drawn(name, World(seed=1), region), drawn(name, World(seed=1, edits=(edit,)), region)
    rows, columns = np.nonzero((before != after).any(2))
    assert len(rows)
    x, y = step * (columns + region.x), step * (rows + region.y)
    assert edit.x - reach <= x.min() <= x.max() < edit.x + edit.w + reach
    assert edit.y - reach <= y.min() <= y.max() < edit.y + edit.h + reach


@EVERY_NETWORK
def test_an_edit_is_seen_alike_in_every_tiling(name: str):
    scene = make_scene(network(name), seed=1, edits=(Edit(x=-16, y=-32, w=148, h=168, seed=9),))
    region, smallest = Region(-100, -80, 230, 170), tile_px(MIN_TILE_CELLS, levels=network(name).config.levels)
    one, many = (picture(scene, region, tile=tile) for tile in (None, max(69, smallest)))
    assert np.abs(one.astype(int) - many).max() <= 1


@EVERY_NETWORK
def test_edits_far_away_change_nothing(name: str):
    region = Region((2**40 >> halvings(name)) - 200, -60, 200, 120)
    far = tuple(Edit(x=-(2**40) + 64 * i, y=64 * i, w=64, h=64, seed=i) for i in range(300))
    assert np.array_equal(drawn(name, World(seed=1, edits=far), region), drawn(name, World(seed=1), region))


@EVERY_NETWORK
def test_in_a_cyclic_world_an_edit_shows_once_in_every_period(name: str):
    world = World(seed=1, period=640, edits=(Edit(x=600, y=-64, w=90, h=128, seed=9),))
    k = halvings(name)
    here, there = (drawn(name, world, Region(x >> k, -40, 100, 80)) for x in (600, 600 - 3 * 640))
    assert np.array_equal(here, there)
    assert not np.array_equal(here, drawn(name, World(seed=1, period=640), Region(600 >> k, -40, 100, 80)))


REGION = Region(0, -64, 128, 128)


def test_resampling_appends_an_edit():
    world = World(seed=1).resample(REGION, seed=4, sizes=SIZES).resample(REGION, seed=5, sizes=SIZES, fields=["noise"])
    assert [(e.seed, e.fields) for e in world.edits] == [(4, ("local", "noise")), (5, ("noise",))]


def test_undoing_an_edit_gives_the_world_before_it():
    world = World(seed=1).resample(REGION, seed=4, sizes=SIZES)
    assert world.resample(REGION, seed=5, sizes=SIZES).without_last_edit() == world


def test_a_world_without_edits_has_nothing_to_undo():
    with pytest.raises(WorldError, match="no edits; there is nothing to undo"):
        World().without_last_edit()


def test_statistics_are_those_of_the_other_region():
    source = Edit(x=-512, y=0, w=256, h=256, seed=3, mean=(4.0,) * 6, std=(0.1,) * 6)
    like = Region(-512, 0, 256, 256)
    world = World(seed=1, edits=(source,)).resample(REGION, seed=4, sizes=SIZES, like=like)
    values = local(world, Window(Span(-32, 16), Span(0, 16))).double().flatten(1)
    edit = world.edits[-1]
    assert edit.mean == tuple(values.mean(1).float().tolist())
    assert edit.std == tuple(values.std(1).float().tolist())


@pytest.mark.parametrize(
    ("region", "fields", "like", "words"),
    [
        (Region(1, 1, 15, 99), ("local",), None, "holds no centre of a cell; centres lie on multiples of 16 px"),
        (REGION, (), None, "fields: Tuple should have at least 1 item"),
        (REGION, ("noise",), REGION, "add local to fields"),
        (REGION, ("local",), Region(0, 0, 16, 16), "has 1 cells of 16 px; allowed are 2 to 65536: give a larger"),
        (REGION, ("local",), Region(0, 0, 10**6, 10**6), "allowed are 2 to 65536: give a smaller"),
    ],
)
def test_an_impossible_resampling_is_refused(region: Region, fields: tuple, like: Region | None, words: str):
    with pytest.raises(WorldError, match=words):
        World().resample(region, seed=1, sizes=SIZES, fields=fields, like=like)


def test_noise_of_a_region_without_a_cell_is_drawn_again():
    assert World().resample(Region(1, 1, 2, 2), seed=1, sizes=SIZES, fields=["noise"]).edits[0].w == 2


RECTANGLE = {"x": 0, "y": 0, "w": 10, "h": 10, "seed": 1}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"w": 0}, "edits.0.w is 0"),
        ({"h": -3}, "edits.0.h is -3"),
        ({"x": 2**40}, "leaves the canvas"),
        ({"y": -(2**40) - 1}, "edits.0.y"),
        ({"x": 1.5}, "edits.0.x is 1.5"),
        ({"seed": 2**64}, "edits.0.seed"),
        ({"fields": []}, "edits.0.fields"),
        ({"fields": ["colour"]}, "edits.0.fields.0 is 'colour'"),
        ({"fields": ["noise", "noise"]}, "names one field twice"),
        ({"mean": [0.0]}, "give both or none"),
        ({"mean": [0.0], "std": [1.0, 1.0]}, "mean has 1 values and std 2"),
        ({"mean": [0.0], "std": [-1.0]}, "edits.0.std.0 is -1.0"),
        ({"mean": [1e39], "std": [1.0]}, r"edits.0.mean.0 is 1e\+39"),
        ({"mean": [0.0], "std": [1.0], "fields": ["noise"]}, "add local to fields"),
        ({"colour": 1}, "edits.0: unknown entry 'colour'"),
    ],
)
def test_an_illegal_edit_is_refused_in_one_line(values: dict[str, object], words: str):
    with pytest.raises(WorldError, match=words) as refusal:
        World.from_json(json.dumps({"edits": [RECTANGLE | values]}))
    assert "\n" not in str(refusal.value)


def test_an_edit_wider_than_the_period_is_refused():
    world = World(edits=(Edit(x=0, y=0, w=65, h=9, seed=1),))
    with pytest.raises(WorldError, match="edit 0 is 65 px wide; allowed is at most the period, 64 px"):
        world.replace(period=64)


def test_too_many_edits_are_refused():
    edit = Edit(**RECTANGLE)
    with pytest.raises(WorldError, match=f"at most {MAX_EDITS} items"):
        World().replace(edits=(edit,) * (MAX_EDITS + 1))


def test_statistics_for_another_number_of_channels_are_refused():
    world = World(edits=(Edit(**RECTANGLE, mean=(0.0,) * 4, std=(1.0,) * 4),))
    with pytest.raises(WorldError, match="edit 0 has statistics of 4 channels, and this model has 6"):
        check_world(world, SIZES)


def test_a_document_without_edits_does_not_mention_them():
    assert "edits" not in World().to_json()


def test_edits_hidden_by_later_ones_are_not_drawn(monkeypatch: pytest.MonkeyPatch):
    seeds = []
    draw = seeded.local_latent
    monkeypatch.setattr(
        seeded, "local_latent", lambda seed, *args, **more: seeds.append(seed) or draw(seed, *args, **more)
    )
    local(
        World(seed=0, edits=tuple(Edit(**RECTANGLE | {"seed": i}) for i in range(1, 50))),
        Window(Span(0, 5), Span(0, 5)),
    )
    assert seeds == [0, 49]


def test_an_edit_around_a_line_changes_only_positions_within_its_radius() -> None:
    edit = {"x": -40, "y": -60, "w": 200, "h": 200, "seed": 9, "points": "0 0 96 48", "radius": 40}
    world, bare, whole = (
        World(seed=2, edits=edits, local_truncation=1.0)
        for edits in ([edit], [], [{k: v for k, v in edit.items() if k not in ("points", "radius")}])
    )
    window = Window(Span(-20, 60), Span(-20, 60))
    drawn, old, new = (
        world_fields.noise(w, window, conv=5, levels=SIZES.world_levels)[0] for w in (world, bare, whole)
    )
    spacing = S >> 3
    xs, ys = (spacing * np.arange(span.start, span.stop) for span in (window.x, window.y))
    along = np.clip((xs[None] * 96 + ys[:, None] * 48) / (96**2 + 48**2), 0, 1)
    near = (xs[None] - along * 96) ** 2 + (ys[:, None] - along * 48) ** 2 <= 40**2
    boxed = (xs[None] >= -40) & (xs[None] < 160) & (ys[:, None] >= -60) & (ys[:, None] < 140)
    assert near.any()
    assert (boxed & ~near).any()
    assert torch.equal(drawn, torch.where(torch.from_numpy(near & boxed), new, old))


def test_an_edit_around_a_line_replaces_only_earlier_ones_of_the_same_shape() -> None:
    region, line = Region(0, 0, 4 * S, 4 * S), {"points": f"{S} {S} {2 * S} {S}", "radius": S}
    world = World(seed=2).resample(region, seed=1, sizes=SIZES).resample(region, seed=2, sizes=SIZES, **line)
    assert World.from_json(world.to_json()) == world
    assert world.to_dict()["schema"] == 3
    assert [edit.seed for edit in world.without_edits_inside(region, **line).edits] == [1]
    assert world.without_edits_inside(region).edits == ()


def test_an_edit_around_a_line_without_a_cell_is_refused() -> None:
    with pytest.raises(WorldError, match="holds no centre of a cell"):
        World(seed=2).resample(Region(0, 0, S, S), seed=1, sizes=SIZES, points=f"{S // 2} {S // 2}", radius=2)
    with pytest.raises(WorldError, match="points and radius belong together"):
        World(seed=2).resample(Region(0, 0, S, S), seed=1, sizes=SIZES, points="0 0")
