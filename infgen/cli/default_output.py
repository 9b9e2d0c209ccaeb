"""Choose the name of an output that the user did not name, and hold it until the command ends."""

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from infgen.lock import TakenError, lock_name
from infgen.rendering.output_names import free_path


def default_path(
    stem: str, suffix: str = "", *, companions: Callable[[Path], Iterable[Path]] = lambda path: ()
) -> Path:
    """Return a name like ``free_path`` that no other running command has chosen either. Raises InputError like it."""
    return free_path(stem, suffix, companions=companions, claim=_claim)


def _claim(path: Path) -> bool:
    """Hold the name ``path`` for the running command. Returns False if another process holds it."""
    try:
        click.get_current_context().with_resource(lock_name(path))
    except TakenError:
        return False
    except OSError:
        pass  # the folder has no locks; the output's own checks say whether it can be written
    return True
