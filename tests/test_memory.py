"""Memory limits of control groups, read from files as the kernel writes them."""

from pathlib import Path

import psutil
import pytest

from infgen.memory import available_memory, total_memory

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {
    "proc/self/cgroup": "0::/infgen.slice/infgen.service\n",
    "sys/fs/cgroup/infgen.slice/memory.max": f"{GIB}\n",
    "sys/fs/cgroup/infgen.slice/memory.current": f"{GIB // 2}\n",
    "sys/fs/cgroup/infgen.slice/memory.stat": f"anon 5\ninactive_file {GIB // 8}\n",
    "sys/fs/cgroup/infgen.slice/infgen.service/memory.max": "max\n",
    "sys/fs/cgroup/infgen.slice/infgen.service/memory.current": "4096\n",
}
V1 = {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/5f3a\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",  # a container sees its own group as the root
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB // 2}\n",
    "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {GIB // 8}\n",
}
CONTAINER = {
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": f"{GIB}\n",
    "sys/fs/cgroup/memory.current": f"{GIB // 2}\n",
    "sys/fs/cgroup/memory.stat": f"inactive_file {GIB // 8}\n",
}


@pytest.mark.parametrize("files", [V2, V1, CONTAINER], ids=["parent, version 2", "version 1", "container"])
def test_the_limit_of_a_control_group_counts(tmp_path: Path, files: dict[str, str]) -> None:
    root = write(tmp_path, files)
    assert total_memory(root) == GIB
    assert available_memory(root) <= GIB - GIB // 2 + GIB // 8


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "", "nonsense"])
def test_no_limit_is_the_whole_machine(tmp_path: Path, limit: str) -> None:
    root = write(tmp_path, {**CONTAINER, "sys/fs/cgroup/memory.max": limit})
    assert total_memory(root) == psutil.virtual_memory().total


def test_a_system_without_control_groups_is_the_whole_machine(tmp_path: Path) -> None:
    assert total_memory(tmp_path) == psutil.virtual_memory().total


def test_tiles_are_planned_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from infgen.rendering import preflight

    monkeypatch.setattr(preflight, "total_memory", lambda: GIB)
    assert preflight.tile_memory(torch.device("cpu")) == GIB // 2
