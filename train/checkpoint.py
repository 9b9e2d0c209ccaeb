"""The folder of a run: its training state, log, sample sheets and averaged model. Whatever stands in it is whole."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.errors import DivergenceError, InfgenError, InputError
from infgen.inspect import describe
from infgen.lock import Lock, TakenError, check_free
from infgen.model.generator import Generator
from infgen.train.growing import check_growth, grow
from infgen.train.presets import Recipe
from infgen.world.document import parse_document, read_file

if TYPE_CHECKING:
    from infgen.train.state import State

VERSION = 5
_NETWORKS = ("generator", "ema", "discriminators")
_PARTS = (*_NETWORKS, "generator_optimizer", "discriminator_optimizer")
_NUMBERS = {"step": int, "augment_p": list, "real_sign": list, "best": dict}  # of the state, as they are
_KINDS = {"seed": int, "data": str, "recipe": dict, "path_mean": Tensor, **_NUMBERS, **dict.fromkeys(_PARTS, dict)}
_ONE_SCALE = 4  # version of states from before there were scales
_ONE_SCALE_RECIPE = {"scales": [], "scale_shares": [], "fusion": 0.0, "warmup_steps": 0}
_MAX_RECIPE = 2**20  # bytes; real ones have about a thousand
_LOG_TAIL = 2**16  # bytes, some hundred records
_GENERATOR = ("generator", "width", "coordinates", "structure", "padding")  # of a recipe, what sizes its generator
_AGAIN = "start again in another folder; --init MODEL.safetensors keeps what its generator has learnt"


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
    """``runs/a``: ``state.pt``, ``model.safetensors``, ``log.jsonl``, ``recipe.json`` and ``samples/``.

    Where asked for also ``best.safetensors`` (the best judged model) and ``tensorboard/``. ``lock``: one run at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state, self.model = path / "state.pt", path / "model.safetensors"
        self.best, self.board = path / "best.safetensors", path / "tensorboard"
        self.log_file, self.recipe, self.samples = path / "log.jsonl", path / "recipe.json", path / "samples"
        self._lock_file = path / "lock"

    def check(self, *, resume: bool) -> None:
        """Raise InputError where a new run would overwrite one, none is there to resume, or nothing can be written."""
        ground = next(p for p in (self.path, *self.path.absolute().parents) if os.path.lexists(p))
        if not ground.is_dir():
            raise InputError(f"run folder {self.path} cannot be made: {ground} is not a folder; give another one")
        if not os.access(ground, os.W_OK | os.X_OK):
            raise InputError(f"run folder {self.path} cannot be made: {ground} is not writable; give another one")
        if resume and not self.state.is_file():
            raise InputError(f"{self.path} holds no run to resume ({self.state.name} is missing); leave out --resume")
        if not resume and self.state.exists():
            raise InputError(f"{self.path} holds a run already; continue it with --resume or give another folder")

    def check_free(self) -> None:
        """Raise InputError where another process trains here. Makes nothing."""
        if self.path.is_dir():
            with self._taken_named():
                check_free(self._lock_file)

    def lock(self) -> Lock:
        """The lock of the folder, which is made. Raises InputError where another process trains here, or it cannot be made.

        Whoever has it deletes unfinished files of a killed process, each perhaps as large as a checkpoint.
        """
        with self._taken_named():
            self.path.mkdir(parents=True, exist_ok=True)
            lock = Lock(self._lock_file)
            for folder in (self.path, self.samples):
                for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
                    leftover.unlink(missing_ok=True)
            return lock

    @contextmanager
    def _taken_named(self) -> Iterator[None]:
        try:
            yield
        except TakenError as error:
            reason = f"in use by process {error.owner}, which trains there; wait for it, stop it"
            raise InputError(f"run folder {self.path} is {reason}, or give another folder") from None
        except OSError as error:
            raise InputError(f"run folder {self.path} cannot be used ({error.strerror}); give another one") from None

    def create(self, recipe: Recipe) -> None:
        """Make the folder for a new run. Raises InputError where it cannot be made."""
        self.check(resume=False)
        self._make_folders()
        with write_atomically(self.recipe) as temporary:
            temporary.write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")

    def _make_folders(self) -> None:
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"run folder {self.path} cannot be made ({error.strerror}); give another one") from None

    def describe(self) -> dict[str, Any]:
        """A JSON-ready description: the recipe, the last step in the log, and the averaged model, None before it is there.

        Raises InputError where the folder holds no run.
        """
        if not self.recipe.is_file():
            raise InputError(f"folder {self.path} holds no training run ({self.recipe.name} is missing); give another")
        source = f"recipe {self.recipe}"
        recipe = parse_document(read_file(self.recipe, what="recipe", limit=_MAX_RECIPE), kind="recipe", source=source)
        model = describe(self.model) if self.model.is_file() else None
        return {"kind": "training run", "step": self._last_step(), "recipe": recipe, "model": model}

    def _last_step(self) -> int:
        """The last step in the log, 0 where there is none."""
        if not self.log_file.is_file():
            return 0
        with self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - _LOG_TAIL))
            lines = file.read(_LOG_TAIL).decode(errors="replace").splitlines(keepends=True)
        return max(map(_step_of, lines), default=0)

    @contextmanager
    def log(self, *, from_step: int) -> Iterator[Log]:
        """The log, cut back to records up to ``from_step``: what came after that is about to be done again.

        Raises InfgenError where it cannot be written on.
        """
        kept = [line for line in self._lines() if 0 < _step_of(line) <= from_step]
        with write_atomically(self.log_file) as temporary:
            temporary.write_text("".join(kept))
        try:
            with self.log_file.open("a", buffering=1) as file:  # line by line, for those who watch it grow
                yield Log(file)
        except OSError as error:
            reason = f"{error.strerror}; free some disk space and continue with --resume"
            raise InfgenError(f"run folder {self.path} cannot be written: {reason}") from error

    def _lines(self) -> list[str]:
        if not self.log_file.is_file():
            return []
        return self.log_file.read_text(errors="replace").splitlines(keepends=True)

    def save(self, state: "State", recipe: Recipe, *, seed: int, data: str) -> None:
        """Write the training state and the averaged model, each whole or not at all.

        The model takes its name first: a state of the last step means that its model is there.
        Raises DivergenceError, before anything is written, where a parameter is not finite, and InfgenError where the
        disk is full.
        """
        for name in _NETWORKS:
            _check_finite(name, getattr(state, name).parameters(), step=state.step)
        state.ema.update_mean_style()
        content: dict[str, Any] = {name: getattr(state, name).state_dict() for name in _PARTS}
        content |= {name: getattr(state, name) for name in _NUMBERS}
        content |= {"version": VERSION, "path_mean": state.path_mean}
        content |= {"recipe": recipe.to_dict(), "seed": seed, "data": data}
        with self._full_disk_named(), write_atomically(self.state) as temporary:
            torch.save(content, temporary)
            state.ema.save_pretrained(self.model)

    def save_best(self, state: "State") -> None:
        """Write the averaged model as the best one. Raises as ``save``."""
        _check_finite("ema", state.ema.parameters(), step=state.step)
        state.ema.update_mean_style()
        with self._full_disk_named():
            state.ema.save_pretrained(self.best)

    @contextmanager
    def _full_disk_named(self) -> Iterator[None]:
        """Say in one line what PyTorch and safetensors report in their ways when a write fails."""
        try:
            yield
        except (RuntimeError, SafetensorError) as error:
            reason = f"the disk did not take it ({_short(error)})"
            raise InfgenError(f"checkpoint in {self.path} was not written: {reason}; free some disk space") from error

    def load(self, state: "State", recipe: Recipe, *, seed: int, data: str) -> None:
        """Bring ``state`` to the saved step.

        Raises InputError where recipe, seed or photographs differ, naming them, and where the saved state is damaged.
        """
        content = self._content()
        if content["recipe"] != recipe.to_dict():
            changed = _changes(content["recipe"], recipe)
            raise InputError(f"{self.path} was trained with another recipe ({changed}); resume it unchanged")
        for name, then, now in (("seed", content["seed"], seed), ("photographs", content["data"], data)):
            if then != now:
                difference = f"other {name} ({then} then, {now} now)"
                raise InputError(f"{self.path} was trained with {difference}; resume it unchanged")
        try:
            for name in _PARTS:
                getattr(state, name).load_state_dict(content[name])
        except Exception as error:  # torch raises many kinds for what does not fit
            raise InputError(f"training state {self.state} does not fit ({_short(error)}); {_AGAIN}") from None
        self._make_folders()
        for name in _NUMBERS:
            setattr(state, name, content[name])
        state.path_mean = content["path_mean"].to(state.path_mean)

    def warm(self, state: "State", recipe: Recipe) -> None:
        """Start ``state`` from the networks saved here, at step 0.

        The discriminators and the optimisers' averages come along where they are of the same kind and size, with the learning
        rates of ``recipe``. A generator with fewer levels or channels grows. Raises InputError where it cannot, and where the
        saved state is damaged.
        """
        content = self._content()
        if any(content["recipe"].get(k) != recipe.to_dict()[k] for k in _GENERATOR):
            grow_from(state, self._generator(content), source=str(self.path))
            return
        made_by, asked = content["recipe"], recipe.to_dict()
        kind = ("discriminator", "discriminator_width", "scales", "view")
        parts = _PARTS if all(made_by.get(k) == asked[k] for k in kind) else ("generator", "ema")
        try:
            for name in parts:
                part, saved = getattr(state, name), content[name]
                if isinstance(part, torch.optim.Optimizer):
                    saved = {**saved, "param_groups": part.state_dict()["param_groups"]}  # these name the rates
                part.load_state_dict(saved)
        except Exception as error:  # torch raises many kinds for what does not fit
            reason = _changes(made_by, recipe, _GENERATOR) or _short(error)
            raise InputError(
                f"the run in {self.path} does not fit this recipe ({reason}); start from one of the same preset"
            ) from None

    def _generator(self, content: Mapping[str, Any]) -> Generator:
        """The averaged generator of a saved state. Raises InputError where it is damaged."""
        try:
            generator = Generator(Recipe(**{**content["recipe"], **_tuples(content["recipe"])}).generator_config)
            generator.load_state_dict(content["ema"])
        except Exception as error:  # torch and Recipe raise many kinds for what does not fit
            raise InputError(f"training state {self.state} does not fit ({_short(error)}); {_AGAIN}") from None
        return generator

    def _content(self) -> dict[str, Any]:
        self.check(resume=True)
        try:
            content: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for damaged or foreign files
            kind = type(error).__name__
            raise InputError(f"training state {self.state} is damaged or foreign ({kind}); {_AGAIN}") from None
        if isinstance(content, dict) and content.get("version") == _ONE_SCALE:
            content = _with_scales(content)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            found = content.get("version") if isinstance(content, dict) else None
            raise InputError(f"training state {self.state} has version {found!r}, infgen needs {VERSION}; {_AGAIN}")
        missing = [name for name, kind in _KINDS.items() if not isinstance(content.get(name), kind)]
        if missing:
            raise InputError(f"training state {self.state} is damaged: it has no {', '.join(missing)}; {_AGAIN}")
        return content


