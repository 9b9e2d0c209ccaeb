from pathlib import Path

import pytest

from infgen import limits
from infgen.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for limit in limits.ALL for name in (limit.name, limit.former) if name]:
        monkeypatch.delenv(name, raising=False)


def test_the_page_has_the_table_of_all_limits() -> None:
    rows = [f"| `{limit.name}` | {limit.default} | {limit.unit} | {limit.purpose} |" for limit in limits.ALL]
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `INFGEN_")] == rows


def test_an_earlier_name_of_a_variable_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_RECIPE_MB", "12")
    assert limits.MAX_PROVENANCE_MB.value() == 12
    monkeypatch.setenv("INFGEN_MAX_PROVENANCE_MB", "13")
    assert limits.MAX_PROVENANCE_MB.value() == 13


def test_an_error_names_the_variable_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_RECIPE_MB", "many")
    with pytest.raises(InputError, match="environment variable INFGEN_MAX_RECIPE_MB is 'many'"):
        limits.MAX_PROVENANCE_MB.value()


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
