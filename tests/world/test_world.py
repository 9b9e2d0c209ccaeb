"""Test world documents: round trips and refusals."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infgen.errors import InfgenError, WorldError
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.rendering.palette import check_world, world_palette
from infgen.world.layout import ResolvedLayout
from infgen.world.world import World

PAGE = Path(__file__).parents[2] / "docs" / "worlds.md"


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_an_example_of_the_page_on_worlds_is_a_world(text: str):
    World.from_json(text)


def test_the_page_on_worlds_names_every_entry():
    entries = [field.alias or name for name, field in World.model_fields.items()]
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE) == entries


def test_a_world_of_schema_1_keeps_its_defaults_without_truncation():
    world = World.from_json('{"schema": 1, "seed": 3}')
    assert world == World(seed=3, truncation=1.0, local_truncation=1.0)
    assert World.from_json('{"schema": 1, "truncation": 0.5}') == World(truncation=0.5, local_truncation=1.0)


def test_a_world_of_schema_1_inside_another_document_keeps_its_defaults():
    assert World.model_validate({"schema": 1, "seed": 3}) == World(seed=3, truncation=1.0, local_truncation=1.0)


def test_a_world_that_schema_1_can_express_is_written_in_schema_1():
    text = World(seed=3, truncation=0.5, local_truncation=1.0).to_json()
    assert '"schema": 1' in text
    assert "local_truncation" not in text
    assert World.from_json(text).replace(local_truncation=0.5) == World(seed=3, truncation=0.5, local_truncation=0.5)


def test_a_new_world_is_written_with_its_schema_and_both_truncations():
    document = World(seed=3).to_dict()
    assert (document["schema"], document["truncation"], document["local_truncation"]) == (2, 0.7, 0.5)


def refusal_of(text: str | bytes) -> str:
    """The message with which a document is refused, nothing for a world; any other exception is a failure."""
    try:
        World.from_json(text)
    except InfgenError as refusal:
        return str(refusal)
    return ""


seeds = st.integers(-(2**63), 2**64 - 1)


@given(seeds, st.floats(-2, 2), st.none() | st.integers(1, 2**40), st.none() | seeds)
def test_a_world_survives_writing_and_reading(seed, truncation, period, style_seed):
    world = World().replace(seed=seed, truncation=truncation, period=period, style_seed=style_seed)
    assert World.from_json(world.to_json()) == world


def two_styles(**values: object) -> ResolvedLayout:
    latent = {"z_g": [0.1, 1e-45], "w_plus": [[1 / 3, -3.4e38]]}
    styles = [{"name": "a", "seed": 1, "truncation": 0.1}, {"name": "b", "latent": latent}]
    centres = [{"style": "a", "x": -(2**40), "y": 0}, {"style": "b", "x": 3, "y": 7}]
    return ResolvedLayout.from_json(json.dumps({"styles": styles, "centres": centres, "transition": 127, **values}))


def test_a_world_with_a_layout_survives_writing_and_reading_to_the_last_bit():
    world = World(truncation=0.7).replace(layout=two_styles())
    assert World.from_json(world.to_json()) == world
    assert World.from_json(json.dumps(world.to_dict())) == world


def test_a_layout_is_given_as_an_object_or_as_its_values():
    layout = two_styles()
    assert World().replace(layout=layout.model_dump(by_alias=True)) == World().replace(layout=layout)


def test_a_change_keeps_the_layout():
    layout = two_styles()
    assert World().replace(layout=layout).replace(seed=3).layout is layout


@pytest.mark.parametrize("change", [{"style_seed": 1}, {"mix_seed": 1, "crossover": 2}])
def test_a_style_next_to_a_layout_is_refused(change: dict[str, int]):
    with pytest.raises(WorldError, match="style has no effect next to layout; leave one out"):
        World().replace(layout=two_styles()).replace(**change)


def test_an_illegal_layout_in_a_world_is_refused_by_name():
    with pytest.raises(WorldError, match=r"world: layout\.transition is 0"):
        World().replace(layout=two_styles().model_dump(by_alias=True) | {"transition": 0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"seed": 1, "seed": 2}', "'seed' is given twice"),
        ('{"style": {"sed": 1}}', "style: unknown entry 'sed'; allowed are seed, mix"),
        ('{"schema": 4}', "update infgen"),
        ('{"schema": true}', "update infgen"),
        ('{"schema": 1, "sed": 3}', "unknown entry 'sed'"),
        ('{"schema_version": 1}', "schema"),
        ('{"seed": "x"}', "seed is 'x'"),
        ('{"seed": 1.5}', "seed is 1.5"),
        ('{"seed": 18446744073709551616}', "seed"),
        ('{"seed": true}', "seed"),
        ('{"truncation": NaN}', "truncation"),
        ('{"truncation": 1e300}', "truncation"),
        ('{"period": 0}', "period"),
        ('{"noise": -1}', "noise"),
        ('{"style": {"mix": {"seed": 1}}}', "style.mix.crossover"),
        ('{"style": {"mix": {"seed": 1, "crossover": 0}}}', "crossover"),
        ("[1]", "not a mapping"),
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_document_that_is_not_a_world_is_refused_in_one_line(text: str, words: str):
    with pytest.raises(WorldError, match=words) as refusal:
        World.from_json(text)
    assert "\n" not in str(refusal.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "seed", "style", "mix", "period", "noise", "x"]), x)
        ),
    )
)
def test_no_json_document_gives_anything_but_a_world_or_a_refusal(data):
    assert "\n" not in refusal_of(json.dumps(data))


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)
RECTANGLE = {"x": 0, "y": 0, "w": 64, "h": 64, "seed": 1}
BLOCK = {"file": "a", "sha256": "0" * 64, "cell_x": 0, "cell_y": 0}
STATISTICS = {"fields": ["local"], "mean": [0.5], "std": [0.1]}


def change_entry(entry: dict[str, object], more: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """``entry`` with some values replaced, some added and some left out."""
    changes = st.dictionaries(st.sampled_from([*entry, *more]), values, max_size=2)
    left_out = st.sets(st.sampled_from(list(entry)), max_size=1)
    return st.builds(lambda c, out: {k: v for k, v in (entry | c).items() if k not in out}, changes, left_out)


@given(
    st.lists(
        change_entry(RECTANGLE, ["fields", "mean", "std", "z"]) | change_entry(RECTANGLE | STATISTICS, []), max_size=3
    ),
    st.lists(change_entry(BLOCK, ["z"]), max_size=3) | values,
    st.none() | st.integers(1, 2**41),
)
def test_no_edits_and_anchors_give_anything_but_a_world_or_a_refusal(edits, anchors, period):
    document = json.dumps({"edits": edits, "anchors": anchors, "period": period})
    refusal = refusal_of(document)
    assert "\n" not in refusal
    if not refusal:
        assert World.from_json(World.from_json(document).to_json()) == World.from_json(document)


def test_edits_and_anchors_survive_writing_and_reading_to_the_last_bit():
    edit = RECTANGLE | {"mean": [1e-45, 1 / 3], "std": [3e38, 0], "fields": ["local"]}
    world = World.create(edits=[edit, RECTANGLE], anchors=[BLOCK])
    assert World.from_json(world.to_json()) == world
    assert World.from_json(json.dumps(world.to_dict())) == world


def test_a_world_too_large_to_be_read_is_not_written(tmp_path: Path):
    edit = RECTANGLE | {"mean": [1 / 3] * 8192, "std": [1 / 3] * 8192}
    with pytest.raises(WorldError, match=r"world takes \d+ bytes, over 16777216; keep fewer edits or anchors"):
        World.create(edits=[edit] * 60).save(tmp_path / "w.json")
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_world_or_a_refusal(data: bytes):
    assert "\n" not in refusal_of(data)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"edits": [[]] * 20_000}, "edits has 20000 items; allowed are at most 10000 items"),
        ({"edits": [{"mean": [[]] * 9_000}]}, "mean has 9000 items; allowed are at most 8192 items"),
        ({"layout": {"styles": [{}] * 300, "transition": 1}}, "styles has 300 items; allowed are at most 256 items"),
    ],
)
def test_a_list_that_is_too_long_is_refused_before_its_items(entries: dict[str, Any], said: str):
    with pytest.raises(WorldError, match=said):
        World.create(**entries)


def test_validation_stops_at_the_first_illegal_item():
    with pytest.raises(ValidationError) as caught:
        World.model_validate({"edits": [[]] * 9_000})
    assert caught.value.error_count() == 1


def test_files_are_read_and_written(tmp_path: Path):
    World(seed=4).save(tmp_path / "w.json")
    assert World.load(tmp_path / "w.json").seed == 4


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(WorldError, match="existing file"):
        World.load(tmp_path / "none.json")


def test_a_period_that_is_no_multiple_of_the_cell_is_refused_with_the_nearest():
    with pytest.raises(WorldError, match="96 and 112"):
        check_world(World(period=100), preset("tiny"))


def test_a_crossover_past_the_models_rows_is_refused():
    with pytest.raises(WorldError, match="1 to 9"):
        check_world(World().replace(mix_seed=1, crossover=10), preset("tiny"))


def test_mixing_changes_the_later_rows_only(tiny: Generator):
    plain, mixed = (
        world_palette(w, tiny).styles.w_plus[0] for w in (World(), World().replace(mix_seed=9, crossover=4))
    )
    same = (plain == mixed).all(1)
    assert same.tolist() == [True] * 4 + [False] * 5


def test_truncation_0_is_the_mean_style(tiny: Generator):
    style = world_palette(World(truncation=0.0), tiny).styles
    assert style.w_plus[0].sub(tiny.mean_style).abs().max() < 1e-6
    assert style.z_g.abs().max() == 0
