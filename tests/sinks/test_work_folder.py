"""Test the work folder: lock, kept files, and refusals to resume."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infgen.errors import InputError
from infgen.sinks import Grid, check_picture, find_unfinished, open_sink
from infgen.sinks.files import work_folder
from infgen.sinks.files.work_folder import differences, folder_of
from tests.sinks.pictures import GRID, PROVENANCE, begin, finish, names, noise, whole, write

UNFINISHED = r"\Aan unfinished render of \S*a\.png exists \(7 of 25 tiles\); add --resume [^\n]*--restart[^\n]*\Z"


def refusal(
    path: Path, *, provenance: dict[str, Any] = PROVENANCE, grid: Grid = GRID, start: work_folder.Start = "resume"
) -> str:
    with pytest.raises(InputError) as caught:
        open_sink(path, grid, provenance, start=start)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unfinished_picture_states_its_number_of_tiles(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    assert find_unfinished(tmp_path / "a.png") == (7, 25)


def test_where_there_is_nothing_nothing_is_unfinished(tmp_path: Path) -> None:
    assert find_unfinished(tmp_path / "a.png") is None


@pytest.mark.parametrize("check", [check_picture, lambda path, grid: open_sink(path, grid, PROVENANCE)])
def test_a_new_start_over_an_unfinished_picture_is_refused(check: Any, tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    with pytest.raises(InputError, match=UNFINISHED):
        check(tmp_path / "a.png", GRID)


def test_a_refused_start_keeps_the_unfinished_picture(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    refusal(tmp_path / "a.png", start="new")
    assert finish(tmp_path / "a.png") == frozenset(range(7))


def test_restart_begins_anew(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    assert finish(tmp_path / "a.png", start="restart", provenance={**PROVENANCE, "batch": 9}) == frozenset()


def test_resume_without_anything_to_resume_begins_anew(tmp_path: Path) -> None:
    assert finish(tmp_path / "a.png") == frozenset()


def test_a_work_folder_without_a_finished_tile_is_replaced(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a.png")
    folder.mkdir()
    (folder / "recipe.json").write_text("{")
    (folder / "canvas").write_bytes(b"junk")
    (folder / "picture_files").mkdir()
    finish(tmp_path / "a.png", start="new")
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"world": {"seed": 2}}, "world.seed was 1 and is 2"),
        ({"infgen": "2.0"}, 'infgen was "1.2.3" and is "2.0"'),
        ({"tile": [64, 64]}, "tile was [64, 48] and is [64, 64]"),
        ({"batch": 2}, "batch was absent and is 2"),
        ({"world": None}, 'world was {"seed": 1} and is null'),
    ],
)
def test_another_provenance_is_refused_by_name(change: dict[str, Any], phrase: str, tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    text = refusal(tmp_path / "a.png", provenance={**PROVENANCE, **change})
    assert text == f"cannot resume {tmp_path / 'a.png'}: {phrase}; give the same options, or --restart"


def test_all_differences_are_named(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    text = refusal(tmp_path / "a.png", provenance={"infgen": "2.0", "world": {"seed": 2}, "tile": [1, 1]})
    assert text.count(" was ") == 3


def test_another_tiling_is_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    text = refusal(tmp_path / "a.png", grid=Grid(300, 200, 64, 64))
    assert "grid.step_y was 48 and is 64" in text


def test_a_long_value_is_shortened() -> None:
    assert len(next(differences({"sha": "0" * 500}, {"sha": "1" * 500}))) < 120


def test_tuples_and_lists_are_the_same_provenance(tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7), provenance={**PROVENANCE, "tile": (64, 48)})
    assert finish(tmp_path / "a.png") == frozenset(range(7))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 10**5, '{"recipe": {}}', "\ufffd"])
def test_a_damaged_provenance_is_refused_by_name(text: str, tmp_path: Path) -> None:
    begin(tmp_path / "a.png", range(7))
    (folder_of(tmp_path / "a.png") / "recipe.json").write_text(text)
    message = refusal(tmp_path / "a.png")
    assert "recipe.json is damaged" in message
    assert "--restart" in message


def test_the_provenance_is_written_before_the_first_tile(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE):
        document = json.loads((folder_of(tmp_path / "a.png") / "recipe.json").read_text())
    assert document["recipe"] == PROVENANCE


@pytest.mark.parametrize("start", ["new", "resume", "restart"])
def test_a_picture_in_progress_is_refused_by_the_process_that_writes_it(
    start: work_folder.Start, tmp_path: Path
) -> None:
    message = f"is being written by process {os.getpid()}"
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE):
        assert message in refusal(tmp_path / "a.png", start=start)
        with pytest.raises(InputError, match=message):
            check_picture(tmp_path / "a.png", GRID, start=start)


def test_the_writer_is_not_disturbed_by_others_that_are_refused(tmp_path: Path) -> None:
    with open_sink(tmp_path / "a.png", GRID, PROVENANCE) as sink:
        write(sink, noise(), numbers=range(7))
        refusal(tmp_path / "a.png", start="restart")
        write(sink, noise())
        sink.finish()
    assert (whole(tmp_path / "a.png") == noise()).all()


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import os, sys; from tests.sinks.pictures import *\n"
        "sink = open_sink(sys.argv[1], GRID, PROVENANCE); write(sink, noise(), numbers=range(7)); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False)
    finish(tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]


def test_the_name_of_the_work_folder_fits_where_the_longest_name_fits(tmp_path: Path) -> None:
    name = "n" * 251 + ".png"
    begin(tmp_path / name, range(7))
    assert finish(tmp_path / name) == frozenset(range(7))


def test_a_symbolic_link_has_its_work_folder_next_to_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "there" / "real.png")
    begin(tmp_path / "link.png", range(7))
    assert find_unfinished(tmp_path / "there" / "real.png") == find_unfinished(tmp_path / "link.png") == (7, 25)
    assert names(tmp_path / "there") == [".real.png.infgen"]


def test_a_work_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path / "a.png").write_text("a file")
    assert "cannot be used: Not a directory; remove it" in refusal(tmp_path / "a.png")
