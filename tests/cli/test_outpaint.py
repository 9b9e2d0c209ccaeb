"""``infgen outpaint`` as people call it."""

import json
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from infgen.cli import photographs as module
from infgen.errors import InfgenError
from infgen.geometry import Region
from infgen.inversion.selecting import SEED_STEP
from infgen.limits import MAX_INVERSION_PIXELS, MAX_JOINED_PIXELS, MAX_PIXELS
from infgen.rendering.compositing import REACHES_PX
from infgen.rendering.studio import open_studio
from infgen.world.world import World
from tests.cli.conftest import Call
from tests.cli.photographs import QUICK, interrupt_after, photograph, pixels, save_turned
from tests.profiles import profile
from tests.train.photos import landscape, load, plain, save


@pytest.fixture
def outpaint(call: Call, tiny_model: Path) -> Call:
    """``infgen outpaint`` with the tiny model, one step and small pictures."""
    return lambda *words: call("outpaint", *words[:1], *QUICK, "--model", tiny_model, "--quiet", *words[1:])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outpaint")


@pytest.fixture(scope="module")
def done(work: Path, tiny_model: Path) -> Path:
    """A finished run: 60 x 40 px with 160 px on the right; files named out."""
    from click.testing import CliRunner

    from infgen.cli.outpaint import command

    photo = photograph(work)
    words = [photo, "--right", 160, "--feather", 8, *QUICK, "--model", tiny_model, "--quiet", "-o", work / "out.png"]
    assert CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False).exit_code == 0
    return work


# What is written


def test_picture_world_and_latents_stand_side_by_side(done: Path) -> None:
    names = sorted(p.name for p in done.iterdir() if p.name.startswith("out"))
    assert names[1:] == ["out.png", "out.world.json"]
    assert names[0].startswith("out.")
    assert names[0].endswith(".safetensors")
    assert len(names[0]) == len("out.12345678.safetensors")


def test_the_photograph_stands_in_the_picture_bit_for_bit(done: Path) -> None:
    picture = pixels(done / "out.png")
    assert picture.shape == (40, 220, 3)
    assert np.array_equal(picture[:, :60], pixels(done / "photo.png"))


def test_the_generated_pixels_are_those_of_the_written_world(done: Path, tiny_model: Path) -> None:
    world = World.load(done / "out.world.json")
    drawn = open_studio(world, model=tiny_model).array(Region(0, -20, 220, 40))
    far = 60 + max(REACHES_PX)
    assert np.array_equal(pixels(done / "out.png")[:, far:], drawn[:, far:])


def test_latents_of_an_earlier_run_give_the_same_picture_without_inverting(
    done: Path, outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "invert_photograph", lambda *_, **__: pytest.fail("it was inverted again"))
    (latents,) = done.glob("out.*.safetensors")
    words = ("--right", 160, "--feather", 8, "--latents", latents, "-o", tmp_path / "out.png")
    assert outpaint(done / "photo.png", *words)[0] == 0
    assert np.array_equal(pixels(tmp_path / "out.png"), pixels(done / "out.png"))
    assert (tmp_path / latents.name).read_bytes() == latents.read_bytes()


def test_samples_differ_outside_the_photographs_receptive_field(done: Path, outpaint: Call, tmp_path: Path) -> None:
    (latents,) = done.glob("out.*.safetensors")
    words = ("--right", 700, "--samples", 2, "--latents", latents, "-o", tmp_path / "s.png")
    code, out, _ = outpaint(done / "photo.png", *words)
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == ["s-1.png", "s-2.png", "s-sheet.png"]
    first, second = pixels(tmp_path / "s-1.png"), pixels(tmp_path / "s-2.png")
    assert np.array_equal(first[:, :28], second[:, :28])
    assert not np.array_equal(first[:, -100:], second[:, -100:])
    assert [json.loads((tmp_path / f"s-{i}.world.json").read_text()).get("seed", 0) % SEED_STEP for i in (1, 2)] == [
        0,
        1,
    ]


def test_without_keeping_the_picture_is_the_models_output(
    done: Path, outpaint: Call, tiny_model: Path, tmp_path: Path
) -> None:
    (latents,) = done.glob("out.*.safetensors")
    words = ("--left", 20, "--no-keep-original", "--latents", latents, "-o", tmp_path / "a.webp")
    assert outpaint(done / "photo.png", *words)[0] == 0
    world = World.load(tmp_path / "a.world.json")
    drawn = open_studio(world, model=tiny_model).array(Region(-20, -20, 80, 40))
    assert np.array_equal(pixels(tmp_path / "a.webp"), drawn)


