"""What runs inside TorchServe: a request for a window of a world, as JSON, answered with a picture.

The archive of ``infgen.export.torchserve`` holds a subclass of ``Handler``. TorchServe makes one in each worker, calls
``initialize`` once and ``handle`` for every batch of requests, one batch at a time. Nothing here imports TorchServe.
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
from infgen.sinks.encoders import vips
from infgen.sinks.encoders.raster import DOTS_PER_MM, OPERATIONS
from infgen.sinks.provenance import Provenance, pack
from infgen.world.document import Document, Seed, cut, parse_document, validate
from infgen.world.layout import Layout, Px, Size
from infgen.world.layout_files import resolve
from infgen.world.world import World

KEPT_WORLDS = 16  # whose styles stay in memory, so that the next window of one of them costs no more than its pixels
FAILED = "the server could not draw this window; its log says why"

logger = logging.getLogger(__name__)


class Context(Protocol):
    """What TorchServe tells a handler, and takes from it besides the bodies of its answers."""

    system_properties: Mapping[str, Any]
    manifest: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any] | None

    def set_response_status(self, code: int = ..., phrase: str = ..., idx: int = ...) -> None:
        """Status of answer ``idx`` of the batch."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Content type of answer ``idx`` of the batch."""


class WindowRequest(Document):
    """A window of a world: ``x``, ``y``, ``w``, ``h`` in px, y = 0 at the horizon, and what ``World`` says of the world."""

    seed: Seed = 0
    """Any 64-bit integer: which world."""
    x: Px
    """Left edge in px."""
    y: Px
    """Upper edge in px."""
    w: Size
    """Width in px."""
    h: Size
    """Height in px."""
    scale: Literal["1", "1/2", "1/4", "1/8"] = "1"
    """Share of its size at which the window is drawn, by a coarser level of the model."""
    styles: Layout | None = None
    """A layout document without files; percentages are of the window."""
    truncation: float = 1.0
    """1: styles as drawn, 0: the mean style."""
    noise: float = 1.0
    """Multiplies the learnt strengths of fine noise."""
    period: Annotated[int, Field(strict=True)] | None = None
    """The image repeats along x after so many px, a multiple of the model's cell."""
    format: Literal["png", "jpeg", "webp"] = "png"
    """Of the picture."""

    @field_validator("styles", mode="before")
    @classmethod
    def _layout(cls, value: object) -> Layout | None:
        return None if value is None else Layout.from_json(_json(value), source="styles")

    @classmethod
    def read(cls, body: object) -> Self:
        """The request in ``body``: JSON, or what TorchServe made of it. Raises InputError, LimitError where it is too long."""
        if body is None:
            raise InputError("request has no body; post a JSON document with the content type application/json")
        text = _text(body)
        limit = MAX_REQUEST_KB.value()
        if len(text) > limit * KIB:
            raise LimitError(
                f"request has {len(text)} bytes, over the limit of {limit} KiB; name fewer styles or centres"
            )
        request = validate(cls, parse_document(text, kind="request", source="request"), source="request")
        if request.styles is not None:
            _check_layout(request.styles)
        return request

    @property
    def halvings(self) -> int:
        """The scale is 1 / 2**halvings."""
        return parse_scale(self.scale)

    @property
    def region(self) -> Region:
        """The window at full size. Raises InputError where it leaves the canvas."""
        try:
            return Region(self.x, self.y, self.w, self.h)
        except LimitError as error:  # no limit of the server: a smaller window at this place would be refused, too
            raise InputError(str(error)) from None

    def world(self) -> World:
        """The world of the window. Raises WorldError for values out of range."""
        layout = None if self.styles is None else resolve(self.styles, self.region, folder=Path())
        values = {"seed": self.seed, "truncation": self.truncation, "noise": self.noise, "period": self.period}
        return validate(World, values | {"layout": layout}, source="request")


def _text(body: object) -> str | bytes:
    """The JSON in ``body``: as it came, or decoded by TorchServe, which is undone to check it like any other."""
    if isinstance(body, bytearray):
        return bytes(body)
    return body if isinstance(body, str | bytes) else _json(body)


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise InputError("request is nested too deeply; give a request document") from None


def _check_layout(layout: Layout) -> None:
    """Raise InputError where ``layout`` names a file, LimitError where it takes too much work."""
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
    """Raise LimitError where the tiles of ``plan`` are more work than one request may be, or the format cannot hold them.

    A window one px wide takes tiles many px wide: the pixels that are computed are what counts.
    """
    width, height = plan.region.w, plan.region.h
    size, limit = f"window of {width} x {height} px", MAX_REQUEST_PIXELS.value()
    computed = plan.tile_count * plan.tile_px[0] * plan.tile_px[1]
    if computed > limit:
        raise LimitError(
            f"{size} takes tiles of {computed} px in all, over the limit of {limit} ({MAX_REQUEST_PIXELS.name}); "
            "ask for smaller windows, they fit together"
        )
    chosen = next(f for f in FORMATS if f.key == request.format)
    if not chosen.holds(width, height):
        raise LimitError(f"{size}: {chosen.name} holds at most {chosen.max_side} px per side; ask for png")


