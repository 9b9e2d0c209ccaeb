"""``infgen render``, ``info`` and ``convert`` as people call them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infgen.cli.main import COMMANDS
from infgen.errors import EXIT_CODES
from infgen.sinks import read_provenance
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.model import official


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_help_lists_every_command(call: Call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(call: Call, name: str):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "Usage" in out


def test_help_does_not_import_pytorch():
    import subprocess
    import sys

    code = (
        "import sys; from infgen.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_picture_has_the_asked_size_and_its_provenance(render: Call, call: Call, tmp_path: Path, name: str):
    code, out, _ = render("--w", 130, "--h", 90, "--seed", 3, "-o", tmp_path / name)
    assert code == 0
    assert out.strip() == str(tmp_path / name)
    assert pixels(tmp_path / name).shape == (90, 130, 3)
    code, out, _ = call("info", tmp_path / name)
    provenance = json.loads(out)
    assert provenance["region"] == {"x": 0, "y": -45, "w": 130, "h": 90}
    assert provenance["world"]["seed"] == 3


def test_a_jpeg_is_nearly_the_png(render: Call, tmp_path: Path):
    for name in ("a.png", "a.jpg"):
        assert render("--w", 120, "--h", 80, "-o", tmp_path / name)[0] == 0
    assert np.abs(pixels(tmp_path / "a.png").astype(int) - pixels(tmp_path / "a.jpg")).mean() < 6


def test_a_larger_picture_of_the_same_seed_continues_it(render: Call, tmp_path: Path):
    render("--w", 100, "--h", 60, "--seed", 9, "-o", tmp_path / "small.png")
    render("--w", 300, "--h", 200, "--seed", 9, "-o", tmp_path / "large.png")
    cut = pixels(tmp_path / "large.png")[70:130, :100].astype(int)
    assert np.abs(cut - pixels(tmp_path / "small.png")).max() <= 1


def test_a_picture_is_drawn_again_from_its_provenance(render: Call, call: Call, tmp_path: Path):
    render(
        "--w",
        64,
        "--h",
        48,
        "--seed",
        -7,
        "--truncation",
        0.6,
        "--mix-seed",
        4,
        "--crossover",
        3,
        "-o",
        tmp_path / "a.png",
    )
    _, world, _ = call("info", "--only-world", tmp_path / "a.png")
    (tmp_path / "w.json").write_text(world)
    render("--w", 64, "--h", 48, "--world", tmp_path / "w.json", "-o", tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_options_change_a_world_file(render: Call, call: Call, tmp_path: Path):
    World(seed=1, truncation=0.5).save(tmp_path / "w.json")
    render("--w", 8, "--h", 8, "--world", tmp_path / "w.json", "--seed", 2, "-o", tmp_path / "a.png")
    world = json.loads(call("info", "--only-world", tmp_path / "a.png")[1])
    assert (world["seed"], world["truncation"]) == (2, 0.5)


def test_estimates_come_before_the_work(call: Call, tiny_model: Path, tmp_path: Path):
    words = ("render", "--model", tiny_model, "--w", 5000, "--h", 4000, "--dry-run", "-o", tmp_path / "a.png")
    code, _, err = call(*words)
    assert code == 0
    assert "20.00 Mpx" in err
    assert "MiB of memory" in err
    assert not list(tmp_path.iterdir())


def test_info_describes_models_and_worlds(call: Call, tiny_model: Path, tmp_path: Path):
    assert json.loads(call("info", tiny_model)[1])["patch_px"] == 101
    World(seed=5).save(tmp_path / "w.json")
    assert json.loads(call("info", tmp_path / "w.json")[1])["seed"] == 5


BAD = [
    (["--w", 0, "--h", 5], "width 0"),
    (["--w", 5, "--h", -3], "height -3"),
    (["--w", 5, "--h", 5, "--x", 2**40], "2^40"),
    (["--w", 5, "--h", 5, "--y", -(2**40) - 1], "2^40"),
    (["--w", 5, "--h", 5, "--seed", "abc"], "abc"),
    (["--w", 5, "--h", 5, "--seed", 1.5], "1.5"),
    (["--w", 5, "--h", 5, "--seed", 2**64], "seed"),
    (["--w", 5, "--h", 5, "--truncation", "nan"], "truncation"),
    (["--w", 5, "--h", 5, "--period", 100], "96 and 112"),
    (["--w", 5, "--h", 5, "--period", "96,96"], "this model has a horizon, which does not repeat along y"),
    (["--w", 5, "--h", 5, "--period", "96,"], "--period '96,' is not a period; give X or X,Y in px"),
    (["--w", 5, "--h", 5, "--mix-seed", 3], "crossover"),
    (["--w", 5, "--h", 5, "--tile", 100], "nearest: 85 and 101"),
    (["--w", 5, "--h", 5, "--batch", 0], "batch 0"),
    (["--w", 5, "--h", 5, "--device", "abacus"], "abacus"),
    (["--w", 10**7, "--h", 10**7], "INFGEN_MAX_PIXELS"),
    (["--w", 5, "--h", 5, "--precision", "fp4"], "fp4"),
    (["--w", 5, "--h", 5, "--wrong"], "--wrong"),
    (["--w", 5], "--h"),
    (["--w", 5, "--h", 5, "--world", "missing.json"], "missing.json"),
    (["--w", 5, "--h", 5, "--model", "missing.safetensors"], "missing.safetensors"),
]


@pytest.mark.parametrize(("words", "expected"), BAD, ids=[" ".join(map(str, w)) for w, _ in BAD])
def test_bad_input_gives_one_line_exit_code_2_and_no_file(
    call: Call, tiny_model: Path, tmp_path: Path, words, expected
):
    code, out, err = call("render", "--model", tiny_model, "-o", tmp_path / "a.png", *words)
    assert code == 2
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("a.gif", 5, ".png"),
        ("a", 5, ".png"),
        ("a.jpg", 70_000, "PNG"),
        ("a.webp", 17_000, "PNG"),
        ("no/such/folder/a.png", 5, "folder"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_work(
    render: Call, tmp_path: Path, name: str, size: int, expected: str
):
    code, _, err = render("--w", size, "--h", 5, "-o", tmp_path / name)
    assert code == 2
    assert expected in err
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_refused_before_work(render: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    code, _, err = render("--w", 500, "--h", 500, "-o", tmp_path / "a.png")
    assert code == 2
    assert "disk" in err
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_refused_before_work(render: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import psutil

    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=10 * 2**20))
    code, _, err = render("--w", 500, "--h", 500, "-o", tmp_path / "a.png")
    assert code == 2
    assert "memory" in err


def test_an_interrupted_render_leaves_nothing(render: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infgen.rendering.render.to_pixels", interrupt)
    monkeypatch.setattr("infgen.rendering.preflight._tile_seconds", lambda scene, plan: 1.0)
    code, _, err = render("--w", 50, "--h", 50, "-o", tmp_path / "a.png")
    assert code == 130
    assert err.strip() == "Error: interrupted"
    assert not list(tmp_path.iterdir())


def test_a_failed_render_leaves_the_old_picture(render: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    render("--w", 50, "--h", 50, "-o", tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def fail(*_: object) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("infgen.rendering.preflight._tile_seconds", lambda scene, plan: 1.0)
    monkeypatch.setattr("infgen.rendering.render.to_pixels", fail)
    code, _, err = render("--w", 60, "--h", 50, "-o", tmp_path / "a.png")
    assert (code, err.count("\n")) == (1, 1)
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_debug_shows_the_traceback(call: Call, tmp_path: Path):
    code, _, err = call("--debug", "info", tmp_path / "missing")
    assert code == 2
    assert "Traceback" in err


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"PK\x03\x04", b"not a model"])
def test_files_that_are_no_models_are_refused(call: Call, tmp_path: Path, content: bytes):
    (tmp_path / "m.safetensors").write_bytes(content)
    for words in (
        ("info", tmp_path / "m.safetensors"),
        ("convert", tmp_path / "m.safetensors", "-o", tmp_path / "o.safetensors"),
    ):
        code, _, err = call(*words)
        assert code == 2
        assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_picture_without_provenance_is_named(call: Call, tmp_path: Path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    code, _, err = call("info", tmp_path / "a.png")
    assert code == 2
    assert "has no provenance" in err


def test_convert_writes_a_model_that_renders(call: Call, tmp_path: Path):
    path = official.write(tmp_path / "best_fid.pth.tar", official.random_state([8, 8, 8, 8, 6, 6, 4, 4]))
    code, out, _ = call("convert", path, "-o", tmp_path / "m.safetensors", "--half")
    assert code == 0
    assert "101 px" in out
    assert (
        call(
            "render", "--model", tmp_path / "m.safetensors", "--w", 20, "--h", 20, "--quiet", "-o", tmp_path / "a.png"
        )[0]
        == 0
    )


def test_the_table_of_exit_codes_begins_with_the_narrowest_class():
    for i, (kind, _) in enumerate(EXIT_CODES):
        assert not any(issubclass(kind, earlier) for earlier, _ in EXIT_CODES[:i])


def test_the_shipped_model_is_the_default_and_small(call: Call, tmp_path: Path):
    assert call("render", "--w", 64, "--h", 32, "--quiet", "-o", tmp_path / "a.png")[0] == 0
    assert pixels(tmp_path / "a.png").std() > 5
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.dzi", "a.zarr"])
def test_resuming_a_finished_render_draws_nothing(
    render: Call, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infgen.rendering.preflight._tile_seconds", lambda scene, plan: 1.0)
    words = ("--w", 50, "--h", 40, "-o", tmp_path / name)
    assert render(*words)[0] == 0
    monkeypatch.setattr("infgen.rendering.render.to_pixels", lambda *_: pytest.fail("it was drawn again"))
    code, out, err = render(*words, "--resume")
    assert (code, out) == (0, f"{tmp_path / name}\n")
    assert "is finished already" in err


def test_resuming_over_another_picture_starts_a_new_one(render: Call, tmp_path: Path) -> None:
    for words in (("--seed", 1), ("--seed", 2, "--resume")):
        assert render("--w", 50, "--h", 40, "-o", tmp_path / "a.png", *words)[0] == 0
    assert read_provenance(tmp_path / "a.png")["world"]["seed"] == 2
