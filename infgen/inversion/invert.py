"""Invert a photograph in one call, and check stored latents against a photograph."""

from collections.abc import Callable
from pathlib import Path

from infgen.errors import InputError
from infgen.inversion.optimise import Inversion, Step, optimise
from infgen.inversion.placing import WORKING_HEIGHT_PX, Placed, place
from infgen.inversion.settings import CONTINUING, Settings
from infgen.inversion.window import Cover
from infgen.model.checkpoint import file_hash, resolve
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator
from infgen.perceptual import MIN_PX
from infgen.photo import PhotoSource, open_photograph
from infgen.world.anchors import AnchoredLatents

SMALLEST_PX = MIN_PX  # short side of a photograph; smaller ones would only be upscaled


def invert(
    photo: PhotoSource,
    generator: Generator | str | Path | None = None,
    *,
    model_sha256: str | None = None,
    mask: PhotoSource | None = None,
    height: int = WORKING_HEIGHT_PX,
    horizon: float | None = None,
    x: int = 0,
    period: int | None = None,
    settings: Settings = CONTINUING,
    seconds: float | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Inversion:
    """Invert ``photo``: a file, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4) uint8.

    ``generator``: a model file, a hub id, None for the shipped model, or a Generator with ``model_sha256``, the hash of its
    file. ``mask``: an image of the same size, white where pixels are used. ``height``: working height in px. ``horizon``:
    a fraction of the height; None estimates it. ``x``: left edge in world px. ``period``: of a cyclic world, px. Other
    arguments as for ``optimise``. Raises InputError for unusable input.

    >>> from infgen import World, invert
    >>> from infgen.inversion.settings import Settings
    >>> found = invert("photo.jpg", height=64, settings=Settings(steps=1))
    >>> found.latents.save("photo.safetensors")
    >>> len(World.from_inversions(["photo.safetensors"], seed=7).anchors)
    1
    """
    photograph = open_photograph(photo, short_px=SMALLEST_PX)
    if mask is not None:
        photograph = photograph.with_mask(mask)
    placed = place(photograph, height=height, horizon=horizon, x=x)
    network, sha256 = _model(generator, model_sha256)
    return optimise(
        placed.target(),
        network,
        model_sha256=sha256,
        settings=settings,
        period=period,
        seconds=seconds,
        progress=progress,
    )


def _model(generator: Generator | str | Path | None, sha256: str | None) -> tuple[Generator, str]:
    """Return the network and the hash of its file."""
    if isinstance(generator, Generator):
        if sha256 is None:
            raise InputError(
                "a Generator has no file hash; give model_sha256, or the model file instead of the Generator"
            )
        return generator, sha256
    path = resolve(generator)
    return Generator.from_pretrained(path), file_hash(path)


def check_latents(
    path: Path, placed: Placed, *, config: GeneratorConfig, model_sha256: str, period: int | None = None
) -> None:
    """Raise InputError unless the file ``path`` holds latents for the window of ``placed`` and this model.

    ``period``: of the world that will use them, px.
    """
    latents = AnchoredLatents.load(path)
    if latents.model_sha256 != model_sha256:
        raise InputError(
            f"latents {path} were made with model {latents.model_sha256[:12]}..., not {model_sha256[:12]}...; give the right "
            "one with --model"
        )
    cover = Cover.of(placed.target(), config, period=period)
    found = latents.cell_x, latents.cell_y, latents.cells, latents.period
    needed = cover.x.structure.start, cover.y.structure.start, cover.cells, period
    if found[1:] == needed[1:] and found != needed:
        raise InputError(
            f"latents {path} begin at column {found[0]} of cells, but {placed.photograph.name} begins at {needed[0]}; latents "
            "of outpaint fit the first photograph of inbetween only, those of inbetween the same photographs and --gap"
        )
    if found != needed:
        pixels, window = latents.pixels, placed.region.finer(config.halvings)
        raise InputError(
            f"latents {path} are of {pixels.x.size} x {pixels.y.size} px at ({pixels.x.start}, {pixels.y.start}), "
            f"{_describe(latents.period)}, but {placed.photograph.name} lies on {window.w} x {window.h} px at ({window.x}, "
            f"{window.y}), {_describe(period)}; give the photograph, --working-height, --horizon and "
            "width that they were made with"
        )


def _describe(period: int | None) -> str:
    return "no circle" if period is None else f"a circle of {period} px"
