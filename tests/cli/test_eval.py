"""``infgen eval`` as people call it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infgen.cli.main import main
from infgen.model.config import preset
from infgen.train.evaluation import picture_scores
from tests.model.networks import random_generator
from tests.train.photos import landscape, save, save_landscapes

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_scores, "SEAM_WORLDS", 1)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``infgen eval``; gives exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main(["eval", *map(str, words), "--threads", "1", "--device", "cpu"])
        captured = capsys.readouterr()
        assert isinstance(leave.value.code, int)
        return leave.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def scales_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of preset "tiny-scales" with random weights."""
    path = tmp_path_factory.mktemp("model") / "four.safetensors"
    random_generator(preset("tiny-scales"), seed=7).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_landscapes(tmp_path_factory.mktemp("photos"))


def test_the_command_prints_a_table_and_writes_a_report(
    call: Call, tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    words = ("--metrics", "scaleinv-fd-effnet,seam", "--scales", "2,1", "--n", 3, "-o", out, "--quiet")
    code, text, err = call(tiny_model, photos, *words)
    assert code == 0
    assert "patch ScaleInv FD-EffNet" in text
    assert "not judged by FD-EffNet but by FD-VGG" in err
    stored = json.loads((out / "report.json").read_text())
    assert [(m["metric"], m["scale"]) for m in stored["measurements"]] == [
        ("scaleinv-fd-effnet", 1),
        ("scaleinv-fd-effnet", 2),
        ("seam", 1),
    ]
    assert (stored["n"], stored["photographs"], stored["model"]) == (3, 3, tiny_model.name)
    assert (out / "report.png").exists()


def test_without_quiet_the_command_prints_estimates_and_progress(call: Call, tiny_model: Path, photos: Path) -> None:
    code, _, err = call(tiny_model, photos, "--metrics", "fd-effnet", "--n", 2)
    assert code == 0
    assert "N = 2, the distances need 0.0 Mpx of generated pictures" in err
    assert "3 photographs with views of 197 px" in err
    assert "samples, 1x: 100 %" in err


def test_a_model_with_scales_is_measured_at_each_of_them_in_all_columns(
    call: Call, scales_model: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data, out = tmp_path / "photos", tmp_path / "report"
    for i, height in enumerate((800, 790, 500)):
        save(data, f"{i}.png", landscape(i, height=height, width=900))
    words = ("--metrics", "fd-effnet", "--n", 2, "--compare", tiny_model, "--floor", "--fused", "2", "-o", out)
    code, text, err = call(scales_model, data, *words)
    assert code == 0
    assert "93 of 98 px, whole" in text
    assert "2 photographs with views of 788 px" in err
    stored = json.loads((out / "report.json").read_text())
    found = [(m["at"], m.get("column", "model")) for m in stored["measurements"]]
    assert found == [(at, c) for at in ("1/8", "1/4", "1/2", "1") for c in ("model", "other", "2 styles", "floor")]
    assert stored["other"] == tiny_model.name


def test_photographs_too_small_for_a_scale_are_one_line_before_anything_is_drawn(
    call: Call, scales_model: Path, photos: Path
) -> None:
    code, out, err = call(scales_model, photos, "--metrics", "seam", "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "large enough for scale 1, whose views are 788 px high; the short sides of 3 photographs are 220 px" in err


def test_only_photographs_that_no_scale_can_use_are_listed_by_name(
    call: Call, scales_model: Path, tmp_path: Path
) -> None:
    for i, height in enumerate((800, 120, 60)):
        save(tmp_path, f"{height}.png", landscape(i, height=height, width=900))
    code, _, err = call(scales_model, tmp_path, "--metrics", "seam", "--quiet")
    assert code == 0
    assert [line.partition(": ")[0].rpartition("/")[2] for line in err.splitlines()] == ["60.png"]


def test_unsuitable_photographs_are_listed(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    data = save_landscapes(tmp_path / "photos", count=1)
    save(data, "small.png", landscape(0, height=100))
    code, _, err = call(tiny_model, data, "--metrics", "seam", "--quiet")
    assert code == 0
    assert "small.png: " in err


def test_offline_without_vgg_weights_one_line_names_the_option(
    call: Call, tiny_model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(url: str, **options: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    code, out, err = call(tiny_model, photos, "--metrics", "fd-vgg", "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "give it with --vgg-weights PATH" in err


def test_fid_without_its_library_is_one_line_that_names_the_extra(
    call: Call, tiny_model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    code, out, err = call(tiny_model, photos, "--metrics", "fid", "--quiet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "infgen[fid]" in err


def test_the_papers_protocol_measures_whole_views_and_writes_them(
    call: Call, tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    dump, out = tmp_path / "dump", tmp_path / "report"
    words = ("--protocol", "paper", "--metrics", "scaleinv-fd-effnet", "--scales", "1", "--n", 4)
    code, text, _ = call(tiny_model, photos, *words, "--dump", dump, "-o", out, "--quiet")
    assert code == 0
    assert "whole views of 128 px" in " ".join(text.split())
    assert sorted(p.relative_to(dump).as_posix() for p in dump.rglob("*.png")) == [
        f"views-1x/{i:06d}.png" for i in range(4)
    ]
    distance = json.loads((out / "report.json").read_text())["measurements"][0]["value"]
    words = ("--images", dump / "views-1x", photos, "--metrics", "fd-effnet", "--n", 4, "-o", tmp_path / "other")
    assert call(*words, "--quiet")[0] == 0
    again = json.loads((tmp_path / "other" / "report.json").read_text())["measurements"][0]["value"]
    assert again == distance


def test_the_help_has_the_options_and_names_the_subcommand(call: Call) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "outpaint", "--help"])
    code, text, _ = call("--help")
    assert code == 0
    assert "Usage: infgen eval [OPTIONS] [MODEL] DATA" in text
    assert "infgen eval outpaint --help" in " ".join(text.split())


BAD_INPUT: list[tuple[list[object], str]] = [
    (["MODEL", "missing"], "missing"),
    (["missing.safetensors", "PHOTOS"], "missing.safetensors"),
    (["MODEL", "PHOTOS", "--metrics", "psnr"], "metric 'psnr' is unknown; choose from fd-vgg"),
    (["MODEL", "PHOTOS", "--metrics", ","], "no metric was named"),
    (["MODEL", "PHOTOS", "--scales", "1,big"], "scales '1,big' are not whole numbers separated by commas"),
    (["MODEL", "PHOTOS", "--scales", "0"], "scales (0,) are not possible"),
    (["MODEL", "PHOTOS", "--metrics", "scaleinv-fid", "--scales", "100"], "give scales up to 81"),
    (["MODEL", "PHOTOS", "--fused", "two"], "numbers of styles 'two' are not whole numbers separated by commas"),
    (["MODEL", "PHOTOS", "--fused", "0"], "fused (0,) is not possible; give numbers of styles from 1 to 16"),
    (["MODEL", "PHOTOS", "--compare", "missing.safetensors"], "missing.safetensors"),
    (["MODEL", "PHOTOS", "--n", "1"], "1 pictures are not possible"),
    (["MODEL"], "1 arguments are given; give MODEL and DATA"),
    (["MODEL", "PHOTOS", "--images", "PHOTOS"], "2 arguments are given; give only DATA with --images"),
    (["PHOTOS", "--images", "PHOTOS", "--floor"], "--floor draws or compares a model, and --images has none"),
    (["PHOTOS", "--images", "missing", "--metrics", "fd-effnet"], "missing"),
    (["MODEL", "PHOTOS", "--dump", "."], "dump folder . is not empty"),
    (["MODEL", "PHOTOS", "--dump", "file"], "dump folder file is not a folder"),
    (["MODEL", "PHOTOS", "--protocol", "paper", "--fused", "2"], "--fused compares patches"),
    (["outpaint", "MODEL", "PHOTOS", "--metrics", "seam"], "metric seam does not compare pictures"),
    (["outpaint", "MODEL", "PHOTOS", "--n", "1"], "1 photographs are too few for a distance"),
    (["outpaint", "MODEL", "PHOTOS", "--dump", "file"], "dump folder file is not a folder"),
    (["MODEL", "PHOTOS", "--n", "many"], "Invalid value for '--n'"),
    (["MODEL", "PHOTOS", "--precision", "fp8"], "Invalid value for '--precision'"),
    (["MODEL", "PHOTOS", "-o", "file"], "report folder file is not a folder"),
    (["MODEL", "PHOTOS", "--metrics", "fd-vgg", "--vgg-weights", "missing"], "weights missing cannot be read"),
]


@pytest.mark.parametrize(("words", "said"), BAD_INPUT, ids=[said[:50] for _, said in BAD_INPUT])
def test_bad_input_is_one_line_with_exit_code_2_and_leaves_nothing(
    words: list[object],
    said: str,
    call: Call,
    tiny_model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("file").touch()
    code, out, err = call(*({"MODEL": tiny_model, "PHOTOS": photos}.get(str(w), w) for w in words), "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert said in err
    assert [p.name for p in Path().iterdir()] == ["file"]
