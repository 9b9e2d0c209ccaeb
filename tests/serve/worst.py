"""The most expensive requests that the limits allow, by route, and a probe that measures how long a server stalls."""

import base64
import http.client
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import numpy as np
from PIL import Image

from infgen.serve.app import API
from infgen.serve.routes.bodies import MAX_CONTAINERS, MAX_ENTRIES, MAX_VALUES

BODY = 4 * 2**20 - 64  # bytes of a JSON body: just below INFGEN_MAX_WORLD_KB
LINE = b"\r\n--frontier"  # almost a boundary, for parsers of forms


@dataclass(frozen=True)
class Attack:
    """One request. ``path`` is below the API; "{world}" in it is the id of a world."""

    name: str
    method: str
    path: str
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


def png(width: int, height: int) -> bytes:
    """A grey PNG of zeros, built row by row without the pixels in memory."""
    packer, row = zlib.compressobj(9), bytes(width + 1)
    rows = [packer.compress(row) for _ in range(height)] + [packer.flush()]
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", b"".join(rows)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def paint_layout(width: int, height: int) -> dict[str, Any]:
    """A world whose style map is a picture of this size."""
    painting = {"x": 0, "y": 0, "w": 64, "h": 64, "png": base64.b64encode(png(width, height)).decode()}
    return {"layout": {"styles": [{"name": "a", "seed": 1}], "painting": painting, "transition": 1}}


