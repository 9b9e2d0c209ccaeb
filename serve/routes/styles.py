"""Route that finds the styles nearest to a photograph, as ``infgen styles --like`` does."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from infgen.errors import LimitError
from infgen.limits import MAX_UPLOAD_MB, MIB
from infgen.perceptual import MIN_PX
from infgen.photo import open_photograph
from infgen.rendering.likeness import StyleDistance, fit_photograph
from infgen.serve.routes.bodies import BodyRoute
from infgen.serve.routes.common import CanvasDep, errors
from infgen.serve.routes.schemas import NearStyle

router = APIRouter(prefix="/styles", tags=["tiles"], route_class=BodyRoute)

SIDE_PX = 128
MOST_SEEDS = 128
NEAREST = 12

Seeds = Annotated[int, Form(ge=1, le=MOST_SEEDS, description="Compare the styles of seeds 0 to this minus 1.")]


@router.post("/like", responses=errors(400, 408, 413, 429, 507))
def list_near_styles(
    canvas: CanvasDep,
    photo: Annotated[UploadFile, File(description="PNG, JPEG, WebP or TIFF.")],
    seeds: Seeds = 48,
) -> list[NearStyle]:
    """List the styles that are nearest to a photograph, nearest first. Tiles are rendered in between."""
    limit = MAX_UPLOAD_MB
    if (photo.size or 0) > limit.value() * MIB:
        raise LimitError(
            f"the photograph has {photo.size} bytes, over the limit of {limit.value()} MiB; send a smaller one"
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        with path.open("wb") as file:
            shutil.copyfileobj(photo.file, file)
        target = fit_photograph(open_photograph(path, short_px=MIN_PX), (SIDE_PX, SIDE_PX))
    distance, found = StyleDistance(target), []
    for seed in range(seeds):
        with canvas.engine_lock:
            picture = canvas.painter.artist.style_picture(seed, SIDE_PX)
        found.append(NearStyle(seed=seed, distance=distance(picture)))
    return sorted(found, key=lambda style: style.distance)[:NEAREST]
