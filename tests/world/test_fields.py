"""Test the infinite random fields: one value per position for every window, standard normal, independent."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infgen.errors import InputError
from infgen.geometry import Span, Window
from infgen.world import fields
from infgen.world.fields import global_latent, local_latent, noise
from infgen.world.philox import box_muller, philox4x32

LIMIT = 2**47
NEAR = [0, -1, 1, 2**31 - 1, 2**31, 2**31 + 1, -(2**31)]
FAR = [2**32, 2**40, -(2**32) - 1, -(2**40), -LIMIT + 40, LIMIT - 80]
PLACE = st.tuples(st.sampled_from(NEAR + FAR), st.integers(-40, 40)).map(sum)
SIZE = st.integers(1, 40)

properties = settings(deadline=None, max_examples=30)


def window(x: int, y: int, width: int, height: int) -> Window:
    return Window(x=Span(x, width), y=Span(y, height))


def _local(where: Window, *, period: int | None = None) -> Tensor:
    return local_latent(17, where, channels=6, period=period)


def _noise(where: Window, *, period: int | None = None) -> Tensor:
    return noise(17, where, conv=3, period=period)


Field = Callable[..., Tensor]
both = pytest.mark.parametrize("field", [_local, _noise])


@both
@properties
@given(x=PLACE, y=PLACE, width=SIZE, height=SIZE, data=st.data())
def test_a_window_inside_another_has_the_same_values(
    field: Field, x: int, y: int, width: int, height: int, data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    part = field(window(x + left, y + top, w, h))
    assert torch.equal(part, field(window(x, y, width, height))[:, top : top + h, left : left + w])


@both
@pytest.mark.parametrize("place", [-300, 2**32 - 200, LIMIT - 1000])
def test_a_window_of_many_chunks_equals_its_tiles(field: Field, place: int) -> None:
    whole = field(window(place, -place - 601, 601, 353))
    columns, rows = [0, 1, 130, 444, 601], [0, 97, 98, 353]
    for left, right in pairwise(columns):
        for top, bottom in pairwise(rows):
            tile = field(window(place + left, -place - 601 + top, right - left, bottom - top))
            assert torch.equal(tile, whole[:, top:bottom, left:right])


@both
def test_values_do_not_depend_on_the_number_of_threads(field: Field) -> None:
    threads = torch.get_num_threads()
    whole = field(window(-7, 9, 300, 310))
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert torch.equal(whole, field(window(-7, 9, 300, 310)))
    finally:
        torch.set_num_threads(threads)


@both
def test_values_do_not_depend_on_the_chunk_size(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = field(window(-7, 9, 61, 53))
    for limit in (1, 100, 10_000):
        monkeypatch.setattr(fields, "CPU_CHUNK", limit)
        assert torch.equal(whole, field(window(-7, 9, 61, 53)))


@both
@properties
@given(x=PLACE, y=PLACE, width=SIZE, half=st.integers(1, 30))
def test_a_cyclic_field_is_the_endless_one_at_x_modulo_the_period(
    field: Field, x: int, y: int, width: int, half: int
) -> None:
    one = field(window(0, y, 2 * half, 3))
    columns = torch.arange(x, x + width) % (2 * half)
    assert torch.equal(field(window(x, y, width, 3), period=2 * half), one[..., columns])


@both
def test_a_window_may_be_much_wider_than_the_period(field: Field) -> None:
    one = field(window(0, 3, 6, 5))
    assert torch.equal(field(window(-12, 3, 60, 5), period=6), one.repeat(1, 1, 10))


@both
def test_one_period_of_a_cyclic_field_is_the_endless_field(field: Field) -> None:
    assert torch.equal(field(window(0, 0, 64, 8), period=64), field(window(0, 0, 64, 8)))


def test_more_channels_leave_the_first_ones_as_they_are() -> None:
    all_of_them = local_latent(5, window(-3, 4, 9, 8), channels=13)
    for channels in (1, 2, 3, 4, 5, 12):
        assert torch.equal(local_latent(5, window(-3, 4, 9, 8), channels=channels), all_of_them[:channels])


def test_more_channels_leave_the_first_global_ones_as_they_are() -> None:
    assert torch.equal(global_latent(5, channels=7), global_latent(5, channels=16)[:7])


@pytest.mark.parametrize(("seed", "same"), [(-1, 2**64 - 1), (-(2**63), 2**63), (-5, 2**64 - 5)])
def test_a_negative_seed_means_its_value_modulo_2_to_the_64(seed: int, same: int) -> None:
    where = window(0, 0, 4, 4)
    assert torch.equal(local_latent(seed, where, channels=4), local_latent(same, where, channels=4))


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match=rf"seed {seed} is out of range; allowed are .* from -2\*\*63 to 2\*\*64 - 1"):
        global_latent(seed, channels=4)


@both
@pytest.mark.parametrize("where", [window(LIMIT - 3, 0, 4, 1), window(0, -LIMIT - 1, 1, 4), window(2**63, 0, 1, 1)])
def test_a_position_out_of_range_is_refused(field: Field, where: Window) -> None:
    with pytest.raises(InputError, match="out of range"):
        field(where)


@both
def test_the_outermost_positions_are_allowed(field: Field) -> None:
    assert field(window(LIMIT - 4, -LIMIT, 4, 4)).shape[-2:] == (4, 4)


@both
def test_a_period_below_one_is_refused(field: Field) -> None:
    with pytest.raises(InputError, match="period 0 is not positive"):
        field(window(0, 0, 2, 2), period=0)


def test_an_odd_noise_period_is_refused() -> None:
    with pytest.raises(InputError, match="noise period 7 is odd"):
        noise(1, window(0, 0, 2, 2), conv=0, period=7)


@both
def test_a_window_of_negative_size_is_refused(field: Field) -> None:
    with pytest.raises(InputError, match="window size -1 along y is negative"):
        field(window(0, 0, 2, -1))


@both
@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_an_empty_window_has_an_empty_field(field: Field, shape: tuple[int, int]) -> None:
    assert field(window(3, 3, shape[1], shape[0])).shape[-2:] == shape


@pytest.mark.parametrize("channels", [0, 4 * 2**16 + 1])
def test_channels_out_of_range_are_refused(channels: int) -> None:
    with pytest.raises(InputError, match=f"{channels} channels are out of range"):
        local_latent(1, window(0, 0, 1, 1), channels=channels)


@pytest.mark.parametrize("conv", [-1, 4096])
def test_a_convolution_out_of_range_is_refused(conv: int) -> None:
    with pytest.raises(InputError, match=f"texture convolution {conv} is out of range"):
        noise(1, window(0, 0, 1, 1), conv=conv)


def test_a_global_index_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="global latent"):
        global_latent(1, channels=4, index=LIMIT)


def test_shapes_and_type_are_as_promised() -> None:
    where = window(1, 2, 5, 3)
    values = (local_latent(1, where, channels=7), noise(1, where, conv=0), global_latent(1, channels=9))
    assert [tuple(v.shape) for v in values] == [(7, 3, 5), (1, 3, 5), (9,)]
    assert {v.dtype for v in values} == {torch.float32}


def test_local_values_follow_the_documented_counter_layout() -> None:
    seed, x, y, group = 0xFEDCBA9876543210, -(2**40) + 5, 2**33 + 7, 2
    counter = (x % 2**32, 1 << 28 | group, y % 2**32, (x >> 32) % 2**16 << 16 | y >> 32)
    words = [word.view(1) for word in philox4x32(counter, (0x76543210, 0xFEDCBA98))]
    expected = torch.cat((*box_muller(words[0], words[1]), *box_muller(words[2], words[3])))
    assert torch.equal(local_latent(seed, window(x, y, 1, 1), channels=12)[8:, 0, 0], expected)


def test_noise_values_follow_the_documented_counter_layout() -> None:
    seed, block_x, block_y, conv = 3, -9, 2**32 + 4, 5
    counter = (block_x % 2**32, 2 << 28 | conv << 16, block_y % 2**32, 0xFFFF << 16 | 1)
    words = [word.view(1) for word in philox4x32(counter, (3, 0))]
    expected = torch.cat((*box_muller(words[0], words[1]), *box_muller(words[2], words[3])))
    assert torch.equal(noise(seed, window(2 * block_x, 2 * block_y, 2, 2), conv=conv).flatten(), expected)


SAMPLES = {
    "local": lambda: local_latent(1, window(-90, -50, 131, 101), channels=8),
    "noise": lambda: noise(1, window(-240, 2**31 - 200, 400, 400), conv=7),
    "global": lambda: torch.stack([global_latent(1, channels=2048, index=i) for i in range(-10, 10)]),
}
sampled = pytest.mark.parametrize("kind", SAMPLES)


@sampled
def test_moments_are_those_of_the_standard_normal(kind: str) -> None:
    z = SAMPLES[kind]().double().flatten()
    error = 5 / math.sqrt(z.numel())
    assert float(z.mean()) == pytest.approx(0, abs=error)
    assert float(z.square().mean()) == pytest.approx(1, abs=error * math.sqrt(2))
    assert float(z.pow(3).mean()) == pytest.approx(0, abs=error * math.sqrt(15))
    assert float(z.pow(4).mean()) == pytest.approx(3, abs=error * math.sqrt(96))


@sampled
def test_the_distribution_function_is_the_normal_one(kind: str) -> None:
    z = SAMPLES[kind]().double().flatten().sort().values
    distance = (torch.special.ndtr(z) - torch.arange(1, z.numel() + 1) / z.numel()).abs().max()
    assert float(distance) < 1.95 / math.sqrt(z.numel())  # Kolmogorov-Smirnov at 0.1 %


def _correlation(a: Tensor, b: Tensor) -> float:
    """Correlation in standard errors: about standard normal where ``a`` and ``b`` are independent."""
    return float((a.double() * b.double()).sum() / math.sqrt(a.numel()))


@both
@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2), (1, 2), (0, 4)])
def test_neighbours_are_uncorrelated(field: Field, step: tuple[int, int]) -> None:
    z = field(window(-100, -100, 200, 200))
    dy, dx = step
    a, b = z[:, : 200 - dy, : 200 - dx], z[:, dy:, dx:]
    assert abs(_correlation(a, b)) < 4.5
    assert abs(_correlation((a.square() - 1) / math.sqrt(2), (b.square() - 1) / math.sqrt(2))) < 4.5


def test_channels_are_uncorrelated() -> None:
    z = local_latent(3, window(0, 0, 150, 150), channels=8).flatten(1).double()
    correlations = z @ z.T / math.sqrt(z.shape[1])
    assert float(correlations.fill_diagonal_(0).abs().max()) < 4.5


def test_convolutions_have_noises_of_their_own() -> None:
    where = window(0, 0, 150, 150)
    z = torch.stack([noise(3, where, conv=conv).flatten() for conv in range(8)]).double()
    correlations = z @ z.T / math.sqrt(z.shape[1])
    assert float(correlations.fill_diagonal_(0).abs().max()) < 4.5


@both
@pytest.mark.parametrize("other", [18, 17 + 2**32, -17])
def test_seeds_give_unrelated_fields(field: Field, other: int) -> None:
    where = window(0, 0, 150, 150)
    ours = field(where)
    theirs = local_latent(other, where, channels=6) if field is _local else noise(other, where, conv=3)
    assert abs(_correlation(ours, theirs)) < 4.5


@both
@pytest.mark.parametrize("shift", [2**16, 2**31, 2**32, 2**40])
def test_distant_places_are_unrelated(field: Field, shift: int) -> None:
    here = field(window(0, 0, 100, 100))
    assert abs(_correlation(here, field(window(shift, 0, 100, 100)))) < 4.5
    assert abs(_correlation(here, field(window(0, shift, 100, 100)))) < 4.5


def test_x_and_y_are_not_interchangeable() -> None:
    z = local_latent(1, window(0, 0, 100, 100), channels=4)
    assert abs(_correlation(z.triu(1), z.transpose(1, 2).triu(1))) < 4.5


def test_global_latents_of_one_seed_differ_by_index() -> None:
    a, b = global_latent(1, channels=512, index=0), global_latent(1, channels=512, index=1)
    assert abs(_correlation(a, b)) < 4.5


def test_the_three_kinds_of_field_are_unrelated() -> None:
    local = local_latent(1, window(0, 0, 1, 1), channels=4).flatten()
    values = torch.cat((local, noise(1, window(0, 0, 2, 2), conv=0).flatten(), global_latent(1, channels=4)))
    assert len(set(values.tolist())) == 12
