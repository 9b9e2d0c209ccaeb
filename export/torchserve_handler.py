"""The handler that runs inside TorchServe: it receives a window of a world as JSON and returns a picture.

The archive of ``infgen.export.torchserve`` contains a subclass of ``Handler``. TorchServe creates one in each worker and
calls ``initialize`` once, then ``handle`` for one batch of requests at a time. This module does not import TorchServe.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, field_validator

from infgen import vips
from infgen.errors import HTTP_STATUSES, InputError, LimitError
from infgen.geometry import Region
from infgen.limits import (
    KIB,
    MAX_REQUEST_CENTRES,
    MAX_REQUEST_KB,
    MAX_REQUEST_PIXELS,
    MAX_REQUEST_STYLES,
    MAX_REQUEST_TRANSITION,
    MAX_RESPONSE_KB,
    Limit,
)
from infgen.model.config import parse_scale
from infgen.pixels import Pixels
from infgen.rendering.plan import Plan
from infgen.rendering.studio import Options, Studio, open_studio
from infgen.sinks import FORMATS, xmp
from infgen.sinks.encoders.raster import DOTS_PER_MM, OPERATIONS
from infgen.sinks.provenance import Provenance, pack
from infgen.world.document import Document, Seed, cut, parse_document, validate
from infgen.world.layout import Layout, Px, Size
from infgen.world.layout_files import resolve
from infgen.world.world import DEFAULT_LOCAL_TRUNCATION, DEFAULT_TRUNCATION, World

CACHED_WORLDS = 16  # whose styles stay in memory, so that further windows of them need no mapping
FAILED = "the server could not render this window; see its log"

logger = logging.getLogger(__name__)


class Context(Protocol):
    """TorchServe's context: settings of the worker, and setters for the status and content type of responses."""

    system_properties: Mapping[str, Any]
    manifest: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any] | None

    def set_response_status(self, code: int = ..., phrase: str = ..., idx: int = ...) -> None:
        """Set the status of response ``idx`` of the batch."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of response ``idx`` of the batch."""


class WindowRequest(Document):
    """A window of a world: ``x``, ``y``, ``w``, ``h`` in px with y = 0 at the horizon, and the values of ``World``."""

    seed: Seed = 0
    """Seed of the world: any 64-bit integer."""
    x: Px
    """Left edge in px."""
    y: Px
    """Top edge in px."""
    w: Size
    """Width in px."""
    h: Size
    """Height in px."""
    scale: Literal["1", "1/2", "1/4", "1/8"] = "1"
    """Scale of the picture, rendered by a coarser level of the model."""
    styles: Layout | None = None
    """A layout document without files. Percentages refer to the window."""
    truncation: float = DEFAULT_TRUNCATION
    """Truncation of the styles: 1 is none, 0 is the mean style."""
    local_truncation: float = DEFAULT_LOCAL_TRUNCATION
    """Factor on the local latents: 1 is full variety of compositions, lower values are calmer."""
    noise: float = 1.0
    """Factor on the trained noise strengths."""
    period: Annotated[int, Field(strict=True)] | None = None
    """Period of the image along x in px, a multiple of the model's cell."""
    period_y: Annotated[int, Field(strict=True)] | None = None
    """Period along y in px, for models without a horizon."""
    format: Literal["png", "jpeg", "webp"] = "png"
    """File format of the picture."""

    @field_validator("styles", mode="before")
    @classmethod
    def _parse_layout(cls, value: object) -> Layout | None:
        return None if value is None else Layout.from_json(_to_json(value), source="styles")

    @classmethod
    def read(cls, body: object) -> Self:
        """Parse the request in ``body``: JSON, or JSON decoded by TorchServe. Raises InputError, and LimitError if too long."""
        if body is None:
            raise InputError("request has no body; post a JSON document with the content type application/json")
        text = _json_text(body)
        limit = MAX_REQUEST_KB.value()
        if len(text) > limit * KIB:
            raise LimitError(
                f"request has {len(text)} bytes, over the limit of {limit} KiB; give fewer styles or centres"
            )
        request = validate(cls, parse_document(text, kind="request", source="request"), source="request")
        if request.styles is not None:
            _check_layout(request.styles)
        return request

    @property
    def halvings(self) -> int:
        """Number of halvings of the scale, which is 1 / 2**halvings."""
        return parse_scale(self.scale)

    @property
    def region(self) -> Region:
        """The window at full size. Raises InputError if it leaves the canvas."""
        try:
            return Region(self.x, self.y, self.w, self.h)
        except LimitError as error:  # not a limit of the server: smaller windows at this position fail too
            raise InputError(str(error)) from None

    def world(self) -> World:
        """Make the world of the window. Raises WorldError for values out of range."""
        layout = None if self.styles is None else resolve(self.styles, self.region, folder=Path())
        names = ("seed", "truncation", "local_truncation", "noise", "period", "period_y")
        values = {name: getattr(self, name) for name in names}
        return validate(World, values | {"layout": layout}, source="request")


