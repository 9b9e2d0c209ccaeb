"""The result of an evaluation: a record, its file, a table and a picture."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from infgen.atomic import check_output, write_atomically
from infgen.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# ScaleInv FID of InfinityGAN on Flickr-Landscape beyond the size of training (paper, Table 1): other photographs and more
# of them, and whole views instead of patches. Drawn for orientation beside a ScaleInv FID, and only there.
PAPER_SCALEINV_FID = ((4, 61.41), (8, 121.18))

REPORT_FILE, PICTURE_FILE = "report.json", "report.png"


@dataclass(frozen=True)
class Measurement:
    """One value. ``scale``: of the pictures, 1 is a training patch. ``deviation``: over subsets or splits, where there are."""

    metric: str
    label: str
    value: float
    better: str
    scale: int = 1
    deviation: float | None = None
    detail: Mapping[str, float | int] | None = None


@dataclass(frozen=True)
class Report:
    """All values of one evaluation and everything they depend on."""

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

    def value(self, metric: str, *, scale: int = 1) -> float:
        """The value of ``metric`` at ``scale``. Raises KeyError where it was not measured."""
        for m in self.measurements:
            if (m.metric, m.scale) == (metric, scale):
                return m.value
        raise KeyError(f"{metric} at scale {scale}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)

    def table(self) -> Table:
        """The values for people."""
        table = Table(
            title=f"{self.model or 'model'}, N = {self.n}, {self.photographs} photographs", title_justify="left"
        )
        for heading in ("metric", "scale", "value", "better", "detail"):
            table.add_column(heading, justify="right" if heading in ("scale", "value") else "left")
        for m in self.measurements:
            spread = "" if m.deviation is None else f" ± {m.deviation:.3g}"
            detail = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in (m.detail or {}).items())
            table.add_row(m.label, f"{m.scale}x", f"{m.value:.4g}{spread}", m.better, detail)
        return table

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write ``report.json`` and, where a distance was measured, ``report.png``, each whole or not at all.

        Raises InputError where the folder cannot be used, MissingExtraError where matplotlib is missing.
        """
        figure = self._figure()  # first: a missing package leaves no half of a report
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / REPORT_FILE]
        with write_atomically(files[0]) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        if figure is not None:
            files.append(folder / PICTURE_FILE)
            with write_atomically(files[1]) as temporary:
                figure.savefig(temporary, format="png")
        return tuple(files)

    def _figure(self) -> "Figure | None":
        """Frechet distances over the scale of the pictures, one curve each; None where none was measured."""
        curves: dict[str, list[tuple[int, float]]] = {}
        for m in self.measurements:
            if m.metric.endswith(("fid", "fd-vgg", "fd-effnet")):
                curves.setdefault(m.label, []).append((m.scale, m.value))
        if not curves:
            return None
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError(
                "a report's picture needs matplotlib, which is not installed; run: pip install 'infgen[train]'"
            ) from None
        figure = Figure(figsize=(6, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(xlabel="scale of the picture", ylabel="Frechet distance (lower is better)")
        for label, points in curves.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
        if any(m.metric == "scaleinv-fid" for m in self.measurements):
            curves["paper"] = list(PAPER_SCALEINV_FID)
            axes.plot(
                *zip(*PAPER_SCALEINV_FID, strict=True), "k--", marker="s", label="paper, Table 1 (its own photographs)"
            )
        scales = sorted({scale for points in curves.values() for scale, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(scales, [f"{s}x" for s in scales])
        axes.set_ylim(bottom=0)
        axes.set_title(f"N = {self.n}, patches of {self.patch_px} px")
        axes.legend()
        return figure


def check_folder(folder: Path) -> None:
    """Raise InputError where reports cannot be written into ``folder``, which need not exist."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"report folder {folder} is not a folder; give another one")
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"report folder {folder} cannot be made: {place} is not a folder; give another one")
    for name in (REPORT_FILE, PICTURE_FILE) if place == folder else (folder.name,):
        check_output(place / name)