def _with_scales(content: dict[str, Any]) -> dict[str, Any]:
    """A state of version 4, which knew one scale, as one of this version."""
    recipe, critic = content.get("recipe"), content.get("discriminator")
    if not isinstance(recipe, dict) or not isinstance(critic, dict) or not isinstance(content.get("path_mean"), Tensor):
        return content
    return content | {
        "version": VERSION,
        "ema": content.get("average"),
        "recipe": {**_ONE_SCALE_RECIPE, **recipe},
        "discriminators": {f"0.{name}": value for name, value in critic.items()},
        "path_mean": content["path_mean"].reshape(1),
        "augment_p": [content.get("augment_p")],
        "real_sign": [content.get("real_sign")],
    }


def _step_of(line: str) -> int:
    """The step of a log record, 0 for what is none: a crash can leave half a line."""
    try:
        record = json.loads(line) if line.endswith("\n") else None
    except (ValueError, RecursionError):
        return 0
    step = record.get("step") if isinstance(record, dict) else None
    return step if type(step) is int else 0


def _tuples(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) for name, value in recipe.items() if isinstance(value, list)}


def grow_from(state: "State", generator: Generator, *, source: str) -> None:
    """Start the generator of ``state`` and its average from ``generator``, grown where it has fewer levels or channels.

    Raises InputError where it cannot grow into that size. ``source``: what messages call it.
    """
    check_growth(generator.config, state.generator.config, source=source)
    grow(generator, state.generator)
    state.ema.load_state_dict(state.generator.state_dict())


def _check_finite(name: str, parameters: Iterable[Tensor], *, step: int) -> None:
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise DivergenceError(
            f"training diverged at step {step}: the {name} has weights that are not finite; the last checkpoint is "
            "kept, start another run with lower learning rates (--generator-rate, --discriminator-rate)"
        )


def _changes(saved: Mapping[str, Any], recipe: Recipe, names: Iterable[str] = ()) -> str:
    """What differs between the ``saved`` recipe and ``recipe``, of ``names`` or of everything."""
    asked = recipe.to_dict()
    return ", ".join(
        f"{name} {saved.get(name)!r} -> {asked.get(name)!r}"
        for name in names or dict.fromkeys((*asked, *saved))
        if saved.get(name) != asked.get(name)
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
