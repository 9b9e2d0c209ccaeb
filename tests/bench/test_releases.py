"""The comparison of two checkouts imports the code that it was told to."""

import os
from pathlib import Path

import click
import pytest

from benchmarks.releases import Release, check_import


def test_a_folder_whose_code_is_not_imported_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"^checkout .* is not what .* imports .*; give a checkout.*$"):
        Release(tmp_path)


def test_a_checkout_that_an_import_hook_hides_is_refused(tmp_path: Path) -> None:
    root, hook = tmp_path / "checkout", tmp_path / "hook"
    for folder in (root / "infgen", hook / "other" / "infgen"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (hook / "sitecustomize.py").write_text(f"import sys; sys.path.insert(0, {str(hook / 'other')!r}); import infgen")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(hook), str(root)))}
    with pytest.raises(click.ClickException, match=r"is not what"):
        check_import(root, environment)
