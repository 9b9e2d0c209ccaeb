"""Lists of seeds."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.errors import InputError, LimitError
from infgen.world.seeds import parse_seeds

MOST = 1024


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("1,5,9-12", [1, 5, 9, 10, 11, 12]),
        ("-5", [-5]),
        ("-5--2", [-5, -4, -3, -2]),
        ("-1-1", [-1, 0, 1]),
        (" 3 , 1-2 ", [3, 1, 2]),
        ("2,1-3,2", [2, 1, 3]),
        ("18446744073709551615", [2**64 - 1]),
    ],
)
def test_seeds_are_named_one_by_one_and_in_ranges(text: str, seeds: list[int]):
    assert parse_seeds(text, most=MOST) == seeds


@given(st.integers(-(2**63), 2**63), st.integers(0, MOST - 1))
def test_a_range_names_all_seeds_from_first_to_last(first: int, count: int):
    assert parse_seeds(f"{first}-{first + count}", most=MOST) == list(range(first, first + count + 1))


@pytest.mark.parametrize("text", ["", ",", "1,,2", "a", "1-", "1-2-3", "0x3", "1.5", "٣", "1" * 30, "- 5"])
def test_an_illegal_list_of_seeds_is_refused(text: str):
    with pytest.raises(InputError, match="give for example 0-63"):
        parse_seeds(text, most=MOST)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(InputError, match="9-5 runs backwards"):
        parse_seeds("9-5", most=MOST)


@pytest.mark.parametrize("text", ["0-1024", "0-99999999999999999999", "1,2-1025", "0-1000,2000-2100"])
def test_too_many_seeds_are_refused(text: str):
    with pytest.raises(LimitError, match="more than 1024 seeds"):
        parse_seeds(text, most=MOST)


@given(st.text(alphabet="0123456789-, a", max_size=30))
def test_any_text_gives_seeds_or_a_refusal(text: str):
    with suppress(InputError):
        assert 1 <= len(parse_seeds(text, most=MOST)) <= MOST
