"""Philox 4x32-10 against the published known answers and, through one reference of both word sizes, against NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infgen.world.philox import box_muller, philox4x32

WORD = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
LONG = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1]))

# Random123, file kat_vectors, generator "philox4x32 10".
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]

MULTIPLIERS = {32: (0xD2511F53, 0xCD9E8D57), 64: (0xD2E7470EE14C6C93, 0xCA5A826395121157)}
WEYL = {32: (0x9E3779B9, 0xBB67AE85), 64: (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)}


def reference(counter: tuple[int, int, int, int], key: tuple[int, int], *, bits: int) -> tuple[int, int, int, int]:
    """Philox 4x{bits}-10 in plain Python integers, written from the paper's Section 4.3."""
    left, right, a, b = *counter[::2], *counter[1::2]
    k0, k1 = key
    for _ in range(10):
        high_left, low_left = divmod(MULTIPLIERS[bits][0] * left, 1 << bits)
        high_right, low_right = divmod(MULTIPLIERS[bits][1] * right, 1 << bits)
        left, a, right, b = high_right ^ a ^ k0, low_right, high_left ^ b ^ k1, low_left
        k0, k1 = (k0 + WEYL[bits][0]) % (1 << bits), (k1 + WEYL[bits][1]) % (1 << bits)
    return left, a, right, b


def ours(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, ...]:
    return tuple(int(word) for word in philox4x32(counter, key))


def _words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_published_known_answers_come_out(counter: str, key: str, answer: str) -> None:
    c0, c1, c2, c3 = _words(counter)
    k0, k1 = _words(key)
    assert ours((c0, c1, c2, c3), (k0, k1)) == _words(answer)


@settings(deadline=None, max_examples=60)
@given(counter=st.tuples(LONG, LONG, LONG, LONG), key=st.tuples(LONG, LONG))
def test_the_reference_with_64_bit_words_is_numpys_philox(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> None:
    # NumPy adds one to its counter, a 256-bit number with the least word first, before it draws.
    number = (sum(word << 64 * i for i, word in enumerate(counter)) - 1) % (1 << 256)
    before = np.array([(number >> 64 * i) % (1 << 64) for i in range(4)], dtype=np.uint64)
    drawn = np.random.Philox(counter=before, key=np.array(key, dtype=np.uint64)).random_raw(4)
    assert reference(counter, key, bits=64) == tuple(int(word) for word in drawn)


@settings(deadline=None, max_examples=60)
@given(counter=st.tuples(WORD, WORD, WORD, WORD), key=st.tuples(WORD, WORD))
def test_the_reference_with_32_bit_words_is_ours(counter: tuple[int, int, int, int], key: tuple[int, int]) -> None:
    assert ours(counter, key) == reference(counter, key, bits=32)


def test_counters_broadcast_and_are_left_as_they_are() -> None:
    x, y = torch.arange(5), torch.arange(3).unsqueeze(1)
    words = torch.stack(philox4x32((x, 7, y, 2**32 - 1), (11, 13)))
    expected = [[reference((i, 7, j, 2**32 - 1), (11, 13), bits=32) for i in range(5)] for j in range(3)]
    assert torch.equal(words, torch.tensor(expected).movedim(-1, 0))
    assert torch.equal(x, torch.arange(5))


def test_words_are_int64_in_32_bits() -> None:
    words = torch.stack(philox4x32((torch.arange(10_000), 0, 0, 0), (1, 2)))
    assert words.dtype == torch.int64
    assert torch.equal(words, words & 0xFFFFFFFF)


def test_every_bit_of_every_lane_is_fair() -> None:
    words = torch.stack(philox4x32((torch.arange(20_000), 3, 5, 0), (1, 2)))
    ones = (words.unsqueeze(-1) >> torch.arange(32) & 1).double().mean(1)
    assert float((ones - 0.5).abs().max()) < 5 * 0.5 / math.sqrt(20_000)


@pytest.mark.parametrize("bits", [0, 1, 2**31, 2**32 - 1])
def test_box_muller_is_finite_at_every_extreme(bits: int) -> None:
    normals = torch.stack(box_muller(torch.full((9,), bits), torch.full((9,), 2**32 - 1 - bits)))
    assert float(normals.abs().max()) < 6.8  # false for NaN and infinity too


def test_box_muller_follows_its_formula() -> None:
    radius_bits, angle_bits, _, _ = philox4x32((torch.arange(20_000), 0, 0, 0), (5, 6))
    radius = (-2 * torch.log((radius_bits.double() + 0.5) / 2**32)).sqrt()
    angle = math.tau * angle_bits.double() / 2**32
    expected = torch.stack((radius * angle.cos(), radius * angle.sin())).float()
    torch.testing.assert_close(torch.stack(box_muller(radius_bits, angle_bits)), expected, rtol=0, atol=5e-4)


def test_box_muller_takes_words_already_rounded_to_float32() -> None:
    radius_bits, angle_bits, _, _ = philox4x32((torch.arange(1000), 0, 0, 0), (5, 6))
    rounded = box_muller(radius_bits.float(), angle_bits.float())
    assert torch.equal(torch.stack(box_muller(radius_bits, angle_bits)), torch.stack(rounded))
