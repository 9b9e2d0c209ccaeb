"""Show measurements as tables for people and as a JSON document for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from infgen.bench.batches import BatchRequest, BatchRow
from infgen.bench.configurations import Configuration, Request
from infgen.bench.render import Row
from infgen.bench.writing import Written
from infgen.version import __version__

SCHEMA = 1
NONE = "-"


def expected_seconds(configurations: Sequence[Configuration], request: Request) -> float:
    """Estimate the shortest time of all measurements, in seconds.

    The estimates are for one style, and starting processes takes additional time.
    """
    renders = len(request.styles) * (1 + request.repeats + request.fresh) + 2 * request.repeats * len(request.write)
    return renders * sum(configuration.preflight.seconds for configuration in configurations)


def render_table(rows: Sequence[Row], request: Request) -> Table:
    """Build a table with one line per engine, precision and number of styles."""
    against = f"vs {request.styles[0]}"
    title = f"{request.side} x {request.side} px, {request.repeats} renders of each"
    table = Table("engine", "precision", title=title, box=SIMPLE_HEAD)
    right = ("styles", "tiles", "seconds", "Mpx/s", "GFLOP", "GFLOP/s", "bound", "share", against, "mean")
    for heading in (*right, "first tile", "peak MiB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.engine,
            row.precision,
            str(row.styles),
            f"{row.tiles} x {row.tile_px[0]}",
            f"{row.seconds:.3g}",
            f"{row.pixels_per_second / 1e6:.3g}",
            f"{row.flops / 1e9:.4g}",
            f"{row.flops_per_second / 1e9:.3g}",
            f"{row.convolution / 1e9:.3g}",
            f"{row.share:.2f}",
            f"{row.ratio.median:.3f}",
            f"{row.ratio.mean:.3f}",
            NONE if row.first_tile is None else f"{row.first_tile:.2f}",
            NONE if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.0f}",
        )
    return table


def batch_table(rows: Sequence[BatchRow], request: BatchRequest) -> Table:
    """Build a table with one line per way to compute the image, and its speed against the first way."""
    table = Table("image in", title=f"{request.side} x {request.side} px, {request.precision}", box=SIMPLE_HEAD)
    for heading in ("batch", "devices", "tiles", "seconds", "vs first", "GFLOP", "GFLOP/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    first = rows[0].seconds
    for row in rows:
        found = (row.reason, NONE, NONE)
        if row.seconds is not None:
            ratio = NONE if first is None else f"{row.seconds / first:.2f}"
            found = (f"{row.seconds:.3g}", ratio, f"{row.flops / row.seconds / 1e9:.3g}")
        tiles, gflop = f"{row.tiles} x {row.tile_px}", f"{row.flops / 1e9:.4g}"
        table.add_row(row.kind, str(row.batch), str(row.devices), tiles, *found[:2], gflop, found[2])
    return table


def batch_document(rows: Sequence[BatchRow], request: BatchRequest, *, machine: str) -> dict[str, Any]:
    """Collect the rows as values for JSON: times in seconds, flops in operations."""
    options = asdict(request) | {"model": request.model.name}
    return {
        "schema": SCHEMA,
        "infgen": __version__,
        "machine": machine,
        "options": options,
        "rows": [asdict(row) for row in rows],
    }


def writing_table(found: Sequence[Written]) -> Table:
    """Build a table with one line per engine, precision and file format."""
    table = Table("engine", "precision", "format", title="with and without a file", box=SIMPLE_HEAD)
    for heading in ("styles", "computing s", "with file s", "ratio", "mean"):
        table.add_column(heading, justify="right")
    for w in found:
        times = (f"{w.computing:.3g}", f"{w.writing:.3g}", f"{w.ratio.median:.3f}", f"{w.ratio.mean:.3f}")
        table.add_row(w.engine, w.precision, w.file_format, str(w.styles), *times)
    return table


def document(
    rows: Sequence[Row],
    written: Sequence[Written],
    configurations: Sequence[Configuration],
    *,
    request: Request,
    machine: str,
) -> dict[str, Any]:
    """Collect everything as values for JSON: times in seconds, memory in bytes, rates per second."""
    options = asdict(request) | {"model": request.model.name}
    studio = next(iter(configurations[0].studios.values()))
    return {
        "schema": SCHEMA,
        "infgen": __version__,
        "machine": machine,
        "model_sha256": studio.model_hash,
        "device": str(studio.scene.engine.device),
        "options": options,
        "rows": [
            asdict(row) | {"pixels_per_second": row.pixels_per_second, "flops_per_second": row.flops_per_second}
            for row in rows
        ],
        "writing": [asdict(w) for w in written],
    }
