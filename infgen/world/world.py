"""``World``: one implicit image as a small, versioned JSON document. Together with a model it fixes every pixel there is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from infgen.atomic import write_atomically
from infgen.world.document import PX_LIMIT, Document, Mix, Seed, VersionedDocument, checked
from infgen.world.layout import ResolvedLayout

if TYPE_CHECKING:  # rendering imports worlds
    from infgen.rendering.render import Pixels
    from infgen.rendering.view import View

__all__ = ["PX_LIMIT", "Mix", "StyleSource", "World"]

Finite = Annotated[float, Field(allow_inf_nan=False)]


class StyleSource(Document):
    """Where a style comes from."""

    seed: Seed | None = None
    """Draw the style from this seed instead of the world's own."""
    mix: Mix | None = None
    """Take the finer texture rows from another seed."""


class World(VersionedDocument):
    """One implicit image: together with a model it fixes every pixel."""

    kind = "world"

    seed: Seed = 0
    """Any 64-bit integer: local latents, noises and, unless style or layout say otherwise, the look."""
    style: StyleSource = StyleSource()
    """The one style of the whole image."""
    layout: ResolvedLayout | None = None
    """Several styles, each at its places; instead of style."""
    truncation: Annotated[Finite, Field(ge=-2, le=2)] = 1.0
    """1: styles as drawn, 0: the mean style."""
    noise: Annotated[Finite, Field(ge=0, le=10)] = 1.0
    """Multiplies the learnt strengths of fine noise."""
    period: Annotated[int, Field(strict=True, ge=1, le=PX_LIMIT)] | None = None
    """The image repeats along x after so many px, a multiple of the model's cell."""

    @model_validator(mode="after")
    def _one_look(self) -> Self:
        if self.layout is not None and self.style != StyleSource():
            raise ValueError("style beside layout would change nothing; leave one out")
        return self

    @property
    def style_seed(self) -> int:
        """Seed of the style's latent, where there is no layout."""
        return self.seed if self.style.seed is None else self.style.seed

    def changed(
        self,
        *,
        style_seed: int | None = None,
        mix_seed: int | None = None,
        crossover: int | None = None,
        **values: object,
    ) -> Self:
        """The world with some values replaced; None leaves a value as it is. Raises WorldError for illegal values."""
        document = self.model_dump(by_alias=True, exclude={"layout"}) | {"layout": self.layout}
        document |= {k: v for k, v in values.items() if v is not None}
        if style_seed is not None:
            document["style"]["seed"] = style_seed
        if mix_seed is not None or crossover is not None:
            mix = document["style"]["mix"] or {}
            changes = {"seed": mix_seed, "crossover": crossover}
            document["style"]["mix"] = mix | {k: v for k, v in changes.items() if v is not None}
        return self.create(**document)

    @classmethod
    def create(cls, **values: object) -> Self:
        """A world from keyword values. Raises WorldError with one line for the first illegal one."""
        return checked(cls, values, source=cls.kind)

    def save(self, path: Path) -> None:
        """Write the document to ``path``, whole or not at all."""
        with write_atomically(path) as temporary:
            temporary.write_text(self.to_json() + "\n")

    def render(self, x: int, y: int, w: int, h: int, *, model: str | Path | None = None, **options: Any) -> "Pixels":
        """The pixels of the window of ``w`` x ``h`` px at (``x``, ``y``), (h, w, 3) uint8.

        ``model``: a file or hub id, None the shipped one. ``options``: those of ``infgen.rendering.job.Options``. Raises
        InputError for an impossible window, model or option.
        """
        return self.view(x, y, w, h, model=model, **options)[...]

    def view(self, x: int, y: int, w: int, h: int, *, model: str | Path | None = None, **options: Any) -> "View":
        """The same window as an array that is drawn where it is looked at: ``view[y0:y1, x0:x1]``."""
        from infgen.rendering.job import Options
        from infgen.rendering.plan import Region
        from infgen.rendering.view import View, studio_of

        return View(studio_of(self, model=model, options=Options(**options)), Region(x, y, w, h))

    def to_dask(self, x: int, y: int, w: int, h: int, *, model: str | Path | None = None, **options: Any) -> Any:
        """The same window as a lazy ``dask.array`` (h, w, 3) uint8. Raises MissingExtraError without dask."""
        return self.view(x, y, w, h, model=model, **options).to_dask()
