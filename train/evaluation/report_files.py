"""The files of an evaluation: all values as JSON, and the Frechet distances as a figure."""

import json
from pathlib import Path

from infgen.atomic import check_output, write_atomically
from infgen.errors import InputError
from infgen.train.evaluation.presentation import report_figure
from infgen.train.evaluation.report import Report

REPORT_FILE, PICTURE_FILE = FILES = "report.json", "report.png"


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write ``report.json`` and, if a distance was measured, ``report.png``, each completely or not at all.

    Returns the paths. Raises InputError if the folder cannot be used, MissingExtraError without matplotlib.
    """
    figure = report_figure(report)  # first: a missing package leaves no half of a report
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / REPORT_FILE]
    with write_atomically(files[0]) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    if figure is not None:
        files.append(folder / PICTURE_FILE)
        with write_atomically(files[1]) as temporary:
            figure.savefig(temporary, format="png")
    return tuple(files)


def check_folder(folder: Path) -> None:
    """Raise InputError where reports cannot be written into ``folder``, which need not exist."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"report folder {folder} is not a folder; give another one")
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"report folder {folder} cannot be made: {place} is not a folder; give another one")
    for name in FILES if place == folder else (folder.name,):
        check_output(place / name)