def _json_text(body: object) -> str | bytes:
    """Return the JSON in ``body``. A body that TorchServe has decoded is encoded again, so that all are checked alike."""
    if isinstance(body, bytearray):
        return bytes(body)
    return body if isinstance(body, str | bytes) else _to_json(body)


def _to_json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise InputError("request is nested too deeply; give a request document") from None


def _check_layout(layout: Layout) -> None:
    """Raise InputError if ``layout`` names a file, and LimitError if it needs too much work."""
    if layout.painting is not None:
        raise InputError(
            f"styles: painting names the file {cut(repr(layout.painting.image))}; requests name no files: give centres"
        )
    for name, style in layout.styles.items():
        for source in (style, style.texture):
            if source is not None and source.latent is not None:
                raise InputError(
                    f"styles: style {cut(repr(name))} names the file {cut(repr(source.latent))}; requests name no files: "
                    "give a seed or the mean"
                )
    _check_number(len(layout.styles), "styles", MAX_REQUEST_STYLES)
    _check_number(len(layout.centres), "centres", MAX_REQUEST_CENTRES)
    _check_number(layout.transition, "px of transition", MAX_REQUEST_TRANSITION)


def _check_number(found: int, what: str, limit: Limit) -> None:
    if found > limit.value():
        raise LimitError(f"styles: {found} {what}, over the limit of {limit.value()} ({limit.name}); give fewer")


def _check_window(request: WindowRequest, plan: Plan) -> None:
    """Raise LimitError if the tiles of ``plan`` exceed the limit of one request, or the picture exceeds its file format.

    The limit counts computed pixels, because a window of one px needs a tile of many px.
    """
    width, height = plan.region.w, plan.region.h
    size, limit = f"window of {width} x {height} px", MAX_REQUEST_PIXELS.value()
    computed = plan.tile_count * plan.tile_px[0] * plan.tile_px[1]
    if computed > limit:
        raise LimitError(
            f"{size} needs tiles of {computed} px in total, over the limit of {limit} ({MAX_REQUEST_PIXELS.name}); "
            "request smaller windows, which join without seams"
        )
    chosen = next(f for f in FORMATS if f.key == request.format)
    if not chosen.holds(width, height):
        raise LimitError(f"{size}: {chosen.name} holds at most {chosen.max_side} px per side; request png")


def _check_picture(picture: bytes) -> None:
    """Raise LimitError for a picture above TorchServe's response limit: TorchServe kills a worker that exceeds it."""
    limit = MAX_RESPONSE_KB.value()
    if len(picture) > limit * KIB:
        raise LimitError(
            f"the picture has {len(picture)} bytes, over the limit of {limit} KiB ({MAX_RESPONSE_KB.name}); "
            "request a smaller window"
        )


