"""The value of --seed: any 64-bit integer, or "random"."""

import secrets
from typing import Any

import click

from infgen.errors import LimitError

RANDOM = "random"


class SeedType(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A seed. "random" is replaced by a random seed, which is printed so that the picture can be made again."""

    name = "seed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seed. Raises LimitError beyond 64 bits."""
        if isinstance(value, int):
            return self._check(value, param)
        if str(value).strip().lower() == RANDOM:
            seed = secrets.randbits(63)
            click.echo(f"seed {seed}", err=True)
            return seed
        try:
            return self._check(int(value), param)
        except ValueError:
            self.fail(f"{value!r} is not a seed; give a whole number of 64 bits, or {RANDOM}", param, ctx)

    def _check(self, seed: int, param: click.Parameter | None) -> int:
        if not -(2**63) <= seed < 2**64:
            name = "seed" if param is None else max(param.opts, key=len)
            raise LimitError(f"{name} is {seed}; allowed are 64-bit integers, -2^63 to 2^64 - 1, or {RANDOM}")
        return seed


SEED = SeedType()