def test_the_picture_has_the_photographs_resolution(outpaint: Call, tmp_path: Path) -> None:
    photo = photograph(tmp_path, width=150, height=100)
    words = ("--right", 90, "--bottom", 11, "-o", tmp_path / "a.png")
    assert outpaint(photo, *words)[0] == 0
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (111, 240, 3)
    assert np.array_equal(picture[:100, :150], pixels(photo))


@pytest.mark.parametrize("by", ["mask", "alpha"])
def test_unknown_pixels_are_generated_and_the_others_kept(by: str, outpaint: Call, tmp_path: Path) -> None:
    known = np.full((40, 60), 255, np.uint8)
    known[10:30, 20:40] = 0
    rgb = landscape(1, height=40, width=60)
    rgb[known == 0] = (255, 0, 255)
    photo = save(tmp_path, "photo.png", rgb if by == "mask" else np.dstack([rgb, known]))
    mask = ("--mask", save(tmp_path, "mask.png", known)) if by == "mask" else ()
    assert outpaint(photo, *mask, "--feather", 2, "-o", tmp_path / "a.png")[0] == 0
    picture = pixels(tmp_path / "a.png")
    assert np.array_equal(picture[:8], rgb[:8])
    assert np.abs(picture[10:30, 20:40].astype(int) - (255, 0, 255)).sum(2).min() > 30


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_colour_profile_of_a_phone_is_kept(name: str, outpaint: Call, tmp_path: Path) -> None:
    photo = tmp_path / "phone.jpg"
    Image.fromarray(landscape(1, height=40, width=60)).save(photo, quality=95, icc_profile=profile("p3"))
    words = ("--right", 30, "--feather", 5, "--preview", tmp_path / "live.png", "-o", tmp_path / name)
    assert outpaint(photo, *words)[0] == 0
    assert [load(tmp_path / file).info["icc_profile"] for file in (name, "live.png")] == [profile("p3")] * 2
    if name == "a.png":
        assert np.array_equal(pixels(tmp_path / name)[:, :55], pixels(photo)[:, :55])


def test_a_preview_shows_the_image_of_the_latest_step(outpaint: Call, tmp_path: Path) -> None:
    words = ("--right", 8, "--preview", tmp_path / "live.png", "-o", tmp_path / "a.png")
    assert outpaint(photograph(tmp_path), *words)[0] == 0
    assert pixels(tmp_path / "live.png").shape == (40, 60, 3)


# Printed lines


def test_size_place_and_time_are_printed_before_the_work(
    call: Call, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object, **__: object) -> None:
        raise InfgenError("work began")

    monkeypatch.setattr(module, "invert_photograph", begin)
    photo = photograph(tmp_path, width=600, height=400)
    size = ("--output-size", "work", "--working-height", 40, "--right", 30, "--top", 4)
    words = (*size, "--samples", 2, "--model", tiny_model, "-o", tmp_path / "a.png")
    lines = call("outpaint", photo, *words)[2].splitlines()
    assert lines[0].startswith(f"{photo}: 600 x 400 px, inverted at 60 x 40 px from (0, -")
    assert "% of the height (estimated, confidence 0." in lines[0]
    assert lines[1].startswith("2 pictures of 90 x 44 px: the window (0, -")
    assert lines[2].startswith("inversion of 1 photograph in up to 60 steps each: about ")
    assert lines[3:] == ["Error: work began"]


