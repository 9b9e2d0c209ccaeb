"""Which colour profiles are kept, and pixels brought from one into another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from infgen import colour
from infgen.errors import InputError, LimitError
from infgen.limits import MIB
from tests.profiles import profile

RED = (200, 30, 40)


def one(image: Image.Image) -> list[int]:
    """The colour of a picture of one colour."""
    found: list[int] = np.asarray(image)[0, 0].tolist()
    return found


@pytest.mark.parametrize(("name", "mode"), [("srgb", "RGB"), ("p3", "RGB"), ("cmyk", "CMYK")])
def test_a_profile_of_such_pixels_can_be_used(name: str, mode: str) -> None:
    assert colour.check_profile(profile(name), mode) == profile(name)


@pytest.mark.parametrize(
    ("embedded", "mode"),
    [
        (None, "RGB"),
        (7, "RGB"),
        ("text", "RGB"),
        (b"", "RGB"),
        (b"x" * 500, "RGB"),
        (profile("p3")[:300], "RGB"),
        (profile("cmyk"), "RGB"),
        (profile("p3"), "CMYK"),
    ],
)
def test_a_profile_for_other_pixels_is_refused_in_one_line(embedded: object, mode: str) -> None:
    with pytest.raises(InputError, match=r"^it is damaged(, or of pixels other than \w+)?$"):
        colour.check_profile(embedded, mode)


def test_a_profile_of_absurd_size_is_refused_without_looking_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "_transform", lambda *_: pytest.fail("it was read"))
    with pytest.raises(LimitError, match=r"it has 5.0 MiB, and allowed are 4"):
        colour.check_profile(bytes(5 * MIB), "RGB")


@given(changes=st.lists(st.tuples(st.integers(0, 479), st.integers(0, 255)), max_size=6), length=st.integers(0, 480))
def test_a_damaged_profile_is_either_usable_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(profile("p3")[: max(length, 1)])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        found = colour.check_profile(bytes(damaged), "RGB")
    except InputError:
        return
    assert colour.convert_profile(Image.new("RGB", (2, 2), RED), found).mode == "RGB"


def test_pixels_keep_their_colour_on_the_way_to_another_profile_and_back() -> None:
    there = colour.convert_profile(Image.new("RGB", (4, 4), RED), None, profile("p3"))
    assert one(there)[0] < RED[0]  # the red of Display P3 is a stronger one
    assert np.abs(np.subtract(one(colour.convert_profile(there, profile("p3"))), RED)).max() <= 1


def test_cmyk_becomes_rgb_by_its_profile() -> None:
    found = one(colour.convert_profile(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), profile("cmyk")))
    assert (found[0] > 180, found[1] < 60, found != [255, 0, 0]) == (True, True, True)


def test_two_descriptions_of_one_colour_space_are_alike_and_others_are_not() -> None:
    assert colour.equal_colours(None, None)
    assert colour.equal_colours(None, profile("srgb"))
    assert colour.equal_colours(profile("srgb"), None)
    assert not colour.equal_colours(None, profile("p3"))
    assert not colour.equal_colours(profile("cmyk"), None)
