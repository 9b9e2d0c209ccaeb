"""Dockerfile, compose file and systemd unit: known options only, no root, a health check; linters where installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infgen import limits
from infgen.cli.serve import command

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "docs" / "examples" / "infgen.service"
FILES = (ROOT / "Dockerfile", ROOT / "compose.yaml", UNIT, ROOT / "docs" / "examples" / "nginx.conf")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_an_option_or_a_limit(path: Path) -> None:
    known = {f"INFGEN_{(option.name or '').upper()}" for option in command.params} | {each.name for each in limits.ALL}
    assert set(re.findall(r"INFGEN_[A-Z_]+", path.read_text())) - known == set()


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["canvas"]
    return found


def test_the_container_is_confined(service: dict[str, Any]) -> None:
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert re.search(r"^USER 10001:10001$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_container_has_time_to_drain(service: dict[str, Any]) -> None:
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert seconds is not None
    assert min(int(seconds[1]), int(service["stop_grace_period"].removesuffix("s"))) > limits.DRAIN_SECONDS.default


def test_the_image_copies_what_the_wheel_needs() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "infgen", "serve", "train", "export"} <= kept
    assert [name for name in kept if not (ROOT / name).exists()] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/infgen/bin/infgen", "/bin/true"))
    found = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert [line for line in found.stderr.splitlines() if UNIT.name in line] == []


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_accepts_the_dockerfile() -> None:
    found = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