def test_the_result_of_an_inversion_is_printed(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    words = ("--right", 5, *QUICK, "--model", tiny_model, "-o", tmp_path / "a.png")
    _, _, err = call("outpaint", photograph(tmp_path), *words)
    assert "dB and LPIPS" in err
    assert "after 1 steps in" in err
    assert "drift (worlds have about 1): styles" in err


def test_conversions_in_reading_are_printed(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    Image.fromarray(landscape(0)).convert("CMYK").save(tmp_path / "a.jpg")
    words = ("--right", 5, *QUICK, "--model", tiny_model, "-o", tmp_path / "b.png")
    _, _, err = call("outpaint", tmp_path / "a.jpg", *words)
    assert "a.jpg is CMYK; converted to RGB" in err


# Interrupted


def test_an_interrupted_inversion_keeps_its_latents_and_prints_how_to_continue(
    outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photograph(tmp_path)
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        code, out, err = outpaint(photo, "--right", 30, "--inversion-steps", 9, "-o", tmp_path / "a.png")
    (latents,) = tmp_path.glob("a.*.safetensors")
    assert (code, out) == (130, "")
    assert f"continue with the same command and --latents {latents}" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([photo.name, latents.name])
    assert (
        outpaint(photo, "--right", 30, "--inversion-steps", 9, "--latents", latents, "-o", tmp_path / "a.png")[0] == 0
    )
    assert pixels(tmp_path / "a.png").shape == (40, 90, 3)


# Photographs of phones

ODD_SIZES = [(301, 199), (199, 301), (123, 77), (400, 97), (97, 131)]
PHONES = [(1 + i % 8, *ODD_SIZES[i % len(ODD_SIZES)]) for i in range(20)]


@pytest.mark.parametrize(("orientation", "width", "height"), PHONES)
def test_photographs_of_phones_come_out_upright_and_in_their_size(
    orientation: int, width: int, height: int, outpaint: Call, tmp_path: Path
) -> None:
    photo, upright = save_turned(tmp_path, orientation, width=width, height=height)
    words = (
        "--output-size",
        "source",
        "--working-height",
        48,
        "--right",
        31,
        "--top",
        17,
        "--feather",
        0,
        "-o",
        tmp_path / "a.png",
    )
    assert outpaint(photo, *words)[0] == 0
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (height + 17, width + 31, 3)
    assert np.abs(picture[17:, :width].astype(int) - upright).mean() < 6


# What is refused

BAD = [
    (("--right", 0), "nothing to add to the photograph"),
    (("--right", -5), "right -5 px is not possible"),
    (("--left", 2**41), "left 2199023255552 px is not possible"),
    (("--right", 10**9), MAX_JOINED_PIXELS.name),
    (("--right", 5, "--samples", 0), "0 samples are out of range"),
    (("--right", 5, "--samples", 65), "65 samples are out of range"),
    (("--right", 5, "--working-height", 20), "height 20 px is too small"),
    (("--right", 5, "--working-height", 10**6), MAX_INVERSION_PIXELS.name),
    (("--right", 5, "--horizon", "high"), "--horizon 'high' is not a number"),
    (("--right", 5, "--horizon", 3), "horizon 3.0 is out of range"),
    (("--right", 5, "--horizon", "nan"), "horizon nan is out of range"),
    (("--right", 5, "--feather", -1), "--feather"),
    (("--right", 5, "--inversion-steps", -1), "--inversion-steps"),
    (("--right", 5, "--inversion-seconds", 0), "--inversion-seconds"),
    (("--right", 5, "--seed", 2**64), "--seed"),
    (("--right", 5, "--output-size", "large"), "--output-size"),
    (("--right", 5, "--mask", "none.png"), "mask 'none.png' cannot be read"),
    (("--right", 5, "--latents", "none.safetensors"), "none.safetensors does not exist"),
    (("--right", 5, "--latents", "a", "--latents", "b"), "2 --latents files are given for 1 photographs"),
    (("--right", 5, "--preview", "none/live.png"), "does not exist"),
    (("--right", 5, "--device", "abacus"), "abacus"),
    (("--right", 5, "--model", "none.safetensors"), "none.safetensors"),
    (("--right", 5, "-o", "a.gif"), "a.gif has no known ending"),
    (("--right", 5, "-o", "none/a.png"), "does not exist"),
    (("--right", 70_000, "-o", "a.jpg"), "JPEG holds at most 65500 px per side"),
    (("--right", 5, "-o", "a.png", "--keep"), "--keep"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(map(str, w)) for w, _ in BAD])
def test_bad_input_gives_one_line_and_no_file(
    words: tuple[object, ...],
    message: str,
    call: Call,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = photograph(tmp_path)
    code, out, err = call("outpaint", photo, "--model", tiny_model, "--working-height", 40, "-o", "a.png", *words)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert [p.name for p in tmp_path.iterdir()] == [photo.name]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"not a picture", "a.jpg: it cannot be read (no picture of a known kind"),
        ("a.png", plain((9, 9, 9), height=1, width=1), "1 x 1 px is too small; the short side must be at least 32 px"),
        ("a.png", np.zeros((40, 60, 4), np.uint8), "it is transparent all over"),
        ("a.png", plain((9, 9, 9), height=400, width=40), "would be 4 px wide at the working height of 40 px"),
    ],
)
def test_a_photograph_that_cannot_be_used_is_refused(
    name: str, content: bytes | np.ndarray, message: str, outpaint: Call, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        save(tmp_path, name, content)
    code, _, err = outpaint(path, "--right", 5, "-o", tmp_path / "out.png")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((39, 60), 255, np.uint8), "has 60 x 39 px and photograph"),
        (np.zeros((40, 60), np.uint8), "leaves no pixel of"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused(mask: np.ndarray, message: str, outpaint: Call, tmp_path: Path) -> None:
    path = save(tmp_path, "mask.png", mask)
    code, _, err = outpaint(photograph(tmp_path), "--right", 5, "--mask", path, "-o", tmp_path / "out.png")
    assert code == 2
    assert message in err


def test_latents_of_another_window_are_refused(done: Path, outpaint: Call, tmp_path: Path) -> None:
    (latents,) = done.glob("out.*.safetensors")
    words = ("--right", 5, "--working-height", 64, "--latents", latents, "-o", tmp_path / "a.png")
    code, _, err = outpaint(done / "photo.png", *words)
    assert code == 2
    assert "give the photograph, --working-height, --horizon and width that they were made with" in err


def test_latents_of_another_model_are_refused(done: Path, call: Call, tmp_path: Path) -> None:
    (latents,) = done.glob("out.*.safetensors")
    words = (*QUICK, "--right", 5, "--latents", latents, "-o", tmp_path / "a.png")
    code, _, err = call("outpaint", done / "photo.png", *words)
    assert code == 2
    assert "give the right one with --model" in err


def test_a_picture_over_the_limit_of_rendering_is_refused(
    outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAX_PIXELS.name, "2000")
    code, _, err = outpaint(photograph(tmp_path), "--right", 5, "-o", tmp_path / "a.png")
    assert code == 2
    assert MAX_PIXELS.name in err


def test_the_papers_settings_without_vgg16_names_the_option_that_gives_it(
    outpaint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    code, _, err = outpaint(photograph(tmp_path), "--right", 20, "--settings", "paper", "-o", tmp_path / "a.png")
    assert code == 2
    assert "VGG16 weights are not in" in err
    assert "--vgg-weights PATH" in err


def test_vgg16_without_the_papers_settings_is_refused(outpaint: Call, tmp_path: Path) -> None:
    words = ("--right", 20, "--vgg-weights", tmp_path / "vgg.pth", "-o", tmp_path / "a.png")
    code, _, err = outpaint(photograph(tmp_path), *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "--settings continue uses AlexNet; give --settings paper" in err


# Unusual photographs


def test_a_photograph_that_the_model_does_not_know_is_continued_with_a_note(
    call: Call, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOR_LPIPS", 0.0)
    words = ("--right", 20, *QUICK, "--model", tiny_model, "-o", tmp_path / "a.png")
    code, _, err = call("outpaint", photograph(tmp_path), *words)
    assert code == 0
    assert "the model knows landscapes only, so expect a poor continuation" in err


def test_a_photograph_of_one_colour_is_continued(outpaint: Call, tmp_path: Path) -> None:
    photo = save(tmp_path, "plain.png", plain((90, 120, 200), height=400, width=600))
    assert outpaint(photo, "--right", 100, "-o", tmp_path / "a.png")[0] == 0
    picture = pixels(tmp_path / "a.png")
    assert np.array_equal(picture[:, :600], pixels(photo))


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [(1, 1, "1 x 1 px is too small"), (1, 4000, "1 x 4000 px is too small"), (33, 4000, "it needs 32 px")],
)
def test_a_photograph_too_narrow_for_the_model_is_refused_in_one_line(
    width: int, height: int, words: str, outpaint: Call, tmp_path: Path
) -> None:
    photo = save(tmp_path, "thin.png", plain((90, 120, 200), height=height, width=width))
    code, out, err = outpaint(photo, "--right", 100, "-o", tmp_path / "a.png")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("value", "words"), [(255, "nothing to add"), (0, "leaves no pixel")])
def test_a_mask_that_keeps_all_or_nothing_is_refused_in_one_line(
    value: int, words: str, outpaint: Call, tmp_path: Path
) -> None:
    mask = save(tmp_path, "mask.png", np.full((40, 60), value, np.uint8))
    code, _, err = outpaint(photograph(tmp_path), "--mask", mask, "-o", tmp_path / "a.png")
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1