def encode_picture(pixels: Pixels, recipe: Provenance, *, file_format: str) -> bytes:
    """Encode ``pixels`` (h, w, 3) uint8 as a "png", "jpeg" or "webp" file with its provenance, as sinks write it."""
    library, operation, properties = vips.load(), OPERATIONS[file_format], pack(recipe)
    height, width, channels = pixels.shape
    image = library.Image.new_from_memory(pixels.data, width, height, channels, "uchar")
    image = image.copy(interpretation="srgb", xres=DOTS_PER_MM, yres=DOTS_PER_MM)
    if operation.header_bytes == 0:
        image.set_type(library.GValue.blob_type, "xmp-data", xmp.packet(properties))
    data: bytes = getattr(image, operation.name.replace("_target", "_buffer"))(**operation.options)
    if operation.header_bytes == 0:
        return data
    embed = xmp.png_chunks if file_format == "png" else xmp.jpeg_segments
    return data[: operation.header_bytes] + embed(properties) + data[operation.header_bytes :]


@dataclass(frozen=True)
class Response:
    """The response to one request."""

    status: HTTPStatus
    content_type: str
    body: bytes

    @classmethod
    def from_error(cls, status: HTTPStatus, message: str) -> Self:
        """Make an error response: one line of JSON."""
        return cls(status, "application/json", json.dumps({"error": message}).encode())


class Handler:
    """Renders windows with the model of the archive. TorchServe calls it in one thread, with one batch at a time."""

    def __init__(self) -> None:
        self._at_scale: Callable[[int], Studio]
        self._in_world: Callable[[World, int], Studio]

    def initialize(self, context: Context) -> None:
        """Load the model on the device in ``context`` and render one pixel, so that a ready worker is known to work.

        Raises InfgenError if the model or the device cannot be used, or libvips is missing.
        """
        vips.load()
        gpu = context.system_properties.get("gpu_id")
        options = Options(threads=_read_threads(context), device="cpu" if gpu is None else f"cuda:{gpu}")
        model = Path(context.system_properties["model_dir"], context.manifest["model"]["serializedFile"])
        studio = open_studio(World(), model=model, options=options)
        self._at_scale = cache(studio.coarser)
        self._in_world = lru_cache(maxsize=CACHED_WORLDS)(
            lambda world, halvings: self._at_scale(halvings).with_world(world)
        )
        self._render(WindowRequest(x=0, y=0, w=1, h=1))

    def handle(self, data: Sequence[Mapping[str, object]], context: Context) -> list[bytes]:
        """Return one body per request of a batch, and set the status and content type of each in ``context``."""
        responses = [self.answer(row.get("body", row.get("data"))) for row in data]
        for i, answer in enumerate(responses):
            context.set_response_status(answer.status.value, answer.status.phrase, i)
            context.set_response_content_type(i, answer.content_type)
        return [answer.body for answer in responses]

    def answer(self, body: object) -> Response:
        """Render the window of the JSON document ``body``, or return the error."""
        try:
            request = WindowRequest.read(body)
            return Response(HTTPStatus.OK, f"image/{request.format}", self._render(request))
        except InputError as error:
            return Response.from_error(
                next(status for kind, status in HTTP_STATUSES if isinstance(error, kind)), str(error)
            )
        except Exception:  # the worker must survive any error
            logger.exception("a window could not be rendered")
            return Response.from_error(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)

    def _render(self, request: WindowRequest) -> bytes:
        region = request.region.coarser(request.halvings)
        plan = self._at_scale(request.halvings).plan(region)
        _check_window(request, plan)
        studio = self._in_world(request.world(), request.halvings)
        picture = encode_picture(studio.array(region), studio.provenance(plan), file_format=request.format)
        _check_picture(picture)
        return picture


def _read_threads(context: Context) -> int | None:
    """Read the CPU threads from ``handler: threads`` of the archive's model-config.yaml. None: PyTorch's default."""
    threads = ((context.model_yaml_config or {}).get("handler") or {}).get("threads")
    if threads is None or (isinstance(threads, int) and threads > 0):
        return threads
    raise InputError(
        f"handler.threads {cut(repr(threads))} in model-config.yaml is invalid; give a whole number above 0, or null"
    )
