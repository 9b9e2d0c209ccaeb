"""The provenance of a picture: a JSON object that says how to draw it again, embedded in the file as an XMP property.

The JSON is deflated and written in base64, so that it needs no XML escapes, its checksum shows damage, and reading it
back needs no XML parser: a picture from elsewhere is untrusted. Nothing that is read is ever executed.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infgen.errors import InputError, LimitError
from infgen.limits import MAX_RECIPE_MB, MIB
from infgen.sinks import xmp

Provenance = Mapping[str, Any]
VERSION_KEY = "infgen"  # entry of the provenance that holds the version of infgen, for the creator tag
_PROPERTY = "infgen:recipe"
_NAMESPACE = "urn:infgen:recipe:1:"
# As an element, the way it is written here, or as an attribute, the way some metadata editors write it again.
_VALUE = re.compile(_PROPERTY.encode() + rb"""(?:>|\s*=\s*["'])([A-Za-z0-9+/=\s]+)["'<]""")


def creator(provenance: Provenance) -> str:
    """The value of the Software and CreatorTool tags: ``infgen`` and the version that the provenance gives."""
    version = re.sub(r"[^\w.+-]", "", str(provenance.get(VERSION_KEY, "")), flags=re.ASCII)[:40]
    return f"infgen {version}".strip()


def check_provenance(provenance: Provenance) -> None:
    """Raise what ``pack`` would raise: to be called before a long render."""
    pack(provenance)


def pack(provenance: Provenance) -> xmp.Properties:
    """The XMP properties of a picture made by ``provenance``.

    Raises InputError where the provenance is not JSON, LimitError where it is over INFGEN_MAX_RECIPE_MB.
    """
    try:
        text = json.dumps(provenance, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the provenance of the picture cannot be written as JSON: {error}; use plain JSON values"
        ) from None
    limit = MAX_RECIPE_MB.value()
    if len(text) > limit * MIB:
        raise LimitError(
            f"the provenance of the picture has {len(text)} bytes; allowed are {limit} MiB; raise {MAX_RECIPE_MB.name} "
            "or use a smaller world document"
        )
    value = base64.b64encode(zlib.compress(text, 9)).decode()
    return xmp.Properties(creator=creator(provenance), namespaces={"infgen": _NAMESPACE}, values={_PROPERTY: value})


def read_embedded(path: str | Path) -> dict[str, Any] | None:
    """The provenance embedded in the PNG, JPEG, WebP or TIFF file ``path``, or None where it has none.

    Reads metadata only: pixels are never decoded, so the size of the picture does not matter. Raises InputError for a
    file that cannot be read, is of another kind, or whose provenance is damaged, LimitError for a provenance that is too large.
    """
    # Base64 takes 4/3 of the deflated bytes, and deflate adds little to what it cannot shrink.
    packet = xmp.read_packet(Path(path), max_bytes=2 * MAX_RECIPE_MB.value() * MIB)
    if packet is None or _PROPERTY.encode() not in packet:
        return None
    found = _VALUE.search(packet)
    if found is None:
        raise InputError(f"the provenance in {path} is damaged: no data; use the original file")
    return parse(_inflate(found[1], path), path)


def _inflate(value: bytes, path: str | Path) -> bytes:
    limit = MAX_RECIPE_MB.value()
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(
            base64.b64decode(value), limit * MIB + 1
        )  # bounded: a small file may unpack to terabytes
    except (binascii.Error, zlib.error) as error:
        raise InputError(f"the provenance in {path} is damaged: {error}; use the original file") from None
    if len(text) > limit * MIB:
        raise LimitError(
            f"the provenance in {path} is over {limit} MiB; raise {MAX_RECIPE_MB.name} if you trust the file"
        )
    if not unpacker.eof:
        raise InputError(f"the provenance in {path} is damaged: it ends early; use the original file")
    return text


def parse(text: bytes, path: str | Path) -> dict[str, Any]:
    """The provenance that ``text`` from the picture ``path`` is. Raises InputError for anything but a JSON object."""
    try:
        provenance = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the provenance in {path} is not JSON: {error}; use the original file") from None
    if not isinstance(provenance, dict):
        raise InputError(
            f"the provenance in {path} is a {type(provenance).__name__}; a JSON object is needed; use the original file"
        )
    return provenance
