"""``infgen bench render`` as people call it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infgen.bench import render as bench_render
from infgen.bench.cold_start import ColdStart
from infgen.cli.bench import command
from infgen.cli.main import main
from infgen.errors import InputError

SMALL = ("--side", 150, "--tile", 101, "--style-counts", "1,3", "--repeats", 2)


def bench(*words: object) -> Result:
    return CliRunner().invoke(command, ["render", *map(str, words)], catch_exceptions=False)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The report of a small run: two precisions, one and three styles, with files."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    result = bench("--random-weights", "tiny", *SMALL, "--no-memory", "--write", "png,tiff", "--output", path)
    assert result.exit_code == 0
    return {**json.loads(path.read_text()), "stdout": result.stdout, "stderr": result.stderr}


def test_there_is_a_row_for_every_engine_precision_and_number_of_styles(document: dict):
    keys = [(row["engine"], row["precision"], row["styles"]) for row in document["rows"]]
    assert keys == [("eager", p, k) for p in ("fp32", "bf16") for k in (1, 3)]


def test_every_tile_of_every_repeat_was_timed(document: dict):
    assert all(len(row["tile_seconds"]) == 2 * row["tiles"] == 8 for row in document["rows"])


def test_the_ratio_of_the_first_number_of_styles_is_one(document: dict):
    assert all(row["ratio"] == {"median": 1.0, "mean": 1.0} for row in document["rows"] if row["styles"] == 1)


def test_rates_are_work_by_time(document: dict):
    for row in document["rows"]:
        assert row["flops_per_second"] == pytest.approx(row["flops"] / row["seconds"])
        assert row["pixels_per_second"] == pytest.approx(150 * 150 / row["seconds"])


def test_the_document_records_the_measurement_settings(document: dict):
    assert document["schema"] == 1
    assert "PyTorch" in document["machine"]
    assert document["options"]["tile_px"] == 101
    assert len(document["model_sha256"]) == 64


def test_every_format_was_written_with_the_first_number_of_styles(document: dict):
    keys = [(w["file_format"], w["precision"], w["styles"]) for w in document["writing"]]
    assert keys == [(f, p, 1) for p in ("fp32", "bf16") for f in ("png", "tiff")]


def test_the_table_goes_to_standard_output_and_progress_to_standard_error(document: dict):
    assert "vs 1" in document["stdout"]
    assert "with and without a file" in document["stdout"]
    assert "tiles/s" not in document["stdout"]
    assert "tiles/s" in document["stderr"]


def test_quiet_prints_only_the_table(tiny_model: Path):
    words = ("--model", tiny_model, "--side", 64, "--style-counts", 1, "--precisions", "fp32", "--repeats", 1)
    assert not bench(*words, "--no-memory", "--quiet").stderr


def test_first_tile_and_memory_come_from_a_process_for_each_row(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def measure(world, region, *, model, options):
        seen.append((options.precision, len(world.layout.styles)))
        return ColdStart(imports=1.0, model=0.5, preflight=0.25, tile=0.125, rest=9.0, peak_bytes=123 * 2**20)

    monkeypatch.setattr(bench_render, "measure_cold_start", measure)
    result = bench("--model", tiny_model, "--side", 64, "--style-counts", "2,1", "--precisions", "bf16", "--repeats", 1)
    assert seen == [("bf16", 2), ("bf16", 1)]
    assert "vs 2" in result.stdout
    assert all(found in result.stdout for found in ("1.88", "123"))


BAD = [
    (("--side", 0), "width 0"),
    (("--side", 64, "--tile", 100), "nearest: 85 and 101"),
    (("--style-counts", "1,x"), "--style-counts 'x' is not possible; give one or more of 1 to 16"),
    (("--style-counts", "0"), "'0' is not possible"),
    (("--style-counts", ""), "'' is not possible"),
    (("--precisions", "fp32,fp4"), "--precisions 'fp4' is not possible; give one or more of fp32, bf16"),
    (("--write", "png,gif"), "--write 'gif' is not possible"),
    (("--side", 17_000, "--write", "webp"), "16,383"),
    (("--repeats", 0), "repeats"),
    (("--random-weights", "tiny"), "give one of them"),
    (("--random-weights", "huge"), "huge"),
    (("--device", "abacus"), "abacus"),
    (("--output", "no/such/folder/a.json"), "no/such/folder"),
]


@pytest.mark.parametrize(("words", "expected"), BAD, ids=[" ".join(map(str, w)) for w, _ in BAD])
def test_bad_options_give_one_line_and_exit_code_2(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], words, expected
):
    with pytest.raises(SystemExit) as leave:
        main(["bench", "render", "--model", str(tiny_model), *map(str, words)])
    captured = capsys.readouterr()
    assert leave.value.code == 2
    assert captured.err.count("\n") == 1
    assert expected in captured.err
    assert not captured.out


def test_a_failed_measurement_leaves_no_document(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(bench_render, "measure_cold_start", fail)
    words = ("--side", 64, "--style-counts", 1, "--precisions", "fp32", "--repeats", 1, "--output", tmp_path / "a.json")
    with pytest.raises(InputError):
        bench("--model", tiny_model, *words)
    assert not list(tmp_path.iterdir())


def test_batches_prints_and_writes_every_way_to_compute_the_image(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "batches.json"
    words = ["batches", "--model", tiny_model, "--side", 150, "--batches", "1,4", "--repeats", 1, "--output", path]
    result = CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0
    assert [(r["kind"], r["batch"]) for r in json.loads(path.read_text())["rows"]] == [
        ("tiles", 1),
        ("tiles", 4),
        ("one piece", 1),
        ("one piece, zero padding", 1),
    ]
    assert "GFLOP" in result.stdout


BAD_BATCHES = [
    (("--batches", "1,0"), "--batches '0' is not possible"),
    (("--tile", 100), "nearest: 85 and 101"),
    (("--device", "abacus"), "abacus"),
    (("--device", "cpu,cpu"), "name one device twice"),
]


@pytest.mark.parametrize(("words", "expected"), BAD_BATCHES, ids=[" ".join(map(str, w)) for w, _ in BAD_BATCHES])
def test_bad_options_of_batches_give_one_line_and_exit_code_2(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], words, expected
):
    with pytest.raises(SystemExit) as leave:
        main(["bench", "batches", "--model", str(tiny_model), "--side", "150", *map(str, words)])
    captured = capsys.readouterr()
    assert (leave.value.code, captured.err.count("\n"), captured.out) == (2, 1, "")
    assert expected in captured.err
