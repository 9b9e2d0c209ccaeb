"""One measured value, and what it was measured on."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

# Whose pictures a value is about: the columns of a report.
MODEL, OTHER, FLOOR = "model", "other", "floor"


def fused_column(styles: int) -> str:
    """The column of worlds of ``styles`` styles."""
    return "1 style" if styles == 1 else f"{styles} styles"


@dataclass(frozen=True)
class Measurement:
    """One value. ``scale``: of a ScaleInv distance, see ``Request``; 1 elsewhere. ``deviation``: over subsets or splits.

    ``at``, ``view_px``, ``patch_px``: name, view and patch of the model's scale, where a model has several. ``column``: whose
    pictures: of the model, the other model, worlds of several styles, or photographs. ``enlarged``: by how much pictures were
    enlarged after drawing, where the other model lacks the scale; below 1 they were shrunk.
    """

    metric: str
    label: str
    _: KW_ONLY
    value: float
    better: str
    scale: int = 1
    deviation: float | None = None
    detail: Mapping[str, float | int] | None = None
    at: str | None = None
    view_px: int | None = None
    patch_px: int | None = None
    column: str = MODEL
    enlarged: float | None = None


@dataclass(frozen=True)
class ScaleRecord:
    """The photographs of one scale. ``too_small``: those that are usable at the coarsest scale and have no view of this one."""

    name: str
    _: KW_ONLY
    view_px: int
    patch_px: int
    photographs: int
    too_small: int
    fingerprint: str
