"""Continue photographs: from pictures to latents, worlds and finished pixels.

The command line, the canvas and the Python functions ``outpaint``, ``inbetween`` and ``panorama`` all use it.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from infgen.checks import check_whole
from infgen.errors import InputError
from infgen.inversion.arrangement import (
    Arrangement,
    Extension,
    Scale,
    inbetweening,
    outpainting,
    place_row,
)
from infgen.inversion.arrangement import panorama as arrange_panorama
from infgen.inversion.invert import SMALLEST_PX
from infgen.inversion.optimise import Inversion, Settings, Step, optimise
from infgen.inversion.placing import WORKING_HEIGHT_PX, Placed, place, working_scale
from infgen.inversion.selecting import CANDIDATES, select_seed
from infgen.inversion.settings import CONTINUING
from infgen.photo import PhotoSource, open_photograph, unify_profiles
from infgen.pixels import Pixels
from infgen.rendering.studio import Studio, open_studio
from infgen.world.anchoring import file_sha256
from infgen.world.anchors import AnchoredLatents
from infgen.world.world import World

SEEDS = 2**64


@dataclass(frozen=True, kw_only=True)
class Joining:
    """How generated pixels are chosen and joined with photographs.

    ``keep``, ``feather``: see ``Arrangement.compose``. ``candidates``: see ``select_seed``.
    """

    keep: bool = True
    feather: int | None = None
    candidates: int = CANDIDATES

    def __post_init__(self) -> None:
        check_whole("candidates", self.candidates, least=1)


@dataclass(frozen=True, eq=False)
class Result:
    """Result of continuing photographs.

    ``pictures``: one (h, w, 3) uint8 per sample. ``worlds``: the world of each sample. ``latents``: one per photograph.
    The anchor files of the worlds lie in a temporary folder, deleted with the result; ``World.save`` copies them.
    """

    pictures: tuple[Pixels, ...]
    worlds: tuple[World, ...]
    latents: tuple[AnchoredLatents, ...]
    folder: Path

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @property
    def picture(self) -> Pixels:
        """The first sample, (h, w, 3) uint8."""
        return self.pictures[0]

    @property
    def world(self) -> World:
        """The world of the first sample."""
        return self.worlds[0]

    @property
    def image(self) -> Image.Image:
        """The first sample as a Pillow image."""
        return Image.fromarray(np.ascontiguousarray(self.picture))


def invert_photograph(
    photo: Placed,
    *,
    studio: Studio,
    settings: Settings,
    period: int | None = None,
    seconds: float | None = None,
    progress: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] | None = None,
    lock: AbstractContextManager[object] | None = None,
) -> Inversion:
    """Find the latents of one placed photograph with the model of ``studio``, at the working scale.

    ``period``: of the world, px of the world. ``lock``: held while the network computes, for callers that share it.
    Other arguments and errors as for ``optimise``.
    """
    generator = studio.generator
    with lock or nullcontext():
        return optimise(
            photo.target(),
            generator.coarser(working_scale(generator.config).halvings),
            model_sha256=studio.model_hash,
            settings=settings,
            period=period,
            seconds=seconds,
            progress=progress,
            stop=stop,
        )


def draw_samples(
    arrangement: Arrangement,
    files: Sequence[Path],
    *,
    studio: Studio,
    seed: int,
    samples: int,
    joining: Joining,
) -> Iterator[tuple[World, Pixels]]:
    """Render each sample: its world, and the finished picture (h, w, 3) uint8.

    ``files``: latents, one per photograph. Sample i uses the world of seed ``seed`` + i, or of the best candidate
    for it. Raises InputError if the latents do not fit the model.
    """
    rendering = studio.coarser(arrangement.rendered_halvings)
    for i in range(samples):
        own = (seed + i) % SEEDS
        chosen = select_seed(arrangement, files, studio=studio, seed=own, candidates=joining.candidates)
        world = arrangement.world(files, seed=chosen)
        generated = rendering.with_world(world).array(arrangement.rendered_region)
        yield world, arrangement.compose(generated, keep=joining.keep, feather=joining.feather, seed=world.seed)


def continue_photographs(
    arrangement: Arrangement,
    *,
    studio: Studio,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    samples: int = 1,
    joining: Joining | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Result:
    """Invert the photographs of ``arrangement`` and render ``samples`` continuations.

    ``steps``, ``seconds``: limits of each inversion. Raises InputError for an impossible size or number, LimitError for
    pictures over INFGEN_MAX_JOINED_PIXELS.
    """
    arrangement.check_size()
    check_whole("samples", samples, least=1)
    check_whole("seed", seed)
    settings = replace(CONTINUING, steps=CONTINUING.steps if steps is None else steps, seed=seed)
    folder = Path(tempfile.mkdtemp(prefix="infgen-"))
    try:
        found, files = [], []
        for i, photo in enumerate(arrangement.photographs):
            inversion = invert_photograph(
                photo, studio=studio, settings=settings, period=arrangement.period, seconds=seconds, progress=progress
            )
            found.append(inversion.latents)
            files.append(_save(inversion.latents, folder, f"photograph-{i + 1}"))
        joined = joining or Joining()
        drawn = list(draw_samples(arrangement, files, studio=studio, seed=seed, samples=samples, joining=joined))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Result(tuple(picture for _, picture in drawn), tuple(world for world, _ in drawn), tuple(found), folder)


def _save(latents: AnchoredLatents, folder: Path, name: str) -> Path:
    """Write ``latents`` to a file named with part of their hash: worlds expect equal names to mean equal files."""
    path = folder / f"{name}.safetensors"
    latents.save(path)
    return path.rename(folder / f"{name}.{file_sha256(path)[:8]}.safetensors")


def outpaint(
    photo: PhotoSource,
    *,
    left: int = 0,
    top: int = 0,
    right: int = 0,
    bottom: int = 0,
    mask: PhotoSource | None = None,
    scale: Scale = "source",
    height: int = WORKING_HEIGHT_PX,
    horizon: float | None = None,
    model: str | Path | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    samples: int = 1,
    progress: Callable[[Step], None] | None = None,
) -> Result:
    """Extend ``photo`` by ``left``, ``top``, ``right`` and ``bottom`` px of the output.

    ``photo``: a file, a Pillow image, or an array (H, W, 3) uint8. ``mask``: an image of the same size, white where pixels
    are kept. ``scale``: "source" for an output at the photograph's own size. ``height``: working height in px for the
    inversion. ``horizon``: a fraction of the height; None estimates it. Raises InputError for unusable input.

    >>> from infgen import outpaint
    >>> result = outpaint("photo.jpg", right=32, height=64, steps=1)  # more steps give a better likeness
    >>> result.image.size
    (112, 64)
    >>> result.image.save("wide.png")
    >>> result.world.save("wide.world.json")
    """
    photograph = open_photograph(photo, short_px=SMALLEST_PX)
    if mask is not None:
        photograph = photograph.with_mask(mask)
    placed = place(photograph, height=height, horizon=horizon)
    studio = open_studio(World(), model=model)
    extension = Extension(left=left, top=top, right=right, bottom=bottom)
    arrangement = outpainting(placed, extension, scale=scale, config=studio.generator.config)
    return continue_photographs(
        arrangement, studio=studio, steps=steps, seconds=seconds, seed=seed, samples=samples, progress=progress
    )


def inbetween(
    photos: Sequence[PhotoSource],
    *,
    gap: int,
    scale: Scale = "source",
    height: int = WORKING_HEIGHT_PX,
    model: str | Path | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    progress: Callable[[Step], None] | None = None,
) -> Result:
    """Join ``photos`` in a row, ``gap`` px of the output apart, and generate the pixels between them.

    Arguments as for ``outpaint``. At ``scale`` "source", all photographs get the height of the largest. Raises InputError
    for fewer than two photographs and unusable input.

    >>> from infgen import inbetween
    >>> inbetween(["photo.jpg", "photo.jpg"], gap=48, height=64, steps=1).image.size
    (208, 64)
    """
    if isinstance(photos, str | Path):
        raise InputError(f"photos is one file, {photos}; give a list of 2 or more")
    if len(photos) < 2 or check_whole("gap", gap) < 1:
        raise InputError(
            f"{len(photos)} photographs with a gap of {gap} px cannot be joined; give 2 or more, and 1 px or more"
        )
    photographs = unify_profiles([open_photograph(photo, short_px=SMALLEST_PX) for photo in photos])
    placed = place_row(photographs, gap=gap, scale=scale, height=height)
    studio = open_studio(World(), model=model)
    arrangement = inbetweening(placed, config=studio.generator.config, scale=scale, gap=gap)
    return continue_photographs(arrangement, studio=studio, steps=steps, seconds=seconds, seed=seed, progress=progress)


def panorama(
    photo: PhotoSource,
    *,
    width: int,
    scale: Scale = "source",
    height: int = WORKING_HEIGHT_PX,
    horizon: float | None = None,
    model: str | Path | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    progress: Callable[[Step], None] | None = None,
) -> Result:
    """Make a seamless 360 degree image around ``photo``, ``width`` px wide, rounded to whole cells of the model.

    Arguments as for ``outpaint``. Raises InputError if the width is less than the photograph's.

    >>> from infgen import panorama
    >>> panorama("photo.jpg", width=768, height=64, steps=1).image.size
    (768, 64)
    """
    placed = place(open_photograph(photo, short_px=SMALLEST_PX), height=height, horizon=horizon)
    studio = open_studio(World(), model=model)
    arrangement = arrange_panorama(placed, width=width, config=studio.generator.config, scale=scale)
    return continue_photographs(arrangement, studio=studio, steps=steps, seconds=seconds, seed=seed, progress=progress)
