"""Pictures of any program, the pictures that were measured, and precision and recall."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infgen.errors import InputError
from infgen.train.evaluation import Request, distances, images, metrics_named
from infgen.train.evaluation.distances import coverage
from infgen.train.evaluation.dump import Dump
from infgen.train.evaluation.images import evaluate_images
from infgen.train.evaluation.whole_views import WholeViews
from tests.train.evaluation.stand_ins import Colours, Landscapes
from tests.train.photos import landscape, save


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> WholeViews:
    monkeypatch.setattr(images, "load_network", lambda name, *rest, **options: Colours(name=name))
    return WholeViews(Landscapes(view_px=128, patch_px=128))


def pictures(folder: Path, count: int = 4, side: int = 128) -> Path:
    for i in range(count):
        save(folder, f"{i}.png", landscape(i, height=side, width=side))
    return folder


def request(*names: str, n: int = 4) -> Request:
    return Request(metrics_named(names), n=n, protocol="paper")


def test_the_photographs_themselves_have_distance_0(squares: WholeViews, tmp_path: Path) -> None:
    report = evaluate_images(pictures(tmp_path), squares, request=request("fd-vgg"))
    assert report.value("fd-vgg") == pytest.approx(0, abs=1e-6)
    assert (report.n, report.protocol, report.model) == (4, "paper", str(tmp_path))


def test_a_folder_with_fewer_pictures_gives_as_many(squares: WholeViews, tmp_path: Path) -> None:
    assert evaluate_images(pictures(tmp_path, 3), squares, request=request("fd-vgg", n=50)).n == 3


def test_larger_pictures_are_scaled_like_photographs(squares: WholeViews, tmp_path: Path) -> None:
    assert evaluate_images(pictures(tmp_path, side=256), squares, request=request("fd-vgg")).value("fd-vgg") < 1


@pytest.mark.parametrize("name", ["scaleinv-fd-vgg", "inf-fd-vgg", "diversity", "seam"])
def test_metrics_of_a_model_are_refused(name: str, squares: WholeViews, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"metric {name} needs a model, and --images has none"):
        evaluate_images(pictures(tmp_path), squares, request=request(name))


def test_a_small_or_damaged_picture_is_named(squares: WholeViews, tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    save(tmp_path, "3.png", landscape(0, height=100, width=100))
    with pytest.raises(InputError, match=r"picture .*3\.png cannot be measured"):
        evaluate_images(tmp_path, squares, request=request("fd-vgg"))


def test_one_picture_is_too_few(squares: WholeViews, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 1 pictures; a distance needs 2 or more"):
        evaluate_images(pictures(tmp_path, 1), squares, request=request("fd-vgg"))


# Files of the pictures that were measured


def test_measured_pictures_are_written_as_they_are(tmp_path: Path) -> None:
    made = [torch.from_numpy(landscape(i, height=40, width=40)).permute(2, 0, 1) for i in range(2)]
    kept = list(Dump(tmp_path / "dump").keep("samples, 1/8: 93 px of 98", iter(made)))
    assert all(torch.equal(a, b) for a, b in zip(made, kept, strict=True))
    folder = tmp_path / "dump" / "samples-1-8-93-px-of-98"
    assert sorted(p.name for p in folder.iterdir()) == ["000000.png", "000001.png"]
    with Image.open(folder / "000001.png") as image:
        assert np.array_equal(np.asarray(image), landscape(1, height=40, width=40))


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="is not empty; give an empty or a new one"):
        Dump(tmp_path)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        Dump(tmp_path / "file")


# Precision and recall


def test_equal_sets_cover_each_other() -> None:
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    assert coverage(features, features) == 1


def test_far_sets_cover_nothing() -> None:
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    assert coverage(features, features + 100) == 0


def test_one_mode_of_two_is_precise_with_half_the_recall() -> None:
    rng = torch.Generator().manual_seed(0)
    near, far = torch.randn(50, 2, generator=rng), torch.randn(50, 2, generator=rng) + 100
    real, fake = torch.cat([near, far]), near + 1e-3
    assert coverage(real, fake) == 1
    assert coverage(fake, real) == pytest.approx(0.5, abs=0.02)


def test_radii_reach_the_third_neighbour() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    inside = torch.tensor([[-3.0], [-3.1], [17.0], [18.1]])  # radii of 0 and 10: 3 and 9
    assert coverage(line, inside[:1].repeat(2, 1)) == 1
    assert coverage(line, inside[1:2].repeat(2, 1)) == 0


def test_parts_of_many_features_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(40, 3, generator=rng), 1.5 * torch.randn(30, 3, generator=rng)
    whole = coverage(real, fake)
    monkeypatch.setattr(distances, "_ROWS", 7)
    assert coverage(real, fake) == whole


def test_fewer_pictures_than_neighbours_are_refused() -> None:
    with pytest.raises(InputError, match="3 pictures are too few for precision and recall; give 4 or more"):
        coverage(torch.randn(3, 2), torch.randn(5, 2))
