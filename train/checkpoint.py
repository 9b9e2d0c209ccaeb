"""The folder of a run: training state, log, sample sheets and EMA model. Every file in it is complete."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from infgen.atomic import TEMPORARY_PREFIX, write_atomically
from infgen.errors import DivergenceError, InfgenError, InputError, one_line
from infgen.lock import Lock, TakenError, check_free
from infgen.model.generator import Generator
from infgen.rendering.inspect import describe
from infgen.torch_file import load_torch_file
from infgen.train.growing import check_growth, grow
from infgen.train.log import Log, parse_step
from infgen.train.old_states import ADDED_LATER, ONE_SCALE, keep_summed_diversity, upgrade_one_scale
from infgen.train.presets import Recipe
from infgen.train.state_check import check_values
from infgen.world.document import parse_document, read_file

if TYPE_CHECKING:
    from infgen.train.state import TrainingState

VERSION = 5
_NETWORKS = ("generator", "ema", "discriminators")
_PARTS = (*_NETWORKS, "generator_optimizer", "discriminator_optimizer")
_NUMBERS = {"step": int, "augment_p": list, "real_sign": list, "best": dict}  # attributes stored unchanged
_TYPES = {"seed": int, "data": str, "recipe": dict, "path_mean": Tensor, **_NUMBERS, **dict.fromkeys(_PARTS, dict)}
_MAX_RECIPE = 2**20  # bytes; real files have about a thousand
_LOG_TAIL = 2**16  # bytes, about a hundred records
_GENERATOR = ("generator", "width", "coordinates", "structure", "padding")  # recipe values that size the generator
_START_AGAIN = "start again in another folder; --init MODEL.safetensors keeps the trained generator"


class RunFolder:
    """``runs/a``: ``state.pt``, ``model.safetensors``, ``log.jsonl``, ``recipe.json`` and ``samples/``.

    Options add ``best.safetensors`` (the best measured model) and ``tensorboard/``. ``lock`` allows one run at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state, self.model = path / "state.pt", path / "model.safetensors"
        self.best, self.tensorboard = path / "best.safetensors", path / "tensorboard"
        self.log_file, self.recipe, self.samples = path / "log.jsonl", path / "recipe.json", path / "samples"
        self._lock_file = path / "lock"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files and folders that training writes."""
        files = (self.state, self.model, self.best, self.log_file, self.recipe, self._lock_file)
        return (*files, self.samples, self.tensorboard)

    def check(self, *, resume: bool) -> None:
        """Raise InputError if a new run would overwrite one, no run can be resumed, or the folder is not writable."""
        parent = next(p for p in (self.path, *self.path.absolute().parents) if os.path.lexists(p))
        if not parent.is_dir():
            raise InputError(f"run folder {self.path} cannot be created: {parent} is not a folder; give another one")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(f"run folder {self.path} cannot be created: {parent} is not writable; give another one")
        if resume and not self.state.is_file():
            raise InputError(f"{self.path} holds no run to resume ({self.state.name} is missing); leave out --resume")
        if not resume and self.state.exists():
            raise InputError(f"{self.path} holds a run already; continue it with --resume or give another folder")

    def check_free(self) -> None:
        """Raise InputError if another process trains in this folder. Creates nothing."""
        if self.path.is_dir():
            with self._explain_lock_errors():
                check_free(self._lock_file)

    def lock(self) -> Lock:
        """Create the folder and lock it. Raises InputError if another process trains in it or it cannot be created.

        Deletes the temporary files of a killed process, which may be as large as a checkpoint.
        """
        with self._explain_lock_errors():
            self.path.mkdir(parents=True, exist_ok=True)
            lock = Lock(self._lock_file)
            for folder in (self.path, self.samples):
                for temporary in folder.glob(f"{TEMPORARY_PREFIX}*"):
                    temporary.unlink(missing_ok=True)
            return lock

    @contextmanager
    def _explain_lock_errors(self) -> Iterator[None]:
        """Turn errors of the lock into InputErrors that name the folder and a remedy."""
        try:
            yield
        except TakenError as error:
            raise InputError(
                f"run folder {self.path} is in use by process {error.owner}, which trains there; wait for it, stop it, or "
                "give another folder"
            ) from None
        except OSError as error:
            raise InputError(f"run folder {self.path} cannot be used ({error.strerror}); give another one") from None

    def keep_diversity(self, recipe: Recipe) -> Recipe:
        """Return ``recipe`` with the diversity loss of the run in this folder, see ``keep_summed_diversity``."""
        return keep_summed_diversity(recipe, self._read_recipe()) if self.recipe.is_file() else recipe

    def create(self, recipe: Recipe) -> None:
        """Create the folder of a new run. Raises InputError if that fails."""
        self.check(resume=False)
        self._make_folders()
        with write_atomically(self.recipe) as temporary:
            temporary.write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")

    def _make_folders(self) -> None:
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"run folder {self.path} cannot be created ({error.strerror}); give another one") from None

    def describe(self) -> dict[str, Any]:
        """Describe the run as JSON-ready values: recipe, last logged step, and EMA model (None before the first checkpoint).

        Raises InputError if the folder holds no run.
        """
        if not self.recipe.is_file():
            raise InputError(f"folder {self.path} holds no training run ({self.recipe.name} is missing); give another")
        model = describe(self.model) if self.model.is_file() else None
        return {"kind": "training run", "step": self._last_step(), "recipe": self._read_recipe(), "model": model}

    def _read_recipe(self) -> dict[str, Any]:
        """Read the recipe of the run. Raises InputError if it is damaged."""
        source = f"recipe {self.recipe}"
        return parse_document(read_file(self.recipe, what="recipe", limit=_MAX_RECIPE), kind="recipe", source=source)

    def _last_step(self) -> int:
        """Return the last step in the log, 0 if there is none."""
        if not self.log_file.is_file():
            return 0
        with self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - _LOG_TAIL))
            lines = file.read(_LOG_TAIL).decode(errors="replace").splitlines(keepends=True)
        return max(map(parse_step, lines), default=0)

    @contextmanager
    def log(self, *, from_step: int) -> Iterator[Log]:
        """Open the log for appending, without the records after ``from_step``: those steps will be repeated.

        Raises InfgenError if the log cannot be written.
        """
        kept = [line for line in self._read_lines() if 0 < parse_step(line) <= from_step]
        with write_atomically(self.log_file) as temporary:
            temporary.write_text("".join(kept))
        try:
            with self.log_file.open("a", buffering=1) as file:  # flushed line by line, for programs that follow it
                yield Log(file)
        except OSError as error:
            reason = f"{error.strerror}; free some disk space and continue with --resume"
            raise InfgenError(f"run folder {self.path} cannot be written: {reason}") from error

    def _read_lines(self) -> list[str]:
        if not self.log_file.is_file():
            return []
        return self.log_file.read_text(errors="replace").splitlines(keepends=True)

    def save(
        self,
        state: "TrainingState",
        recipe: Recipe,
        *,
        seed: int,
        data: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the training state and the EMA model, each complete or not at all.

        ``options``: further options of the run, which a resumed run takes over.

        The model is renamed first, so a state of the last step implies that its model exists. Raises DivergenceError,
        before anything is written, if a parameter is not finite, and InfgenError if the disk is full.
        """
        for name in _NETWORKS:
            _check_finite(name, getattr(state, name).parameters(), step=state.step)
        state.ema.update_mean_style()
        content: dict[str, Any] = {name: getattr(state, name).state_dict() for name in _PARTS}
        content |= {name: getattr(state, name) for name in _NUMBERS}
        content |= {"version": VERSION, "path_mean": state.path_mean}
        content |= {"recipe": recipe.to_dict(), "seed": seed, "data": data, "options": dict(options or {})}
        with self._explain_write_errors(), write_atomically(self.state) as temporary:
            torch.save(content, temporary)
            state.ema.save_pretrained(self.model)

    def save_best(self, state: "TrainingState") -> None:
        """Write the EMA model as the best one. Raises as ``save``."""
        _check_finite("ema", state.ema.parameters(), step=state.step)
        state.ema.update_mean_style()
        with self._explain_write_errors():
            state.ema.save_pretrained(self.best)

    @contextmanager
    def _explain_write_errors(self) -> Iterator[None]:
        """Turn the write errors of PyTorch and safetensors into an InfgenError of one line."""
        try:
            yield
        except (RuntimeError, SafetensorError) as error:
            reason = f"the disk did not accept it ({one_line(error)})"
            raise InfgenError(f"checkpoint in {self.path} was not written: {reason}; free some disk space") from error

    def read_options(self) -> tuple[Recipe, dict[str, Any]]:
        """Read the recipe and the options of the saved run: seed and what ``save`` got. Raises InputError as ``load``."""
        content = self._read_state()
        options = content.get("options", {})  # missing in older states
        try:
            recipe = Recipe(**{**content["recipe"], **_lists_to_tuples(content["recipe"])})
        except Exception as error:  # Recipe raises many kinds for values that it cannot have saved
            raise InputError(
                f"training state {self.state} has no usable recipe ({one_line(error)}); {_START_AGAIN}"
            ) from None
        return recipe, {**(options if isinstance(options, dict) else {}), "seed": content["seed"]}

    def load(self, state: "TrainingState", recipe: Recipe, *, seed: int, data: str) -> None:
        """Load the saved step into ``state``.

        Raises InputError if recipe, seed or photographs differ, naming them, and if the saved state is damaged.
        """
        content = self._read_state()
        changed = _list_changes(content["recipe"] | {"steps": recipe.steps}, recipe)  # a run's length may change
        if changed:
            raise InputError(f"{self.path} was trained with another recipe ({changed}); resume it unchanged")
        if content["seed"] != seed:
            raise InputError(
                f"{self.path} was trained with other seed ({content['seed']} before, {seed} now); resume it unchanged"
            )
        if content["data"] != data:
            raise InputError(
                f"{self.path} was trained with other photographs than there are now; restore them, or start a new run in "
                f"another folder with --init {self.path}"
            )
        try:
            check_values(content, state)
            for name in _PARTS:
                getattr(state, name).load_state_dict(content[name])
        except Exception as error:  # torch raises many kinds for states that do not match
            raise InputError(
                f"training state {self.state} does not match its recipe ({one_line(error)}); {_START_AGAIN}"
            ) from None
        self._make_folders()
        for name in _NUMBERS:
            setattr(state, name, content[name])
        state.path_mean = content["path_mean"].to(state.path_mean)

    def load_networks(self, state: "TrainingState", recipe: Recipe) -> None:
        """Load the networks saved here into ``state``, at step 0.

        Discriminators and the optimisers' averages are loaded too if their kind and size are equal, with the learning
        rates of ``recipe``. A generator with fewer levels or channels grows. Raises InputError if it cannot, and if the
        saved state is damaged.
        """
        content = self._read_state()
        if any(content["recipe"].get(k) != recipe.to_dict()[k] for k in _GENERATOR):
            grow_from(state, self._build_generator(content), source=str(self.path))
            return
        saved_recipe, new_recipe = content["recipe"], recipe.to_dict()
        keys = ("discriminator", "discriminator_width", "scales", "view")
        parts = _PARTS if all(saved_recipe.get(k) == new_recipe[k] for k in keys) else ("generator", "ema")
        try:
            for name in parts:
                part, saved = getattr(state, name), content[name]
                if isinstance(part, torch.optim.Optimizer):
                    saved = {**saved, "param_groups": part.state_dict()["param_groups"]}  # with the new learning rates
                part.load_state_dict(saved)
        except Exception as error:  # torch raises many kinds for states that do not match
            reason = _list_changes(saved_recipe, recipe, _GENERATOR) or one_line(error)
            raise InputError(
                f"the run in {self.path} does not match this recipe ({reason}); start from one of the same preset"
            ) from None

    def _build_generator(self, content: Mapping[str, Any]) -> Generator:
        """Build the EMA generator of a saved state. Raises InputError if the state is damaged."""
        try:
            recipe = Recipe(**{**content["recipe"], **_lists_to_tuples(content["recipe"])})
            generator = Generator(recipe.generator_config)
            generator.load_state_dict(content["ema"])
        except Exception as error:  # torch and Recipe raise many kinds for states that do not match
            raise InputError(
                f"training state {self.state} does not match its recipe ({one_line(error)}); {_START_AGAIN}"
            ) from None
        return generator

    def _read_state(self) -> dict[str, Any]:
        """Read and check the saved state. Raises InputError if it is missing, damaged or of an unknown version."""
        self.check(resume=True)
        try:
            content: dict[str, Any] = load_torch_file(self.state)
        except InputError:
            raise
        except Exception as error:  # torch raises many kinds for damaged and foreign files
            kind = type(error).__name__
            raise InputError(
                f"training state {self.state} is damaged or of another program ({kind}); {_START_AGAIN}"
            ) from None
        if isinstance(content, dict) and content.get("version") == ONE_SCALE:
            content = upgrade_one_scale(content, version=VERSION)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            found = content.get("version") if isinstance(content, dict) else None
            raise InputError(
                f"training state {self.state} has version {found!r}, infgen needs {VERSION}; {_START_AGAIN}"
            )
        missing = [name for name, kind in _TYPES.items() if not isinstance(content.get(name), kind)]
        if missing:
            raise InputError(f"training state {self.state} is damaged: it has no {', '.join(missing)}; {_START_AGAIN}")
        return content | {"recipe": ADDED_LATER | content["recipe"]}


def _lists_to_tuples(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) for name, value in recipe.items() if isinstance(value, list)}


def grow_from(state: "TrainingState", generator: Generator, *, source: str) -> None:
    """Load ``generator`` into the generator of ``state`` and its EMA, growing it if it has fewer levels or channels.

    Raises InputError if it cannot grow into that size. Messages call it ``source``.
    """
    check_growth(generator.config, state.generator.config, source=source)
    grow(generator, state.generator)
    state.ema.load_state_dict(state.generator.state_dict())


def _check_finite(name: str, parameters: Iterable[Tensor], *, step: int) -> None:
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise DivergenceError(
            f"training diverged at step {step}: the {name} has weights that are not finite; start another run "
            "with lower learning rates (--generator-rate, --discriminator-rate)"
        )


def _list_changes(saved: Mapping[str, Any], recipe: Recipe, names: Iterable[str] = ()) -> str:
    """List the values that differ between the ``saved`` recipe and ``recipe``: those of ``names``, or all."""
    current = recipe.to_dict()
    return ", ".join(
        f"{name} {saved.get(name)!r} -> {current.get(name)!r}"
        for name in names or dict.fromkeys((*current, *saved))
        if saved.get(name) != current.get(name)
    )