def fill(head: str, item: str, tail: str, most: int = BODY) -> bytes:
    """A JSON body of ``item`` as often as it fits between ``head`` and ``tail``, at most ``most`` times."""
    count = min(most, (BODY - len(head) - len(tail)) // (len(item) + 1))
    return (head + ",".join([item] * count) + tail).encode()


@cache
def bodies() -> dict[str, bytes]:
    """JSON bodies of worlds by name, legal and illegal, each within the limit in bytes."""
    floats = ",".join(["0.1234567"] * 512)
    latent = f'{{"name":"NAME","latent":{{"z_g":[{floats}],"w_plus":[[{floats}],[{floats}]]}}}}'
    styles = ",".join(latent.replace("NAME", f"s{i}") for i in range(64))
    centre, edit = '{"style":"s0","x":1,"y":2}', '{"x":0,"y":0,"w":1,"h":1,"seed":1}'
    layout = f'{{"world":{{"layout":{{"transition":1,"styles":[{styles}],"centres":['
    edits = '{"world":{"edits":['
    strokes = '{"world":{"layout":{"transition":1,"styles":[{"name":"s0","seed":1}],"strokes":['
    stroke = f'{{"points":"{" ".join(["1000 -1000"] * 20)}","radius":99,"hardness":0.1,"style":"s0"}}'
    return {
        "empty edits": fill(edits, "[]", "]}}"),
        "10,000 edits": (edits + ",".join([edit] * 10_000) + "]}}").encode(),
        "too many edits": fill(edits, edit, "]}}"),
        "statistics": fill('{"world":{"edits":[{"x":0,"y":0,"w":1,"h":1,"seed":1,"mean":[', "0", "]}]}}"),
        "bad statistics": fill('{"world":{"edits":[{"x":0,"y":0,"w":1,"h":1,"seed":1,"mean":[', "[]", "]}]}}"),
        "centres": fill(layout, centre, "]}}}"),
        "1,024 centres": (layout + ",".join([centre] * 1024) + "]}}}").encode(),
        "10,000 strokes": (strokes + ",".join([stroke] * 10_000) + "]}}}").encode(),
        "strokes": fill(strokes, stroke, "]}}}"),
        "points": (strokes + f'{{"points":"{" ".join(["0"] * (BODY // 2 - 200))}","radius":1}}' + "]}}}").encode(),
        "bad styles": fill('{"world":{"layout":{"transition":1,"styles":[', "{}", "]}}}"),
        "bad latent": fill(
            '{"world":{"layout":{"transition":1,"styles":[{"name":"a","latent":{"z_g":[', '""', "]}}]}}}"
        ),
        "bad rows": fill(
            '{"world":{"layout":{"transition":1,"styles":[{"name":"a","latent":{"z_g":[0],"w_plus":[', "[]", "]}}]}}}"
        ),
        "most lists": fill(edits, "[]", "]}}", MAX_CONTAINERS - 10),
        "most numbers": fill(edits, "1.5e9", "]}}", MAX_VALUES - 10),
        "most entries": ("{" + ",".join(f'"{i}":0' for i in range(MAX_ENTRIES - 10)) + "}").encode(),
        "most text": fill(edits, '"a"', "]}}", MAX_VALUES - 10),
        "bad anchors": fill('{"world":{"anchors":[', "0", "]}}"),
        "unknown entries": ("{" + ",".join(f'"{i}":0' for i in range(360_000)) + "}").encode(),
        "deep": (b"[" * 100_000 + b"]" * 100_000),
        "digits": b'{"name":' + b"9" * (BODY - 20) + b"}",
        "text": b'{"name":"' + b"a" * (BODY - 20) + b'"}',
        "escapes": b'{"name":"' + rb"\u0041" * ((BODY - 20) // 6) + b'"}',
        "huge painting": json.dumps({"world": paint_layout(8192, 8191)}).encode(),
        "painting": json.dumps({"world": paint_layout(2048, 2048)}).encode(),
    }


def photograph(form: str, side: int) -> bytes:
    """A square photograph of noise in the format ``form``."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form of files."""
    head = '--frontier\r\nContent-Disposition: form-data; name="{}"; filename="a"\r\n\r\n'
    return b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts) + b"--frontier--\r\n"


def attacks(*, form_mb: int = 60, side: int = 4000) -> Iterator[Attack]:
    """Every request, for one world. ``form_mb``: MiB of a form; ``side``: of a photograph in px."""
    for name, body in bodies().items():
        yield Attack(f"POST /worlds: {name}", "POST", "/worlds", body)
        if name in ("empty edits", "10,000 edits", "10,000 strokes", "centres", "huge painting"):
            match = (("If-Match", '"0"'), ("Content-Type", "application/json"))
            yield Attack(f"PUT /worlds/ID: {name}", "PUT", "/worlds/{world}", body, match)
    for path in ("resample", "exports"):
        for name in ("unknown entries", "empty edits", "digits", "most entries", "most numbers"):
            yield Attack(f"POST {path}: {name}", "POST", f"/worlds/{{world}}/{path}", bodies()[name])
        fields = fill('{"x":0,"y":0,"w":1,"h":1,"fields":[', "0", "]}")
        yield Attack(f"POST {path}: fields", "POST", f"/worlds/{{world}}/{path}", fields)
    kind = (("Content-Type", "multipart/form-data; boundary=frontier"),)
    for name, content in (
        ("almost boundaries", form(("photo", LINE * (form_mb * 2**20 // len(LINE))))),
        ("line ends", form(("photo", b"\r\n" * (form_mb * 2**19)))),
        ("100,000 parts", form(*[("photo", b"")] * 100_000)),
        ("noise as JPEG", form(("photo", photograph("jpeg", side)))),
        ("noise as PNG", form(("photo", photograph("png", side)))),
        ("noise as TIFF", form(("photo", photograph("tiff", side)))),
    ):
        yield Attack(f"POST outpaint: {name}", "POST", "/worlds/{world}/outpaint", content, kind)
    cookie = (("Cookie", "a=" + '"' + "\\" * 14_000),)
    yield Attack("GET /worlds: cookie", "GET", "/worlds", headers=cookie)
    yield Attack("GET /: parameters", "GET", "/worlds?" + "&" * 14_000)


@dataclass
class Probe:
    """The longest time in seconds that ``/health/live`` took to answer."""

    longest: float = 0.0
    count: int = 0


@contextmanager
def probing(url: str) -> Iterator[Probe]:
    """Ask ``/health/live`` of the server at ``url`` without a pause inside the context."""
    parts, probe, over = httpx.URL(url), Probe(), threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(parts.host, parts.port, timeout=120)
        while not over.is_set():
            start = time.perf_counter()
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            probe.longest, probe.count = max(probe.longest, time.perf_counter() - start), probe.count + 1
            time.sleep(0.005)
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield probe
    finally:
        over.set()
        thread.join()


def send(client: httpx.Client, attack: Attack, world: str) -> httpx.Response:
    """Send one request. Cancels the job that it starts."""
    path = API + attack.path.replace("{world}", world)
    answer = client.request(attack.method, path, content=attack.content, headers=dict(attack.headers))
    if answer.status_code == httpx.codes.ACCEPTED:
        client.delete(f"{API}/jobs/{answer.json()['id']}")
    return answer
