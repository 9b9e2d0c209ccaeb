"""How a process of the command line starts."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_a_command_is_imported_without_garbage_collection() -> None:
    code = """
import gc
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
from infgen.cli.main import cli
collections.clear()
assert cli.get_command(None, "render") is not None
print(len(collections), gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
    assert run(code) == "0 True True"


def test_a_second_command_exempts_nothing_from_garbage_collection() -> None:
    code = """
import gc
from infgen.cli.main import cli
cli.get_command(None, "render")
frozen = gc.get_freeze_count()
cycle = []
cycle.append(cycle)
cli.get_command(None, "render")
print(gc.get_freeze_count() - frozen)
"""
    assert run(code) == "0"


def test_garbage_collection_stays_off_where_the_program_turned_it_off() -> None:
    code = """
import gc
gc.disable()
from infgen.process import import_for_good
import_for_good("wave")
print(gc.isenabled())
"""
    assert run(code) == "False"


@pytest.mark.parametrize("module", ["infgen", "infgen.cli.main", "infgen.process", "infgen.bench.child"])
def test_this_module_imports_nothing_large(module: str) -> None:
    code = f"""
import sys
import {module}
print([name for name in ("torch", "numpy", "pydantic", "PIL", "rich", "pyvips") if name in sys.modules])
"""
    assert run(code) == "[]"
