"""The folder of a run: its training state, log, sample sheets and averaged model. Whatever stands in it is whole."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch

from infgen.atomic import write_atomically
from infgen.errors import InputError
from infgen.train.presets import Recipe

if TYPE_CHECKING:
    from infgen.train.loop import State

VERSION = 1
_NETWORKS = ("generator", "average", "discriminator", "generator_optimizer", "discriminator_optimizer")


class Log:
    """JSON lines, one per step."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; it reaches the disk at the latest with the next ``sync``."""
        self._file.write(json.dumps(record) + "\n")

    def sync(self) -> None:
        """Everything written so far survives a crash after this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())


class RunFolder:
    """``runs/a``: ``state.pt``, ``model.safetensors``, ``log.jsonl``, ``recipe.json`` and ``samples/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state, self.model = path / "state.pt", path / "model.safetensors"
        self.log_file, self.recipe, self.samples = path / "log.jsonl", path / "recipe.json", path / "samples"

    def check(self, *, resume: bool) -> None:
        """Raise InputError where a new run would overwrite one, or where there is none to resume."""
        if resume and not self.state.is_file():
            raise InputError(f"{self.path} holds no run to resume ({self.state.name} is missing); leave out --resume")
        if not resume and self.state.exists():
            raise InputError(f"{self.path} holds a run already; continue it with --resume or give another folder")

    def create(self, recipe: Recipe) -> None:
        """Make the folder for a new run. Raises InputError where it cannot be made."""
        self.check(resume=False)
        self.log_file.unlink(missing_ok=True)
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"run folder {self.path} cannot be made ({error.strerror}); give another one") from None
        with write_atomically(self.recipe) as temporary:
            temporary.write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")

    @contextmanager
    def log(self, *, from_step: int) -> Iterator[Log]:
        """The log, cut back to records up to ``from_step``: what came after the checkpoint is about to be done again."""
        kept = [line for line in self._lines() if json.loads(line)["step"] <= from_step]
        with write_atomically(self.log_file) as temporary:
            temporary.write_text("".join(kept))
        with self.log_file.open("a") as file:
            yield Log(file)

    def _lines(self) -> list[str]:
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text().splitlines(keepends=True)
        return [line for line in lines if line.endswith("}\n")]  # a crash can leave half a line

    def save(self, state: "State", recipe: Recipe, *, seed: int, data: str) -> None:
        """Write the training state and the averaged model, each whole or not at all."""
        content: dict[str, Any] = {name: getattr(state, name).state_dict() for name in _NETWORKS}
        content |= {"version": VERSION, "step": state.step, "path_mean": state.path_mean}
        content |= {"recipe": recipe.to_dict(), "seed": seed, "data": data}
        with write_atomically(self.state) as temporary:
            torch.save(content, temporary)
        state.average.update_mean_style()
        state.average.save_pretrained(self.model)

    def load(self, state: "State", recipe: Recipe, *, seed: int, data: str) -> None:
        """Bring ``state`` to the saved step. Raises InputError where recipe, seed or photographs differ, naming them."""
        content = self._content()
        if content["recipe"] != recipe.to_dict():
            saved, asked = content["recipe"], recipe.to_dict()
            changed = [f"{k} {saved.get(k)!r} -> {asked.get(k)!r}" for k in asked if saved.get(k) != asked[k]]
            raise InputError(f"{self.path} was trained with another recipe ({', '.join(changed)}); resume it unchanged")
        for name, saved, asked in (("seed", content["seed"], seed), ("photographs", content["data"], data)):
            if saved != asked:
                raise InputError(f"{self.path} was trained with other {name} ({saved} then, {asked} now); resume it unchanged")
        for name in _NETWORKS:
            getattr(state, name).load_state_dict(content[name])
        state.step, state.path_mean = content["step"], content["path_mean"].to(state.path_mean)

    def _content(self) -> dict[str, Any]:
        self.check(resume=True)
        try:
            content: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damaged or foreign files
            raise InputError(f"training state {self.state} cannot be read ({type(error).__name__})") from None
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise InputError(f"training state {self.state} was not written by this version of infgen (needs version {VERSION})")
        return content

