import re
from pathlib import Path

import pytest

from infgen import limits
from infgen.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in limits.ALL:
        monkeypatch.delenv(limit.name, raising=False)


@pytest.mark.parametrize("limit", limits.ALL, ids=lambda limit: limit.name)
def test_every_limit_stands_on_the_page_with_its_default_and_unit(limit: limits.Limit) -> None:
    assert f"| `{limit.name}` | {limit.default} | {limit.unit} |" in PAGE.read_text()


def test_the_page_names_no_limit_that_does_not_exist() -> None:
    assert set(re.findall(r"INFGEN_\w+", PAGE.read_text())) == {limit.name for limit in limits.ALL}


def test_every_limit_of_the_module_is_in_the_list() -> None:
    assert {value for value in vars(limits).values() if isinstance(value, limits.Limit)} == set(limits.ALL)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_means_the_default(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PIXELS", text)
    assert limits.MAX_PIXELS.value() == 10**11


def test_the_environment_is_read_at_call_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_PIXELS", "12")
    assert limits.MAX_PIXELS.value() == 12


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e9", "many", "\u0664", "9" * 5000, "1_000"])
def test_a_value_that_is_no_whole_number_above_zero_is_refused_in_one_line(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFGEN_MAX_PIXELS", text)
    with pytest.raises(InputError, match=r"\Aenvironment variable INFGEN_MAX_PIXELS is .* allowed is [^\n]*\Z"):
        limits.MAX_PIXELS.value()
