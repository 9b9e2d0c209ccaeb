"""The result of an evaluation: all measured values and everything they depend on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infgen.train.evaluation.measurement import MODEL, Measurement, ScaleRecord
from infgen.train.evaluation.request import Protocol

# Entries that most reports and values do without, and what they then are.
_OF_SOME_REPORTS: Mapping[str, Any] = {"scales": (), "other": None, "other_hash": None, "protocol": "patches"}
_OF_SOME_VALUES: Mapping[str, Any] = {"at": None, "view_px": None, "patch_px": None, "column": MODEL, "enlarged": None}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All values of one evaluation and everything they depend on.

    ``scales``: coarsest first, of a model with several; ``photographs``, ``view_px`` and so on are then those of the coarsest.
    """

    measurements: tuple[Measurement, ...]
    n: int
    seed: int
    precision: str
    photographs: int
    fingerprint: str
    view_px: int
    patch_px: int
    weights: Mapping[str, str]  # feature network -> hash of its weights
    versions: Mapping[str, str]
    seconds: float
    notes: tuple[str, ...] = ()
    model: str | None = None
    model_hash: str | None = None
    scales: tuple[ScaleRecord, ...] = ()
    other: str | None = None
    other_hash: str | None = None
    protocol: Protocol = "patches"

    def value(self, metric: str, *, scale: int = 1, at: str | None = None, column: str = MODEL) -> float:
        """The value of ``metric`` at ``scale``. Raises KeyError where it was not measured.

        ``at``: name of a scale of the model; None: the one that a model without scales has, or the coarsest that was measured.
        """
        for m in self.measurements:
            if (m.metric, m.scale, m.column) == (metric, scale, column) and at in (None, m.at):
                return m.value
        raise KeyError(f"{metric} at scale {scale if at is None else at}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping. What only some reports have is left out where it is empty."""
        everything = asdict(self)
        everything["measurements"] = [_without(m, _OF_SOME_VALUES) for m in everything["measurements"]]
        return _without(everything, _OF_SOME_REPORTS)


def _without(entries: Mapping[str, Any], empty: Mapping[str, Any]) -> dict[str, Any]:
    """``entries`` without those that have the value of ``empty``."""
    return {name: value for name, value in entries.items() if name not in empty or value != empty[name]}
