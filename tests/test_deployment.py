"""Container files, compose file, systemd unit: known options only, no root, a health check; linters where installed."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infgen import limits
from infgen.cli.serve import command

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "docs" / "examples" / "infgen.service"
IMAGES = (ROOT / "Dockerfile", ROOT / "Dockerfile.cuda")
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
FILES = (*IMAGES, ROOT / "compose.yaml", UNIT, ROOT / "docs" / "examples" / "nginx.conf")


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
    assert all("USER 10001:10001" in instructions(path) for path in IMAGES)


def instructions(path: Path) -> list[str]:
    """The instructions of a container file, each on one line, without comments."""
    lines = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    return [" ".join(line.split()) for line in lines.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_images_differ_in_extras_compiler_and_environment_only() -> None:
    one, other = (set(instructions(path)) for path in IMAGES)
    assert {line.split()[0] for line in one ^ other} == {"ARG", "RUN", "ENV"}
    assert len(one & other) > 9


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_installs_extras_that_exist(path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (found,) = re.findall(r"'\.\[([a-z,-]+)\]'", path.read_text())
    assert set(found.split(",")) - set(extras) == set()


def test_the_devcontainer_has_the_entries_of_its_schema() -> None:
    commands = {"onCreateCommand", "postCreateCommand"}
    assert (
        set(DEVCONTAINER)
        == {"name", "image", "features", "forwardPorts", "portsAttributes", "customizations"} | commands
    )
    assert list(map(str, DEVCONTAINER["forwardPorts"])) == list(DEVCONTAINER["portsAttributes"])
    port = next(option.default for option in command.params if option.name == "port")
    assert DEVCONTAINER["forwardPorts"] == [port]


def test_the_devcontainer_makes_what_the_makefile_has_with_the_programs_of_the_whole_check() -> None:
    target = DEVCONTAINER["postCreateCommand"].removeprefix("make ")
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    interpreter = DEVCONTAINER["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.endswith(f"/{Path(target).parent}/bin/python")
    programs = set(re.findall(r"missing\+=\(([a-z0-9-]+)\)", (ROOT / ".ci" / "run").read_text()))
    assert set(DEVCONTAINER["onCreateCommand"].partition("--no-install-recommends ")[2].split()) == programs
    assert len(programs) > 3


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
@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_hadolint_accepts_the_image(path: Path) -> None:
    found = subprocess.run(["hadolint", str(path)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
