"""Trackers of other services, with a double of the service."""

import sys
import types
from typing import Any

import numpy as np
import pytest
from accelerate import tracking

from infgen.errors import MissingExtraError
from infgen.train.trackers import Tracker


class Service:
    """A tracker of Accelerate that keeps what it gets."""

    calls: list[tuple[Any, ...]]

    def __init__(self, project: str) -> None:
        Service.calls = [("run", project)]

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.calls.append(("settings", values))

    def log(self, values: dict[str, float], *, step: int) -> None:
        self.calls.append(("log", values, step))

    def log_images(self, values: dict[str, list[np.ndarray]], *, step: int) -> None:
        self.calls.append(("images", values["samples"][0].shape, step))

    def finish(self) -> None:
        self.calls.append(("end",))


def test_curves_sheets_and_settings_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", types.ModuleType("wandb"))
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Service)
    tracker = Tracker("wandb", {"batch": 4})
    tracker.add_scalars(3, {"loss": 0.5})
    tracker.add_sheet(3, np.zeros((2, 4, 3), np.uint8))
    tracker.close()
    assert Service.calls == [
        ("run", "infgen"),
        ("settings", {"batch": 4}),
        ("log", {"loss": 0.5}, 3),
        ("images", (2, 4, 3), 3),
        ("end",),
    ]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_service_names_its_extra(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"--tracker {name} needs {name}.*infgen\[{name}\]"):
        Tracker(name, {})
