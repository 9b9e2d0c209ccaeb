"""A report for people: tables, and a picture of its Frechet distances."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from infgen.extras import require_extra
from infgen.train.evaluation.measurement import FLOOR, MODEL, OTHER, Measurement
from infgen.train.evaluation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# ScaleInv FID of InfinityGAN on Flickr-Landscape beyond the size of training (paper, Table 1): other photographs and more
# of them. Drawn for orientation beside a ScaleInv FID in the paper's protocol, and only there.
PAPER_SCALEINV_FID = ((4, 61.41), (8, 121.18))
PANEL_INCHES = (6, 4)


def report_tables(report: Report) -> tuple[Table, ...]:
    """The values of ``report``, a row for each metric and scale.

    Where there are several columns, distances have a table with all of them, and what is measured of MODEL alone another one.
    """
    title = f"{report.model or 'model'}, N = {report.n}, {report.photographs} photographs"
    title += f", whole views of {report.view_px} px" if report.protocol == "paper" else ""
    several = {m.metric for m in report.measurements if m.column != MODEL}
    beside = [m for m in report.measurements if m.metric in several]
    alone = [m for m in report.measurements if m.metric not in several]
    tables = [_table(report, beside, several=True)] if beside else []
    tables += [_table(report, alone, several=False)] if alone else []
    tables[0].title, tables[-1].caption = title, _photographs(report)
    return tuple(tables)


def _table(report: Report, measurements: Sequence[Measurement], *, several: bool) -> Table:
    """One table: with a column for each model or kind of pictures, or with what is better and details."""
    columns = list(dict.fromkeys(m.column for m in measurements))
    ends = () if several else ("better", "detail")
    table = Table(title_justify="left", caption_justify="left")
    for heading in ("metric", "scale", *(("view",) if report.scales else ())):
        table.add_column(heading, justify="right" if heading == "scale" else "left", overflow="fold")
    for column in columns:
        table.add_column(_heading(report, column) if several else "value", justify="right", overflow="fold")
    for heading in ends:
        table.add_column(heading)
    rows: dict[tuple[str, str | None, int], dict[str, Measurement]] = {}
    for m in measurements:
        rows.setdefault((m.metric, m.at, m.scale), {})[m.column] = m
    for row in rows.values():
        values = ["" if column not in row else _value(row[column]) for column in columns]
        first = next(iter(row.values()))
        view = (_view(report, first),) if report.scales else ()
        label = first.label if ends or first.better == "lower" else f"{first.label} ({first.better} is better)"
        table.add_row(label, _scale(first), *view, *values, *((first.better, _detail(first)) if ends else ()))
    return table


def _photographs(report: Report) -> str | None:
    """How many photographs take part at each scale; None for a model with one scale."""
    parts = [
        f"{s.name}: {s.photographs}" + (f" ({s.too_small} too small)" if s.too_small else "") for s in report.scales
    ]
    return "photographs at " + ", ".join(parts) if parts else None


def _heading(report: Report, column: str) -> str:
    names = {MODEL: report.model or "model", OTHER: report.other or "other model"}
    return names.get(column, column)


def _value(m: Measurement) -> str:
    spread = "" if m.deviation is None else f" ± {m.deviation:.3g}"
    return f"{m.value:.4g}{spread}{_describe_resize(m)}"


def _describe_resize(m: Measurement) -> str:
    if m.enlarged is None:
        return ""
    return f" (enlarged x{m.enlarged:.3g})" if m.enlarged > 1 else f" (shrunk x{1 / m.enlarged:.3g})"


def _scale(m: Measurement) -> str:
    if m.at is None:
        return f"{m.scale}x"
    return m.at if not m.metric.startswith("scaleinv-") else f"{m.at}, {_views(m.scale)}"


def _views(scale: int) -> str:
    return "1 view wide" if scale == 1 else f"{scale} views wide"


def _view(report: Report, m: Measurement) -> str:
    """Patch and view of a value, px; those of the coarsest scale are whole views, but for what is no whole cell."""
    if m.at is None:
        return ""
    sizes = f"{m.patch_px} of {m.view_px} px"
    return f"{sizes}, whole" if m.at == report.scales[0].name else sizes


def _detail(m: Measurement) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in (m.detail or {}).items())


def report_figure(report: Report) -> "Figure | None":
    """Frechet distances over the scale of the pictures, one curve for each metric and column; None where none was measured.

    For a model with several scales ScaleInv distances have a panel of their own. Raises MissingExtraError without matplotlib.
    """
    distances = [m for m in report.measurements if m.metric.endswith(("fid", "fd-vgg", "fd-effnet"))]
    if not distances:
        return None
    with require_extra("train", "the figure of a report"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    wide = [m for m in distances if report.scales and m.metric.startswith("scaleinv-")]
    panels: list[tuple[Sequence[Measurement], Callable[[Axes, Report, Sequence[Measurement]], None]]] = [
        ([m for m in distances if m not in wide], _over_scales if report.scales else _over_factors),
        (wide, _over_widths),
    ]
    panels = [(values, draw) for values, draw in panels if values]
    figure = Figure(figsize=(PANEL_INCHES[0] * len(panels), PANEL_INCHES[1]), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (values, draw) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, report, values)
        axes.set(ylabel="Frechet distance (lower is better)")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure


def _over_factors(axes: "Axes", report: Report, distances: Sequence[Measurement]) -> None:
    """Over the factors of ScaleInv distances, of a model with one scale."""
    points = _curves(axes, report, distances, lambda m: m.scale)
    what = "whole views" if report.protocol == "paper" else "patches"
    if report.protocol == "paper" and any(m.metric == "scaleinv-fid" for m in distances):
        points |= {scale for scale, _ in PAPER_SCALEINV_FID}
        axes.plot(
            *zip(*PAPER_SCALEINV_FID, strict=True), "k--", marker="s", label="paper, Table 1 (its own photographs)"
        )
    _ticks(axes, points)
    axes.set(xlabel="scale of the picture", title=f"N = {report.n}, {what} of {report.patch_px} px")


def _over_scales(axes: "Axes", report: Report, distances: Sequence[Measurement]) -> None:
    """Over the scales of a model with several."""
    names = [scale.name for scale in report.scales]
    _curves(axes, report, distances, lambda m: names.index(m.at or names[0]))
    labels = [f"{s.name}\n{s.patch_px} of {s.view_px} px" for s in report.scales]
    axes.set_xticks(range(len(names)), [f"{labels[0]}, whole", *labels[1:]])
    axes.set(xlabel="scale, patch of view", title=f"N = {report.n}")


def _over_widths(axes: "Axes", report: Report, distances: Sequence[Measurement]) -> None:
    """Over the width of windows that are shrunk to the coarsest scale."""
    _ticks(axes, _curves(axes, report, distances, lambda m: m.scale))
    axes.set(xlabel="width of the window in views", title=f"drawn at full size, shrunk to {report.view_px} px")


def _curves(
    axes: "Axes", report: Report, distances: Sequence[Measurement], position: Callable[[Measurement], int]
) -> set[int]:
    """Draw one curve for each metric and column; returns all positions."""
    curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for m in distances:
        curves.setdefault((m.label, m.column), []).append((position(m), m.value))
    for (label, column), points in curves.items():
        name = label if column == MODEL else f"{label}, {_heading(report, column)}"
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name, linestyle=":" if column == FLOOR else "-")
    return {place for points in curves.values() for place, _ in points}


def _ticks(axes: "Axes", scales: Iterable[int]) -> None:
    shown = sorted(scales)
    axes.set_xscale("log", base=2)
    axes.set_xticks(shown, [f"{s}x" for s in shown])