def _check_picture(picture: bytes) -> None:
    """Raise LimitError for what TorchServe would not pass on: it kills the worker that sends more than it expects."""
    limit = MAX_RESPONSE_KB.value()
    if len(picture) > limit * KIB:
        raise LimitError(
            f"the picture takes {len(picture)} bytes, over the limit of {limit} KiB ({MAX_RESPONSE_KB.name}); "
            "ask for a smaller window"
        )


def encoded(pixels: Pixels, recipe: Provenance, *, file_format: str) -> bytes:
    """The bytes of a "png", "jpeg" or "webp" file of ``pixels`` (h, w, 3) uint8 with ``recipe`` in it, as sinks write it."""
    library, operation, properties = vips.load(), OPERATIONS[file_format], pack(recipe)
    height, width, channels = pixels.shape
    image = library.Image.new_from_memory(pixels.data, width, height, channels, "uchar")
    image = image.copy(interpretation="srgb", xres=DOTS_PER_MM, yres=DOTS_PER_MM)
    if operation.header_bytes == 0:
        image.set_type(library.GValue.blob_type, "xmp-data", xmp.packet(properties))
    data: bytes = getattr(image, operation.name.replace("_target", "_buffer"))(**operation.options)
    if operation.header_bytes == 0:
        return data
    place = xmp.png_chunks if file_format == "png" else xmp.jpeg_segments
    return data[: operation.header_bytes] + place(properties) + data[operation.header_bytes :]


@dataclass(frozen=True)
class Answer:
    """What goes back for one request."""

    status: HTTPStatus
    content_type: str
    body: bytes

    @classmethod
    def refusal(cls, status: HTTPStatus, message: str) -> Self:
        """An error as one line of JSON."""
        return cls(status, "application/json", json.dumps({"error": message}).encode())


class Handler:
    """Draws windows with the model of the archive. One worker, one thread: TorchServe calls it with one batch at a time."""

    def __init__(self) -> None:
        self._at_scale: Callable[[int], Studio]
        self._in_world: Callable[[World, int], Studio]

    def initialize(self, context: Context) -> None:
        """Load the model on the device that ``context`` names and draw one pixel, so that what is ready can draw.

        Raises InfgenError where the model or the device cannot be used, or libvips is missing.
        """
        vips.load()
        gpu = context.system_properties.get("gpu_id")
        options = Options(threads=_threads(context), device="cpu" if gpu is None else f"cuda:{gpu}")
        model = Path(context.system_properties["model_dir"], context.manifest["model"]["serializedFile"])
        studio = open_studio(World(), model=model, options=options)
        self._at_scale = cache(studio.coarser)
        self._in_world = lru_cache(maxsize=KEPT_WORLDS)(
            lambda world, halvings: self._at_scale(halvings).with_world(world)
        )
        self._picture(WindowRequest(x=0, y=0, w=1, h=1))

    def handle(self, data: Sequence[Mapping[str, object]], context: Context) -> list[bytes]:
        """One body for each request of a batch; each has its own status and content type in ``context``."""
        answers = [self.answer(row.get("body", row.get("data"))) for row in data]
        for i, answer in enumerate(answers):
            context.set_response_status(answer.status.value, answer.status.phrase, i)
            context.set_response_content_type(i, answer.content_type)
        return [answer.body for answer in answers]

    def answer(self, body: object) -> Answer:
        """The picture that the JSON document ``body`` asks for, or why there is none."""
        try:
            request = WindowRequest.read(body)
            return Answer(HTTPStatus.OK, f"image/{request.format}", self._picture(request))
        except InputError as error:
            return Answer.refusal(next(status for kind, status in HTTP_STATUSES if isinstance(error, kind)), str(error))
        except Exception:  # whatever it is, the next request must find a worker
            logger.exception("a window could not be drawn")
            return Answer.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)

    def _picture(self, request: WindowRequest) -> bytes:
        region = request.region.coarser(request.halvings)
        plan = self._at_scale(request.halvings).plan(region)
        _check_window(request, plan)
        studio = self._in_world(request.world(), request.halvings)
        picture = encoded(studio.array(region), studio.recipe(plan), file_format=request.format)
        _check_picture(picture)
        return picture


def _threads(context: Context) -> int | None:
    """CPU threads for PyTorch, from ``handler: threads`` of the archive's model-config.yaml. None: as PyTorch chooses."""
    threads = ((context.model_yaml_config or {}).get("handler") or {}).get("threads")
    if threads is None or (isinstance(threads, int) and threads > 0):
        return threads
    raise InputError(f"handler.threads {cut(repr(threads))} in model-config.yaml; give a whole number above 0, or null")
