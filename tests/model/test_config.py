"""Configurations: presets against the released networks, widths, errors, arbitrary input."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InfgenError, InputError, ModelFileError
from infgen.geometry import layer_spans, tile_px
from infgen.model.config import COORDINATE_CHANNELS, PRESETS, GeneratorConfig, parse_scale, preset, scale_name
from infgen.model.generator import Generator

# Preset -> patch side, channels of each level, parameters of the released generator.
RELEASED = {
    "scenery-101": (101, (512, 512, 512, 512), 36_358_944),
    "scenery-197": (197, (512, 512, 512, 512, 256), 38_655_013),
    "scenery-389": (389, (512, 512, 512, 512, 256, 128), 39_360_682),
    "scenery-773": (773, (512, 512, 512, 512, 256, 128, 64), 39_602_927),
}
CONSTANT_INPUT = 256 * 4 * 4  # a stored parameter of the released code that no image depends on

SMALL = GeneratorConfig((4, 4), local_channels=3, global_channels=5)


@pytest.mark.parametrize("name", RELEASED)
def test_presets_have_the_papers_patch_sizes(name: str) -> None:
    assert PRESETS[name].patch_px == RELEASED[name][0]


@pytest.mark.parametrize("name", RELEASED)
def test_presets_have_the_released_channels(name: str) -> None:
    assert PRESETS[name].texture_channels == tuple(c for c in RELEASED[name][1] for _ in range(2))


@pytest.mark.parametrize("name", RELEASED)
def test_presets_have_the_released_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        generator = Generator(PRESETS[name])
    assert sum(p.numel() for p in generator.parameters()) + CONSTANT_INPUT == RELEASED[name][2]


@pytest.mark.parametrize("name", RELEASED)
def test_presets_have_the_released_latents(name: str) -> None:
    assert (PRESETS[name].local_channels, PRESETS[name].global_channels) == (256, 512)


@pytest.mark.parametrize(("name", "levels"), list(zip(RELEASED, (4, 5, 6, 7), strict=True)))
def test_presets_have_one_style_row_more_than_convolutions(name: str, levels: int) -> None:
    assert (PRESETS[name].levels, PRESETS[name].style_layers) == (levels, 2 * levels + 1)


def test_width_one_is_the_preset_itself() -> None:
    assert preset("scenery-101-small") == PRESETS["scenery-101-small"]


def test_width_multiplies_every_channel_count() -> None:
    config = preset("scenery-389", width=0.25)
    assert (config.texture_channels[::2], config.local_channels, config.global_channels) == (
        (128, 128, 128, 128, 64, 32),
        64,
        128,
    )


@given(st.floats(1 / 64, 4).filter(lambda w: w != 1), st.sampled_from(sorted(PRESETS)))
def test_scaled_channels_are_multiples_of_four(width: float, name: str) -> None:
    config = preset(name, width=width)
    assert all(c % 4 == 0 and c >= 4 for c in (*config.texture_channels, config.local_channels, config.global_channels))


@pytest.mark.parametrize("width", [0.0, -1.0, 1 / 65, 4.01, float("nan"), float("inf")])
def test_a_width_out_of_range_is_refused(width: float) -> None:
    with pytest.raises(InputError, match=r"width .* is out of range; allowed are 1/64 to 4"):
        preset("tiny", width=width)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="preset 'scenery' is unknown; choose one of scenery-101, "):
        preset("scenery")


@pytest.mark.parametrize("system", COORDINATE_CHANNELS)
def test_coordinates_are_part_of_a_preset(system: str) -> None:
    config = preset("tiny", coordinates=system)  # type: ignore[arg-type]
    assert config.coordinate_channels == COORDINATE_CHANNELS[system]


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("structure", "spiral", "structure 'spiral' is unknown; allowed are implicit, pointwise, none"),
        ("structure", None, "structure None is unknown"),
        ("structure", ["none"], "structure .* is unknown"),
        ("padding", "yes", "padding 'yes' is unknown; allowed are true and false"),
        ("padding", 1, "padding 1 is unknown"),
    ],
)
def test_an_unknown_ablation_is_refused(entry: str, value: object, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        GeneratorConfig.from_dict(SMALL.to_dict() | {entry: value})


def test_a_configuration_without_ablations_equals_that_of_earlier_versions() -> None:
    assert list(SMALL.to_dict()) == ["texture_channels", "local_channels", "global_channels", "coordinates"]


def test_ablations_that_are_off_may_be_named() -> None:
    assert GeneratorConfig.from_dict(SMALL.to_dict() | {"structure": "implicit", "padding": False}) == SMALL


SCALED = preset("tiny-scales")


def test_scales_and_the_view_stand_in_the_configuration() -> None:
    assert SCALED.to_dict().items() >= {"scales": [3, 4, 5, 6], "view_px": 788}.items()


@pytest.mark.parametrize("halvings", range(4))
def test_the_configuration_of_every_scale_survives_json(halvings: int) -> None:
    config = SCALED.coarser(halvings)
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_coarser_configuration_keeps_the_first_levels_and_the_cells_of_the_world() -> None:
    config = SCALED.coarser(2)
    assert (config.levels, config.world_levels, config.cell_px) == (4, 6, 64)
    assert (config.texture_channels, config.scales) == (SCALED.texture_channels[:8], (3, 4))
    assert (config.view_px, config.patch_px) == (197, 101)


@pytest.mark.parametrize(("halvings", "rows"), [(0, 13), (1, 12), (2, 10), (3, 8)])
def test_a_coarser_network_reads_the_rows_of_its_convolutions_and_of_its_rgb(halvings: int, rows: int) -> None:
    config = SCALED.coarser(halvings)
    assert (config.style_layers, config.world_style_layers) == (rows, 13)


def test_a_file_of_an_earlier_version_draws_the_full_size_only() -> None:
    config = GeneratorConfig.from_dict(
        {"texture_channels": [4, 4], "local_channels": 3, "global_channels": 5, "coordinates": "scenery"}
    )
    assert (config, config.scales, config.pictures) == (SMALL, (), (1,))
    assert (config.view_px, config.halvings) == (None, 0)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"scales": [4, 3, 6]}, r"scales \(4, 3, 6\) are not possible; give rising levels from 1, the last one 6"),
        ({"scales": [3, 3, 6]}, r"scales \(3, 3, 6\) are not possible"),
        ({"scales": [0, 6]}, r"scales \(0, 6\) are not possible"),
        ({"scales": [3, 6, 7]}, r"scales \(3, 6, 7\) are not possible"),
        ({"scales": [3, 4]}, r"scales \(3, 4\) are not possible"),
        ({"scales": [3, 6.0]}, r"scales \(3, 6.0\) are not possible"),
        ({"scales": [True, 6]}, r"scales \(True, 6\) are not possible"),
        ({"scales": ["3", 6]}, r"scales \('3', 6\) are not possible"),
        ({"scales": [[3], 6]}, r"scales \(\[3\], 6\) are not possible"),
        ({"scales": [None]}, r"scales \(None,\) are not possible"),
        ({"scales": "3456"}, "scales '3456'; a list of whole numbers is needed"),
        ({"scales": None}, "scales None; a list of whole numbers is needed"),
        ({"view_px": 0}, "view_px 0 is out of range; allowed are 1 to 1048576 px"),
        ({"view_px": 2**20 + 1}, "view_px 1048577 is out of range"),
        ({"view_px": 788.0}, "view_px 788.0 is out of range"),
        ({"view_px": True}, "view_px True is out of range"),
        ({"halvings": -1}, "halvings -1 is out of range; allowed are 0 to 4"),
        ({"halvings": 5}, "halvings 5 is out of range; allowed are 0 to 4"),
        ({"halvings": None}, "halvings None is out of range"),
        ({"halvings": False}, "halvings False is out of range"),
    ],
)
def test_illegal_scales_views_and_halvings_are_refused_in_one_line(entries: dict[str, object], words: str) -> None:
    with pytest.raises(ModelFileError, match=words) as refusal:
        GeneratorConfig.from_dict(SCALED.to_dict() | entries)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("name", "halvings"), [("1", 0), ("1/2", 1), ("1/8", 3), ("1/512", 9)])
def test_scales_have_names(name: str, halvings: int) -> None:
    assert (scale_name(halvings), parse_scale(name)) == (name, halvings)


@pytest.mark.parametrize("name", ["", "1/3", "1/1", "2", "0.5", "1/1024", "1" * 99])
def test_an_unknown_scale_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"is unknown; give 1, 1/2, 1/4, 1/8 \.\.\."):
        parse_scale(name)


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("structure", ["implicit", "pointwise", "none"])
def test_ablations_survive_json(structure: str, padding: bool) -> None:
    config = preset("tiny", structure=structure, padding=padding)  # type: ignore[arg-type]
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(st.integers(1, 7), st.integers(6, 40), st.integers(6, 40))
def test_noises_have_the_shapes_of_the_layers(levels: int, rows: int, columns: int) -> None:
    spans = [layer_spans(0, n, levels=levels).noise for n in (rows, columns)]
    shapes = GeneratorConfig((4, 4) * levels, local_channels=4, global_channels=4).noise_shapes((rows, columns))
    assert shapes == [(y.size, x.size) for y, x in zip(*spans, strict=True)]


@given(st.integers(1, 7), st.integers(6, 40), st.integers(6, 40))
def test_with_padding_noises_double_with_every_level(levels: int, rows: int, columns: int) -> None:
    config = GeneratorConfig((4, 4) * levels, local_channels=4, global_channels=4, padding=True)
    height, width = config.texture_cells(rows), config.texture_cells(columns)
    doubled = [(height << level, width << level) for level in range(1, levels + 1) for _ in range(2)]
    assert config.noise_shapes((rows, columns)) == doubled


@given(st.integers(1, 7), st.integers(6, 10**9))
def test_with_padding_the_fewest_cells_that_cover_the_image_are_read(levels: int, cells: int) -> None:
    config = GeneratorConfig((4, 4) * levels, local_channels=4, global_channels=4, padding=True)
    rest = config.texture_cells(cells) * config.cell_px - tile_px(cells, levels=levels)
    assert 0 <= rest < config.cell_px


@given(st.integers(1, 7), st.integers(6, 10**9))
def test_without_padding_all_cells_are_read(levels: int, cells: int) -> None:
    assert GeneratorConfig((4, 4) * levels, local_channels=4, global_channels=4).texture_cells(cells) == cells


@pytest.mark.parametrize(
    ("channels", "local", "dim", "coordinates", "words"),
    [
        ((), 4, 4, "scenery", "texture_channels has 0 entries"),
        ((4,), 4, 4, "scenery", "texture_channels has 1 entries"),
        ((4,) * 22, 4, 4, "scenery", "texture_channels has 22 entries"),
        ((4, 0), 4, 4, "scenery", "must be whole numbers from 1 to 8192"),
        ((4, 8193), 4, 4, "scenery", "must be whole numbers from 1 to 8192"),
        ((4, 4.0), 4, 4, "scenery", "must be whole numbers from 1 to 8192"),
        ((4, True), 4, 4, "scenery", "must be whole numbers from 1 to 8192"),
        ((4, 4), -1, 4, "scenery", "must be whole numbers from 1 to 8192"),
        ((4, 4), 4, "4", "scenery", "must be whole numbers from 1 to 8192"),
        ((4, 4), 4, 4, "polar", "coordinates 'polar' is unknown; allowed are scenery, texture, object"),
        ((4, 4), 4, 4, ["scenery"], "coordinates .* is unknown"),
    ],
)
def test_illegal_sizes_are_refused(
    channels: object, local: object, dim: object, coordinates: object, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        GeneratorConfig(channels, local, dim, coordinates)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name: str) -> None:
    assert GeneratorConfig.from_dict(json.loads(json.dumps(PRESETS[name].to_dict()))) == PRESETS[name]


def test_an_unknown_entry_is_refused_by_name() -> None:
    with pytest.raises(ModelFileError, match="'depth'"):
        GeneratorConfig.from_dict(SMALL.to_dict() | {"depth": 3})


def test_a_missing_entry_is_refused() -> None:
    data = SMALL.to_dict()
    del data["local_channels"]
    with pytest.raises(ModelFileError, match=r"knows exactly .*'local_channels'"):
        GeneratorConfig.from_dict(data)


def test_channels_that_are_no_list_are_refused() -> None:
    with pytest.raises(ModelFileError, match="a list of whole numbers is needed"):
        GeneratorConfig.from_dict(SMALL.to_dict() | {"texture_channels": "88"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {
        "texture_channels": st.lists(st.integers(-1, 9000) | JSON, max_size=24) | JSON,
        "local_channels": st.integers(-1, 9000) | JSON,
        "global_channels": st.integers(-1, 9000) | JSON,
        "coordinates": st.sampled_from(["scenery", "texture", "object", ""]) | JSON,
    },
    optional={
        "structure": st.sampled_from(["implicit", "pointwise", "none", ""]) | JSON,
        "padding": st.booleans() | JSON,
        "scales": st.lists(st.integers(-1, 12), max_size=5) | st.lists(JSON, max_size=3) | JSON,
        "view_px": st.integers(-1, 2**21) | JSON,
        "halvings": st.integers(-1, 11) | JSON,
    },
)


@given(NEARLY | st.dictionaries(st.text(max_size=16), JSON))
def test_any_mapping_gives_a_configuration_or_one_line(data: dict[str, object]) -> None:
    message = ""
    try:
        config = GeneratorConfig.from_dict(data)
    except InfgenError as error:
        message = str(error)
    else:
        assert GeneratorConfig.from_dict(config.to_dict()) == config
    assert "\n" not in message
