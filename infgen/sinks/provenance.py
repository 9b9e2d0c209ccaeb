"""The provenance of a picture: a JSON object that reproduces it, embedded in the file as an XMP property.

The JSON is deflated and encoded in base64. So it needs no XML escapes, its checksum reveals damage, and reading it
needs no XML parser: a picture from elsewhere is untrusted. Nothing in it is ever executed. For people and other
programs, the same JSON also stands in the packet (and in a text chunk of PNG files) as it is, with the seed, the model
and IPTC's digital source type. infgen never reads these copies.
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
from infgen.limits import MAX_PROVENANCE_MB, MIB
from infgen.sinks import xmp

Provenance = Mapping[str, Any]
VERSION_KEY = "infgen"  # entry of the provenance that holds the version of infgen, for the creator tag
_PROPERTY = "infgen:recipe"  # part of the file format: pictures of all versions have it
_NAMESPACE = "urn:infgen:recipe:1:"
_READABLE_BYTES = 2**15  # larger provenance is embedded once only, deflated
IPTC_NAMESPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
IPTC_SOURCE = "Iptc4xmpExt:DigitalSourceType"
MADE_BY_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# This module writes an element. Some metadata editors turn it into an attribute.
_VALUE = re.compile(_PROPERTY.encode() + rb"""(?:>|\s*=\s*["'])([A-Za-z0-9+/=\s]+)["'<]""")


def creator(provenance: Provenance) -> str:
    """Return the value of the Software and CreatorTool tags: ``infgen`` and the version in ``provenance``."""
    version = re.sub(r"[^\w.+-]", "", str(provenance.get(VERSION_KEY, "")), flags=re.ASCII)[:40]
    return f"infgen {version}".strip()


def check_provenance(provenance: Provenance) -> None:
    """Check before a long render that ``provenance`` can be embedded. Raises what ``pack`` raises."""
    pack(provenance)


def pack(provenance: Provenance) -> xmp.Properties:
    """Encode ``provenance`` as XMP properties.

    Raises InputError if it cannot be written as JSON, LimitError if it is larger than INFGEN_MAX_PROVENANCE_MB.
    """
    try:
        text = json.dumps(provenance, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the provenance of the picture cannot be written as JSON: {error}; use plain JSON values"
        ) from None
    limit = MAX_PROVENANCE_MB.value()
    if len(text) > limit * MIB:
        raise LimitError(
            f"the provenance of the picture has {len(text)} bytes; allowed are {limit} MiB; raise {MAX_PROVENANCE_MB.name} "
            "or use a smaller world document"
        )
    value = base64.b64encode(zlib.compress(text, 9)).decode()
    readable = text if len(text) <= _READABLE_BYTES else b""
    return xmp.Properties(
        creator=creator(provenance),
        namespaces={"infgen": _NAMESPACE, "Iptc4xmpExt": IPTC_NAMESPACE},
        values={_PROPERTY: value, IPTC_SOURCE: MADE_BY_MODEL, **_describe(provenance, readable.decode())},
        text=readable.decode(),
    )


def _describe(provenance: Provenance, readable: str) -> dict[str, str]:
    """Return the properties that programs show: seed, model, its hash, and the whole provenance as JSON."""
    model, world = (provenance.get(name) for name in ("model", "world"))
    found = {
        "infgen:seed": world.get("seed") if isinstance(world, Mapping) else None,
        "infgen:model": model.get("name") if isinstance(model, Mapping) else None,
        "infgen:modelHash": model.get("sha256") if isinstance(model, Mapping) else None,
        "infgen:provenance": readable or None,
    }
    return {name: _escape(str(value)) for name, value in found.items() if value is not None}


def _escape(text: str) -> str:
    """Escape all but plain ASCII, and XML's special characters."""
    safe = {character: f"&#{ord(character)};" for character in "&<>'\""}
    return "".join(safe.get(c, c) if " " <= c <= "~" else f"&#{ord(c)};" for c in text if c.isprintable())


def read_embedded(path: str | Path) -> dict[str, Any] | None:
    """Read the provenance in the PNG, JPEG, WebP or TIFF file ``path``. Returns None if it has none.

    Reads metadata only: pixels are never decoded, so the size of the picture does not matter. Raises InputError for an
    unreadable file, another kind of file or damaged provenance, LimitError for provenance that is too large.
    """
    # Base64 takes 4/3 of the deflated bytes, and deflate adds little to incompressible data.
    packet = xmp.read_packet(Path(path), max_bytes=2 * MAX_PROVENANCE_MB.value() * MIB)
    if packet is None or _PROPERTY.encode() not in packet:
        return None
    found = _VALUE.search(packet)
    if found is None:
        raise InputError(f"the provenance in {path} is damaged: no data; use the original file")
    return parse(_inflate(found[1], path), path)


def _inflate(value: bytes, path: str | Path) -> bytes:
    limit = MAX_PROVENANCE_MB.value()
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(
            base64.b64decode(value), limit * MIB + 1
        )  # bounded, because a small file may unpack to terabytes
    except (binascii.Error, zlib.error) as error:
        raise InputError(f"the provenance in {path} is damaged: {error}; use the original file") from None
    if len(text) > limit * MIB:
        raise LimitError(
            f"the provenance in {path} is over {limit} MiB; raise {MAX_PROVENANCE_MB.name} if you trust the file"
        )
    if not unpacker.eof:
        raise InputError(f"the provenance in {path} is damaged: it ends early; use the original file")
    return text


def parse(text: bytes, path: str | Path) -> dict[str, Any]:
    """Parse provenance from the JSON ``text`` in the picture ``path``. Raises InputError if it is not a JSON object."""
    try:
        provenance = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the provenance in {path} is not JSON: {error}; use the original file") from None
    if not isinstance(provenance, dict):
        raise InputError(
            f"the provenance in {path} is a {type(provenance).__name__}; a JSON object is needed; use the original file"
        )
    return provenance
