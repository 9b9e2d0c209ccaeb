"""Test lockstep timing: the order of calls, and the times that are kept."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infgen.bench.timing import Ratio, lockstep, order_round


@given(st.integers(1, 6), st.integers(0, 50))
def test_every_round_calls_every_work_once(count: int, turn: int):
    assert sorted(order_round(count, turn)) == list(range(count))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_over_a_whole_turn_every_work_is_at_every_place_equally_often(count: int):
    orders = [order_round(count, turn) for turn in range(2 * count)]
    for place in range(count):
        assert sorted(order[place] for order in orders) == sorted(list(range(count)) * 2)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_every_work_follows_every_neighbour_in_both_directions(count: int):
    followers = {pair for turn in range(2 * count) for pair in pairwise(order_round(count, turn))}
    assert {(b, a) for a, b in followers} == followers


def test_the_probe_runs_before_the_first_call_and_after_each():
    calls: list[str] = []
    lockstep([lambda: calls.append("a"), lambda: calls.append("b")], rounds=2, probe=lambda: calls.append("p"))
    assert calls == ["p", "a", "p", "b", "p", "b", "p", "a", "p"]


def test_the_probe_after_one_call_is_the_probe_before_the_next():
    ((first, second),) = lockstep([lambda: None], rounds=2, probe=lambda: None)
    assert first.after == second.before


def test_the_seconds_are_those_of_the_work_without_the_probe(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def lasting(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    ((turn,),) = lockstep([lasting(2)], rounds=1, probe=lasting(3))
    assert (turn.before, turn.seconds, turn.after) == (3, 2, 3)


def test_progress_counts_calls():
    seen: list[tuple[int, int]] = []
    lockstep([lambda: None] * 2, rounds=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_ratio_is_taken_round_by_round():
    assert Ratio.of([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == Ratio(median=2.0, mean=25 / 12)


@given(st.lists(st.floats(0.001, 1000), min_size=1), st.floats(0.1, 10))
def test_a_work_that_always_takes_so_much_longer_has_that_ratio(times: list[float], factor: float):
    ratio = Ratio.of([t * factor for t in times], times)
    assert ratio.median == pytest.approx(factor)
    assert ratio.mean == pytest.approx(factor)
