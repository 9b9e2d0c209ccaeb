"""Optional dependencies: the error names what is missing, the extra that installs it, and another way."""

import sys

import pytest

from infgen.errors import MissingExtraError
from infgen.extras import require_extra


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as caught, require_extra("train", "a figure", otherwise="use no figure"):
        import matplotlib.figure  # noqa: F401
    assert str(caught.value) == (
        "a figure needs matplotlib, which is not installed; run: pip install 'infgen[train]', or use no figure"
    )


def test_a_fault_of_infgen_is_not_taken_for_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"infgen\.nothing"), require_extra("train", "a figure"):
        import infgen.nothing  # type: ignore[import-not-found]  # noqa: F401


def test_other_errors_of_an_import_pass() -> None:
    with pytest.raises(RuntimeError, match="another PyTorch"), require_extra("fid", "FID"):
        raise RuntimeError("built for another PyTorch")
